//! Alerts of any product, in few words of ours.

use bartizan_model::Severity;
use serde_json::Value;

use super::{Understood, host, text};
use crate::v1::schema::{Object, Schema, always, maybe};

/// What is said of an alert.
pub(super) static ALERT: Object = Object {
    name: "ExternalAlert",
    about: "An alert of another product.",
    fields: &[
        always("product", Schema::Text { least: 1, most: 100 }, "Which product."),
        always(
            "external_id",
            Schema::Text { least: 1, most: super::MOST_ID },
            "What it calls the alert; one that comes again is the same.",
        ),
        always("title", Schema::Text { least: 1, most: 300 }, "One line for people."),
        always(
            "severity",
            Schema::Word(&["Informational", "Low", "Medium", "High"]),
            "How bad it is.",
        ),
        maybe("category", Schema::Text { least: 0, most: 100 }, "What the attacker was after."),
        maybe("host", Schema::Text { least: 0, most: 2_048 }, "The host or URL that it is about."),
        maybe("device", Schema::Id, "The device, by its id here."),
        maybe("device_name", Schema::Text { least: 0, most: 200 }, "The device, by its name."),
        maybe("os", Schema::Text { least: 0, most: 100 }, "The device's system."),
        maybe("url", Schema::Text { least: 0, most: 2_048 }, "The alert's page over there."),
        maybe("first_seen_at_ms", Schema::Time, "When it happened first."),
        maybe("last_seen_at_ms", Schema::Time, "When it happened last; now if it is not said."),
        maybe("description", Schema::Lines { most: 16_384 }, "More for people."),
    ],
};

/// Understands an alert.
///
/// # Errors
/// It has no id.
pub(super) fn read(value: &Value) -> Result<Understood, String> {
    Schema::Object(&ALERT).check(value)?;
    let time = |name: &str| value.get(name).and_then(Value::as_u64);
    Ok(Understood {
        product: text(value, "/product"),
        external_id: text(value, "/external_id"),
        title: text(value, "/title"),
        severity: Severity::from_word(&text(value, "/severity")),
        category: text(value, "/category"),
        host: host(&text(value, "/host")),
        device: text(value, "/device").parse().ok(),
        device_name: text(value, "/device_name"),
        os: text(value, "/os"),
        link: text(value, "/url"),
        first_seen_ms: time("first_seen_at_ms"),
        last_seen_ms: time("last_seen_at_ms"),
    })
}
