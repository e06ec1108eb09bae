//! One feed, and a new one: `GET /feeds/{id}`, `GET /feeds/new`.

use std::collections::BTreeSet;

use askama::Template;
use bartizan_model::{DeviceId, UnixMillis};
use bartizan_store::{
    FeedOrigin, FeedRow, FeedVersionRow, FeedVersionState, HitRow, SiteReportKind, SiteReportRow,
    SiteReportStatus,
};

use super::badge::Badge;
use super::format::Ago;
use super::{FeedForm, Icon, Section, Shell, filters};

/// What a feed is, its versions, what it stopped, and what people say about it.
#[derive(Template)]
#[template(path = "console/feed.html")]
pub(crate) struct FeedPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The feed.
    pub(crate) feed: FeedRow,
    /// Its settings, or what somebody wanted of them that does not fit.
    pub(crate) form: FeedForm,
    /// Why the last action was not done.
    pub(crate) problem: Option<String>,
    /// The newest first.
    pub(crate) versions: Vec<FeedVersionRow>,
    /// The entries that stopped the most.
    pub(crate) hits: Vec<HitRow>,
    /// The newest first.
    pub(crate) reports: Vec<SiteReportRow>,
    /// Devices whose reports the member may decide.
    pub(crate) decidable: BTreeSet<DeviceId>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl FeedPage {
    fn may_decide(&self, row: &SiteReportRow) -> bool {
        self.decidable.contains(&row.device)
    }

    /// The feed whose page a decision about a report comes back to.
    fn report_feed(&self) -> String {
        self.feed.id.to_string()
    }

    fn section(&self) -> Section {
        Section::Feeds
    }

    fn is_new(&self) -> bool {
        false
    }

    fn is_upload(&self) -> bool {
        self.feed.settings.origin == FeedOrigin::Upload
    }

    fn has_credentials(&self) -> bool {
        self.feed.settings.credentials.is_some()
    }
}

/// What can be done with a version, in the words of its button.
fn verb(version: &FeedVersionRow) -> Option<&'static str> {
    match version.state {
        _ if !version.has_octets => None,
        FeedVersionState::Current => None,
        FeedVersionState::Kept => Some("Roll back to this"),
        FeedVersionState::Refused | FeedVersionState::RolledBack => Some("Use it anyway"),
    }
}

/// Says what a report says.
pub(super) fn report_sentence(report: &SiteReportRow) -> &'static str {
    match report.report.kind {
        SiteReportKind::FalsePositive => "Stopped, and harmless",
        SiteReportKind::Unsafe => "Let through, and unsafe",
    }
}

/// The form for a new feed.
#[derive(Template)]
#[template(path = "console/feed_new.html")]
pub(crate) struct NewFeedPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What was filled in so far.
    pub(crate) form: FeedForm,
    /// Why it was not added.
    pub(crate) problem: Option<String>,
}

impl NewFeedPage {
    fn section(&self) -> Section {
        Section::Feeds
    }

    fn is_new(&self) -> bool {
        true
    }

    fn has_credentials(&self) -> bool {
        false
    }
}
