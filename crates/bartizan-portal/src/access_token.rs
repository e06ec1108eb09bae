//! Access tokens: claims with an authentication code, which only this portal makes and reads.
//!
//! Base64url of 65 octets of claims and 32 of HMAC-SHA-256, under a key that the database keeps. Opaque to
//! devices, so the layout may change with the first octet; a token lives for [`LIFETIME_MS`] at most.

use bartizan_model::{DeviceId, Private, TenantId, UnixMillis};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) tenant: TenantId,
    pub(crate) device: DeviceId,
    /// Of the key that proofs must be made with (RFC 9449 §6).
    pub(crate) key_thumbprint: [u8; 32],
    pub(crate) expires_at: UnixMillis,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    Invalid,
    Expired,
}

/// Makes and reads tokens.
pub(crate) struct AccessTokens {
    key: Private<[u8; 32]>,
}

impl AccessTokens {
    pub(crate) fn new(key: Private<[u8; 32]>) -> Self {
        Self { key }
    }

    /// Makes a token for a device with a key, good for [`LIFETIME_MS`] from `now` on.
    pub(crate) fn issue(
        &self,
        tenant: TenantId,
        device: DeviceId,
        key_thumbprint: [u8; 32],
        now: UnixMillis,
    ) -> String {
        let mut octets = Vec::with_capacity(CLAIMS_LEN + 32);
        octets.push(VERSION);
        octets.extend(tenant.0.to_be_bytes());
        octets.extend(device.0.to_be_bytes());
        octets.extend(key_thumbprint);
        octets.extend(now.0.saturating_add(LIFETIME_MS).to_be_bytes());
        let code = self.mac(&octets).finalize().into_bytes();
        octets.extend(code);
        URL_SAFE_NO_PAD.encode(octets)
    }

    /// Reads a token; the code is compared in constant time.
    pub(crate) fn verify(&self, token: &str, now: UnixMillis) -> Result<Claims, TokenError> {
        let octets = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::Invalid)?;
        let (claims, code) = octets.split_at_checked(CLAIMS_LEN).ok_or(TokenError::Invalid)?;
        self.mac(claims).verify_slice(code).map_err(|_| TokenError::Invalid)?;
        let claims = parse(claims).ok_or(TokenError::Invalid)?;
        if claims.expires_at <= now { Err(TokenError::Expired) } else { Ok(claims) }
    }

    fn mac(&self, claims: &[u8]) -> Hmac<Sha256> {
        // A key of the block's size, which any 32 octets padded with zeros are (RFC 2104 §2).
        let mut key = [0_u8; 64];
        key.iter_mut().zip(self.key.0).for_each(|(to, from)| *to = from);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        mac.update(PURPOSE);
        mac.update(claims);
        mac
    }
}

fn parse(claims: &[u8]) -> Option<Claims> {
    let (version, rest) = claims.split_first()?;
    let (tenant, rest) = rest.split_first_chunk()?;
    let (device, rest) = rest.split_first_chunk()?;
    let (key_thumbprint, rest) = rest.split_first_chunk()?;
    let expires_at = rest.try_into().ok()?;
    (*version == VERSION).then(|| Claims {
        tenant: TenantId(i64::from_be_bytes(*tenant)),
        device: DeviceId(u128::from_be_bytes(*device)),
        key_thumbprint: *key_thumbprint,
        expires_at: UnixMillis(u64::from_be_bytes(expires_at)),
    })
}

const VERSION: u8 = 1;
/// So that the code is good for nothing else that the key may one day authenticate.
const PURPOSE: &[u8] = b"bartizan access token";
/// Version, tenant, device, thumbprint, expiry.
const CLAIMS_LEN: usize = 1 + 8 + 16 + 32 + 8;
/// Ten minutes: less than the interval of check-ins, so a device that is removed is out by then.
pub(crate) const LIFETIME_MS: u64 = 600_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn a_token_is_read_back_until_it_expires() {
        let tokens = AccessTokens::new(Private([1; 32]));
        let token = tokens.issue(TenantId(7), DeviceId(9), [3; 32], NOW);
        let claims = tokens.verify(&token, NOW).unwrap();
        assert_eq!((claims.tenant, claims.device), (TenantId(7), DeviceId(9)));
        assert_eq!(claims.key_thumbprint, [3; 32]);
        let end = UnixMillis(NOW.0 + LIFETIME_MS);
        assert_eq!(tokens.verify(&token, end), Err(TokenError::Expired));
        let other = AccessTokens::new(Private([2; 32]));
        assert_eq!(other.verify(&token, NOW), Err(TokenError::Invalid));
    }

    #[test]
    fn no_octet_can_be_changed() {
        let tokens = AccessTokens::new(Private([1; 32]));
        let good = URL_SAFE_NO_PAD.decode(tokens.issue(TenantId(7), DeviceId(9), [3; 32], NOW));
        let good = good.unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let bad = URL_SAFE_NO_PAD.encode(bad);
            assert_eq!(tokens.verify(&bad, NOW), Err(TokenError::Invalid), "octet {at}");
        }
        for text in ["", "a", "AAAA", "?"] {
            assert_eq!(tokens.verify(text, NOW), Err(TokenError::Invalid), "{text}");
        }
    }
}
