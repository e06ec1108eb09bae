//! What Apple says in the certificate of an attested key: an extension of its own (RFC 5280 §4.1 and §4.2).
//!
//! The certificate was read and its signature verified by `webpki`; this finds one thing more in it.

use crate::der::{OCTETS, SEQUENCE, any_element, element};

/// Returns the nonce: `SEQUENCE { [1] { OCTET STRING } }` in the extension.
pub(super) fn nonce(certificate: &[u8]) -> Option<&[u8]> {
    let (body, _) = element(SEQUENCE, certificate)?;
    let (mut fields, _) = element(SEQUENCE, body)?;
    let extensions = loop {
        let (tag, content, rest) = any_element(fields)?;
        if tag == EXTENSIONS {
            break content;
        }
        fields = rest;
    };
    let (mut extensions, _) = element(SEQUENCE, extensions)?;
    while !extensions.is_empty() {
        let (extension, rest) = element(SEQUENCE, extensions)?;
        if let Some(value) = extension.strip_prefix(NONCE) {
            let (value, _) = element(OCTETS, value)?;
            let (value, _) = element(SEQUENCE, value)?;
            let (value, _) = element(FIRST, value)?;
            return element(OCTETS, value).map(|(nonce, _)| nonce);
        }
        extensions = rest;
    }
    None
}

const FIRST: u8 = 0xa1;
const EXTENSIONS: u8 = 0xa3;
/// 1.2.840.113635.100.8.2.
const NONCE: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 0x08, 0x02];
