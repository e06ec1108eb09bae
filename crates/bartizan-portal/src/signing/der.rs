//! As much of DER (ITU-T X.690) as a signature is made of: values written, and the name and number of a certificate read.

/// Writes a value of these contents.
pub(super) fn value(tag: u8, contents: &[u8]) -> Vec<u8> {
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
pub(super) fn sequence(values: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, &values.concat())
}

/// Writes a set: in DER its values stand in the order of their octets.
pub(super) fn set(tag: u8, mut values: Vec<Vec<u8>>) -> Vec<u8> {
    values.sort();
    value(tag, &values.concat())
}

/// A value that was read: its tag, all of it, its contents, and what stands after it.
type Taken<'a> = (u8, &'a [u8], &'a [u8], &'a [u8]);

fn take(octets: &[u8]) -> Option<Taken<'_>> {
    let (&[tag, first], rest) = octets.split_first_chunk::<2>()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if 4 < length.len() {
            return None;
        }
        (length.iter().fold(0, |sum, octet| (sum << 8) | usize::from(*octet)), rest)
    };
    let (contents, after) = rest.split_at_checked(length)?;
    let (whole, _) = octets.split_at_checked(octets.len() - after.len())?;
    Some((tag, whole, contents, after))
}

/// Who issued a certificate, and its number there: both as they are written in it (RFC 5280 §4.1).
pub(super) fn issuer_and_number(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, _, certificate, _) = take(certificate)?;
    let (_, _, mut rest, _) = take(certificate)?;
    if let (VERSION, _, _, after) = take(rest)? {
        rest = after;
    }
    let (_, number, _, rest) = take(rest)?;
    let (_, _, _, rest) = take(rest)?; // the algorithm
    let (_, issuer, _, _) = take(rest)?;
    Some((issuer, number))
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OBJECT: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0]`, constructed.
pub(super) const FIRST: u8 = 0xa0;
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
            prop_assert_eq!(take(&all), Some((OCTETS, &whole[..], &contents[..], &after[..])));
        }

        #[test]
        fn no_octets_make_it_fail_loudly(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = issuer_and_number(&octets);
        }
    }
}
