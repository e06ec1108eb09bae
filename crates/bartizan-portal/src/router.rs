//! Every route, in one table: method, pattern, who may call it, and what answers. Those of `/api/v1` stand in `v1`, with
//! what else is to be known of each.
//!
//! The router is built from the tables, so there is no route without a row.

use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use axum::{Extension, Router};
use bartizan_contract::path;
use bartizan_model::TenantId;
use bartizan_store::Permission;

use crate::demo::{self, Demo};
use crate::operator_session::{self, Duty};
use crate::pages::account::{self, SIGN_IN};
use crate::pages::provider_sign_in::{self, CALLBACK};
use crate::pages::second_factor::{self, SECOND_FACTOR};
use crate::pages::{
    directory, enrollment, licenses, operator, operators, passkey_sign_in, passkeys, people, roles,
    sign_in_settings, tenants, user_groups, users,
};
use crate::session::Needs;
use crate::state::AppState;
use crate::{api, console, health, live, pages, request, scim, v1};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever can reach the portal; the handler says what it asks for.
    Anyone,
    /// An enrolled device, with access token and proof.
    Device,
    /// A directory, with a token of its tenant.
    Directory,
    /// A member with a session.
    Member,
    /// A member with a session, one of whose roles has the permission.
    May(Permission),
    /// An application with an access token, which has the permission.
    Api(Permission),
    /// An operator of the installation, in their own session, for this duty.
    Operator(Duty),
}

/// A row of the table.
struct Route {
    method: Method,
    pattern: &'static str,
    access: Access,
    handler: fn() -> MethodRouter<AppState>,
}

