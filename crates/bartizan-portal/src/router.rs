//! Every route, in one table: method, pattern, who may call it, and what answers.
//!
//! The router is built from the table, so there is no route without a row.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use bartizan_contract::path;
use bartizan_model::TenantId;

use crate::demo::{self, Demo};
use crate::pages::account::{self, SIGN_IN};
use crate::state::AppState;
use crate::{api, console, health, live, pages, request};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever can reach the portal; the handler says what it asks for.
    Anyone,
    /// An enrolled device, with access token and proof.
    Device,
    /// A member with a session.
    Member,
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
    // Devices, in the order in which they call. The first two ask for a proof by the device's key.
    row(Method::POST, path::ENROLL, Access::Anyone, || post(api::enroll::enroll)),
    row(Method::POST, path::TOKEN, Access::Anyone, || post(api::token::token)),
    row(Method::POST, path::CHECKIN, Access::Device, || post(api::checkin::checkin)),
    row(Method::GET, path::POLICY, Access::Device, || get(api::policy::policy)),
    row(Method::GET, path::MANIFEST, Access::Device, || get(api::indicators::manifest)),
    row(Method::GET, INDICATOR_FILE, Access::Device, || get(api::indicators::file)),
    row(Method::POST, path::ALERTS, Access::Device, || post(api::alerts::alerts)),
    row(Method::POST, path::REPORT, Access::Device, || post(api::report::report)),
    // Members, at the console.
    row(Method::GET, "/assets/{file}", Access::Anyone, || get(console::asset)),
    row(Method::GET, SIGN_IN, Access::Anyone, || get(account::sign_in_page)),
    row(Method::POST, SIGN_IN, Access::Anyone, || post(account::sign_in)),
    row(Method::POST, "/sign-out", Access::Member, || post(account::sign_out)),
    row(Method::GET, "/password", Access::Member, || get(account::password_page)),
    row(Method::POST, "/password", Access::Member, || post(account::set_password)),
    row(Method::GET, "/", Access::Anyone, || get(pages::home)),
    row(Method::GET, "/alerts", Access::Member, || get(pages::alerts::queue)),
    row(Method::GET, "/alerts/{id}", Access::Member, || get(pages::alerts::alert)),
    row(Method::POST, "/alerts/{id}/status", Access::Member, || post(pages::alerts::set_status)),
    row(Method::GET, "/incidents", Access::Member, || get(pages::incidents::list)),
    row(Method::GET, "/incidents/{id}", Access::Member, || get(pages::incidents::incident)),
    row(Method::GET, "/devices", Access::Member, || get(pages::devices::list)),
    row(Method::GET, "/devices/{id}", Access::Member, || get(pages::devices::device)),
    row(Method::POST, "/devices/{id}", Access::Member, || post(pages::device_change::describe)),
    row(Method::POST, "/devices/{id}/tags", Access::Member, || post(pages::device_change::tags)),
    row(Method::GET, "/devices/{id}/remove", Access::Member, || {
        get(pages::device_change::ask_to_remove)
    }),
    row(Method::POST, "/devices/{id}/offboard", Access::Member, || {
        post(pages::device_change::offboard)
    }),
    row(Method::POST, "/devices/{id}/forget", Access::Member, || {
        post(pages::device_change::forget)
    }),
    row(Method::GET, "/groups", Access::Member, || get(pages::groups::list)),
    row(Method::POST, "/groups", Access::Member, || post(pages::groups::create)),
    row(Method::GET, "/groups/new", Access::Member, || get(pages::groups::blank)),
    row(Method::GET, "/groups/{id}", Access::Member, || get(pages::groups::group)),
    row(Method::POST, "/groups/{id}", Access::Member, || post(pages::groups::save)),
    row(Method::POST, "/groups/{id}/rank", Access::Member, || post(pages::groups::rank)),
    row(Method::GET, "/groups/{id}/delete", Access::Member, || get(pages::groups::ask_to_delete)),
    row(Method::POST, "/groups/{id}/delete", Access::Member, || post(pages::groups::delete)),
    row(Method::GET, "/feeds", Access::Member, || get(pages::feeds::list)),
    row(Method::POST, "/feeds", Access::Member, || post(pages::feed::create)),
    row(Method::GET, "/feeds/new", Access::Member, || get(pages::feed::new_page)),
    row(Method::POST, "/feeds/compile", Access::Member, || post(pages::feeds::compile)),
    row(Method::POST, "/feeds/own", Access::Member, || post(pages::feeds::add_own)),
    row(Method::POST, "/feeds/own/remove", Access::Member, || post(pages::feeds::remove_own)),
    row(Method::POST, "/feeds/released", Access::Member, || post(pages::feeds::release)),
    row(Method::POST, "/feeds/released/remove", Access::Member, || post(pages::feeds::hold_back)),
    row(Method::POST, "/feeds/notices/{id}/dismiss", Access::Member, || {
        post(pages::feeds::dismiss)
    }),
    row(Method::POST, "/feeds/reports/{id}", Access::Member, || post(pages::feeds::decide)),
    row(Method::GET, "/feeds/{id}", Access::Member, || get(pages::feed::page)),
    row(Method::POST, "/feeds/{id}", Access::Member, || post(pages::feed::save)),
    row(Method::POST, "/feeds/{id}/update", Access::Member, || post(pages::feed::update)),
    row(Method::POST, "/feeds/{id}/enabled", Access::Member, || post(pages::feed::set_enabled)),
    row(Method::POST, "/feeds/{id}/remove", Access::Member, || post(pages::feed::remove)),
    row(Method::POST, "/feeds/{id}/upload", Access::Member, || {
        post(pages::feed::upload).layer(DefaultBodyLimit::max(pages::feed::UPLOAD_LIMIT))
    }),
    row(Method::POST, "/feeds/{id}/versions/{version}/use", Access::Member, || {
        post(pages::feed::use_version)
    }),
    row(Method::GET, "/indicators", Access::Member, || get(pages::indicators::list)),
    row(Method::POST, "/indicators", Access::Member, || post(pages::indicators::create)),
    row(Method::GET, "/indicators/new", Access::Member, || get(pages::indicators::blank)),
    row(Method::POST, "/indicators/bulk", Access::Member, || post(pages::indicators::bulk)),
    row(Method::GET, EXPORT, Access::Member, || get(pages::indicator_file::export)),
    row(Method::GET, IMPORT, Access::Member, || get(pages::indicator_file::import)),
    row(Method::POST, IMPORT, Access::Member, || {
        post(pages::indicator_file::upload)
            .layer(DefaultBodyLimit::max(pages::indicator_file::BODY))
    }),
    row(Method::GET, UPLOAD, Access::Member, || get(pages::indicator_file::preview)),
    row(Method::POST, UPLOAD, Access::Member, || post(pages::indicator_file::apply)),
    row(Method::GET, "/indicators/{id}", Access::Member, || get(pages::indicators::indicator)),
    row(Method::POST, "/indicators/{id}", Access::Member, || post(pages::indicators::save)),
    row(Method::GET, "/policy", Access::Member, || get(pages::policy::page)),
    row(Method::POST, "/policy", Access::Member, || post(pages::policy::save)),
    row(Method::GET, "/policy/{who}", Access::Member, || get(pages::policy_document::document)),
    row(Method::POST, "/policy/{who}", Access::Member, || post(pages::policy_document::save)),
    row(Method::POST, "/policy/{who}/percent", Access::Member, || {
        post(pages::policy_document::set_percent)
    }),
    row(Method::GET, "/policy/{who}/versions/{number}", Access::Member, || {
        get(pages::policy_document::version)
    }),
    row(Method::GET, "/policy/{who}/file", Access::Member, || get(pages::policy_document::file)),
    row(Method::GET, live::EVENTS, Access::Member, || get(live::events)),
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
    ROUTES.iter().map(|route| (&route.method, route.pattern, route.access))
}

pub(crate) fn build(state: &AppState, demo: Option<TenantId>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        router = router.route(route.pattern, (route.handler)());
    }
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

const EXPORT: &str = "/indicators/export.csv";
const IMPORT: &str = "/indicators/import";
const UPLOAD: &str = "/indicators/import/{upload}";
/// [`path::INDICATOR_FILE`] and the hash.
const INDICATOR_FILE: &str = "/device/v1/indicators/files/{sha256}";
