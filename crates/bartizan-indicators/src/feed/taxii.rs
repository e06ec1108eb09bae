//! The envelope in which a TAXII 2.1 collection answers (OASIS TAXII 2.1 §3.7).
//!
//! Its objects are read by [`super::read`] like those of a bundle; here is only what leads to the next page.

use serde::Deserialize;

use super::FeedError;
use super::json::Loose;

/// What an envelope says beside its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// There are further objects.
    pub more: bool,
    /// Asks for them, as the parameter `next`.
    pub next: Option<String>,
}

/// Reads where an envelope leads to. One without objects, which [`super::read`] finds empty, is in order.
///
/// # Errors
/// It is not one: [`FeedError::OtherJson`].
pub fn page(octets: &[u8]) -> Result<Page, FeedError> {
    #[derive(Deserialize)]
    struct Envelope {
        #[serde(default)]
        more: Loose,
        #[serde(default)]
        next: Loose,
    }

    let envelope: Envelope = serde_json::from_slice(octets)
        .map_err(|error| FeedError::OtherJson { line: error.line() })?;
    Ok(Page { more: envelope.more.is_true(), next: envelope.next.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_leads_to_the_next() {
        for (envelope, more, next) in [
            (r#"{"more":true,"next":"123","objects":[{"type":"indicator"}]}"#, true, Some("123")),
            (r#"{"more":true,"next":123}"#, true, Some("123")),
            (r#"{"more":false,"objects":[]}"#, false, None),
            ("{}", false, None),
        ] {
            let expected = Page { more, next: next.map(str::to_owned) };
            assert_eq!(page(envelope.as_bytes()).unwrap(), expected, "{envelope}");
        }
        assert!(matches!(page(b"<html>"), Err(FeedError::OtherJson { line: 1 })));
    }
}
