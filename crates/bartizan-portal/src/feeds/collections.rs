//! Feeds that are many documents: a MISP folder and a TAXII 2.1 collection. Only what leads from one
//! document to the next is understood here; the documents go on as they are, to whoever reads feeds.
//!
//! A MISP folder becomes an array of its newest events, a collection an array of its envelopes.

use std::collections::BTreeMap;
use std::io::Write;

use bartizan_store::Validators;
use serde::Deserialize;
use uuid::Uuid;

use super::fetch::{FetchError, Fetched, Fetcher};

impl Fetcher {
    /// Fetches the newest events of a MISP feed, unless its manifest is the one known by `known`.
    ///
    /// # Errors
    /// Why they did not come whole. Something may have been written.
    pub fn misp(
        &self,
        url: &str,
        known: &Validators,
        into: &mut dyn Write,
    ) -> Result<Fetched, FetchError> {
        let folder = url.strip_suffix("manifest.json").unwrap_or(url).trim_end_matches('/');
        let mut octets = self.limits().octets;
        let manifest_url = format!("{folder}/manifest.json");
        let Some(answer) = self.get(&manifest_url, known, "application/json")? else {
            return Ok(Fetched::Unchanged);
        };
        let validators = answer.validators();
        let mut manifest = Vec::new();
        self.copy(answer, &mut octets, &mut manifest)?;
        let events = newest_events(&manifest)?;
        let mut separator = "[\n";
        for event in events {
            let url = format!("{folder}/{event}.json");
            let answer = self.get(&url, &Validators::default(), "application/json")?;
            let Some(answer) = answer else { continue };
            write(into, separator.as_bytes())?;
            separator = ",\n";
            self.copy(answer, &mut octets, into)?;
        }
        write(into, if separator == "[\n" { b"[]\n" } else { b"\n]\n" })?;
        Ok(Fetched::New(validators))
    }

    /// Fetches all objects of a TAXII 2.1 collection, `.../collections/ID/`. A collection has no
    /// validators: what it is now is told by its contents.
    ///
    /// # Errors
    /// Why they did not come whole. Something may have been written.
    pub fn taxii(&self, url: &str, into: &mut dyn Write) -> Result<Fetched, FetchError> {
        let collection = url.trim_end_matches('/');
        let collection = collection.strip_suffix("/objects").unwrap_or(collection);
        let mut octets = self.limits().octets;
        // Optional in the standard (§5.4), but there are servers that page only with it.
        let mut url = format!("{collection}/objects/?limit={TAXII_PAGE}");
        for page in 0..MAX_PAGES {
            let answer = self.get(&url, &Validators::default(), TAXII)?;
            let answer = answer.ok_or(FetchError::OtherDocument(NOT_TAXII))?;
            let mut envelope = Vec::new();
            self.copy(answer, &mut octets, &mut envelope)?;
            let next: Envelope = serde_json::from_slice(&envelope)
                .map_err(|_| FetchError::OtherDocument(NOT_TAXII))?;
            write(into, if page == 0 { b"[\n" } else { b",\n" })?;
            write(into, &envelope)?;
            match next {
                Envelope { more: true, next: Some(next) } => {
                    url =
                        format!("{collection}/objects/?limit={TAXII_PAGE}&next={}", escaped(&next));
                }
                Envelope { .. } => {
                    write(into, b"\n]\n")?;
                    return Ok(Fetched::New(Validators::default()));
                }
            }
        }
        Err(FetchError::OtherDocument("has more pages than a collection is read of"))
    }
}

/// What of a manifest matters: events by their id, with when each was changed.
#[derive(Deserialize)]
struct ManifestEntry {
    #[serde(default)]
    timestamp: Timestamp,
}

/// MISP writes numbers as text, and now and then as numbers.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(untagged)]
enum Timestamp {
    Number(u64),
    Text(String),
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// TAXII 2.1 §3.7.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    more: bool,
    #[serde(default)]
    next: Option<String>,
}

/// Returns the ids of at most [`MAX_EVENTS`] events, the newest first. An id becomes part of an address, so
/// what is not a UUID is not followed.
fn newest_events(manifest: &[u8]) -> Result<Vec<String>, FetchError> {
    let not_misp = |_| FetchError::OtherDocument("has no manifest.json of a MISP feed");
    let manifest: BTreeMap<String, ManifestEntry> =
        serde_json::from_slice(manifest).map_err(not_misp)?;
    let mut events: Vec<(u64, String)> = Vec::with_capacity(manifest.len());
    for (id, entry) in manifest {
        let id = Uuid::try_parse(&id)
            .map_err(|_| FetchError::OtherDocument("has a manifest.json that names no events"))?;
        let timestamp = match entry.timestamp {
            Timestamp::Number(seconds) => seconds,
            Timestamp::Text(text) => text.parse().unwrap_or(0),
        };
        events.push((timestamp, id.hyphenated().to_string()));
    }
    events.sort_by(|one, other| other.cmp(one));
    events.truncate(MAX_EVENTS);
    Ok(events.into_iter().map(|(_, id)| id).collect())
}

/// A value for a query (RFC 3986 §3.4).
fn escaped(value: &str) -> String {
    let address = crate::console::address("", &[("x", value)]);
    address.strip_prefix("?x=").unwrap_or_default().to_owned()
}

fn write(into: &mut dyn Write, octets: &[u8]) -> Result<(), FetchError> {
    into.write_all(octets).map_err(FetchError::Sink)
}

/// Objects to ask for at a time; a server may give fewer.
const TAXII_PAGE: u32 = 1_000;
const TAXII: &str = "application/taxii+json;version=2.1";
const NOT_TAXII: &str = "does not answer as a TAXII 2.1 collection does";
/// A request each.
const MAX_EVENTS: usize = 1_000;
/// Servers give some thousand objects a page.
const MAX_PAGES: usize = 1_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_newest_events_of_a_manifest_come_first() {
        let manifest = br#"{
            "5d1a0b1c-0000-4000-8000-000000000001": {"timestamp": "100", "info": "x"},
            "5d1a0b1c-0000-4000-8000-000000000002": {"timestamp": 300},
            "5d1a0b1c-0000-4000-8000-000000000003": {}
        }"#;
        let last: Vec<_> = newest_events(manifest)
            .unwrap()
            .into_iter()
            .map(|id| id.chars().last().unwrap())
            .collect();
        assert_eq!(last, ['2', '1', '3']);
    }

    proptest! {
        #[test]
        fn no_manifest_panics(octets in prop::collection::vec(any::<u8>(), 0..400), text in ".*") {
            let _ = newest_events(&octets);
            let _ = newest_events(format!("{{\"{text}\": {{\"timestamp\": \"{text}\"}}}}").as_bytes());
            let _ = serde_json::from_slice::<Envelope>(&octets);
        }
    }

    #[test]
    fn an_id_that_would_lead_elsewhere_is_not_followed() {
        for manifest in [r#"{"../../admin": {}}"#, r#"{"x?y": {}}"#, "[]", "<html>"] {
            assert!(newest_events(manifest.as_bytes()).is_err(), "{manifest}");
        }
        assert_eq!(escaped("a b&c=/é"), "a%20b%26c%3D%2F%C3%A9");
    }
}
