//! Events for people who chat: Slack's blocks, and Adaptive Cards for Microsoft Teams.
//!
//! # Invariants
//! - What comes from outside stands where neither product reads markup: in `plain_text` and in `TextRun`. So no title of
//!   an alert can call people by name or pass for a link.

use serde_json::{Value, json};

use super::told::Told;

/// One message of Slack for some events.
pub(crate) fn slack(events: &[Told]) -> Value {
    let mut blocks = Vec::new();
    if 1 < events.len() {
        blocks.push(json!({ "type": "header", "text": plain(&heading(events), 150) }));
    }
    for told in events.iter().take(SHOWN) {
        if events.len() == 1 {
            blocks.push(json!({ "type": "header", "text": plain(&told.title(), 150) }));
            let facts: Vec<_> = told
                .facts()
                .iter()
                .take(10)
                .map(|(name, value)| plain(&format!("{name}: {value}"), 2_000))
                .collect();
            blocks.push(json!({ "type": "section", "fields": facts }));
        } else {
            blocks.push(json!({ "type": "section", "text": plain(&line(told), 3_000) }));
        }
        if let Some(link) = told.link() {
            let button = json!({
                "type": "button", "text": plain("Open in the console", 75), "url": link,
            });
            blocks.push(json!({ "type": "actions", "elements": [button] }));
        }
    }
    if let Some(more) = left_out(events) {
        blocks.push(json!({ "type": "context", "elements": [plain(&more, 2_000)] }));
    }
    json!({ "text": slack_escaped(&heading(events)), "blocks": blocks })
}

fn plain(text: &str, most: usize) -> Value {
    let text = cut(text, most);
    // An empty text is refused.
    let text = if text.trim().is_empty() { "-".to_owned() } else { text };
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

/// What is shown where blocks cannot be is read as markup, in which these three begin something.
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// One card for some events, in the envelope that a workflow of Teams takes.
pub(crate) fn teams(events: &[Told]) -> Value {
    let mut body = vec![run(&heading(events), true)];
    for told in events.iter().take(SHOWN) {
        if events.len() == 1 {
            for (name, value) in told.facts() {
                body.push(run(&format!("{name}: {value}"), false));
            }
        } else {
            body.push(run(&line(told), false));
        }
    }
    if let Some(more) = left_out(events) {
        body.push(run(&more, false));
    }
    let link = events.first().filter(|_| events.len() == 1).and_then(Told::link);
    let link = link.or_else(|| {
        let url = events.first().map(|told| told.console_url.clone()).filter(|url| !url.is_empty());
        url.map(|url| format!("{url}/alerts"))
    });
    let actions: Vec<_> = link
        .map(|url| json!({ "type": "Action.OpenUrl", "title": "Open in the console", "url": url }))
        .into_iter()
        .collect();
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": actions,
    });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

fn run(text: &str, is_heading: bool) -> Value {
    let mut run = json!({ "type": "TextRun", "text": cut(text, 1_000) });
    if let (true, Some(run)) = (is_heading, run.as_object_mut()) {
        run.insert("weight".to_owned(), "Bolder".into());
        run.insert("size".to_owned(), "Large".into());
    }
    json!({ "type": "RichTextBlock", "inlines": [run] })
}

/// What a message of several events begins with.
pub(crate) fn heading(events: &[Told]) -> String {
    match events {
        [one] => one.title(),
        [first, ..] => format!("{} events at {}", events.len(), first.tenant_name),
        [] => String::new(),
    }
}

/// An event in one line of many.
pub(crate) fn line(told: &Told) -> String {
    let severity = told.severity().map_or("", |severity| severity.word());
    let device = told.device.as_ref().map_or("", |device| device.name.as_str());
    let parts = [severity, &told.title(), device];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" – ")
}

/// Says how many events a message does not show.
pub(crate) fn left_out(events: &[Told]) -> Option<String> {
    let more = events.len().saturating_sub(SHOWN);
    (0 < more).then(|| format!("and {more} more, which the console shows"))
}

/// Cuts after so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Events that a message shows: with a button each, Slack takes 50 blocks.
pub(crate) const SHOWN: usize = 20;
