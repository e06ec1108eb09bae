//! Events as lines: CEF (version 0 of the format, revision 25) and the frame of RFC 5424 syslog.
//!
//! # Invariants
//! - Nothing that comes from outside ends a line or a field, or begins one: see the property below.

use std::fmt::Write as _;

use bartizan_model::Severity;

use super::told::{Told, device_label, rfc3339};

/// One event as CEF, on one line.
pub(crate) fn cef(told: &Told) -> String {
    let signature = match &told.alert {
        Some(alert) => alert.detector.as_str(),
        None => told.kind.word(),
    };
    let severity = match told.severity() {
        Some(Severity::High) => 9,
        Some(Severity::Medium) => 6,
        Some(Severity::Low) => 3,
        Some(Severity::Informational) | None => 1,
    };
    let mut line = format!(
        "CEF:0|Bartizan|Bartizan|{}|{}|{}|{severity}|",
        env!("CARGO_PKG_VERSION"),
        cef_header(signature),
        cef_header(&told.title()),
    );
    let mut fields: Vec<(&str, String)> = vec![
        ("rt", told.at.0.to_string()),
        ("externalId", told.id()),
        ("cat", told.kind.word().to_owned()),
        ("cs1Label", "Organization".to_owned()),
        ("cs1", told.tenant_name.clone()),
    ];
    if let Some(device) = &told.device {
        fields.push(("deviceExternalId", device.id.to_string()));
        fields.push(("shost", device_label(device)));
    }
    if let Some(alert) = &told.alert {
        fields.push(("act", alert.action.clone()));
        fields.push(("cnt", alert.count.to_string()));
        fields.push(("start", alert.first_seen_at.0.to_string()));
        fields.push(("end", alert.last_seen_at.0.to_string()));
        fields.push(("outcome", alert.status.clone()));
        fields.push(("cs2Label", "Alert".to_owned()));
        fields.push(("cs2", alert.key.to_string()));
        fields.extend(alert.host.clone().map(|host| ("dhost", host)));
        fields.extend(alert.source.clone().map(|feed| ("cs3", feed)));
        if alert.source.is_some() {
            fields.push(("cs3Label", "Feed".to_owned()));
        }
    }
    if !told.detail.as_object().is_none_or(serde_json::Map::is_empty) {
        fields.push(("msg", told.detail.to_string()));
    }
    if let Some(link) = told.link() {
        fields.push(("request", link));
    }
    for (number, (name, value)) in fields.iter().enumerate() {
        let between = if number == 0 { "" } else { " " };
        // A string takes all that is written.
        let _ = write!(line, "{between}{name}={}", cef_value(value));
    }
    line
}

/// Escapes what divides the header; it stays on its line.
fn cef_header(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '\\' => escaped.extend(['\\', character]),
            control if control.is_control() || is_line_end(control) => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Escapes what divides the extension.
fn cef_value(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '=' | '\\' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            control if control.is_control() || is_line_end(control) => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// What some programs end a line at, though it is no control character.
fn is_line_end(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}')
}

/// One event as a syslog message (RFC 5424 §6), without its frame. `message` is on one line.
pub(crate) fn syslog(told: &Told, message: &str) -> String {
    let severity = match told.severity() {
        Some(Severity::High) => 2,
        Some(Severity::Medium) => 4,
        Some(Severity::Low) => 5,
        Some(Severity::Informational) | None => 6,
    };
    format!(
        "<{}>1 {} {} bartizan - {} [origin software=\"Bartizan\" swVersion=\"{}\"][meta sequenceId=\"{}\"] {message}",
        LOG_AUDIT * 8 + severity,
        rfc3339(told.at),
        host(&told.console_url),
        told.kind.word(),
        env!("CARGO_PKG_VERSION"),
        // RFC 5424 §7.3.1: from 1 to 2147483647, then from 1 again.
        told.seq.saturating_sub(1) % 2_147_483_647 + 1,
    )
}

/// Frames a message for a stream by its length (RFC 6587 §3.4.1, RFC 5425 §4.3).
pub(crate) fn framed(message: &str) -> Vec<u8> {
    format!("{} {message}", message.len()).into_bytes()
}

/// Who says it: the console's host, if it is known.
fn host(console_url: &str) -> String {
    let host = console_url.split("//").nth(1).and_then(|rest| rest.split(['/', ':']).next());
    let is_printable = |host: &&str| {
        !host.is_empty() && host.len() <= 255 && host.bytes().all(|octet| octet.is_ascii_graphic())
    };
    host.filter(is_printable).unwrap_or("-").to_owned()
}

/// Facility 13 (RFC 5424 §6.2.1).
const LOG_AUDIT: u32 = 13;
