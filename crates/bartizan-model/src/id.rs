//! One id type per kind of thing, so that none is taken for another.

use std::fmt;
use std::str::FromStr;

use crate::UnixMillis;

/// A tenant: an organization whose rows nobody else sees. Given out by the portal, from 1 up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(pub i64);

/// An enrolled device: a UUID (version 7) that the portal chooses at enrollment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub u128);

impl fmt::Display for DeviceId {
    /// Shows the id as a UUID is written (RFC 9562 §4).
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        let mut at = 0;
        for (part, width) in [8, 4, 4, 4, 12].into_iter().enumerate() {
            if part != 0 {
                out.write_str("-")?;
            }
            out.write_str(hex.get(at..at + width).unwrap_or_default())?;
            at += width;
        }
        Ok(())
    }
}

/// Not a device id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a device id")]
pub struct DeviceIdError;

impl FromStr for DeviceId {
    type Err = DeviceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex: String = text.chars().filter(|character| *character != '-').collect();
        let id = u128::from_str_radix(&hex, 16).map(Self).map_err(|_| DeviceIdError)?;
        // Accept only the one spelling we write, so that an id is also a key.
        if id.to_string() == text { Ok(id) } else { Err(DeviceIdError) }
    }
}

/// An alert, named by the device that raised it: a ULID, 48 bits of Unix milliseconds and 80 random
/// bits, so that ids sort by time and a repeated upload is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertId(pub u128);

impl AlertId {
    /// Builds an id from the time it was raised at and 80 random bits (the upper 48 are ignored).
    #[must_use]
    pub fn new(raised_at: UnixMillis, random: u128) -> Self {
        let time = u128::from(raised_at.0 & ((1 << 48) - 1));
        Self((time << 80) | (random & ((1 << 80) - 1)))
    }
}

impl fmt::Display for AlertId {
    /// Shows 26 characters of Crockford's base 32.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..26).rev() {
            let digit = usize::try_from((self.0 >> (place * 5)) & 0x1f).unwrap_or(0);
            let character = CROCKFORD.get(digit).copied().unwrap_or(b'0');
            write!(out, "{}", char::from(character))?;
        }
        Ok(())
    }
}

/// Not 26 characters of Crockford's base 32, or over 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an alert id: 26 characters of Crockford's base 32 are expected")]
pub struct AlertIdError;

impl FromStr for AlertId {
    type Err = AlertIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 26 || text.as_bytes().first().is_none_or(|first| b'7' < *first) {
            return Err(AlertIdError);
        }
        let mut id = 0_u128;
        for octet in text.bytes() {
            let digit = CROCKFORD.iter().position(|known| *known == octet).ok_or(AlertIdError)?;
            id = (id << 5) | u128::try_from(digit).map_err(|_| AlertIdError)?;
        }
        Ok(Self(id))
    }
}

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_id_survives_its_text_and_sorts_by_time() {
        let early = AlertId::new(UnixMillis(1_700_000_000_000), u128::MAX);
        let late = AlertId::new(UnixMillis(1_700_000_000_001), 0);
        assert!(early < late && early.to_string() < late.to_string());
        for id in [early, late, AlertId(0), AlertId(u128::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn only_the_one_spelling_of_an_alert_id_is_taken() {
        for text in [
            "",
            "0",
            "01arz3ndektsv4rrffq69g5fav",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "01ARZ3NDEKTSV4RRFFQ69G5FAU0",
            "0IARZ3NDEKTSV4RRFFQ69G5FA0",
        ] {
            assert_eq!(text.parse::<AlertId>(), Err(AlertIdError), "{text}");
        }
    }

    #[test]
    fn a_device_id_reads_as_a_uuid() {
        let id = DeviceId(0x0192_f3a4_b5c6_7d8e_9f00_1122_3344_5566);
        assert_eq!(id.to_string(), "0192f3a4-b5c6-7d8e-9f00-112233445566");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("0192F3A4-b5c6-7d8e-9f00-112233445566".parse::<DeviceId>(), Err(DeviceIdError));
        assert_eq!("+192f3a4-b5c6-7d8e-9f00-112233445566".parse::<DeviceId>(), Err(DeviceIdError));
    }
}
