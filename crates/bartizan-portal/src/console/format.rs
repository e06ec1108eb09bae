//! How the console words times, numbers and reasons. Pure: the time is an argument.

use std::fmt;

use askama::filters::HtmlSafe;
use bartizan_model::{RiskLevel, UnixMillis, UnresolvedAlerts};
use jiff::Timestamp;

/// A time as people say it, with the exact one for whoever points at it and for scripts.
pub(crate) struct Ago {
    at: UnixMillis,
    now: UnixMillis,
}

impl Ago {
    /// Builds it; `now` is the portal's clock.
    pub(crate) fn new(at: &UnixMillis, now: &UnixMillis) -> Self {
        Self { at: *at, now: *now }
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, exact, text) = (self.at, utc(&self.at), ago(self.at, self.now));
        write!(out, r#"<time datetime="{}" title="{exact}" data-ago>{text}</time>"#, rfc3339(at))
    }
}

/// Nothing in it comes from outside but a number.
impl HtmlSafe for Ago {}

/// Says how long ago it was; past 30 days, and for what lies ahead, on which day.
pub(crate) fn ago(at: UnixMillis, now: UnixMillis) -> String {
    // A device's clock may run a little ahead of ours.
    if now.0 + MINUTE_MS < at.0 {
        return utc(&at);
    }
    let elapsed = now.0.saturating_sub(at.0);
    if elapsed < MINUTE_MS {
        "just now".into()
    } else if elapsed < HOUR_MS {
        format!("{} min ago", elapsed / MINUTE_MS)
    } else if elapsed < DAY_MS {
        format!("{} h ago", elapsed / HOUR_MS)
    } else if elapsed < 30 * DAY_MS {
        format!("{} ago", count(elapsed / DAY_MS, "day"))
    } else {
        stamp(at, "%Y-%m-%d")
    }
}

/// Says a time exactly, such as `2026-03-04 05:06:07 UTC`.
pub(crate) fn utc(at: &UnixMillis) -> String {
    stamp(*at, "%Y-%m-%d %H:%M:%S UTC")
}

/// Says at which minute of the day it is, by UTC.
pub(crate) fn clock(at: UnixMillis) -> String {
    stamp(at, "%H:%M UTC")
}

/// Says on which day it is, by UTC.
pub(crate) fn day(at: &UnixMillis) -> String {
    stamp(*at, "%Y-%m-%d")
}

fn rfc3339(at: UnixMillis) -> String {
    stamp(at, "%Y-%m-%dT%H:%M:%SZ")
}

fn stamp(at: UnixMillis, pattern: &str) -> String {
    let stamp = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| "unknown time".into(), |stamp| stamp.strftime(pattern).to_string())
}

/// Says how long to wait, rounded up to what a person can keep in mind.
pub(crate) fn wait(seconds: u64) -> String {
    match seconds {
        0..=1 => "1 second".into(),
        2..=99 => count(seconds, "second"),
        _ => count(seconds.div_ceil(60), "minute"),
    }
}

/// Groups the digits: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Says how many: `1 alert`, `2 alerts`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(number))
}

/// Says how many of what has a plural of its own: `1 entry`, `2 entries`.
pub(crate) fn count_of(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// Says why a device has the risk level it has, by the rule in `docs/alerts.md`.
pub(crate) fn risk_reason(alerts: UnresolvedAlerts) -> String {
    let of = |number, severity| count(number, &format!("unresolved {severity}-severity alert"));
    match RiskLevel::of(alerts) {
        RiskLevel::None => "No unresolved alerts.".into(),
        RiskLevel::Informational => {
            format!("Only {}.", count(alerts.informational, "unresolved informational alert"))
        }
        RiskLevel::Low => format!("{}.", of(alerts.low, "low")),
        RiskLevel::Medium if 0 < alerts.medium => format!("{}.", of(alerts.medium, "medium")),
        RiskLevel::Medium => format!("{}; 5 or more mean medium risk.", of(alerts.low, "low")),
        RiskLevel::High if 0 < alerts.high => format!("{}.", of(alerts.high, "high")),
        RiskLevel::High => format!("{}; 3 or more mean high risk.", of(alerts.medium, "medium")),
    }
}

/// Shortens in the middle, to at most `limit` characters: of a host name, the end says whose it is.
pub(crate) fn middle(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.into();
    }
    let kept = limit.saturating_sub(1);
    let (head, tail) = (kept / 3, kept - kept / 3);
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

/// Replaces what would not be seen, or would turn the reading order around, in text from a device.
pub(crate) fn visible(text: &str) -> String {
    let hidden = |character: char| {
        character.is_control()
            || matches!(character,
                '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{3164}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
    };
    text.chars().map(|character| if hidden(character) { '\u{fffd}' } else { character }).collect()
}

/// As [`visible`], for text of several lines.
pub(crate) fn visible_lines(text: &str) -> String {
    text.split_inclusive(['\n', '\r', '\t'])
        .flat_map(|line| {
            let kept =
                line.ends_with(['\n', '\r', '\t']).then(|| line.chars().next_back()).flatten();
            let rest = line.trim_end_matches(['\n', '\r', '\t']);
            visible(rest).chars().chain(kept).collect::<Vec<_>>()
        })
        .collect()
}

/// Builds an address from a path and what follows the question mark, leaving out what is empty.
pub(crate) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut text = String::from(path);
    let mut mark = '?';
    for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        text.push(mark);
        text.push_str(name);
        text.push('=');
        for octet in value.bytes() {
            match octet {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    text.push(char::from(octet));
                }
                _ => text.push_str(&format!("%{octet:02X}")),
            }
        }
        mark = '&';
    }
    text
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
/// Milliseconds in a day.
pub(crate) const DAY_MS: u64 = 24 * HOUR_MS;

