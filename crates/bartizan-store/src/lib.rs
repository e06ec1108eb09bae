//! All SQL of the portal, and tenancy enforced by type.
//!
//! [`Store`] is the one door. Every function on a tenant's rows takes a [`TenantScope`], which only this
//! crate can make: from a verified session, device or enrollment token, by [`Store::tenant`] for the
//! command line, or by [`Store::due_feeds`] and [`Store::wanted_compiles`] for the portal's own work. Every statement on such rows names `tenant_id` (test `every_statement_names_the_tenant`).
//!
//! SQLite in a file, or PostgreSQL (`db`): writer threads with group commit, a few reader threads. A function that
//! writes returns when its change is on disk.
//!
//! # What it does not do
//! - Read clocks: `now` is an argument.
//! - Know HTTP, hash passwords or sign: it keeps what it is given.
//!
//! # Units
//! Columns that end in `_at_ms` are Unix milliseconds; in Rust they are [`UnixMillis`].

mod alert;
mod alert_apply;
mod alert_choice;
mod alert_job;
mod alert_job_step;
mod application;
mod application_credential;
mod arrival;
mod attestation;
mod audit;
mod audit_log;
mod audit_name;
mod auto_resolve;
mod checkin;
mod column;
mod db;
mod delta;
mod detector_mode;
mod device;
mod device_change;
mod device_event;
mod device_group;
mod device_member;
mod device_merge;
mod device_rule;
mod duplicate;
mod enrolling;
mod enrollment;
mod enrollment_code;
mod enrollment_rule;
mod event;
mod event_row;
mod exception;
mod feed;
mod feed_health;
mod feed_version;
mod feedback;
mod gather;
mod grouping;
mod guard;
mod held;
mod hit;
mod idempotency;
mod identity_provider;
mod incident;
mod incident_change;
mod incident_part;
mod indicator;
mod ingest;
mod ingest_known;
mod intake;
mod job_lease;
mod key;
mod license;
mod license_seat;
mod member;
mod member_list;
pub mod merkle;
mod notice;
mod operator;
mod operator_tenant;
mod operator_visit;
mod passkey;
mod permission;
mod person;
mod person_group;
mod person_list;
mod policy;
mod policy_use;
mod quiet;
mod replacement;
mod retention;
mod retention_rule;
mod risk;
mod role;
mod scim_token;
mod scope;
mod screening;
mod second_factor;
mod session;
mod sight;
mod sink;
mod sink_work;
mod site_report;
mod stopped_host;
mod suppression;
mod suppression_match;
mod tally;
mod tenant;
mod tenant_file;
mod tenant_indicator;
mod tenant_indicator_change;
mod tenant_removal;
mod triage;
mod within;

use std::sync::Arc;

use bartizan_model::{DeviceId, Private, TenantId, UnixMillis};

