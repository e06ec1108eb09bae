//! Events of MISP, and the manifest of a feed of them.
//!
//! An attribute lists something if it is meant for detection (`to_ids`), not deleted, and of a type that a
//! device meets. Of `domain|ip` the domain counts: others may be served at the same address.
//!
//! # What it does not do
//! - Fetch: a manifest names the events of a feed, and the fetcher asks for each.
//! - Read proposals, sightings or galaxies.

use std::collections::BTreeMap;

use bartizan_model::{IndicatorCategory, UnixMillis};
use serde::Deserialize;

use super::json::{Loose, Text};
use super::report::Unread;
use super::{FeedError, category, entry};
use crate::pattern::Pattern;

/// An event that a feed holds, as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Names the event's file beside the manifest: `UUID.json`. Lower-case hexadecimal and hyphens, 36 octets, so
    /// that it stays in that folder.
    pub uuid: String,
    /// When the event was last changed, as its publisher says.
    pub changed_at: UnixMillis,
    /// What the event is about; empty where it does not say.
    pub info: String,
}

/// Reads the manifest of a feed (`manifest.json`), in the order of the UUIDs.
///
/// # Errors
/// It is not one: [`FeedError::OtherJson`].
pub fn manifest(octets: &[u8]) -> Result<Vec<ManifestEntry>, FeedError> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default)]
        timestamp: Loose,
        #[serde(default)]
        info: Loose,
    }

    let events: BTreeMap<String, Event> = serde_json::from_slice(octets)
        .map_err(|error| FeedError::OtherJson { line: error.line() })?;
    events
        .into_iter()
        .map(|(uuid, event)| {
            let seconds = event.timestamp.0.and_then(|text| text.parse::<u64>().ok());
            Ok(ManifestEntry {
                uuid: lower_case_uuid(&uuid).ok_or(FeedError::OtherJson { line: 0 })?,
                changed_at: UnixMillis(seconds.unwrap_or_default().saturating_mul(1_000)),
                info: event.info.0.unwrap_or_default(),
            })
        })
        .collect()
}

fn lower_case_uuid(text: &str) -> Option<String> {
    let is_hyphen_at = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let fits = text.bytes().enumerate().all(|(at, octet)| {
        if is_hyphen_at(at) { octet == b'-' } else { octet.is_ascii_hexdigit() }
    });
    (text.len() == 36 && fits).then(|| text.to_ascii_lowercase())
}

/// What an event says of one observable.
#[derive(Debug, Deserialize)]
pub(super) struct Attribute {
    #[serde(default, rename = "type")]
    kind: Option<Text>,
    #[serde(default)]
    value: Option<Text>,
    #[serde(default)]
    to_ids: Loose,
    #[serde(default)]
    deleted: Loose,
    #[serde(default, rename = "Tag")]
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
struct Tag {
    #[serde(default)]
    name: Option<Text>,
}

impl Attribute {
    pub(super) fn pattern(&self) -> Result<Pattern, Unread> {
        if self.deleted.is_true() || !self.to_ids.is_true() {
            return Err(Unread::SaysNothing);
        }
        let (Some(Text(kind)), Some(Text(value))) = (&self.kind, &self.value) else {
            return Err(Unread::Because("is not an attribute of an event"));
        };
        let first = || value.split('|').next().unwrap_or(value);
        match kind.as_str() {
            "domain" | "hostname" | "url" | "ip-dst" | "ip-src" => entry::pattern(value),
            "domain|ip" | "hostname|port" | "ip-dst|port" | "ip-src|port" => {
                entry::pattern(first())
            }
            // A path alone, more often than not.
            "uri" if !value.starts_with('/') => entry::pattern(value),
            _ => Err(Unread::SaysNothing),
        }
    }

    pub(super) fn category(&self) -> Option<IndicatorCategory> {
        let names = self.tags.iter().filter_map(|tag| tag.name.as_ref());
        category::of_words(names.map(|Text(name)| name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_for_detection_lists_what_a_device_meets() {
        for (attribute, expected) in [
            (r#""type":"domain","value":"evil[.]test","to_ids":true"#, Ok("evil.test")),
            (r#""type":"hostname","value":"a.evil.test","to_ids":"1""#, Ok("a.evil.test")),
            (r#""type":"domain|ip","value":"evil.test|192.0.2.1","to_ids":1"#, Ok("evil.test")),
            (r#""type":"hostname|port","value":"evil.test|80","to_ids":true"#, Ok("evil.test")),
            (r#""type":"ip-dst|port","value":"192.0.2.1|80","to_ids":true"#, Ok("192.0.2.1")),
            (r#""type":"ip-src","value":"192.0.2.0/24","to_ids":true"#, Ok("192.0.2.0/24")),
            (r#""type":"url","value":"http://evil.test/a","to_ids":true"#, Ok("evil.test/a")),
            (r#""type":"uri","value":"/a/b","to_ids":true"#, Err(Unread::SaysNothing)),
            (r#""type":"link","value":"http://good.test","to_ids":true"#, Err(Unread::SaysNothing)),
            (r#""type":"sha256","value":"ab","to_ids":true"#, Err(Unread::SaysNothing)),
            (r#""type":"domain","value":"good.test","to_ids":false"#, Err(Unread::SaysNothing)),
            (r#""type":"domain","value":"good.test""#, Err(Unread::SaysNothing)),
            (
                r#""type":"domain","value":"good.test","to_ids":true,"deleted":"1""#,
                Err(Unread::SaysNothing),
            ),
            (
                r#""type":"domain","value":null,"to_ids":true"#,
                Err(Unread::Because("is not an attribute of an event")),
            ),
        ] {
            let read: Attribute = serde_json::from_str(&format!("{{{attribute}}}")).unwrap();
            let pattern = read.pattern().map(|pattern| pattern.to_string());
            assert_eq!(pattern.as_deref().map_err(|unread| *unread), expected, "{attribute}");
        }
    }

    #[test]
    fn a_manifest_names_events_and_no_other_file() {
        let manifest_of = |key: &str| {
            manifest(
                format!(r#"{{"{key}":{{"info":"x","timestamp":"1700000000","Tag":[]}}}}"#)
                    .as_bytes(),
            )
        };
        let uuid = "0000abcd-0000-4000-8000-00000000000A";
        assert_eq!(
            manifest_of(uuid).unwrap(),
            [ManifestEntry {
                uuid: uuid.to_ascii_lowercase(),
                changed_at: UnixMillis(1_700_000_000_000),
                info: "x".to_owned(),
            }]
        );
        for other in ["../../etc/passwd", "", "0000abcd-0000-4000-8000-00000000000/", "a"] {
            assert!(matches!(manifest_of(other), Err(FeedError::OtherJson { line: 0 })), "{other}");
        }
        assert!(matches!(manifest(b"[]"), Err(FeedError::OtherJson { .. })));
    }
}
