//! Which alerts a job changes and how, as it is kept: JSON that only this module writes and reads.

use bartizan_model::{AlertStatus, DeviceId, Severity};
use serde::{Deserialize, Serialize};

use crate::alert::{AlertFilter, AlertKey, StatusFilter};
use crate::{AlertUpdate, IncidentId, MemberId, StoreError, Verdict};

/// Which alerts are to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertChoice {
    /// All that a filter takes.
    Filter(AlertFilter),
    /// These.
    Keys(Vec<AlertKey>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chosen {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alerts: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    severity: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    incident: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verdict: Option<(String, String)>,
    /// Empty takes it from everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assigned_to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tag: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    untag: Vec<String>,
}

impl AlertChoice {
    pub(crate) fn to_text(&self) -> String {
        let chosen = match self {
            Self::Keys(keys) => Chosen {
                alerts: Some(keys.iter().map(ToString::to_string).collect()),
                severity: None,
                status: None,
                device: None,
                incident: None,
            },
            Self::Filter(filter) => Chosen {
                alerts: None,
                severity: filter.severity.map(|severity| severity.word().to_owned()),
                status: match filter.status {
                    StatusFilter::Any => None,
                    StatusFilter::Unresolved => Some(UNRESOLVED.to_owned()),
                    StatusFilter::Only(status) => Some(status.word().to_owned()),
                },
                device: filter.device.map(|device| device.to_string()),
                incident: filter.incident.map(|incident| incident.to_string()),
            },
        };
        // Texts always serialize.
        serde_json::to_string(&chosen).unwrap_or_default()
    }

    pub(crate) fn from_text(text: &str) -> Result<Self, StoreError> {
        let chosen: Chosen = serde_json::from_str(text).map_err(|_| CHOSEN)?;
        if let Some(alerts) = chosen.alerts {
            let keys = alerts.iter().map(|key| key.parse().map_err(|_| CHOSEN));
            return Ok(Self::Keys(keys.collect::<Result<_, _>>()?));
        }
        let status = match chosen.status.as_deref() {
            None => StatusFilter::Any,
            Some(UNRESOLVED) => StatusFilter::Unresolved,
            Some(word) => StatusFilter::Only(AlertStatus::from_word(word).ok_or(CHOSEN)?),
        };
        let device = chosen.device.map(|text| text.parse::<DeviceId>().map_err(|_| CHOSEN));
        let incident = chosen.incident.map(|text| text.parse::<IncidentId>().map_err(|_| CHOSEN));
        let severity = chosen.severity.map(|word| Severity::from_word(&word).ok_or(CHOSEN));
        Ok(Self::Filter(AlertFilter {
            severity: severity.transpose()?,
            status,
            device: device.transpose()?,
            incident: incident.transpose()?,
        }))
    }
}

impl AlertUpdate {
    pub(crate) fn to_text(&self) -> String {
        let wanted = Wanted {
            status: self.status.map(|status| status.word().to_owned()),
            verdict: self
                .verdict
                .clone()
                .map(|verdict| (verdict.classification, verdict.determination)),
            assigned_to: self
                .assigned_to
                .map(|to| to.map_or_else(String::new, |member| member.to_string())),
            comment: self.comment.clone(),
            tag: self.tag.clone(),
            untag: self.untag.clone(),
        };
        serde_json::to_string(&wanted).unwrap_or_default()
    }

    pub(crate) fn from_text(text: &str) -> Result<Self, StoreError> {
        let wanted: Wanted = serde_json::from_str(text).map_err(|_| WANTED)?;
        let status = wanted.status.map(|word| AlertStatus::from_word(&word).ok_or(WANTED));
        let member = |text: &str| text.parse::<MemberId>().map_err(|_| WANTED);
        let assigned_to = wanted
            .assigned_to
            .map(|text| if text.is_empty() { Ok(None) } else { member(&text).map(Some) });
        Ok(Self {
            status: status.transpose()?,
            verdict: wanted
                .verdict
                .map(|(classification, determination)| Verdict { classification, determination }),
            assigned_to: assigned_to.transpose()?,
            comment: wanted.comment,
            tag: wanted.tag,
            untag: wanted.untag,
        })
    }
}

const UNRESOLVED: &str = "Unresolved";
const CHOSEN: StoreError = StoreError::Damaged { column: "chosen" };
const WANTED: StoreError = StoreError::Damaged { column: "wanted" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back() {
        for severity in [None, Some(Severity::High)] {
            for status in [
                StatusFilter::Any,
                StatusFilter::Unresolved,
                StatusFilter::Only(AlertStatus::InProgress),
            ] {
                for device in [None, Some(DeviceId(7))] {
                    let incident = device.map(|_| IncidentId(9));
                    check(AlertChoice::Filter(AlertFilter { severity, status, device, incident }));
                }
            }
        }
        check(AlertChoice::Keys(vec![AlertKey(1), AlertKey(2)]));
        for assigned_to in [None, Some(None), Some(Some(MemberId(3)))] {
            let update = AlertUpdate {
                status: assigned_to.map(|_| AlertStatus::Resolved),
                verdict: assigned_to.map(|_| Verdict {
                    classification: "TruePositive".into(),
                    determination: "Phishing".into(),
                }),
                assigned_to,
                comment: Some("\"so\"".into()),
                tag: vec!["a".into()],
                untag: vec!["b".into()],
            };
            assert_eq!(AlertUpdate::from_text(&update.to_text()).unwrap(), update);
        }
        assert!(AlertChoice::from_text("{\"other\":1}").is_err());
        assert!(AlertUpdate::from_text("").is_err());
    }

    #[track_caller]
    fn check(choice: AlertChoice) {
        assert_eq!(AlertChoice::from_text(&choice.to_text()).unwrap(), choice);
    }
}
