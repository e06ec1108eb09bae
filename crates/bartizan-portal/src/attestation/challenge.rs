//! Challenges, stamped and not stored: any process of the portal can read what another one gave.
//!
//! One holds for the key that asked for it, and for five minutes. It is not counted whether it was used: what it is good
//! for, to have that very key vouched for, is the same the second time, and an answer that was lost is asked for
//! again with the same attestation.

use std::time::Duration;

use bartizan_model::UnixMillis;

use crate::stamp::Stamper;
use crate::{later, random};

/// Makes one.
pub(crate) fn give(
    stamper: &Stamper,
    key_thumbprint: &[u8; 32],
    now: UnixMillis,
) -> Result<String, getrandom::Error> {
    let until = later(now, LIFETIME).0.to_be_bytes();
    let octets = [until.as_slice(), key_thumbprint, &random::<16>()?].concat();
    Ok(stamper.stamp(PURPOSE, &octets))
}

/// Tells whether it is one that holds for this key.
pub(crate) fn holds(
    stamper: &Stamper,
    challenge: &str,
    key_thumbprint: &[u8; 32],
    now: UnixMillis,
) -> bool {
    let Some(octets) = stamper.open(PURPOSE, challenge) else { return false };
    let Some((until, rest)) = octets.split_first_chunk() else { return false };
    rest.starts_with(key_thumbprint) && now.0 < u64::from_be_bytes(*until)
}

/// Long enough for Apple's servers to answer and for a request to be tried again.
pub(crate) const LIFETIME: Duration = Duration::from_secs(5 * 60);
const PURPOSE: &str = "app attest challenge";

#[cfg(test)]
mod tests {
    use bartizan_model::Private;

    use super::*;

    #[test]
    fn a_challenge_holds_for_its_key_and_its_time() {
        let stamper = Stamper::new(Private([1; 32]));
        let at = |ms: u64| UnixMillis(1_800_000_000_000 + ms);
        let challenge = give(&stamper, &[2; 32], at(0)).unwrap();
        assert!(challenge.len() <= 200, "{}", challenge.len());
        assert!(holds(&stamper, &challenge, &[2; 32], at(299_999)));
        assert!(!holds(&stamper, &challenge, &[2; 32], at(300_000)));
        assert!(!holds(&stamper, &challenge, &[3; 32], at(0)));
        assert!(!holds(&Stamper::new(Private([2; 32])), &challenge, &[2; 32], at(0)));
        assert!(!holds(&stamper, "", &[2; 32], at(0)));
        assert_ne!(give(&stamper, &[2; 32], at(0)).unwrap(), challenge);
    }
}
