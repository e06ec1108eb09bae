//! Events as e-mail: a text and the same as simple HTML (RFC 5322, 2045, 2046, 2047).
//!
//! # Invariants
//! - Headers hold what we make: addresses that were checked, and texts as encoded words. Bodies are base64, whose lines
//!   are short, ASCII, and never begin with a dot.

use std::fmt::Write as _;

use bartizan_model::UnixMillis;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::chat::{SHOWN, heading, left_out, line};
use super::told::Told;

/// A message for some events, all of it, with CRLF line ends.
pub(crate) fn message(events: &[Told], from: &str, to: &[String], now: UnixMillis) -> Vec<u8> {
    let id = events.first().map_or_else(|| "none".to_owned(), Told::id);
    let host = from.rsplit('@').next().unwrap_or("localhost");
    // Known from outside: with what names the events it is no boundary that could stand in base64.
    let boundary = format!("=_bartizan_{id}");
    let mut text = String::new();
    let headers = [
        ("From", from.to_owned()),
        ("To", to.join(",\r\n ")),
        ("Subject", encoded(&subject(events))),
        ("Date", date(now)),
        ("Message-ID", format!("<{id}.{}@{host}>", now.0)),
        ("MIME-Version", "1.0".to_owned()),
        // RFC 3834: nobody's vacation is to answer.
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("Content-Type", format!("multipart/alternative;\r\n boundary=\"{boundary}\"")),
    ];
    for (name, value) in headers {
        // A string takes all that is written, here and below.
        let _ = write!(text, "{name}: {value}\r\n");
    }
    for (kind, body) in [("plain", plain(events)), ("html", html(events))] {
        let _ = write!(
            text,
            "\r\n--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}",
            folded(&body)
        );
    }
    let _ = write!(text, "\r\n--{boundary}--\r\n");
    text.into_bytes()
}

fn subject(events: &[Told]) -> String {
    let severity = match events {
        [one] => one.severity().map(|severity| format!("[{}] ", severity.word())),
        _ => None,
    };
    let text = format!("{}{}", severity.unwrap_or_default(), heading(events));
    text.chars().take(200).collect()
}

/// RFC 2047 §2: words of up to 75 characters, which end between characters of ours.
fn encoded(text: &str) -> String {
    let mut words = Vec::new();
    let mut word = String::new();
    for character in text.chars() {
        if WORD < word.len() + character.len_utf8() {
            words.push(std::mem::take(&mut word));
        }
        word.push(character);
    }
    words.push(word);
    let words: Vec<_> =
        words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

/// RFC 5322 §3.3, in UTC.
fn date(at: UnixMillis) -> String {
    let at = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.unwrap_or_default().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

fn folded(body: &str) -> String {
    let encoded = STANDARD.encode(body);
    let lines = encoded.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line));
    lines.fold(String::new(), |text, line| text + &line + "\r\n")
}

fn plain(events: &[Told]) -> String {
    let mut text = format!("{}\r\n\r\n", heading(events));
    for told in events.iter().take(SHOWN) {
        if events.len() == 1 {
            for (name, value) in told.facts() {
                let _ = write!(text, "{name}: {}\r\n", one_line(&value));
            }
        } else {
            let _ = write!(text, "- {}\r\n", one_line(&line(told)));
        }
        if let Some(link) = told.link() {
            let _ = write!(text, "  {link}\r\n");
        }
    }
    if let Some(more) = left_out(events) {
        let _ = write!(text, "\r\n{more}\r\n");
    }
    text
}

fn html(events: &[Told]) -> String {
    let mut text = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title></head>\
         <body><h1>{0}</h1>",
        escaped(&heading(events))
    );
    let is_one = events.len() == 1;
    text.push_str(if is_one { "<table>" } else { "<ul>" });
    for told in events.iter().take(SHOWN) {
        let link = told.link().map(|link| format!("<a href=\"{}\">Open</a>", escaped(&link)));
        let link = link.unwrap_or_default();
        if is_one {
            for (name, value) in told.facts() {
                let _ = write!(
                    text,
                    "<tr><th align=\"left\">{name}</th><td>{}</td></tr>",
                    escaped(&value)
                );
            }
            let _ = write!(text, "<tr><td></td><td>{link}</td></tr>");
        } else {
            let _ = write!(text, "<li>{} {link}</li>", escaped(&line(told)));
        }
    }
    text.push_str(if is_one { "</table>" } else { "</ul>" });
    if let Some(more) = left_out(events) {
        let _ = write!(text, "<p>{more}</p>");
    }
    text.push_str("</body></html>");
    text
}

fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Octets in an encoded word: 45 are 60 in base64.
const WORD: usize = 45;
