//! OCSF 1.x Detection Finding (class 2004).

use bartizan_model::Severity;
use serde_json::Value;

use super::{Understood, first_text, host, text, time};

/// Understands a finding.
///
/// # Errors
/// It is none, or has no id.
pub(super) fn read(value: &Value) -> Result<Understood, String> {
    let class = value.pointer("/class_uid").and_then(Value::as_u64);
    if class != Some(CLASS) {
        return Err(format!("class_uid is not {CLASS}, Detection Finding"));
    }
    let external_id = text(value, "/finding_info/uid");
    if external_id.is_empty() {
        return Err("finding_info.uid is missing".to_owned());
    }
    let at = |pointer: &str| time(value.pointer(pointer));
    let happened = at("/time").or_else(|| at("/time_dt"));
    Ok(Understood {
        product: first_text(value, &["/metadata/product/name", "/metadata/product/vendor_name"]),
        external_id,
        title: first_text(value, &["/finding_info/title", "/message", "/finding_info/desc"]),
        severity: value.pointer("/severity_id").and_then(Value::as_u64).map(severity),
        category: first_text(
            value,
            &["/finding_info/attacks/0/tactic/name", "/finding_info/types/0"],
        ),
        host: HOSTS.iter().find_map(|pointer| host(&text(value, pointer))),
        device: text(value, "/device/uid").parse().ok(),
        device_name: first_text(
            value,
            &["/device/name", "/device/hostname", "/resources/0/name", "/evidences/0/device/name"],
        ),
        os: first_text(value, &["/device/os/name", "/device/os/type"]),
        link: text(value, "/finding_info/src_url"),
        first_seen_ms: at("/finding_info/first_seen_time").or(happened),
        last_seen_ms: at("/finding_info/last_seen_time").or(happened),
    })
}

/// The table of docs/api.md.
fn severity(id: u64) -> Severity {
    match id {
        2 => Severity::Low,
        3 => Severity::Medium,
        4..=6 => Severity::High,
        _ => Severity::Informational,
    }
}

const CLASS: u64 = 2_004;
const HOSTS: [&str; 6] = [
    "/evidences/0/url/hostname",
    "/evidences/0/url/url_string",
    "/evidences/0/query/hostname",
    "/evidences/0/dst_endpoint/hostname",
    "/evidences/0/dst_endpoint/domain",
    "/evidences/0/dst_endpoint/ip",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_finding_is_understood() {
        let said = read(&json!({
            "class_uid": 2004, "severity_id": 5, "time": 1_800_000_000_000_u64,
            "metadata": { "product": { "name": "Example EDR", "vendor_name": "Example" } },
            "finding_info": {
                "uid": "f-1", "title": "Beacon to known server",
                "first_seen_time": 1_799_999_000_000_u64, "src_url": "https://edr.example/f-1",
                "attacks": [{ "tactic": { "name": "Command and Control" } }],
            },
            "device": { "hostname": "laptop-7", "os": { "name": "Windows 11" } },
            "evidences": [{ "dst_endpoint": { "hostname": "c2.test" } }],
        }));
        let said = said.unwrap();
        assert_eq!((said.product.as_str(), said.external_id.as_str()), ("Example EDR", "f-1"));
        assert_eq!(
            (said.severity, said.category.as_str()),
            (Some(Severity::High), "Command and Control")
        );
        assert_eq!(said.host.unwrap().to_string(), "c2.test");
        assert_eq!((said.device_name.as_str(), said.os.as_str()), ("laptop-7", "Windows 11"));
        assert_eq!(said.last_seen_ms, Some(1_800_000_000_000));
    }

    #[test]
    fn severities_are_those_of_the_table() {
        let words: Vec<_> = [0, 1, 2, 3, 4, 5, 6, 99].map(|id| severity(id).word()).into();
        let expected = ["Informational", "Informational", "Low", "Medium", "High", "High", "High"];
        assert_eq!(words, [&expected[..], &["Informational"]].concat());
    }

    #[test]
    fn what_is_no_finding_is_refused() {
        for (value, problem) in [
            (json!({}), "class_uid is not 2004, Detection Finding"),
            (json!({ "class_uid": 4001 }), "class_uid is not 2004, Detection Finding"),
            (json!({ "class_uid": 2004 }), "finding_info.uid is missing"),
        ] {
            assert_eq!(read(&value).unwrap_err(), problem);
        }
    }
}
