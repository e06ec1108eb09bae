//! The attestation object, CBOR, and the authenticator data in it (Web Authentication, sections 6.5 and 6.1; the format
//! `apple-appattest` is Apple's).

use minicbor::Decoder;

/// What there is in an attestation object; what is not known is skipped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Object<'a> {
    /// The certificate of the key.
    pub(super) leaf: &'a [u8],
    /// What leads from it to a root.
    pub(super) between: Vec<&'a [u8]>,
    pub(super) auth_data: &'a [u8],
}

impl<'a> Object<'a> {
    /// Reads one, to its end.
    pub(super) fn parse(octets: &'a [u8]) -> Option<Self> {
        if MOST < octets.len() {
            return None;
        }
        let mut cbor = Decoder::new(octets);
        let (mut format, mut certificates, mut auth_data) = (None, None, None);
        for _ in 0..entries(&mut cbor)? {
            let is_new = match cbor.str().ok()? {
                "fmt" => format.replace(cbor.str().ok()?).is_none(),
                "attStmt" => certificates.replace(statement(&mut cbor)?).is_none(),
                "authData" => auth_data.replace(cbor.bytes().ok()?).is_none(),
                _ => cbor.skip().is_ok(),
            };
            if !is_new {
                return None;
            }
        }
        let (leaf, between) =
            certificates??.split_first().map(|(leaf, rest)| (*leaf, rest.to_vec()))?;
        let is_whole = cbor.position() == octets.len() && format == Some(FORMAT);
        is_whole.then_some(Self { leaf, between, auth_data: auth_data? })
    }
}

/// Reads the statement: its certificates. The receipt beside them is for asking Apple.
fn statement<'a>(cbor: &mut Decoder<'a>) -> Option<Option<Vec<&'a [u8]>>> {
    let mut certificates = None;
    for _ in 0..entries(cbor)? {
        let is_new = match cbor.str().ok()? {
            "x5c" => {
                let count = cbor.array().ok()?.filter(|count| *count <= MOST_CERTIFICATES)?;
                let read: Option<Vec<_>> = (0..count).map(|_| cbor.bytes().ok()).collect();
                certificates.replace(read?).is_none()
            }
            _ => cbor.skip().is_ok(),
        };
        if !is_new {
            return None;
        }
    }
    Some(certificates)
}

/// Begins a map; one that does not say its length, or has more than is known, is refused.
fn entries(cbor: &mut Decoder<'_>) -> Option<u64> {
    cbor.map().ok()?.filter(|count| *count <= MOST_ENTRIES)
}

/// What a key was made by and for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AuthData<'a> {
    /// SHA-256 of the app's id.
    pub(super) rp_id_hash: &'a [u8; 32],
    /// How often the key has signed.
    pub(super) counter: u32,
    /// Which environment the key is of.
    pub(super) aaguid: &'a [u8; 16],
    /// The key's name.
    pub(super) credential_id: &'a [u8],
}

impl<'a> AuthData<'a> {
    /// Reads its beginning; the public key and extensions that follow are not looked at.
    pub(super) fn parse(octets: &'a [u8]) -> Option<Self> {
        let (rp_id_hash, octets) = octets.split_first_chunk()?;
        let (flags, octets) = octets.split_first()?;
        let (counter, octets) = octets.split_first_chunk()?;
        let (aaguid, octets) = octets.split_first_chunk()?;
        let (length, octets) = octets.split_first_chunk()?;
        let (credential_id, _) =
            octets.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let has_key = flags & HAS_KEY != 0;
        has_key.then_some(Self {
            rp_id_hash,
            counter: u32::from_be_bytes(*counter),
            aaguid,
            credential_id,
        })
    }
}

const FORMAT: &str = "apple-appattest";
/// Of the flags: a key is told of.
const HAS_KEY: u8 = 0x40;
const MOST: usize = bartizan_contract::attestation::MAX_OBJECT;
/// Three are known.
const MOST_ENTRIES: u64 = 16;
/// Two, and room for a longer way to the root.
const MOST_CERTIFICATES: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_to_its_end_or_not_at_all() {
        let statement = b"\x62ab\x01\x63x5c\x82\x42hi\x41x";
        let object = |parts: &[&[u8]]| parts.concat();
        let (fmt, auth) = (b"\x63fmt\x6fapple-appattest", b"\x68authData\x43abc");
        let whole = object(&[b"\xa3", fmt, b"\x67attStmt\xa2", statement, auth]);
        let read = Object::parse(&whole).unwrap();
        assert_eq!((read.leaf, read.auth_data), (&b"hi"[..], &b"abc"[..]));
        assert_eq!(read.between, [b"x"]);
        for at in 0..whole.len() {
            assert_eq!(Object::parse(&whole[..at]), None, "cut at {at}");
        }
        for (what, wrong) in [
            ("trailing octets", object(&[&whole, b"\0"])),
            ("no certificates", object(&[b"\xa3", fmt, b"\x67attStmt\xa0", auth])),
            ("an empty chain", object(&[b"\xa3", fmt, b"\x67attStmt\xa1\x63x5c\x80", auth])),
            ("no format", object(&[b"\xa2\x67attStmt\xa2", statement, auth])),
            ("another format", whole.iter().map(|&c| if c == b'-' { b'+' } else { c }).collect()),
            ("twice the same", object(&[b"\xa4", fmt, b"\x67attStmt\xa2", statement, auth, auth])),
            ("no length", object(&[b"\xbf", fmt, b"\x67attStmt\xa2", statement, auth, b"\xff"])),
            ("a list", b"\x80".to_vec()),
            ("a chain without end", object(&[b"\xa1\x67attStmt\xa1\x63x5c\x9b", &[0xff; 8]])),
            ("too large", vec![0x40; MOST + 1]),
        ] {
            assert_eq!(Object::parse(&wrong), None, "{what}");
        }
    }

    #[test]
    fn authenticator_data_is_read_by_its_places() {
        let mut octets =
            [[1; 32].as_slice(), &[0x40, 0, 0, 0, 2], &[3; 16], &[0, 2, 8, 9, 7]].concat();
        let read = AuthData::parse(&octets).unwrap();
        let expected =
            AuthData { rp_id_hash: &[1; 32], counter: 2, aaguid: &[3; 16], credential_id: &[8, 9] };
        assert_eq!(read, expected);
        for at in 0..octets.len() - 1 {
            assert_eq!(AuthData::parse(&octets[..at]), None, "cut at {at}");
        }
        octets[32] = 1;
        assert_eq!(AuthData::parse(&octets), None, "without a key");
    }
}