pub use alert::{
    AlertCursor, AlertDetail, AlertFilter, AlertKey, AlertKeyError, AlertOrder, AlertRow, Ingested,
    StatusFilter,
};
pub use alert_choice::AlertChoice;
pub use alert_job::{
    AlertJobItem, AlertJobRow, AlertJobState, ItemOutcome, MAX_CHOSEN, MAX_OPEN_JOBS,
};
pub use alert_job_step::JobStep;
pub use application::{ApplicationCaller, ApplicationRow, MAX_APPLICATIONS, NewApplication};
pub use application_credential::{CredentialKind, CredentialRow, MAX_CREDENTIALS, NewCredential};
pub use arrival::{Arrival, Arrived};
pub use attestation::Attestation;
pub use audit::{ACTIONS, AuditEntry, Named, Personal};
pub use audit_log::{AuditFilter, AuditHeadRow, AuditPlace, AuditRow, AuditTree};
pub use db::Server as DatabaseServer;
pub use db::{
    DatabaseError, DatabaseFacts, DatabaseSetting, DatabaseUrl, GROUP_SIZES, StoreLoad, TableCount,
};
pub use delta::DeltaRow;
pub use detector_mode::{DetectorMode, DetectorSettings};
pub use device::{
    CheckinState, Counters, DeviceCredential, DeviceCursor, DeviceFilter, DeviceReport, DeviceRow,
    DeviceState, GroupChoice,
};
pub use device_change::{DeviceRevision, DeviceValue, MAX_TAGS};
pub use device_event::{DeviceEventKind, DeviceEventRow};
pub use device_group::{GroupRow, MAX_GROUPS};
pub use device_merge::{DeviceMerge, MergeError};
pub use device_rule::{Combine, GroupRules, Rule, RuleField, RuleOperator};
pub use duplicate::Likeness;
pub use enrollment::{EnrollError, Enrolled, NewDevice};
pub use enrollment_rule::{EnrollmentRule, OsSupport, OsVersion, RefusalRow, WithoutUser};
pub use event::EventKind;
pub use event_row::{EventAlert, EventDevice, EventIncident, EventRow};
pub use exception::{HeldBackRow, ReleasedRow};
pub use feed::{
    FeedCheck, FeedOrigin, FeedOutcome, FeedRole, FeedRow, FeedSettings, FeedUrls, MAX_FEED_NAME,
    Validators,
};
pub use feed_health::FeedHealth;
pub use feed_version::{AddedVersion, FeedVersionRow, FeedVersionState, NewFeedVersion};
pub use feedback::{FeedbackCursor, FeedbackRow, FeedbackStatus, NewFeedback};
pub use guard::{CHANGED_SINCE, Guard};
pub use hit::HitRow;
pub use idempotency::Repeat;
pub use identity_provider::{IdentityProvider, SignInKey, SignInPlace, SignInRule};
pub use incident::{IncidentCursor, IncidentId, IncidentIdError, IncidentRow};
pub use incident_change::{IncidentChange, IncidentEdit, MAX_MOVED};
pub use indicator::{DeviceFile, IndicatorFileRow, WantedCompile};
pub use intake::{ExternalAlert, ExternalRow, Taken};
pub use job_lease::JobHolder;
pub use key::{
    AlertJobId, ApplicationId, CredentialId, FeedId, FeedbackId, GroupId, NoticeId, PasskeyId,
    PersonGroupId, PersonId, RowIdError, ScimTokenId, SinkId, SuppressionId,
};
pub use license::{FEATURES, Feature, Licensee, Plan, PlanUse};
pub use license_seat::Seats;
pub use member::{MemberCredential, MemberId, NewMember};
pub use member_list::MemberRow;
pub use notice::{NoticeKind, NoticeRow};
pub use operator::{GrantRow, OperatorScope};
pub use operator_tenant::{COUNTED_DEVICES, OperatedTenant, TenantCursor};
pub use operator_visit::{NewVisit, VisitRefusal};
pub use passkey::{
    MAX_PASSKEYS, NewPasskey, PasskeyCredential, PasskeyRow, PasskeyUse, SpentChallenge,
};
pub use permission::{BuiltIn, Permission, Permissions};
pub use person::{
    DirectoryError, DirectoryOrigin, MAX_EMAILS, PersonEmail, PersonFacts, PersonRow,
};
pub use person_group::{GroupFacts, MemberChange, PersonGroupRow};
pub use person_list::{DirectoryField, DirectoryFilter, DirectoryMatch, OwnDevice, UnfitFilter};
pub use policy::{
    DevicePolicyRow, NewPolicyVersion, PolicyLayerRow, PolicyProgress, PolicyVersionRow,
};
pub use policy_use::PolicyUse;
pub use replacement::Replacement;
pub use retention::Removed;
pub use retention_rule::OldAlerts;
pub use risk::RiskChange;
pub use role::{NewRole, RoleRow};
pub use scim_token::ScimTokenRow;
pub use scope::{Actor, TenantScope};
pub use second_factor::{NewSecondFactor, SecondFactorRow};
pub use session::{
    NewSession, OpenSessionRow, SessionId, SessionRow, SignInMethod, Visit, Vouched,
};
pub use sight::Sight;
pub use sink::{MAX_SINKS, SinkAction, SinkRow, SinkSettings};
pub use sink_work::{DeadLetterRow, SinkHealth};
pub use site_report::{NewSiteReport, SiteReportKind, SiteReportRow, SiteReportStatus};
pub use stopped_host::{LOOKED_AT, StoppedHost, StoppedHosts};
pub use suppression::{
    MAX_SUPPRESSIONS, PREVIEWED, SuppressionPreview, SuppressionRow, SuppressionScope,
    SuppressionTerms,
};
pub use tally::Tally;
pub use tenant::TenantRow;
pub use tenant_file::TenantFileRow;
pub use tenant_indicator::{
    ActiveIndicator, IndicatorCursor, IndicatorFilter, IndicatorId, IndicatorRow, IndicatorRule,
    IndicatorState, NewIndicator,
};
pub use tenant_indicator_change::{Imported, MAX_INDICATORS};
pub use triage::{
    AlertChange, AlertUpdate, CLASSIFICATIONS, MAX_ALERT_TAGS, MAX_TAG_LENGTH, Verdict,
};

use db::{Database, News, Reach, params};
use gather::Gather;
use tokio::sync::broadcast;

/// The portal's database. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Store {
    db: Arc<Database>,
    checkins: Arc<Gather<checkin::Checkin, CheckinState>>,
    uploads: Arc<Gather<ingest::Upload, Ingested>>,
    credentials: Arc<Gather<(TenantId, DeviceId), DeviceCredential>>,
    tokens: Arc<Gather<[u8; 32], Option<TenantScope>>>,
    enrollments: Arc<Gather<enrolling::Asking, Result<Enrolled, EnrollError>>>,
}

