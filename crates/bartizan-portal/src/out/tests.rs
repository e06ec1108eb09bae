//! The forms, held to golden files, and to this: no text from outside breaks out of one.

use std::path::Path;

use bartizan_model::{Severity, UnixMillis};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::Value;

use super::samples::{of_each_kind, raised};
use super::told::Told;
use super::{chat, json, line, mail};

const NOW: UnixMillis = UnixMillis(1_800_000_001_000);

#[test]
fn every_form_is_as_its_golden_file() {
    let events = of_each_kind();
    let mut whole = true;
    let pretty = |value: &dyn Fn(&Told) -> Value| {
        let all: Vec<_> = events.iter().map(value).collect();
        serde_json::to_string_pretty(&all).unwrap() + "\n"
    };
    whole &= golden("bartizan.json", &pretty(&json::bartizan));
    whole &= golden("ocsf.json", &pretty(&json::ocsf));
    let lines = |line: &dyn Fn(&Told) -> String| {
        events.iter().map(|told| line(told) + "\n").collect::<String>()
    };
    whole &= golden("cef.txt", &lines(&line::cef));
    whole &= golden("syslog.txt", &lines(&|told| line::syslog(told, "message")));
    let one = &events[..1];
    let both = |form: fn(&[Told]) -> Value| {
        serde_json::to_string_pretty(&vec![form(one), form(&events)]).unwrap() + "\n"
    };
    whole &= golden("slack.json", &both(chat::slack));
    whole &= golden("teams.json", &both(chat::teams));
    let message = |events: &[Told]| {
        let to = ["soc@example.test".to_owned(), "lead@example.test".to_owned()];
        String::from_utf8(mail::message(events, "bartizan@example.test", &to, NOW)).unwrap()
    };
    whole &= golden("mail.txt", &message(one).replace("\r\n", "\n"));
    whole &= golden("mail-digest.txt", &message(&events).replace("\r\n", "\n"));
    assert!(whole, "files were not there: look at what was written");
}

/// Compares; writes a file that is not there yet, and tells that it was not.
#[track_caller]
fn golden(name: &str, text: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/out/golden").join(name);
    match std::fs::read_to_string(&path) {
        Ok(expected) => {
            assert_eq!(text, expected, "{name}");
            true
        }
        Err(_) => {
            std::fs::write(&path, text).unwrap();
            false
        }
    }
}

#[test]
fn cef_escapes_what_divides_header_and_fields() {
    let mut told = raised(1, Severity::High);
    let alert = told.alert.as_mut().unwrap();
    alert.title = "a|b\\c\nCEF:0|x".into();
    alert.host = Some("h=1\\ act=Allow\r\n<13>1".into());
    let cef = line::cef(&told);
    assert!(cef.contains(r"|a\|b\\c CEF:0\|x: h=1\\ act=Allow  <13>1|9|"), "{cef}");
    assert!(cef.contains(r"dhost=h\=1\\ act\=Allow\r\n<13>1"), "{cef}");
}

#[test]
fn syslog_names_the_host_and_its_frame_counts_octets() {
    let mut told = raised(3_000_000_000, Severity::Low);
    let text = line::syslog(&told, "ü");
    let head = "<109>1 2027-01-15T08:00:00.123Z portal.example bartizan - alert.raised [origin ";
    assert!(text.starts_with(head), "{text}");
    assert!(text.ends_with("[meta sequenceId=\"852516353\"] ü"), "{text}");
    assert_eq!(line::framed("ü"), "2 ü".as_bytes());
    for url in ["", "nonsense", "https://", "https://a\nb/", "https://a b"] {
        told.console_url = url.into();
        assert!(line::syslog(&told, "").contains("Z - bartizan "), "{url}");
    }
}

/// What may stand in an alert, hostile as it may be.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        proptest::collection::vec(
            prop_oneof![
                Just("\r\n"),
                Just("\n.\r\n"),
                Just("|"),
                Just("\\"),
                Just("="),
                Just("]"),
                Just("\""),
                Just("<!channel>"),
                Just("<https://evil.example|safe>"),
                Just("[safe](https://evil.example)"),
                Just("<script>"),
                Just("\u{2028}"),
                Just("\0"),
                Just("\r\nBcc: x@evil.example\r\n"),
                Just("--=_bartizan_evt_7_1"),
                Just("ü"),
            ],
            0..12
        )
        .prop_map(|parts| parts.concat()),
    ]
}