const ROUTES: &[Route] = &[
    row(Method::GET, "/livez", Access::Anyone, || get(health::live)),
    row(Method::GET, "/readyz", Access::Anyone, || get(health::ready)),
    // Devices, in the order in which they call. The first three ask for a proof by the device's key.
    row(Method::POST, path::ATTESTATION_CHALLENGE, Access::Anyone, || {
        post(api::attestation::give_challenge)
    }),
    row(Method::POST, path::ENROLL, Access::Anyone, || post(api::enroll::enroll)),
    row(Method::POST, path::ENROLLMENT_CODE, Access::Anyone, || post(api::enroll::redeem)),
    row(Method::POST, path::TOKEN, Access::Anyone, || post(api::token::token)),
    row(Method::POST, path::CHECKIN, Access::Device, || post(api::checkin::checkin)),
    row(Method::GET, path::POLICY, Access::Device, || get(api::policy::policy)),
    row(Method::GET, path::MANIFEST, Access::Device, || get(api::indicators::manifest)),
    row(Method::GET, INDICATOR_FILE, Access::Device, || get(api::indicators::file)),
    row(Method::POST, path::ALERTS, Access::Device, || post(api::alerts::alerts)),
    row(Method::POST, path::REPORT, Access::Device, || post(api::report::report)),
    row(Method::POST, path::FEEDBACK, Access::Device, || post(api::feedback::send)),
    row(Method::GET, path::FEEDBACK, Access::Device, || get(api::feedback::list)),
    // Directories, which keep users and groups up to date.
    row(Method::GET, "/scim/v2/ServiceProviderConfig", Access::Directory, || {
        get(scim::service_provider_config)
    }),
    row(Method::GET, "/scim/v2/ResourceTypes", Access::Directory, || get(scim::resource_types)),
    row(Method::GET, "/scim/v2/ResourceTypes/{id}", Access::Directory, || get(scim::resource_type)),
    row(Method::GET, "/scim/v2/Schemas", Access::Directory, || get(scim::schemas)),
    row(Method::GET, "/scim/v2/Schemas/{id}", Access::Directory, || get(scim::schema)),
    row(Method::POST, "/scim/v2/.search", Access::Directory, || post(scim::search)),
    row(Method::GET, "/scim/v2/Users", Access::Directory, || get(scim::list_users)),
    row(Method::POST, "/scim/v2/Users", Access::Directory, || post(scim::create_user)),
    row(Method::GET, SCIM_USER, Access::Directory, || get(scim::user)),
    row(Method::PUT, SCIM_USER, Access::Directory, || put(scim::replace_user)),
    row(Method::PATCH, SCIM_USER, Access::Directory, || patch(scim::patch_user)),
    row(Method::DELETE, SCIM_USER, Access::Directory, || delete(scim::delete_user)),
    row(Method::GET, "/scim/v2/Groups", Access::Directory, || get(scim::list_groups)),
    row(Method::POST, "/scim/v2/Groups", Access::Directory, || post(scim::create_group)),
    row(Method::GET, SCIM_GROUP, Access::Directory, || get(scim::group)),
    row(Method::PUT, SCIM_GROUP, Access::Directory, || put(scim::replace_group)),
    row(Method::PATCH, SCIM_GROUP, Access::Directory, || patch(scim::patch_group)),
    row(Method::DELETE, SCIM_GROUP, Access::Directory, || delete(scim::delete_group)),
    // Applications.
    row(Method::POST, v1::token::PATH, Access::Anyone, || post(v1::token::token)),
    row(Method::GET, v1::EXPLORER, Access::Anyone, || get(v1::explorer)),
    row(Method::GET, v1::DOCUMENT, Access::Anyone, || get(v1::document)),
    // Members, at the console.
    row(Method::GET, "/assets/{file}", Access::Anyone, || get(console::asset)),
    row(Method::GET, SIGN_IN, Access::Anyone, || get(account::sign_in_page)),
    row(Method::POST, SIGN_IN, Access::Anyone, || post(account::sign_in)),
    row(Method::GET, "/sign-in/code", Access::Anyone, || get(second_factor::code_page)),
    row(Method::POST, "/sign-in/code", Access::Anyone, || post(second_factor::code)),
    row(Method::POST, "/sign-in/code/question", Access::Anyone, || {
        post(passkey_sign_in::second_question)
    }),
    row(Method::POST, "/sign-in/code/passkey", Access::Anyone, || post(passkey_sign_in::second)),
    row(Method::POST, "/sign-in/passkey/question", Access::Anyone, || {
        post(passkey_sign_in::question)
    }),
    row(Method::POST, "/sign-in/passkey", Access::Anyone, || post(passkey_sign_in::sign_in)),
    row(Method::GET, "/passkeys", Access::Member, || get(passkeys::page)),
    row(Method::POST, "/passkeys", Access::Member, || post(passkeys::add)),
    row(Method::POST, "/passkeys/question", Access::Member, || post(passkeys::question)),
    row(Method::POST, "/passkeys/confirm", Access::Member, || post(passkeys::confirm)),
    row(Method::POST, "/passkeys/confirm/question", Access::Member, || {
        post(passkeys::confirm_question)
    }),
    row(Method::POST, "/passkeys/{id}/name", Access::Member, || post(passkeys::rename)),
    row(Method::POST, "/passkeys/{id}/remove", Access::Member, || post(passkeys::remove)),
    row(Method::GET, SECOND_FACTOR, Access::Member, || get(second_factor::page)),
    row(Method::POST, SECOND_FACTOR, Access::Member, || post(second_factor::enroll)),
    row(Method::POST, "/second-factor/remove", Access::Member, || post(second_factor::remove)),
    row(Method::POST, "/sign-in/find", Access::Anyone, || post(provider_sign_in::find)),
    row(Method::GET, "/sign-in/at/{address}", Access::Anyone, || get(provider_sign_in::page)),
    row(Method::GET, "/sign-in/at/{address}/go", Access::Anyone, || get(provider_sign_in::go)),
    row(Method::GET, CALLBACK, Access::Anyone, || get(provider_sign_in::callback)),
    row(Method::POST, "/sign-in/back-channel/{address}", Access::Anyone, || {
        post(provider_sign_in::log_out)
    }),
    row(Method::POST, "/sign-out", Access::Member, || post(account::sign_out)),
    row(Method::GET, "/password", Access::Member, || get(account::password_page)),
    row(Method::POST, "/password", Access::Member, || post(account::set_password)),
    row(Method::GET, "/", Access::Anyone, || get(pages::home)),
    row(Method::GET, "/overview", VIEW, || get(pages::overview::page)),
    row(Method::GET, "/alerts", VIEW, || get(pages::alerts::queue)),
    row(Method::POST, "/alerts/bulk", INVESTIGATE, || post(pages::alert_jobs::bulk)),
    row(Method::GET, "/alerts/jobs", VIEW, || get(pages::alert_jobs::list)),
    row(Method::GET, "/alerts/jobs/{id}", VIEW, || get(pages::alert_jobs::job)),
    row(Method::POST, "/alerts/jobs/{id}/cancel", INVESTIGATE, || post(pages::alert_jobs::cancel)),
    row(Method::GET, "/alerts/jobs/{id}/results.csv", VIEW, || get(pages::alert_jobs::results)),
    row(Method::GET, "/alerts/{id}", VIEW, || get(pages::alerts::alert)),
    row(Method::POST, "/alerts/{id}/status", INVESTIGATE, || post(pages::alerts::set_status)),
    row(Method::GET, "/devices", VIEW, || get(pages::devices::list)),
    row(Method::GET, "/devices/{id}", VIEW, || get(pages::devices::device)),
    row(Method::GET, "/feeds", VIEW, || get(pages::feeds::list)),
    row(Method::POST, "/feeds", SET_SECURITY, || post(pages::feed::create)),
    row(Method::GET, "/feeds/new", SET_SECURITY, || get(pages::feed::new_page)),
    row(Method::POST, "/feeds/compile", SET_SECURITY, || post(pages::feeds::compile)),
    row(Method::POST, "/feeds/own", SET_SECURITY, || post(pages::feeds::add_own)),
    row(Method::POST, "/feeds/own/remove", SET_SECURITY, || post(pages::feeds::remove_own)),
    row(Method::POST, "/feeds/released", SET_SECURITY, || post(pages::feeds::release)),
    row(Method::POST, "/feeds/released/remove", SET_SECURITY, || post(pages::feeds::hold_back)),
    row(Method::POST, "/feeds/notices/{id}/dismiss", SET_SECURITY, || post(pages::feeds::dismiss)),
    row(Method::POST, "/feeds/reports/{id}", INVESTIGATE, || post(pages::feeds::decide)),
    row(Method::GET, "/feeds/{id}", VIEW, || get(pages::feed::page)),
    row(Method::POST, "/feeds/{id}", SET_SECURITY, || post(pages::feed::save)),
    row(Method::POST, "/feeds/{id}/update", SET_SECURITY, || post(pages::feed::update)),
    row(Method::POST, "/feeds/{id}/enabled", SET_SECURITY, || post(pages::feed::set_enabled)),
    row(Method::POST, "/feeds/{id}/remove", SET_SECURITY, || post(pages::feed::remove)),
    row(Method::GET, "/incidents", VIEW, || get(pages::incidents::list)),
    row(Method::GET, "/incidents/{id}", VIEW, || get(pages::incidents::incident)),
    row(Method::POST, "/incidents/{id}/title", INVESTIGATE, || post(pages::incident_change::title)),
    row(Method::POST, "/incidents/{id}/merge", INVESTIGATE, || post(pages::incident_change::merge)),
    row(Method::POST, "/incidents/{id}/split", INVESTIGATE, || post(pages::incident_change::split)),
    row(Method::GET, "/detectors", VIEW, || get(pages::detectors::page)),
    row(Method::POST, "/detectors", SET_SECURITY, || post(pages::detectors::save)),
    row(Method::GET, "/suppressions", VIEW, || get(pages::suppressions::list)),
    row(Method::POST, "/suppressions", SET_SECURITY, || post(pages::suppressions::create)),
    row(Method::GET, "/suppressions/new", SET_SECURITY, || get(pages::suppressions::blank)),
    row(Method::GET, "/suppressions/{id}", VIEW, || get(pages::suppressions::rule)),
    row(Method::POST, "/suppressions/{id}", SET_SECURITY, || post(pages::suppressions::save)),
    row(Method::POST, "/suppressions/{id}/end", SET_SECURITY, || post(pages::suppressions::end)),
    row(Method::POST, "/devices/{id}", INVESTIGATE, || post(pages::device_change::describe)),
    row(Method::POST, "/devices/{id}/tags", INVESTIGATE, || post(pages::device_change::tags)),
    row(Method::GET, "/devices/{id}/remove", REMEDIATE, || {
        get(pages::device_change::ask_to_remove)
    }),
    row(Method::GET, "/devices/{id}/risk", VIEW, || get(pages::device_risk::page)),
    row(Method::GET, "/devices/{id}/merge", REMEDIATE, || get(pages::device_merge::ask)),
    row(Method::POST, "/devices/{id}/merge", REMEDIATE, || post(pages::device_merge::merge)),
    row(Method::POST, "/devices/{id}/offboard", REMEDIATE, || post(pages::device_change::offboard)),
    row(Method::POST, "/devices/{id}/forget", REMEDIATE, || post(pages::device_change::forget)),
    row(Method::GET, "/groups", VIEW, || get(pages::groups::list)),
    row(Method::POST, "/groups", SET_SECURITY, || post(pages::groups::create)),
    row(Method::GET, "/groups/new", SET_SECURITY, || get(pages::groups::blank)),
    row(Method::GET, "/groups/{id}", VIEW, || get(pages::groups::group)),
    row(Method::POST, "/groups/{id}", SET_SECURITY, || post(pages::groups::save)),
    row(Method::POST, "/groups/{id}/rank", SET_SECURITY, || post(pages::groups::rank)),
    row(Method::GET, "/groups/{id}/delete", SET_SECURITY, || get(pages::groups::ask_to_delete)),
    row(Method::POST, "/groups/{id}/delete", SET_SECURITY, || post(pages::groups::delete)),
    row(Method::POST, "/feeds/{id}/upload", SET_SECURITY, || {
        post(pages::feed::upload).layer(DefaultBodyLimit::max(pages::feed::UPLOAD_LIMIT))
    }),
    row(Method::POST, "/feeds/{id}/versions/{version}/use", SET_SECURITY, || {
        post(pages::feed::use_version)
    }),
    row(Method::GET, "/indicators", VIEW, || get(pages::indicators::list)),
    row(Method::POST, "/indicators", SET_SECURITY, || post(pages::indicators::create)),
    row(Method::GET, "/indicators/new", SET_SECURITY, || get(pages::indicators::blank)),
    row(Method::POST, "/indicators/bulk", SET_SECURITY, || post(pages::indicators::bulk)),
    row(Method::GET, EXPORT, VIEW, || get(pages::indicator_file::export)),
    row(Method::GET, IMPORT, SET_SECURITY, || get(pages::indicator_file::import)),
    row(Method::POST, IMPORT, SET_SECURITY, || {
        post(pages::indicator_file::upload)
            .layer(DefaultBodyLimit::max(pages::indicator_file::BODY))
    }),
    row(Method::GET, "/policy/{who}", VIEW, || get(pages::policy_document::document)),
    row(Method::POST, "/policy/{who}", SET_SECURITY, || post(pages::policy_document::save)),
    row(Method::POST, "/policy/{who}/percent", SET_SECURITY, || {
        post(pages::policy_document::set_percent)
    }),
    row(Method::GET, "/policy/{who}/versions/{number}", VIEW, || {
        get(pages::policy_document::version)
    }),
    row(Method::GET, "/policy/{who}/file", VIEW, || get(pages::policy_document::file)),
    row(Method::GET, UPLOAD, SET_SECURITY, || get(pages::indicator_file::preview)),
    row(Method::POST, UPLOAD, SET_SECURITY, || post(pages::indicator_file::apply)),
    row(Method::GET, "/indicators/{id}", VIEW, || get(pages::indicators::indicator)),
    row(Method::POST, "/indicators/{id}", SET_SECURITY, || post(pages::indicators::save)),
    row(Method::GET, "/policy", VIEW, || get(pages::policy::page)),
    row(Method::POST, "/policy", SET_SECURITY, || post(pages::policy::save)),
    row(Method::GET, "/users", VIEW, || get(users::list)),
    row(Method::POST, "/users", SET_PORTAL, || post(users::create)),
    row(Method::GET, "/users/new", SET_PORTAL, || get(users::blank)),
    row(Method::GET, "/users/{id}", VIEW, || get(users::user)),
    row(Method::POST, "/users/{id}", SET_PORTAL, || post(users::save)),
    row(Method::POST, "/users/{id}/active", SET_PORTAL, || post(users::set_active)),
    row(Method::POST, "/users/{id}/erase", SET_PORTAL, || post(users::erase)),
    row(Method::POST, "/users/{id}/license", SET_PORTAL, || post(licenses::of_user)),
    row(Method::GET, "/user-groups", VIEW, || get(user_groups::list)),
    row(Method::POST, "/user-groups", SET_PORTAL, || post(user_groups::create)),
    row(Method::GET, "/user-groups/{id}", VIEW, || get(user_groups::group)),
    row(Method::POST, "/user-groups/{id}", SET_PORTAL, || post(user_groups::rename)),
    row(Method::POST, "/user-groups/{id}/members", SET_PORTAL, || post(user_groups::members)),
    row(Method::POST, "/user-groups/{id}/delete", SET_PORTAL, || post(user_groups::remove)),
    row(Method::POST, "/user-groups/{id}/license", SET_PORTAL, || post(licenses::of_group)),
    row(Method::GET, "/licenses", VIEW, || get(licenses::page)),
    row(Method::POST, "/licenses/seats", SET_PORTAL, || post(licenses::seats)),
    row(Method::POST, "/licenses/enforced", SET_PORTAL, || post(licenses::enforce)),
    row(Method::GET, "/enroll", Access::Anyone, || get(enrollment::landing)),
    row(Method::GET, "/enrollment", ENROLL, || get(enrollment::page)),
    row(Method::POST, "/enrollment/codes", ENROLL, || post(enrollment::code)),
    row(Method::POST, "/enrollment/rules", SET_SECURITY, || post(enrollment::rules)),
    row(Method::GET, "/directory", SET_PORTAL, || get(directory::page)),
    row(Method::POST, "/directory", SET_PORTAL, || post(directory::create)),
    row(Method::POST, "/directory/{id}/revoke", SET_PORTAL, || post(directory::revoke)),
    row(Method::GET, "/people", SET_PORTAL, || get(people::list)),
    row(Method::POST, "/people", SET_PORTAL, || post(people::invite)),
    row(Method::GET, "/people/{id}", SET_PORTAL, || get(people::person)),
    row(Method::POST, "/people/{id}/roles", SET_PORTAL, || post(people::set_roles)),
    row(Method::POST, "/people/{id}/disabled", SET_PORTAL, || post(people::set_disabled)),
    row(Method::POST, "/people/{id}/password", SET_PORTAL, || post(people::reset_password)),
    row(Method::POST, "/people/{id}/erase", SET_PORTAL, || post(people::erase)),
    row(Method::POST, "/people/{id}/sessions/{session}/end", SET_PORTAL, || {
        post(people::end_session)
    }),
    row(Method::GET, "/people/{id}/sign-in", SET_PORTAL, || get(sign_in_settings::person)),
    row(Method::POST, "/people/{id}/break-glass", SET_PORTAL, || {
        post(sign_in_settings::set_break_glass)
    }),
    row(Method::POST, "/people/{id}/second-factor/remove", SET_PORTAL, || {
        post(sign_in_settings::remove_second_factor)
    }),
    row(Method::POST, "/people/{id}/passkeys/remove", SET_PORTAL, || post(passkeys::remove_all)),
    row(Method::GET, "/sign-in-settings", SET_PORTAL, || get(sign_in_settings::page)),
    row(Method::POST, "/sign-in-settings", SET_PORTAL, || post(sign_in_settings::save)),
    row(Method::POST, "/sign-in-settings/rule", SET_PORTAL, || post(sign_in_settings::set_rule)),
    row(Method::POST, "/sign-in-settings/remove", SET_PORTAL, || post(sign_in_settings::remove)),
    row(Method::POST, "/sign-in-settings/operators", SET_PORTAL, || {
        post(sign_in_settings::set_admits_operators)
    }),
    row(Method::GET, "/roles", SET_PORTAL, || get(roles::list)),
    row(Method::POST, "/roles", SET_PORTAL, || post(roles::create)),
    row(Method::GET, "/roles/new", SET_PORTAL, || get(roles::blank)),
    row(Method::GET, "/roles/{id}", SET_PORTAL, || get(roles::role)),
    row(Method::POST, "/roles/{id}", SET_PORTAL, || post(roles::save)),
    row(Method::POST, "/roles/{id}/remove", SET_PORTAL, || post(roles::remove)),
    row(Method::GET, "/applications", SET_PORTAL, || get(pages::applications::list)),
    row(Method::POST, "/applications", SET_PORTAL, || post(pages::applications::create)),
    row(Method::GET, "/applications/new", SET_PORTAL, || get(pages::applications::blank)),
    row(Method::GET, "/applications/{id}", SET_PORTAL, || get(pages::applications::application)),
    row(Method::POST, "/applications/{id}", SET_PORTAL, || post(pages::applications::save)),
    row(Method::POST, "/applications/{id}/disabled", SET_PORTAL, || {
        post(pages::applications::set_disabled)
    }),
    row(Method::POST, "/applications/{id}/secrets", SET_PORTAL, || {
        post(pages::applications::add_secret)
    }),
    row(Method::POST, "/applications/{id}/keys", SET_PORTAL, || post(pages::applications::add_key)),
    row(Method::POST, "/applications/{id}/credentials/{credential}/remove", SET_PORTAL, || {
        post(pages::applications::remove_credential)
    }),
    row(Method::GET, "/audit", SET_PORTAL, || get(pages::audit::page)),
    row(Method::GET, "/audit/export.jsonl", SET_PORTAL, || get(pages::audit::export)),
    row(Method::GET, "/retention", SET_PORTAL, || get(pages::retention::page)),
    row(Method::POST, "/retention", SET_PORTAL, || post(pages::retention::save)),
    row(Method::GET, "/feedback", SET_PORTAL, || get(pages::feedback::inbox)),
    row(Method::POST, "/feedback", Access::Member, || post(pages::feedback::say)),
    row(Method::GET, "/feedback/new", Access::Member, || get(pages::feedback::form)),
    row(Method::GET, "/feedback/{id}", SET_PORTAL, || get(pages::feedback::one)),
    row(Method::GET, "/feedback/{id}/logs", SET_PORTAL, || get(pages::feedback::logs)),
    row(Method::POST, "/feedback/{id}/status", SET_PORTAL, || post(pages::feedback::set_status)),
    row(Method::POST, "/feedback/{id}/reply", SET_PORTAL, || post(pages::feedback::reply)),
    row(Method::GET, "/sinks", SET_PORTAL, || get(pages::sinks::list)),
    row(Method::POST, "/sinks", SET_PORTAL, || post(pages::sinks::create)),
    row(Method::GET, "/sinks/new", SET_PORTAL, || get(pages::sinks::blank)),
    row(Method::GET, "/sinks/{id}", SET_PORTAL, || get(pages::sinks::sink)),
    row(Method::POST, "/sinks/{id}", SET_PORTAL, || post(pages::sinks::save)),
    row(Method::POST, "/sinks/{id}/paused", SET_PORTAL, || post(pages::sinks::set_paused)),
    row(Method::POST, "/sinks/{id}/test", SET_PORTAL, || post(pages::sinks::test)),
    row(Method::POST, "/sinks/{id}/rotate", SET_PORTAL, || post(pages::sinks::rotate)),
    row(Method::POST, "/sinks/{id}/replay", SET_PORTAL, || post(pages::sinks::replay)),
    row(Method::POST, "/sinks/{id}/discard", SET_PORTAL, || post(pages::sinks::discard)),
    row(Method::POST, "/sinks/{id}/remove", SET_PORTAL, || post(pages::sinks::remove)),
    row(Method::GET, "/sessions", Access::Member, || get(people::own_sessions)),
    row(Method::POST, "/sessions/{id}/end", Access::Member, || post(people::end_own_session)),
    row(Method::GET, live::EVENTS, VIEW, || get(live::events)),
    // Operators, at the pages of the installation.
    row(Method::GET, "/operator", Access::Anyone, || get(operator::home)),
    row(Method::GET, operator_session::SIGN_IN, Access::Anyone, || get(operator::sign_in_page)),
    row(Method::POST, operator_session::SIGN_IN, Access::Anyone, || post(operator::sign_in)),
    row(Method::GET, "/operator/sign-in/code", Access::Anyone, || get(second_factor::code_page)),
    row(Method::POST, "/operator/sign-in/code", Access::Anyone, || post(second_factor::code)),
    row(Method::POST, "/operator/sign-in/code/question", Access::Anyone, || {
        post(passkey_sign_in::second_question)
    }),
    row(Method::POST, "/operator/sign-in/code/passkey", Access::Anyone, || {
        post(passkey_sign_in::second)
    }),
    row(Method::POST, "/operator/sign-in/passkey/question", Access::Anyone, || {
        post(passkey_sign_in::question)
    }),
    row(Method::POST, "/operator/sign-in/passkey", Access::Anyone, || {
        post(passkey_sign_in::sign_in)
    }),
    row(Method::POST, "/operator/sign-out", OWN, || post(operator::sign_out)),
    row(Method::POST, "/operator/leave", OWN, || post(operator::leave)),
    row(Method::GET, "/operator/password", OWN, || get(operator::password_page)),
    row(Method::POST, "/operator/password", OWN, || post(operator::set_password)),
    row(Method::GET, "/operator/second-factor", OWN, || get(operator::second_factor_page)),
    row(Method::POST, "/operator/second-factor", OWN, || post(operator::enroll_second_factor)),
    row(Method::GET, "/operator/passkeys", OWN, || get(operator::passkeys_page)),
    row(Method::POST, "/operator/passkeys", OWN, || post(operator::add_passkey)),
    row(Method::POST, "/operator/passkeys/question", OWN, || post(operator::passkey_question)),
    row(Method::POST, "/operator/passkeys/confirm", OWN, || post(operator::passkey_confirm)),
    row(Method::POST, "/operator/passkeys/confirm/question", OWN, || {
        post(operator::passkey_confirm_question)
    }),
    row(Method::POST, "/operator/passkeys/{id}/name", OWN, || post(operator::rename_passkey)),
    row(Method::POST, "/operator/passkeys/{id}/remove", OWN, || post(operator::remove_passkey)),
    row(Method::GET, "/operator/sessions", OWN, || get(operator::sessions)),
    row(Method::POST, "/operator/sessions/{id}/end", OWN, || post(operator::end_session)),
    row(Method::GET, "/operator/tenants", ENTER, || get(tenants::list)),
    row(Method::POST, "/operator/tenants", ADMINISTER, || post(tenants::create)),
    row(Method::GET, "/operator/tenants/new", ADMINISTER, || get(tenants::blank)),
    row(Method::GET, "/operator/tenants/{id}", ENTER, || get(tenants::tenant)),
    row(Method::POST, "/operator/tenants/{id}/enter", ENTER, || post(tenants::enter)),
    row(Method::POST, "/operator/tenants/{id}/rename", ADMINISTER, || post(tenants::rename)),
    row(Method::POST, "/operator/tenants/{id}/suspend", ADMINISTER, || post(tenants::suspend)),
    row(Method::POST, "/operator/tenants/{id}/resume", ADMINISTER, || post(tenants::resume)),
    row(Method::POST, "/operator/tenants/{id}/delete", ADMINISTER, || post(tenants::delete)),
    row(Method::GET, "/operator/operators", ADMINISTER, || get(operators::list)),
    row(Method::POST, "/operator/operators", ADMINISTER, || post(operators::create)),
    row(Method::GET, "/operator/operators/{id}", ADMINISTER, || get(operators::one)),
    row(Method::POST, "/operator/operators/{id}/grants", ADMINISTER, || post(operators::grant)),
    row(Method::POST, "/operator/operators/{id}/grants/remove", ADMINISTER, || {
        post(operators::revoke)
    }),
    row(Method::POST, "/operator/operators/{id}/disabled", ADMINISTER, || {
        post(operators::set_disabled)
    }),
    row(Method::POST, "/operator/operators/{id}/password", ADMINISTER, || {
        post(operators::reset_password)
    }),
    row(Method::POST, "/operator/operators/{id}/second-factor/remove", ADMINISTER, || {
        post(operators::remove_second_factor)
    }),
    row(Method::POST, "/operator/operators/{id}/passkeys/remove", ADMINISTER, || {
        post(operators::remove_passkeys)
    }),
    row(Method::POST, "/operator/operators/{id}/remove", ADMINISTER, || post(operators::remove)),
    row(Method::GET, "/operator/audit", ADMINISTER, || get(operator::audit_page)),
    row(Method::GET, "/operator/audit/export.jsonl", ADMINISTER, || get(operator::audit_export)),
];

