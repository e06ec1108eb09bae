//! As much of DER (ITU-T X.690) as keys, certificates and signatures are looked at and made of.
//!
//! What it does not do: know what the values mean, beyond where a certificate has its name and number.

/// Writes a value of these contents.
pub(crate) fn value(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(contents.len()) {
        Ok(length) if length < 0x80 => out.push(length),
        Ok(_) | Err(_) => {
            let length = contents.len().to_be_bytes();
            let length: Vec<u8> = length.into_iter().skip_while(|octet| *octet == 0).collect();
            // A length has at most eight octets.
            out.push(0x80 | u8::try_from(length.len()).unwrap_or(0));
            out.extend(length);
        }
    }
    out.extend(contents);
    out
}

/// Writes a sequence of values that are written already.
pub(crate) fn sequence(values: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, &values.concat())
}

/// Writes a set: in DER its values stand in the order of their octets.
pub(crate) fn set(tag: u8, mut values: Vec<Vec<u8>>) -> Vec<u8> {
    values.sort();
    value(tag, &values.concat())
}

/// Takes an element with this tag from the beginning: its content, and what follows.
pub(crate) fn element(tag: u8, octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any_element(octets)?;
    (found == tag).then_some((content, rest))
}

/// Takes an element from the beginning: its tag, its content, and what follows. One of more than 65,535 octets is none.
pub(crate) fn any_element(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, octets) = octets.split_first()?;
    let (first, octets) = octets.split_first()?;
    let (length, octets) = match (*first, octets) {
        (short, _) if short < 0x80 => (usize::from(short), octets),
        (0x81, [length, octets @ ..]) => (usize::from(*length), octets),
        (0x82, [high, low, octets @ ..]) => {
            (usize::from(u16::from_be_bytes([*high, *low])), octets)
        }
        _ => return None,
    };
    let (content, rest) = octets.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// Cuts an element from the beginning as it is written, from what follows.
fn cut(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, _, rest) = any_element(octets)?;
    octets.split_at_checked(octets.len() - rest.len())
}

/// Who issued a certificate, and its number there: both as they are written in it (RFC 5280 §4.1).
pub(crate) fn issuer_and_number(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = element(SEQUENCE, certificate)?;
    let (mut rest, _) = element(SEQUENCE, certificate)?;
    if let Some((_, after)) = element(VERSION, rest) {
        rest = after;
    }
    let (number, rest) = cut(rest)?;
    let (_, rest) = cut(rest)?; // the algorithm
    let (issuer, _) = cut(rest)?;
    Some((issuer, number))
}

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTETS: u8 = 0x04;
pub(crate) const OBJECT: u8 = 0x06;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// `[0]`, constructed.
pub(crate) const FIRST: u8 = 0xa0;
const VERSION: u8 = FIRST;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_written_in_as_few_octets_as_do() {
        let head = |length: usize| {
            let all = value(OCTETS, &vec![0; length]);
            all[..all.len() - length].to_vec()
        };
        assert_eq!(head(0), [4, 0]);
        assert_eq!(head(127), [4, 127]);
        assert_eq!(head(128), [4, 0x81, 128]);
        assert_eq!(head(255), [4, 0x81, 255]);
        assert_eq!(head(256), [4, 0x82, 1, 0]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(contents in prop::collection::vec(any::<u8>(), 0..400), after in any::<[u8; 3]>()) {
            let mut all = value(OCTETS, &contents);
            let whole = all.clone();
            all.extend(after);
            prop_assert_eq!(any_element(&all), Some((OCTETS, &contents[..], &after[..])));
            prop_assert_eq!(cut(&all), Some((&whole[..], &after[..])));
        }

        #[test]
        fn no_octets_make_it_fail_loudly(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = issuer_and_number(&octets);
        }
    }
}