proptest! {
    #[test]
    fn no_text_breaks_out_of_a_form(
        title in hostile(), host in hostile(), name in hostile(), tenant in hostile(), many in 1..3_usize,
    ) {
        let mut told = raised(1, Severity::High);
        told.tenant_name.clone_from(&tenant);
        if let Some(device) = &mut told.device {
            device.name.clone_from(&name);
        }
        if let Some(alert) = &mut told.alert {
            alert.title.clone_from(&title);
            alert.host = Some(host);
        }
        let plain = raised(1, Severity::High);
        let events = vec![told.clone(); many];

        // JSON comes back as it went in.
        let read: Value = serde_json::from_str(&json::bartizan(&told).to_string()).unwrap();
        prop_assert_eq!(&read["data"]["alert"]["title"], &Value::from(title.clone()));
        prop_assert_eq!(read["data"].as_object().unwrap().len(), 10);

        // A line stays one, and a reader finds the header's and the extension's fields that we wrote.
        let cef = line::cef(&told);
        prop_assert!(!cef.chars().any(|c| c.is_control() || c == '\u{2028}'), "{}", cef);
        let (header, extension) = read_cef(&cef);
        let (plain_header, plain_extension) = read_cef(&line::cef(&plain));
        prop_assert_eq!(header.len(), plain_header.len());
        let keys = |fields: &[(String, String)]| {
            fields.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(keys(&extension), keys(&plain_extension));
        let text = line::syslog(&told, &cef);
        prop_assert!(text.starts_with("<106>1 ") && !text.contains('\n'));

        // Chats: what comes from outside stands in plain text alone.
        check_slack(&chat::slack(&events));
        check_teams(&chat::teams(&events));

        // A mail has our headers, and lines that SMTP carries.
        let message = mail::message(&events, "a@example.test", &["b@example.test".to_owned()], NOW);
        let message = String::from_utf8(message).unwrap();
        prop_assert!(message.is_ascii());
        for line in message.split("\r\n") {
            prop_assert!(line.len() <= 100 && !line.contains(['\r', '\n']) && !line.starts_with('.'));
        }
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        let names: Vec<_> = head
            .split("\r\n")
            .filter(|line| !line.starts_with(' '))
            .map(|line| line.split(':').next().unwrap())
            .collect();
        prop_assert_eq!(names, ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted", "Content-Type"]);
        prop_assert_eq!(body.matches("--=_bartizan_evt_7_1\r\n").count(), 2);
        prop_assert_eq!(body.matches("--=_bartizan_evt_7_1--").count(), 1);
        let html: String = body
            .rsplit("\r\n\r\n")
            .next()
            .unwrap()
            .lines()
            .take_while(|line| !line.starts_with("--"))
            .collect();
        let html = String::from_utf8(STANDARD.decode(html).unwrap()).unwrap();
        prop_assert!(!html.contains("<script>") && !html.contains("<http"), "{}", html);
    }
}

/// Reads CEF as its specification says to.
fn read_cef(line: &str) -> (Vec<String>, Vec<(String, String)>) {
    let mut header = vec![String::new()];
    let mut characters = line.chars();
    while header.len() < 8 {
        match characters.next().unwrap() {
            '\\' => header.last_mut().unwrap().push(characters.next().unwrap()),
            '|' => header.push(String::new()),
            other => header.last_mut().unwrap().push(other),
        }
    }
    let rest: Vec<char> = characters.collect();
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut text = String::new();
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            '\\' => {
                at += 1;
                text.push(rest[at]);
            }
            '=' => {
                // The key is the last word before it.
                let (before, key) = text.rsplit_once(' ').unwrap_or(("", &text));
                if let Some(last) = fields.last_mut() {
                    last.1 = before.to_owned();
                }
                fields.push((key.to_owned(), String::new()));
                text = String::new();
            }
            other => text.push(other),
        }
        at += 1;
    }
    if let Some(last) = fields.last_mut() {
        last.1 = text;
    }
    (header, fields)
}

fn check_slack(message: &Value) {
    let text = message["text"].as_str().unwrap();
    assert!(!text.contains(['<', '>']), "{text}");
    let blocks = message["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    walk(message, &mut |object| {
        if object.contains_key("emoji") {
            assert_eq!(object["type"], "plain_text");
            assert!(!object["text"].as_str().unwrap().is_empty());
        }
        assert_ne!(object.get("type"), Some(&Value::from("mrkdwn")));
        if let Some(url) = object.get("url") {
            assert!(url.as_str().unwrap().starts_with("https://portal.example/"));
        }
    });
}

fn check_teams(message: &Value) {
    let kinds = ["message", "AdaptiveCard", "RichTextBlock", "TextRun", "Action.OpenUrl"];
    walk(message, &mut |object| {
        if let Some(kind) = object.get("type") {
            assert!(kinds.contains(&kind.as_str().unwrap()), "{kind}");
        }
        if object.contains_key("text") {
            assert_eq!(object["type"], "TextRun", "the only one that reads no markup");
        }
    });
}

fn walk(value: &Value, look: &mut dyn FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            look(object);
            object.values().for_each(|value| walk(value, look));
        }
        Value::Array(values) => values.iter().for_each(|value| walk(value, look)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