impl Store {
    /// Opens the database, creates it if it is absent, and brings its schema up to date.
    ///
    /// Blocks while it does; call it before serving.
    ///
    /// # Errors
    /// The database cannot be opened, was written by a later version, or is a file on a network file system.
    pub fn open(url: impl Into<DatabaseUrl>, now: UnixMillis) -> Result<Self, StoreError> {
        let url = url.into();
        url.check_place().map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        Ok(Self {
            db: Arc::new(Database::open(&url, now)?),
            checkins: Arc::default(),
            uploads: Arc::default(),
            credentials: Arc::default(),
            tokens: Arc::default(),
            enrollments: Arc::default(),
        })
    }

    /// Finishes what is under way and closes the writer. Later writes are [`StoreError::Closed`].
    pub async fn close(&self) {
        self.db.close().await;
    }

    /// Returns how much there is to do, at once.
    #[must_use]
    pub fn load(&self) -> StoreLoad {
        self.db.load()
    }

    /// Tells other portals on the same database, soon, that this tenant's rows have changed.
    pub fn tell_others(&self, tenant: TenantId) {
        if let Some(news) = self.db.news() {
            news.tell(tenant);
        }
    }

    /// Hears which tenant's rows another portal has changed; of nobody in particular where that may have been missed. A file
    /// has no other portals.
    #[must_use]
    pub fn hear_others(&self) -> Option<broadcast::Receiver<Option<TenantId>>> {
        self.db.news().map(News::hear)
    }

    /// Writes to the disk and reads back; what a readiness check asks. Where something did not fit on the disk a short while
    /// ago, it is not ready either: what is written here may fit all the same.
    ///
    /// # Errors
    /// Why it is not ready.
    pub async fn check(&self, now: UnixMillis) -> Result<(), StoreError> {
        let at = column::ms(now);
        self.db
            .write(Reach::All, move |db| {
                db.prepare_cached("UPDATE installation SET checked_at_ms = ?1 WHERE id = 1")?
                    .execute([at])?;
                Ok(())
            })
            .await?;
        self.db
            .read(Reach::All, move |db| {
                let read: i64 = db
                    .prepare_cached("SELECT checked_at_ms FROM installation WHERE id = 1")?
                    .query_row(params![], |row| row.get(0))?;
                // Another check may have come between, with a later time.
                if read < at {
                    Err(StoreError::Damaged { column: "checked_at_ms" })
                } else {
                    Ok(())
                }
            })
            .await?;
        if self.db.is_disk_full(now) {
            return Err(StoreError::Unavailable(Box::new(DiskFull)));
        }
        Ok(())
    }

    /// Returns the key that access tokens are authenticated with; made when the database was.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn access_token_key(&self) -> Result<Private<[u8; 32]>, StoreError> {
        self.db
            .read(Reach::All, |db| {
                let key = db
                    .prepare_cached("SELECT access_token_key FROM installation WHERE id = 1")?
                    .query_row(params![], |row| row.get(0))?;
                Ok(Private(key))
            })
            .await
    }
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing, or it is another tenant's.
    #[error("{what} not found")]
    NotFound {
        /// In a word.
        what: &'static str,
    },
    /// It is there already, or has changed since.
    #[error("{what} is there already")]
    Conflict {
        /// In a word.
        what: &'static str,
    },
    /// There are as many as a tenant may have.
    #[error("there are {limit} {what}, which is as many as there may be")]
    Full {
        /// In a word.
        what: &'static str,
        /// How many that is.
        limit: u64,
    },
    /// Nobody would be left who may change people and roles.
    #[error("somebody has to stay an administrator")]
    LastAdministrator,
    /// Too much is waiting; try again later.
    #[error("too many jobs are waiting")]
    Busy,
    /// The store was closed.
    #[error("store is closed")]
    Closed,
    /// A column holds what this version did not write.
    #[error("{column} holds an unknown value")]
    Damaged {
        /// Its name.
        column: &'static str,
    },
    /// The database failed.
    #[error("database failed")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// There is no room left on the disk under the database; the cause of [`StoreError::Unavailable`] then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk under the database is full")]
pub struct DiskFull;

impl StoreError {
    /// Whether there would be an answer if the disk under the database had room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Unavailable(cause) if cause.is::<DiskFull>())
    }

    /// Says the same to another who waited for it.
    fn again(&self) -> Self {
        match self {
            Self::NotFound { what } => Self::NotFound { what },
            Self::Conflict { what } => Self::Conflict { what },
            Self::Full { what, limit } => Self::Full { what, limit: *limit },
            Self::LastAdministrator => Self::LastAdministrator,
            Self::Busy => Self::Busy,
            Self::Closed => Self::Closed,
            Self::Damaged { column } => Self::Damaged { column },
            Self::Unavailable(cause) if cause.is::<DiskFull>() => {
                Self::Unavailable(Box::new(DiskFull))
            }
            Self::Unavailable(error) => Self::Unavailable(error.to_string().into()),
        }
    }
}

impl From<db::Error> for StoreError {
    fn from(error: db::Error) -> Self {
        if error.is_disk_full() {
            return Self::Unavailable(Box::new(DiskFull));
        }
        Self::Unavailable(Box::new(error))
    }
}
