//! The feeds, and what comes of them: `GET /feeds`.

use std::collections::BTreeSet;

use askama::Template;
use bartizan_indicators::guard::HeldBack;
use bartizan_model::{DeviceId, UnixMillis};
use bartizan_store::{
    FeedOutcome, FeedRole, FeedRow, HeldBackRow, IndicatorFileRow, NoticeRow, ReleasedRow,
    SiteReportKind, SiteReportRow, SiteReportStatus,
};

use super::badge::Badge;
use super::format::{self, Ago};
use super::{Icon, Section, Shell, filters};

/// Notices, feeds, what is published, and the exceptions.
#[derive(Template)]
#[template(path = "console/feeds.html")]
pub(crate) struct FeedsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// What nobody has dismissed.
    pub(crate) notices: Vec<NoticeRow>,
    /// All feeds.
    pub(crate) feeds: Vec<FeedRow>,
    /// How the compile stands.
    pub(crate) publishing: Publishing,
    /// What was published last, the newest first.
    pub(crate) files: Vec<IndicatorFileRow>,
    /// The first of what the latest compile held back.
    pub(crate) held_back: Vec<HeldBackRow>,
    /// How many there are in all.
    pub(crate) held_back_total: u64,
    /// What somebody released from the guard.
    pub(crate) released: Vec<ReleasedRow>,
    /// What people at devices said of sites that no feed lists.
    pub(crate) reports: Vec<SiteReportRow>,
    /// Devices whose reports the member may decide.
    pub(crate) decidable: BTreeSet<DeviceId>,
    /// Names of the organization's own.
    pub(crate) own: Vec<String>,
    /// Why the last action was not done, in a sentence.
    pub(crate) problem: Option<String>,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

/// How the compile stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Publishing {
    /// One runs, since then.
    pub(crate) since: Option<UnixMillis>,
    /// One is asked for and begins within seconds.
    pub(crate) is_wanted: bool,
    /// How long the latest took in this process.
    pub(crate) took_ms: Option<u64>,
    /// Why the latest published nothing.
    pub(crate) problem: Option<String>,
}

impl FeedsPage {
    fn may_decide(&self, row: &SiteReportRow) -> bool {
        self.decidable.contains(&row.device)
    }

    /// A decision about a report comes back to this page.
    fn report_feed(&self) -> &'static str {
        ""
    }

    fn section(&self) -> Section {
        Section::Feeds
    }

    fn publishing_sentence(&self) -> String {
        let Publishing { since, is_wanted, took_ms, problem } = &self.publishing;
        if let Some(since) = since {
            return format!("Compiling since {}.", format::utc(since));
        }
        if *is_wanted {
            return "Something has changed: a new file is compiled in a moment.".into();
        }
        match (problem, took_ms) {
            (Some(problem), _) => format!("The last compile failed: {problem}."),
            (None, Some(ms)) => {
                format!("Idle. The last compile took {}.{} s.", ms / 1_000, ms % 1_000 / 100)
            }
            (None, None) => "Idle.".into(),
        }
    }

    /// What is the organization's own stays protected until it is no longer said to be.
    fn can_be_released(&self, entry: &HeldBackRow) -> bool {
        entry.reason != HeldBack::Own.to_string()
    }

    fn held_back_text(&self) -> String {
        let shown = u64::try_from(self.held_back.len()).unwrap_or(u64::MAX);
        if shown < self.held_back_total {
            let total = format::grouped(self.held_back_total);
            format!("The first {} of {total} entries.", format::grouped(shown))
        } else {
            format!("{}.", format::count_of(self.held_back_total, "entry", "entries"))
        }
    }
}

/// Tells what a feed lists, in a few words.
pub(super) fn lists(feed: &FeedRow) -> String {
    match feed.settings.role {
        FeedRole::Threat => {
            format!("{}: {}", feed.settings.category.label(), feed.settings.action.word())
        }
        FeedRole::Popular => "Popular names".into(),
    }
}

/// Tells why a feed's last look brought nothing.
pub(super) fn trouble(feed: &FeedRow) -> Option<&str> {
    match feed.outcome {
        Some(FeedOutcome::Refused | FeedOutcome::Failed) => Some(&feed.outcome_detail),
        Some(FeedOutcome::Taken | FeedOutcome::Unchanged) | None => None,
    }
}

/// Tells when a feed is looked at next.
pub(super) fn next_look(feed: &FeedRow, now: &UnixMillis) -> String {
    match feed.due_at {
        _ if !feed.settings.enabled => "not while it is off".into(),
        None => "by hand".into(),
        Some(at) if at <= *now => "now".into(),
        Some(at) => {
            let minutes = (at.0 - now.0).div_ceil(60_000);
            match minutes {
                0..120 => format!("in {minutes} min"),
                120..2_880 => format!("in {} h", minutes / 60),
                _ => format!("in {} days", minutes / 1_440),
            }
        }
    }
}

/// Says how many octets.
pub(super) fn size(octets: &u64) -> String {
    match *octets {
        0..10_000 => format!("{} B", format::grouped(*octets)),
        10_000..10_000_000 => format!("{} KB", format::grouped(octets.div_ceil(1_000))),
        _ => format!("{} MB", format::grouped(octets.div_ceil(1_000_000))),
    }
}