const fn row(
    method: Method,
    pattern: &'static str,
    access: Access,
    handler: fn() -> MethodRouter<AppState>,
) -> Route {
    Route { method, pattern, access, handler }
}

/// Yields the table: method, pattern, who may call.
pub fn routes() -> impl Iterator<Item = (&'static Method, &'static str, Access)> {
    let of_api = v1::rows().map(|(method, path, it)| (method, path, Access::Api(it)));
    ROUTES.iter().map(|route| (&route.method, route.pattern, route.access)).chain(of_api)
}

pub(crate) fn build(state: &AppState, demo: Option<TenantId>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let handler = (route.handler)();
        let handler = match route.access {
            Access::May(permission) => handler.route_layer(Extension(Needs(permission))),
            Access::Operator(duty) => handler.route_layer(Extension(duty)),
            // Whoever calls has not shown who they are yet.
            Access::Anyone => {
                handler.route_layer(DefaultBodyLimit::max(request::STRANGERS_BODY_LIMIT))
            }
            Access::Device | Access::Directory | Access::Member | Access::Api(_) => handler,
        };
        router = router.route(route.pattern, handler);
    }
    router = v1::add(router);
    if let Some(tenant) = demo {
        router = router.merge(demo::routes(Demo { state: state.clone(), tenant }));
    }
    router
        .fallback(request::no_such_path)
        .method_not_allowed_fallback(request::no_such_method)
        .layer(DefaultBodyLimit::max(request::BODY_LIMIT))
        .layer(from_fn_with_state(state.clone(), request::handle))
        .with_state(state.clone())
}

const VIEW: Access = Access::May(Permission::ViewData);
const INVESTIGATE: Access = Access::May(Permission::AlertsInvestigation);
const REMEDIATE: Access = Access::May(Permission::ActiveRemediation);
const SET_SECURITY: Access = Access::May(Permission::ManageSecuritySettings);
const ENROLL: Access = Access::May(Permission::Enrollment);
const SET_PORTAL: Access = Access::May(Permission::ManagePortalSettings);
const OWN: Access = Access::Operator(Duty::Account);
const ENTER: Access = Access::Operator(Duty::Enter);
const ADMINISTER: Access = Access::Operator(Duty::Administer);
const SCIM_USER: &str = "/scim/v2/Users/{id}";
const SCIM_GROUP: &str = "/scim/v2/Groups/{id}";
const EXPORT: &str = "/indicators/export.csv";
const IMPORT: &str = "/indicators/import";
const UPLOAD: &str = "/indicators/import/{upload}";
/// [`path::INDICATOR_FILE`] and the hash.
const INDICATOR_FILE: &str = "/device/v1/indicators/files/{sha256}";
