//! What the console looks like: view structs in, HTML out.
//!
//! Each page is a struct that holds all it shows and renders the template of the same name in
//! `templates/console/`. Nothing here reads a clock, a database or a request; handlers do, and hand
//! over ids and enums of `bartizan-model`, ready strings, and `now`.
//!
//! # Invariants, each held by a test over all pages
//! - What comes from outside is escaped, and what would not be seen in it is made visible.
//! - No inline script, no inline style, nothing from another host: the pages work under
//!   `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'`.
//! - Each page has a title, one `h1`, a skip link and a `main` landmark.
//! - Without JavaScript everything works by reloading.

mod alert;
mod alert_jobs;
#[cfg(test)]
mod alert_samples;
mod alerts;
mod api;
#[cfg(test)]
mod application_samples;
mod applications;
mod assets;
mod audit;
mod badge;
mod detectors;
mod device;
mod device_merge;
mod device_risk;
#[cfg(test)]
mod device_samples;
mod devices;
#[cfg(test)]
mod door_samples;
mod enrollment;
mod error_page;
mod feed;
mod feed_form;
#[cfg(test)]
mod feed_samples;
mod feedback;
#[cfg(test)]
mod feedback_samples;
mod feeds;
mod filters;
mod format;
mod groups;
mod incidents;
mod indicator;
mod indicator_import;
#[cfg(test)]
mod indicator_samples;
mod indicators;
mod menu;
#[cfg(test)]
mod operator_samples;
mod operators;
mod overview;
mod passkeys;
mod password;
mod people;
#[cfg(test)]
mod people_samples;
mod policy;
mod policy_document;
mod policy_fields;
#[cfg(test)]
mod policy_samples;
#[cfg(test)]
mod queue_samples;
mod retention;
mod second_factor;
mod sign_in;
mod sign_in_settings;
mod sink_form;
#[cfg(test)]
mod sink_samples;
mod sinks;
mod suppressions;
mod users;
#[cfg(test)]
mod users_samples;

#[cfg(test)]
mod tests;

use std::fmt;

use askama::filters::HtmlSafe;
use bartizan_store::{Permission, Permissions};

pub(crate) use alert::AlertPage;
pub(crate) use alert_jobs::{AlertBulkPage, AlertJobPage, AlertJobsPage, BulkForm};
pub(crate) use alerts::{AlertFilter, AlertQueue, AlertRow, AlertsPage, StatusFilter};
pub(crate) use api::{ApiCall, ApiField, ApiGroup, ApiObject, ApiPage};
pub(crate) use applications::{
    ApplicationForm, ApplicationPage, ApplicationsPage, FormProblems, NewApplicationPage,
};
pub(crate) use assets::{asset, asset_url};
pub(crate) use audit::{AuditEntryRow, AuditForm, AuditPage};
pub(crate) use detectors::{DetectorRow, DetectorsPage};
pub(crate) use device::{DevicePage, DeviceRemovePage, EngineCounters};
pub(crate) use device_merge::{DeviceMergeFindPage, DeviceMergePage, Duplicate};
pub(crate) use device_risk::{RiskHistoryPage, RiskLine, risk_lines};
pub(crate) use devices::{
    DeviceFilter, DeviceRow, DeviceState, DevicesPage, EnrollHelp, INACTIVE_AFTER_MS, LIKELY_TWICE,
    Presence,
};
pub(crate) use enrollment::{EnrollPage, EnrollmentPage, GivenCode, LicensesPage};
pub(crate) use error_page::ErrorPage;
pub(crate) use feed::{FeedPage, NewFeedPage};
pub(crate) use feed_form::FeedForm;
pub(crate) use feedback::{FeedbackFormPage, FeedbackInboxPage, FeedbackPage};
pub(crate) use feeds::{FeedsPage, Publishing};
pub(crate) use format::{address, clock, count, day, visible, wait};
pub(crate) use groups::{GroupDeletePage, GroupForm, GroupPage, GroupsPage};
pub(crate) use incidents::{IncidentPage, IncidentsPage};
pub(crate) use indicator::{IndicatorForm, IndicatorPage, StoredIndicator};
pub(crate) use indicator_import::{ChangedRow, IndicatorImportPage, IndicatorPreviewPage};
pub(crate) use indicators::{
    IndicatorFilter, IndicatorRow, IndicatorState, IndicatorsDeletePage, IndicatorsPage,
};
pub(crate) use operators::{
    NewTenantPage, OperatorPage, OperatorSignInPage, OperatorsPage, TenantPage, TenantsPage,
};
pub(crate) use overview::OverviewPage;
pub(crate) use passkeys::{PasskeyAction, PasskeysPage};
pub(crate) use password::{PasswordPage, PasswordProblem};
pub(crate) use people::{PeoplePage, PersonPage, RolePage, RolesPage, SessionsPage};
pub(crate) use policy::{DocumentLine, PolicyForm, PolicyPage};
pub(crate) use policy_document::{DocumentPage, SettingsForm, VersionPage};
pub(crate) use policy_fields::{Filled, groups as policy_groups};
pub(crate) use retention::RetentionPage;
pub(crate) use second_factor::{CodeProblem, FactorState, SecondFactorPage, SignInCodePage};
pub(crate) use sign_in::{GoOnPage, Organization, SignInPage, SignInProblem};
pub(crate) use sign_in_settings::{
    PersonSignInPage, ProviderField, ProviderForm, SignInSettingsPage,
};
pub(crate) use sink_form::SinkForm;
pub(crate) use sinks::{NewSinkPage, SinkPage, SinksPage};
pub(crate) use suppressions::{SuppressionForm, SuppressionPage, SuppressionsPage};
pub(crate) use users::{
    DirectoryPage, UserForm, UserGroupPage, UserGroupsPage, UserPage, UsersPage,
};

