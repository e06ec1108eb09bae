//! Alerts of other products: `POST /api/v1/intake/…`, one for each way of saying them.
//!
//! Each is read as far as it is understood; all of it is kept as evidence, up to [`MOST_ORIGINAL`]. Of several, those
//! that cannot be read are told, and the others are taken.
//!
//! # What it does not do
//! - Follow what the other product does with its alert later: here people decide by themselves.

mod defender;
mod ocsf;
mod webhook;

use axum::http::StatusCode;
use bartizan_model::{DeviceId, DomainName, Severity, UnixMillis};
use bartizan_store::{ExternalAlert, Permission, Taken};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::operation::{Answer, Call, Operation, Reply, Tagged, Verb};
use super::schema::{COUNT, Object, Schema, always};
use super::serve::unfit;

static ITEM: Object = Object {
    name: "IntakeItem",
    about: "What became of an alert.",
    fields: &[
        always("outcome", OUTCOMES, "new, updated (it happened once more), unchanged, or refused."),
        always(
            "external_id",
            Schema::Nullable(&Schema::Text { least: 1, most: MOST_ID }),
            "What the other product calls it.",
        ),
        always("alert", Schema::Nullable(&Schema::Id), "The alert here."),
        always("problem", Schema::Nullable(&super::resources::LINE), "Why it was refused."),
    ],
};

static TAKEN: Object = Object {
    name: "IntakeResult",
    about: "What became of alerts, in their order.",
    fields: &[
        always("taken", COUNT, "How many are here now."),
        always("items", Schema::List { of: &Schema::Object(&ITEM), most: MOST }, "Each of them."),
    ],
};

const OUTCOMES: Schema = Schema::Word(&["new", "updated", "unchanged", "refused"]);
const ANYTHING: Schema = Schema::OneOrMany { of: &Schema::Any, most: MOST };

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Post,
        path: "/api/v1/intake/ocsf",
        id: "takeOcsf",
        summary: "Bring in OCSF 1.x Detection Findings",
        permission: Permission::AlertsInvestigation,
        query: &[],
        body: Some(ANYTHING),
        answer: (StatusCode::OK, Some(&TAKEN)),
        tagged: Tagged::No,
        handler: |call| Box::pin(take(call, ocsf::read)),
    },
    Operation {
        verb: Verb::Post,
        path: "/api/v1/intake/defender",
        id: "takeDefender",
        summary: "Bring in alerts as the API of Microsoft Defender for Endpoint gives them",
        permission: Permission::AlertsInvestigation,
        query: &[],
        body: Some(ANYTHING),
        answer: (StatusCode::OK, Some(&TAKEN)),
        tagged: Tagged::No,
        handler: |call| Box::pin(take(call, defender::read)),
    },
    Operation {
        verb: Verb::Post,
        path: "/api/v1/intake/webhook",
        id: "takeWebhook",
        summary: "Bring in alerts of any product",
        permission: Permission::AlertsInvestigation,
        query: &[],
        body: Some(Schema::OneOrMany { of: &Schema::Object(&webhook::ALERT), most: MOST }),
        answer: (StatusCode::OK, Some(&TAKEN)),
        tagged: Tagged::No,
        handler: |call| Box::pin(take(call, webhook::read)),
    },
];

/// What was understood of an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Understood {
    product: String,
    external_id: String,
    title: String,
    severity: Option<Severity>,
    category: String,
    host: Option<DomainName>,
    device: Option<DeviceId>,
    device_name: String,
    os: String,
    link: String,
    first_seen_ms: Option<u64>,
    last_seen_ms: Option<u64>,
}

type Reader = fn(&Value) -> Result<Understood, String>;

