//! Codes by time (RFC 6238): HMAC-SHA-1, 30 seconds, six digits, as every authenticator knows them.
//!
//! Pure: the seed and the time are arguments.

use bartizan_model::UnixMillis;
use qrcode::{Color, EcLevel, QrCode};
use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};

/// Octets of a seed: as many as SHA-1 gives (RFC 4226 §4, R6).
pub(crate) const SEED_LEN: usize = 20;

/// Finds the step whose code this is: the present one, the one before or the one after, if it is later than `last`.
///
/// All three are always computed and compared as numbers, so that time tells nothing.
pub(crate) fn step_of(seed: &[u8], code: &str, now: UnixMillis, last: u64) -> Option<u64> {
    let given = number(code);
    let present = now.0 / STEP_MS;
    let mut found = None;
    for step in [present.saturating_sub(1), present, present.saturating_add(1)] {
        let is_it = given == Some(code_at(seed, step));
        if is_it & (last < step) {
            found = Some(step);
        }
    }
    found
}

/// Returns the code of a step (RFC 4226 §5.3).
pub(crate) fn code_at(seed: &[u8], step: u64) -> u32 {
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed);
    let tag = sign(&key, &step.to_be_bytes());
    let octets = tag.as_ref();
    let at = usize::from(octets.last().copied().unwrap_or_default() & 0xf);
    let four = octets.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
    (u32::from_be_bytes(four.unwrap_or_default()) & 0x7fff_ffff) % 1_000_000
}

/// The address that authenticators read.
pub(crate) fn uri(seed: &[u8], organization: &str, email: &str) -> String {
    let [organization, email] = [organization, email].map(crate::session::query_value);
    let secret = base32(seed);
    format!(
        "otpauth://totp/Bartizan%20{organization}:{email}?secret={secret}&issuer=Bartizan%20{organization}&algorithm=SHA1&digits=6&period=30"
    )
}

/// Draws the address as the path of an SVG, one unit a module, with how many there are to a side.
pub(crate) fn drawn(uri: &str) -> Option<(String, usize)> {
    let code = QrCode::with_error_correction_level(uri, EcLevel::M).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            path.push_str(&format!("M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET));
        }
    }
    Some((path, width + 2 * QUIET))
}

/// In groups of four, as people type it.
pub(crate) fn spelled(seed: &[u8]) -> String {
    let text = base32(seed);
    let groups: Vec<_> = text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
    groups.join(" ")
}

/// RFC 4648 §6, without padding, which authenticators do not want.
fn base32(octets: &[u8]) -> String {
    let (mut text, mut held, mut bits) = (String::new(), 0_u32, 0_u32);
    for octet in octets {
        held = (held << 8 | u32::from(*octet)) & 0xffff;
        bits += 8;
        while 5 <= bits {
            bits -= 5;
            text.push(letter(held >> bits));
        }
    }
    if 0 < bits {
        text.push(letter(held << (5 - bits)));
    }
    text
}

fn letter(value: u32) -> char {
    match u8::try_from(value & 31) {
        Ok(value @ 0..=25) => char::from(b'A' + value),
        Ok(value) => char::from(b'2' + value.saturating_sub(26)),
        Err(_) => 'A',
    }
}

/// Six digits, with spaces wherever an authenticator shows them.
fn number(code: &str) -> Option<u32> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let is_code = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_code.then(|| digits.parse().ok()).flatten()
}

const STEP_MS: u64 = 30_000;
/// Light modules around the code (ISO/IEC 18004 §9.1).
const QUIET: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &[u8] = b"12345678901234567890";

    /// RFC 6238 appendix B, the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in [
            (59, 287_082),
            (1_111_111_109, 81_804),
            (1_111_111_111, 50_471),
            (1_234_567_890, 5_924),
            (2_000_000_000, 279_037),
            (20_000_000_000, 353_130),
        ] {
            assert_eq!(code_at(SEED, seconds / 30), code, "{seconds}");
        }
    }

    #[test]
    fn a_code_holds_a_step_earlier_and_later_and_once() {
        let step = 1_234_567_890 / 30;
        let now = |step: u64| UnixMillis(step * 30_000 + 29_999);
        check("005924", now(step), 0, Some(step));
        check(" 005 924", now(step), 0, Some(step));
        check("005924", now(step - 1), 0, Some(step));
        check("005924", now(step + 1), 0, Some(step));
        check("005924", now(step + 2), 0, None);
        check("005924", now(step - 2), 0, None);
        check("005924", now(step), step, None);
        check("005924", now(step), step - 1, Some(step));
        for other in ["005925", "5924", "0005924", "", "00592a", "+05924"] {
            check(other, now(step), 0, None);
        }
    }

    #[test]
    fn the_address_is_what_authenticators_read() {
        let expected = "otpauth://totp/Bartizan%20A%20%26%20B:a%40b.test?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Bartizan%20A%20%26%20B&algorithm=SHA1&digits=6&period=30";
        assert_eq!(uri(SEED, "A & B", "a@b.test"), expected);
        assert_eq!(spelled(SEED), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        // RFC 4648 §10.
        for (plain, coded) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB")]
        {
            assert_eq!(base32(plain.as_bytes()), coded);
        }
        let (path, side) = drawn(expected).unwrap();
        assert!(path.starts_with("M4 4h1v1h-1z") && 40 < side, "{side}");
    }

    #[track_caller]
    fn check(code: &str, now: UnixMillis, last: u64, expected: Option<u64>) {
        assert_eq!(step_of(SEED, code, now, last), expected, "{code} at {}", now.0);
    }
}
