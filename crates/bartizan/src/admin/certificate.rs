//! Until when a certificate is good: the one field of X.509 (RFC 5280 §4.1) that a person has to be reminded of.
//!
//! Walks DER as far as `validity` and understands nothing else; whether the certificate is right is TLS's matter.

use bartizan_model::UnixMillis;

/// Returns `notAfter`.
pub(super) fn not_after(certificate: &[u8]) -> Option<UnixMillis> {
    let (_, certificate, _) = value(certificate)?;
    let (_, mut rest, _) = value(certificate)?;
    if let (VERSION, _, after) = value(rest)? {
        rest = after;
    }
    // serialNumber, signature, issuer.
    for _ in 0..3 {
        rest = value(rest)?.2;
    }
    let (_, validity, _) = value(rest)?;
    let (_, _, rest) = value(validity)?;
    let (kind, text, _) = value(rest)?;
    time(kind, std::str::from_utf8(text).ok()?)
}

/// Takes one value: its tag, its contents, and what stands after it.
fn value(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
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
    Some((tag, contents, after))
}

/// Reads `UTCTime` or `GeneralizedTime`, as RFC 5280 §4.1.2.5 has them.
fn time(kind: u8, text: &str) -> Option<UnixMillis> {
    let text = text.strip_suffix('Z')?;
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: u64 = year.parse().ok()?;
            (if year < 50 { 2_000 + year } else { 1_900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<u64>().ok();
    if rest.len() != 10 || year < 1_970 {
        return None;
    }
    let (month, day) = (part(0)?, part(2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970-01-01, with the year beginning in March so that the leap day is its last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let seconds = days.checked_sub(719_468)? * 86_400 + part(4)? * 3_600 + part(6)? * 60 + part(8)?;
    Some(UnixMillis(seconds * 1_000))
}

/// `[0]`, constructed.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        for (kind, text, seconds) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "270115080000Z", Some(1_800_000_000)),
            (GENERALIZED_TIME, "20270115080000Z", Some(1_800_000_000)),
            (GENERALIZED_TIME, "20240229235959Z", Some(1_709_251_199)),
            (GENERALIZED_TIME, "20271315080000Z", None),
            (UTC_TIME, "2701150800Z", None),
            (0x04, "270115080000Z", None),
        ] {
            let read = time(kind, text).map(|time| time.0 / 1_000);
            assert_eq!(read, seconds, "{text}");
        }
    }

    #[test]
    fn a_certificate_says_until_when_it_is_good() {
        let mut params = rcgen::CertificateParams::new(vec!["portal.test".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 5, 17);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der();
        assert_eq!(not_after(der), Some(UnixMillis(1_936_742_400_000)));
        for length in 0..der.len().min(100) {
            assert_eq!(not_after(&der[..length]), None);
        }
    }

    proptest! {
        #[test]
        fn no_octets_make_it_fail_loudly(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = not_after(&octets);
        }
    }
}