/// Writes a word of an API, such as `TruePositive`, as people write it: "True positive".
pub(crate) fn spaced(word: &str) -> String {
    let mut text = String::with_capacity(word.len() + 4);
    for (at, char) in word.char_indices() {
        if 0 < at && char.is_ascii_uppercase() {
            text.push(' ');
            text.push(char.to_ascii_lowercase());
        } else {
            text.push(char);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_772_600_767_000);

    #[test]
    fn times_are_told_as_people_tell_them() {
        check(0, "just now");
        check(59, "just now");
        check(-59, "just now");
        check(60, "1 min ago");
        check(3_599, "59 min ago");
        check(3_600, "1 h ago");
        check(86_399, "23 h ago");
        check(86_400, "1 day ago");
        check(29 * 86_400, "29 days ago");
        check(30 * 86_400, "2026-02-02");
        check(-3_600, "2026-03-04 06:06:07 UTC");

        #[track_caller]
        fn check(seconds: i64, expected: &str) {
            let at = UnixMillis(NOW.0.checked_add_signed(-seconds * 1_000).unwrap());
            assert_eq!(ago(at, NOW), expected);
        }
    }

    #[test]
    fn a_time_carries_its_exact_value() {
        assert_eq!(
            Ago::new(&UnixMillis(NOW.0 - 300_000), &NOW).to_string(),
            "<time datetime=\"2026-03-04T05:01:07Z\" title=\"2026-03-04 05:01:07 UTC\" data-ago>5 min ago</time>"
        );
        assert_eq!(utc(&UnixMillis(u64::MAX)), "unknown time");
    }

    #[test]
    fn numbers_are_grouped_and_counted() {
        let table = [0, 7, 100, 1_000, 65_536, 1_234_567].map(grouped);
        assert_eq!(table, ["0", "7", "100", "1,000", "65,536", "1,234,567"]);
        let table = [0, 1, 2_000].map(|number| count(number, "alert"));
        assert_eq!(table, ["0 alerts", "1 alert", "2,000 alerts"]);
        let table = [0, 1, 2, 99, 100, 900].map(wait);
        let expected =
            ["1 second", "1 second", "2 seconds", "99 seconds", "2 minutes", "15 minutes"];
        assert_eq!(table, expected);
    }

    #[test]
    fn the_reason_is_the_rule_that_decided() {
        check([0, 0, 0, 0], "No unresolved alerts.");
        check([0, 0, 0, 1], "Only 1 unresolved informational alert.");
        check([0, 0, 2, 9], "2 unresolved low-severity alerts.");
        check([0, 0, 6, 0], "6 unresolved low-severity alerts; 5 or more mean medium risk.");
        check([0, 1, 8, 0], "1 unresolved medium-severity alert.");
        check([0, 3, 0, 0], "3 unresolved medium-severity alerts; 3 or more mean high risk.");
        check([2, 9, 0, 0], "2 unresolved high-severity alerts.");

        #[track_caller]
        fn check([high, medium, low, informational]: [u64; 4], expected: &str) {
            let alerts = UnresolvedAlerts { high, medium, low, informational };
            assert_eq!(risk_reason(alerts), expected);
        }
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(middle("evil.test", 9), "evil.test");
        assert_eq!(middle("login.bank.example.evil.test", 13), "logi…vil.test");
        assert_eq!(middle("ééééé", 4), "é…éé");
        assert_eq!(middle("abc", 0), "…");
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(visible("Zoë's phone 📱"), "Zoë's phone 📱");
        assert_eq!(visible("a\u{202e}b\u{200b}c\nd\u{0}"), "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}");
        assert_eq!(visible_lines("a\r\nb\u{202e}\n\nc\td"), "a\r\nb\u{fffd}\n\nc\td");
    }

    #[test]
    fn an_address_escapes_its_values() {
        assert_eq!(address("/alerts", &[]), "/alerts");
        assert_eq!(
            address("/alerts", &[("severity", ""), ("after", "a b&c")]),
            "/alerts?after=a%20b%26c"
        );
        assert_eq!(
            address("/devices", &[("q", "é"), ("state", "off")]),
            "/devices?q=%C3%A9&state=off"
        );
    }
}