/// What surrounds every page of somebody signed in.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    /// Who is signed in.
    pub(crate) email: String,
    /// The organization whose rows they see.
    pub(crate) tenant: String,
    /// They came in by a one-time password and are asked to choose their own.
    pub(crate) one_time_password: bool,
    /// What they may do: the rest is not offered.
    pub(crate) permissions: Permissions,
    /// Of this, what holds for what the page shows: a device, or what hangs on one.
    pub(crate) here: Permissions,
    /// What their last action did, in one sentence.
    pub(crate) notice: Option<String>,
    /// Whether these are the pages of the installation, and they are an operator.
    pub(crate) is_operator: bool,
    /// Set where an operator is in the organization.
    pub(crate) visit: Option<VisitBanner>,
}

/// What is shown to an operator on every page of an organization.
#[derive(Clone, Debug)]
pub(crate) struct VisitBanner {
    /// What they may do, in words.
    pub(crate) role: &'static str,
    /// Why they came.
    pub(crate) reason: String,
    /// When they are out again.
    pub(crate) until: String,
}

impl Shell {
    /// What the addresses of one's own account begin with.
    fn base(&self) -> &'static str {
        if self.is_operator { "/operator" } else { "" }
    }

    /// Where one begins.
    fn home(&self) -> &'static str {
        if self.is_operator {
            "/operator/tenants"
        } else if self.sees() {
            "/alerts"
        } else {
            let first = self.menu().flat_map(|(_, entries)| entries).next();
            first.map_or("/feedback/new", |entry| entry.href)
        }
    }

    fn sees(&self) -> bool {
        self.permissions.has(Permission::ViewData)
    }

    fn investigates(&self) -> bool {
        self.here.has(Permission::AlertsInvestigation)
    }

    fn remediates(&self) -> bool {
        self.here.has(Permission::ActiveRemediation)
    }

    /// Whether they may hide alerts of the device that the page shows.
    fn suppresses(&self) -> bool {
        self.here.has(Permission::ManageSecuritySettings)
    }

    fn sets_security(&self) -> bool {
        self.permissions.has(Permission::ManageSecuritySettings)
    }

    fn enrolls(&self) -> bool {
        self.permissions.has(Permission::Enrollment)
    }

    fn sets_portal(&self) -> bool {
        self.permissions.has(Permission::ManagePortalSettings)
    }
}

/// Where a page stands in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// All at a glance.
    Overview,
    /// The alert queue and its alerts.
    Alerts,
    /// Alerts that belong together.
    Incidents,
    /// The devices.
    Devices,
    /// The people whom the product protects.
    Users,
    /// How devices are let in.
    Enrollment,
    /// The feeds, and what comes of them.
    Feeds,
    /// The tenant's own indicators.
    Indicators,
    /// What is decided for the devices.
    Policy,
    /// Groups of devices.
    Groups,
    /// What each detector does.
    Detectors,
    /// Rules that hide alerts.
    Suppressions,
    /// Groups of users.
    UserGroups,
    /// Seats, and who has them.
    Licenses,
    /// Where users come from.
    Directory,
    /// Who may come in.
    People,
    /// What they may do.
    Roles,
    /// How they sign in.
    SignIn,
    /// How long things are kept.
    Retention,
    /// Programs that call the API.
    Applications,
    /// The audit log.
    Audit,
    /// Where events go.
    Sinks,
    /// What people say.
    Feedback,
    /// The form to say something.
    Say,
    /// The member's own account.
    Account,
    /// The installation's organizations.
    Tenants,
    /// The installation's operators.
    Operators,
}

/// Ways from one keyset page to others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pager {
    /// The first page, unless this is it.
    pub(crate) first: Option<String>,
    /// The next page, if there is one.
    pub(crate) next: Option<String>,
}

/// An icon of the sprite, by its name in Tabler's outline set; only for show.
pub(crate) struct Icon(pub(crate) &'static str);

impl fmt::Display for Icon {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, sprite) = (self.0, asset_url("icons.svg"));
        write!(
            out,
            r##"<svg class="icon" width="24" height="24" aria-hidden="true" focusable="false"><use href="{sprite}#{name}"/></svg>"##
        )
    }
}

/// Names of icons are ours.
impl HtmlSafe for Icon {}
