//! `POST alerts`: alerts go up, and the ids that are durable come back.
//!
//! A device sends an alert until its id is among [`AlertAck::durable`] or [`AlertAck::refused`]; the
//! portal stores an id once, however often it comes.

use bartizan_model::{
    Alert, Detector, DomainName, IndicatorAction, IndicatorSource, MAX_MATCHED, MatchedIndicator,
    UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Up to [`MAX_BATCH`] alerts, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertBatch {
    /// The alerts.
    pub alerts: Vec<AlertReport>,
}

/// An alert on the wire; see [`Alert`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertReport {
    /// A ULID.
    pub id: String,
    /// A detector's id.
    pub detector: String,
    /// See [`Alert::host`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// See [`Alert::matched`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<String>,
    /// The feed that lists it; absent with `matched`, or where the organization itself does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The number of the organization's own indicator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indicator_id: Option<u64>,
    /// An [`IndicatorAction`] as a word.
    pub action: String,
    /// See [`Alert::first_seen`].
    pub first_seen_ms: u64,
    /// See [`Alert::last_seen`].
    pub last_seen_ms: u64,
    /// See [`Alert::count`].
    pub count: u32,
    /// See [`Alert::indicator_epoch`].
    pub indicator_epoch: u64,
}

/// What the portal answers. An id in neither list is to be sent again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertAck {
    /// On the portal's disk.
    pub durable: Vec<String>,
    /// Will never be taken; sending again does not help.
    #[serde(default)]
    pub refused: Vec<Refusal>,
}

/// Why an alert will never be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// As it was sent.
    pub id: String,
    /// For people.
    pub detail: String,
}

impl From<&Alert> for AlertReport {
    fn from(alert: &Alert) -> Self {
        Self {
            id: alert.id.to_string(),
            detector: alert.detector.id().into(),
            host: alert.host.as_ref().map(ToString::to_string),
            matched: alert.matched.as_ref().map(|matched| matched.entry.to_string()),
            source: alert.matched.as_ref().and_then(|matched| match &matched.source {
                IndicatorSource::Feed(name) => Some(name.to_string()),
                IndicatorSource::Tenant(_) => None,
            }),
            indicator_id: alert.matched.as_ref().and_then(|matched| match matched.source {
                IndicatorSource::Feed(_) => None,
                IndicatorSource::Tenant(id) => Some(id),
            }),
            action: alert.action.word().into(),
            first_seen_ms: alert.first_seen.0,
            last_seen_ms: alert.last_seen.0,
            count: alert.count,
            indicator_epoch: alert.indicator_epoch,
        }
    }
}

/// Why a report is not an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is not valid")]
pub struct BadReport {
    /// The first field that is wrong.
    pub field: &'static str,
}

impl TryFrom<&AlertReport> for Alert {
    type Error = BadReport;

    fn try_from(report: &AlertReport) -> Result<Self, BadReport> {
        let name = |text: &String| {
            DomainName::parse_host(text.as_bytes()).map_err(|_| BadReport { field: "host" })
        };
        if report.last_seen_ms < report.first_seen_ms || MAX_STAMP_MS < report.last_seen_ms {
            return Err(BadReport { field: "last_seen_ms" });
        }
        if report.count == 0 {
            return Err(BadReport { field: "count" });
        }
        Ok(Self {
            id: report.id.parse().map_err(|_| BadReport { field: "id" })?,
            detector: Detector::from_id(&report.detector).ok_or(BadReport { field: "detector" })?,
            host: report.host.as_ref().map(name).transpose()?,
            matched: report.matched()?,
            action: IndicatorAction::from_word(&report.action)
                .ok_or(BadReport { field: "action" })?,
            first_seen: UnixMillis(report.first_seen_ms),
            last_seen: UnixMillis(report.last_seen_ms),
            count: report.count,
            indicator_epoch: report.indicator_epoch,
        })
    }
}

impl AlertReport {
    fn matched(&self) -> Result<Option<MatchedIndicator>, BadReport> {
        let Some(entry) = &self.matched else { return Ok(None) };
        let is_text = |text: &str, most: usize| {
            !text.is_empty() && text.len() <= most && !text.contains(char::is_control)
        };
        if !is_text(entry, MAX_MATCHED) {
            return Err(BadReport { field: "matched" });
        }
        let source = match (&self.source, self.indicator_id) {
            (None, Some(id)) if i64::try_from(id).is_ok() => IndicatorSource::Tenant(id),
            (Some(name), None) if is_text(name, MAX_SOURCE) => {
                IndicatorSource::Feed(name.as_str().into())
            }
            (None, Some(_)) => return Err(BadReport { field: "indicator_id" }),
            (Some(_), _) | (None, None) => return Err(BadReport { field: "source" }),
        };
        Ok(Some(MatchedIndicator { entry: entry.as_str().into(), source }))
    }
}

/// The most alerts in one batch.
pub const MAX_BATCH: usize = 50;
/// Octets of a feed's name.
const MAX_SOURCE: usize = 64;
/// The year 9999: what a database and a calendar can still show.
const MAX_STAMP_MS: u64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use bartizan_model::AlertId;

    use super::*;

    #[test]
    fn an_alert_survives_the_wire() {
        let alert = sample();
        assert_eq!(Alert::try_from(&AlertReport::from(&alert)), Ok(alert));
    }

    #[test]
    fn a_bad_report_names_the_field() {
        check("id", |report| report.id.push('0'));
        check("detector", |report| report.detector = "web.none".into());
        check("host", |report| report.host = Some("<script>".into()));
        check("matched", |report| report.matched = Some(String::new()));
        check("source", |report| report.source = None);
        check("source", |report| report.indicator_id = Some(1));
        check("indicator_id", |report| {
            (report.source, report.indicator_id) = (None, Some(u64::MAX));
        });
        check("action", |report| report.action = "delete".into());
        check("count", |report| report.count = 0);
        check("last_seen_ms", |report| report.first_seen_ms = report.last_seen_ms + 1);
        check("last_seen_ms", |report| report.last_seen_ms = u64::MAX);
    }

    #[track_caller]
    fn check(field: &'static str, spoil: impl FnOnce(&mut AlertReport)) {
        let mut report = AlertReport::from(&sample());
        spoil(&mut report);
        assert_eq!(Alert::try_from(&report), Err(BadReport { field }));
    }

    fn sample() -> Alert {
        Alert {
            id: AlertId::new(UnixMillis(1_800_000_000_000), 5),
            detector: Detector::WebPhishingBlocked,
            host: DomainName::parse(b"login.evil.test").ok(),
            matched: Some(MatchedIndicator {
                entry: "evil.test".into(),
                source: IndicatorSource::Feed("a feed".into()),
            }),
            action: IndicatorAction::Block,
            first_seen: UnixMillis(1_800_000_000_000),
            last_seen: UnixMillis(1_800_000_000_010),
            count: 2,
            indicator_epoch: 3,
        }
    }
}