async fn take(call: Call, read: Reader) -> Answer {
    let all = match &call.body {
        Value::Array(items) => items.as_slice(),
        // A list as Defender's API gives it.
        Value::Object(members) => match members.get("value") {
            Some(Value::Array(items)) if members.get("id").is_none() => items.as_slice(),
            _ => std::slice::from_ref(&call.body),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => &[],
    };
    if MOST < all.len() {
        return Err(unfit(format!("there are more than {MOST} alerts")));
    }
    let read: Vec<_> =
        all.iter().map(|it| read(it).and_then(|said| whole(it, said, call.now))).collect();
    let good: Vec<_> = read.iter().filter_map(|it| it.as_ref().ok()).cloned().collect();
    if let (true, Some(Err(problem))) = (good.is_empty(), read.first()) {
        return Err(unfit(problem.clone()));
    }
    let scope = call.application.scope;
    let taken = call.state.store.take_external(scope, good, call.now).await?;
    if taken.iter().any(|it| !matches!(it, Taken::Unchanged(_))) {
        call.state.news.publish(scope.tenant_id());
    }
    let number = taken.len();
    let mut taken = taken.into_iter();
    let items: Vec<_> = read
        .iter()
        .map(|it| match it {
            Err(problem) => json!({
                "outcome": "refused", "external_id": null, "alert": null, "problem": problem,
            }),
            Ok(alert) => {
                let (outcome, key) = match taken.next() {
                    Some(Taken::New(key)) => ("new", Some(key)),
                    Some(Taken::Updated(key)) => ("updated", Some(key)),
                    Some(Taken::Unchanged(key)) => ("unchanged", Some(key)),
                    None => ("refused", None),
                };
                json!({
                    "outcome": outcome, "external_id": alert.external_id,
                    "alert": key.map(|key| key.to_string()), "problem": null,
                })
            }
        })
        .collect();
    Ok(Reply::of(json!({ "taken": number, "items": items })))
}

/// Brings what was understood within bounds, and puts what came beside it.
fn whole(value: &Value, said: Understood, now: UnixMillis) -> Result<ExternalAlert, String> {
    let external_id = plain(&said.external_id, usize::MAX);
    if external_id.is_empty() || MOST_ID < external_id.chars().count() {
        return Err(format!("its id has not 1 to {MOST_ID} characters"));
    }
    let title = plain(&said.title, 300);
    let text = value.to_string();
    let last = said.last_seen_ms.or(said.first_seen_ms).unwrap_or(now.0);
    Ok(ExternalAlert {
        product: some(plain(&said.product, 100), "Another product"),
        external_id,
        title: some(title, "Alert of another product"),
        severity: said.severity.unwrap_or(Severity::Informational),
        category: some(plain(&said.category, 100), "SuspiciousActivity"),
        host: said.host,
        device: said.device,
        device_name: plain(&said.device_name, 200),
        os: plain(&said.os, 100),
        link: link(&said.link),
        first_seen: UnixMillis(said.first_seen_ms.unwrap_or(last)),
        last_seen: UnixMillis(last),
        digest: Sha256::digest(&text).into(),
        original: cut(text),
    })
}

/// Keeps as much as is bounded, of whole characters.
fn cut(mut text: String) -> String {
    let mut end = MOST_ORIGINAL.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.truncate(end);
    text
}

/// One line of visible characters, cut.
fn plain(text: &str, most: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(most).map(clean).collect()
}

fn some(text: String, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text }
}

/// Only what a browser opens as a page of its own.
fn link(text: &str) -> String {
    let is_link = (text.starts_with("https://") || text.starts_with("http://"))
        && text.len() <= 2_048
        && text.bytes().all(|octet| octet.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&octet));
    if is_link { text.to_owned() } else { String::new() }
}

/// Text at a place in it (RFC 6901); numbers as text.
fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
            String::new()
        }
    }
}

/// The first of some places that says something.
fn first_text(value: &Value, pointers: &[&str]) -> String {
    pointers.iter().map(|it| text(value, it)).find(|it| !it.is_empty()).unwrap_or_default()
}

/// A host name, an address, or the host of a URL.
fn host(text: &str) -> Option<DomainName> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = if host.matches(':').count() == 1 { host.split(':').next()? } else { host };
    DomainName::parse_host(host.as_bytes()).ok()
}

/// A time as RFC 3339 spells it, or as Unix milliseconds.
fn time(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => {
            let stamp: Timestamp = text.parse().ok()?;
            u64::try_from(stamp.as_millisecond()).ok()
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Reads whatever it is in every way, for the fuzzer.
pub(crate) fn fuzz(octets: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(octets) else { return };
    for read in [ocsf::read, defender::read, webhook::read] {
        let whole =
            read(&value).and_then(|said| whole(&value, said, UnixMillis(1_800_000_000_000)));
        if let Ok(alert) = whole {
            assert!(alert.original.len() <= MOST_ORIGINAL, "bounded");
            assert!(!alert.external_id.is_empty() && !alert.title.is_empty(), "said");
            assert!(!alert.title.chars().any(char::is_control), "plain");
        }
    }
}

/// Alerts in one request.
const MOST: usize = 100;
const MOST_ID: usize = 200;
/// Octets of what came that are kept.
const MOST_ORIGINAL: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_what_products_say() {
        for (said, expected) in [
            ("evil.test", Some("evil.test")),
            ("https://user@Evil.test:8443/a?b#c", Some("evil.test")),
            ("evil.test:443", Some("evil.test")),
            ("", None),
            ("no good", None),
        ] {
            assert_eq!(host(said).map(|it| it.to_string()).as_deref(), expected, "{said}");
        }
    }

    #[test]
    fn only_links_to_pages_are_kept() {
        assert_eq!(link("https://x.test/a?b=1"), "https://x.test/a?b=1");
        for odd in
            ["javascript:alert(1)", "https://x.test/\"><script>", "//x.test", "https://x test"]
        {
            assert_eq!(link(odd), "", "{odd}");
        }
    }

    #[test]
    fn what_came_is_kept_within_bounds() {
        assert_eq!(cut("ä".repeat(40_000)).len(), MOST_ORIGINAL);
        assert_eq!(cut("short".into()), "short");
    }

    #[test]
    fn the_committed_corpus_is_replayed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/intake");
        let mut replayed = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            fuzz(&std::fs::read(entry.unwrap().path()).unwrap());
            replayed += 1;
        }
        assert!(3 < replayed, "{replayed} replayed");
    }
}
