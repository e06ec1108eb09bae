//! Alerts of Microsoft Defender for Endpoint, as `GET /api/alerts` gives them.

use bartizan_model::Severity;
use serde_json::Value;

use super::{Understood, first_text, host, text, time};

/// Understands an alert.
///
/// # Errors
/// It has no id.
pub(super) fn read(value: &Value) -> Result<Understood, String> {
    let external_id = text(value, "/id");
    if external_id.is_empty() {
        return Err("id is missing".to_owned());
    }
    let at = |name: &str| time(value.get(name));
    let created = at("alertCreationTime");
    let none = Vec::new();
    let evidence = value.get("evidence").and_then(Value::as_array).unwrap_or(&none);
    let of_evidence = |it: &Value| host(&first_text(it, &["/url", "/domainName", "/ipAddress"]));
    Ok(Understood {
        product: "Microsoft Defender for Endpoint".to_owned(),
        title: first_text(value, &["/title", "/threatName", "/description"]),
        severity: severity(&text(value, "/severity")),
        category: text(value, "/category"),
        host: evidence.iter().take(MOST_EVIDENCE).find_map(of_evidence),
        device: None,
        device_name: text(value, "/computerDnsName"),
        os: String::new(),
        link: page(&external_id),
        first_seen_ms: at("firstEventTime").or(created),
        last_seen_ms: at("lastEventTime").or_else(|| at("lastUpdateTime")).or(created),
        external_id,
    })
}

/// The same words; `UnSpecified` is nothing said.
fn severity(word: &str) -> Option<Severity> {
    Severity::ALL.into_iter().find(|severity| severity.word().eq_ignore_ascii_case(word))
}

/// The alert in Defender's portal.
fn page(id: &str) -> String {
    let is_id = id.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
    if is_id { format!("https://security.microsoft.com/alerts/{id}") } else { String::new() }
}

/// Pieces of evidence that are looked through for a host.
const MOST_EVIDENCE: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_alert_is_understood() {
        let said = read(&json!({
            "id": "da637472900382838869_1364969609",
            "incidentId": 1126093,
            "severity": "Low", "status": "New", "category": "Execution",
            "title": "Low-reputation arbitrary code executed by signed executable",
            "alertCreationTime": "2021-01-26T20:33:57.7220239Z",
            "firstEventTime": "2021-01-26T20:31:32.9562661Z",
            "lastEventTime": "2021-01-26T20:31:33.0577322Z",
            "machineId": "111e6dd8c833c8a052ea231ec1b19adaf497b625",
            "computerDnsName": "temp123.middleeast.corp.example.test",
            "evidence": [
                { "entityType": "File", "sha1": "77" },
                { "entityType": "Url", "url": "https://evil.test/a" },
            ],
        }));
        let said = said.unwrap();
        assert_eq!((said.severity, said.category.as_str()), (Some(Severity::Low), "Execution"));
        assert_eq!(said.host.unwrap().to_string(), "evil.test");
        assert_eq!(said.device_name, "temp123.middleeast.corp.example.test");
        assert_eq!(said.first_seen_ms, Some(1_611_693_092_956));
        assert!(said.link.ends_with("/da637472900382838869_1364969609"));
    }

    #[test]
    fn severities_are_those_of_the_table() {
        for (word, expected) in [
            ("UnSpecified", None),
            ("informational", Some(Severity::Informational)),
            ("Medium", Some(Severity::Medium)),
            ("High", Some(Severity::High)),
            ("", None),
        ] {
            assert_eq!(severity(word), expected, "{word}");
        }
    }

    #[test]
    fn what_has_no_id_is_refused() {
        assert_eq!(read(&json!({ "title": "x" })).unwrap_err(), "id is missing");
        assert_eq!(read(&json!({ "id": "a/b" })).unwrap().link, "");
    }
}
