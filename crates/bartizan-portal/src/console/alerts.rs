//! The alert queue: `GET /alerts`, the newest first.
//!
//! [`AlertQueue`] is what changes by itself: the page includes it, and `console.js` fetches it alone
//! (header `HX-Request`) whenever the event stream says that there is something to see.

use askama::Template;
use bartizan_model::{AlertStatus, DeviceId, Severity, UnixMillis, UnresolvedAlerts};

use super::badge::Badge;
use super::format::{self, Ago};
use super::{BulkForm, Icon, Pager, Section, Shell, filters};
use bartizan_store::CLASSIFICATIONS;

/// The whole page.
#[derive(Template)]
#[template(path = "console/alerts.html")]
pub(crate) struct AlertsPage {
    /// What surrounds it.
    pub(crate) shell: Shell,
    /// The part that changes.
    pub(crate) queue: AlertQueue,
}

impl AlertsPage {
    fn section(&self) -> Section {
        Section::Alerts
    }
}

/// Counts, rows and pager: answers a request that carries `HX-Request`.
#[derive(Template)]
#[template(path = "console/alert_queue.html")]
pub(crate) struct AlertQueue {
    /// The tenant's unresolved alerts, whatever the filter.
    pub(crate) unresolved: UnresolvedAlerts,
    /// What is shown.
    pub(crate) filter: AlertFilter,
    /// The cursor this page came by, empty on the first.
    pub(crate) after: String,
    /// The alerts of this page.
    pub(crate) rows: Vec<AlertRow>,
    /// The cursor of the next page, if there is one.
    pub(crate) next: Option<String>,
    /// Whether the tenant has a device; without one the empty queue says how to begin.
    pub(crate) has_devices: bool,
    /// How many alerts match the filter, on all pages.
    pub(crate) matching: u64,
    /// Whether who looks may change alerts.
    pub(crate) may_change: bool,
    /// Members that alerts can be given to: id and name.
    pub(crate) members: Vec<(String, String)>,
    /// The form below the list, which begins empty.
    pub(crate) form: BulkForm,
    /// The portal's clock.
    pub(crate) now: UnixMillis,
}

impl AlertQueue {
    fn address(&self) -> String {
        self.filter.address(&self.after)
    }

    fn pager(&self) -> Pager {
        Pager {
            first: (!self.after.is_empty()).then(|| self.filter.address("")),
            next: self.next.as_ref().map(|next| self.filter.address(next)),
        }
    }

    /// The cards above the table: severity, how many, where they are listed, whether that is here.
    fn cards(&self) -> [Card; 4] {
        let counts = self.unresolved;
        [
            (Severity::High, counts.high, "high"),
            (Severity::Medium, counts.medium, "medium"),
            (Severity::Low, counts.low, "low"),
            (Severity::Informational, counts.informational, "info"),
        ]
        .map(|(severity, count, tone)| {
            let filter = AlertFilter { severity: Some(severity), status: StatusFilter::Unresolved };
            Card {
                severity,
                count,
                tone,
                href: filter.address(""),
                is_current: filter == self.filter,
            }
        })
    }
}

struct Card {
    severity: Severity,
    count: u64,
    tone: &'static str,
    href: String,
    is_current: bool,
}

/// One alert in a table.
#[derive(Clone, Debug)]
pub(crate) struct AlertRow {
    /// Leads to its page: what its address ends in.
    pub(crate) id: String,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What happened, in a few words.
    pub(crate) title: String,
    /// The host it is about; `None` where policy keeps that on the device.
    pub(crate) host: Option<String>,
    /// The device that raised it.
    pub(crate) device: DeviceId,
    /// What people call the device.
    pub(crate) device_name: String,
    /// What became of it.
    pub(crate) status: AlertStatus,
    /// How often it happened.
    pub(crate) count: u64,
    /// When it last happened.
    pub(crate) last_seen: UnixMillis,
    /// Whether the member may change it.
    pub(crate) may_change: bool,
}

impl AlertRow {
    /// How often, for the column of that name, which has room for five digits.
    pub(super) fn times(&self) -> String {
        match self.count {
            0..=99_999 => format::grouped(self.count),
            _ => "99,999+".into(),
        }
    }
}

/// Which alerts are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlertFilter {
    /// Only those of this severity.
    pub(crate) severity: Option<Severity>,
    /// Only those this became of.
    pub(crate) status: StatusFilter,
}

impl AlertFilter {
    /// Reads the `severity` and `status` of an address. What is not known counts as not given.
    pub(crate) fn from_query(severity: Option<&str>, status: Option<&str>) -> Self {
        Self {
            severity: severity.and_then(Severity::from_word),
            status: status.and_then(StatusFilter::from_word).unwrap_or_default(),
        }
    }

    /// Returns the address of the page with this filter that begins after a cursor.
    pub(crate) fn address(&self, after: &str) -> String {
        let severity = self.severity.map_or("", Severity::word);
        let status = if self.status == StatusFilter::default() { "" } else { self.status.word() };
        format::address("/alerts", &[("severity", severity), ("status", status), ("after", after)])
    }

    fn severity_word(&self) -> &'static str {
        self.severity.map_or("", Severity::word)
    }

    fn status_word(&self) -> &'static str {
        self.status.word()
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Which alerts are shown, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StatusFilter {
    /// New and in progress: what there is to do.
    #[default]
    Unresolved,
    /// All of one status.
    Only(AlertStatus),
    /// All.
    Any,
}

impl StatusFilter {
    const ALL: [Self; 5] = [
        Self::Unresolved,
        Self::Only(AlertStatus::New),
        Self::Only(AlertStatus::InProgress),
        Self::Only(AlertStatus::Resolved),
        Self::Any,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Unresolved => "Unresolved",
            Self::Only(status) => status.word(),
            Self::Any => "Any",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Unresolved => "Unresolved",
            Self::Only(status) => status.label(),
            Self::Any => "Any status",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_survives_its_address() {
        check(None, None, "/alerts");
        check(Some("High"), None, "/alerts?severity=High");
        check(Some("High"), Some("Unresolved"), "/alerts?severity=High");
        check(None, Some("InProgress"), "/alerts?status=InProgress");
        check(Some("Low"), Some("Any"), "/alerts?severity=Low&status=Any");
        check(Some(""), Some(""), "/alerts");
        check(Some("\"><script>"), Some("high"), "/alerts");
    }

    #[track_caller]
    fn check(severity: Option<&str>, status: Option<&str>, expected: &str) {
        let filter = AlertFilter::from_query(severity, status);
        assert_eq!(filter.address(""), expected);
    }
}
