//! Host names, parsed once.
//!
//! A [`DomainName`] is what a query, a ClientHello or a feed entry spells, brought to one form:
//! lower-case ASCII without the trailing dot (RFC 1035 §2.3.4, RFC 4343 for case). It does not
//! translate international names: A-labels go in, A-labels come out.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};

/// A host name: lower-case ASCII, no trailing dot, 1 to 253 octets (RFC 1035 §2.3.4). An IP address may stand in
/// its place, in the form of RFC 5952.
///
/// Holding one means it was checked; nothing downstream checks again. Letters, digits, `-` and `_`
/// are allowed in labels: names in real use are wider than RFC 952.
///
/// It takes 254 octets wherever it lies and nothing of the heap, so that judging a name allocates nothing.
#[derive(Clone)]
pub struct DomainName {
    octets: [u8; MAX_NAME_LEN],
    len: u8,
}

impl DomainName {
    /// Parses a name as a query or a ClientHello spells it: any case, trailing dot optional.
    ///
    /// # Errors
    /// The first reason why the octets are not a host name.
    pub fn parse(raw: &[u8]) -> Result<Self, DomainNameError> {
        let raw = raw.strip_suffix(b".").unwrap_or(raw);
        if MAX_NAME_LEN < raw.len() {
            return Err(DomainNameError::TooLong { octets: raw.len() });
        }
        for label in raw.split(|&octet| octet == b'.') {
            if label.is_empty() || MAX_LABEL_LEN < label.len() {
                return Err(DomainNameError::BadLabel { octets: label.len() });
            }
            if let Some(&octet) = label.iter().find(|octet| !is_host_octet(**octet)) {
                return Err(DomainNameError::BadOctet { octet });
            }
        }
        let mut name = Self { octets: [0; MAX_NAME_LEN], len: 0 };
        for (place, octet) in name.octets.iter_mut().zip(raw) {
            *place = octet.to_ascii_lowercase();
            name.len += 1;
        }
        Ok(name)
    }

    /// Parses a name, or an address that stands in its place.
    ///
    /// # Errors
    /// As [`DomainName::parse`].
    pub fn parse_host(raw: &[u8]) -> Result<Self, DomainNameError> {
        // Those of version 4 look like names, and are taken for some.
        let text = std::str::from_utf8(raw).ok().filter(|text| text.contains(':'));
        match text.and_then(|text| text.parse::<Ipv6Addr>().ok()) {
            Some(address) => Ok(Self::of_address(address.into())),
            None => Self::parse(raw),
        }
    }

    /// Returns an address in the place of a name, for what has no other.
    #[must_use]
    pub fn of_address(address: IpAddr) -> Self {
        let mut name = Self { octets: [0; MAX_NAME_LEN], len: 0 };
        let room = name.octets.len();
        let mut rest = name.octets.as_mut_slice();
        // An address takes 45 octets at most.
        if write!(rest, "{address}").is_ok() {
            name.len = u8::try_from(room - rest.len()).unwrap_or(0);
        }
        name
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // ASCII, as `parse` has seen to.
        std::str::from_utf8(self.octets()).unwrap_or_default()
    }

    /// Tables compare names by the hundred: without asking each time whether they are text.
    fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Yields the name itself, then each parent, down to the top-level label:
    /// `a.b.test`, `b.test`, `test`.
    pub fn suffixes(&self) -> impl Iterator<Item = &str> {
        let mut rest = Some(self.as_str());
        std::iter::from_fn(move || {
            let current = rest?;
            rest = current.split_once('.').map(|(_, parent)| parent);
            Some(current)
        })
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.as_str())
    }
}

impl Borrow<str> for DomainName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for DomainName {
    fn eq(&self, other: &Self) -> bool {
        self.octets() == other.octets()
    }
}

impl Eq for DomainName {}

impl Hash for DomainName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for DomainName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DomainName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.octets().cmp(other.octets())
    }
}

/// Why octets are not a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainNameError {
    /// More than [`MAX_NAME_LEN`] octets.
    #[error("name has {octets} octets, more than {MAX_NAME_LEN}")]
    TooLong {
        /// How many there are.
        octets: usize,
    },
    /// A label is empty or has more than 63 octets.
    #[error("label has {octets} octets, not 1 to {MAX_LABEL_LEN}")]
    BadLabel {
        /// How many there are.
        octets: usize,
    },
    /// Not a letter, digit, `-` or `_`.
    #[error("octet 0x{octet:02x} does not belong into a host name")]
    BadOctet {
        /// The first such octet.
        octet: u8,
    },
}

/// RFC 1035 §2.3.4 allows 255 octets on the wire; two of them are the root and the first length.
pub const MAX_NAME_LEN: usize = 253;
/// RFC 1035 §2.3.4.
const MAX_LABEL_LEN: usize = 63;

fn is_host_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_name_are_one_name() {
        check(b"Example.TEST", Ok("example.test"));
        check(b"example.test.", Ok("example.test"));
        check(b"_dmarc.xn--bcher-kva.example", Ok("_dmarc.xn--bcher-kva.example"));
        check(b"localhost", Ok("localhost"));
        check(b"192.0.2.7", Ok("192.0.2.7"));
    }

    #[test]
    fn an_address_may_stand_in_the_place_of_a_name() {
        for text in ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7"] {
            let name = DomainName::of_address(text.parse().unwrap());
            assert_eq!(name.as_str(), text);
            assert_eq!(DomainName::parse_host(text.as_bytes()), Ok(name));
        }
    }

    #[test]
    fn what_is_not_a_host_name_says_why() {
        check(b"", Err(DomainNameError::BadLabel { octets: 0 }));
        check(b".", Err(DomainNameError::BadLabel { octets: 0 }));
        check(b"a..test", Err(DomainNameError::BadLabel { octets: 0 }));
        check(&[b'a'; 64], Err(DomainNameError::BadLabel { octets: 64 }));
        check(&[b'a'; 254], Err(DomainNameError::TooLong { octets: 254 }));
        check(b"a b.test", Err(DomainNameError::BadOctet { octet: b' ' }));
        check(b"2001:db8::7", Err(DomainNameError::BadOctet { octet: b':' }));
        check("b\u{fc}cher.test".as_bytes(), Err(DomainNameError::BadOctet { octet: 0xc3 }));
    }

    #[test]
    fn suffixes_go_from_the_whole_name_to_the_top_level() {
        let name = DomainName::parse(b"a.b.test").unwrap();
        assert_eq!(name.suffixes().collect::<Vec<_>>(), ["a.b.test", "b.test", "test"]);
    }

    proptest! {
        #[test]
        fn parsing_its_own_text_changes_nothing(raw in "[A-Za-z0-9_.-]{0,80}") {
            if let Ok(name) = DomainName::parse(raw.as_bytes()) {
                prop_assert_eq!(DomainName::parse(name.as_str().as_bytes()), Ok(name));
            }
        }
    }

    #[track_caller]
    fn check(raw: &[u8], expected: Result<&str, DomainNameError>) {
        let name = DomainName::parse(raw);
        assert_eq!(name.as_ref().map(DomainName::as_str), expected.as_ref().copied());
    }
}
