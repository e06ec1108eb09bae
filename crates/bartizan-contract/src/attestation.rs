//! `POST attestation/challenge`: a device asks what Apple's App Attest is to vouch for its key with.
//!
//! The app makes a key by `DCAppAttestService.generateKey`, and has Apple attest it with [`client_data_hash`] as the hash of
//! the client's data. What it gets goes with the enrollment ([`Attestation`]). The hash names the device's key and
//! the organization, so that who attests the one vouches for the other, here and nowhere else.
//!
//! # What it does not do
//! - Verify: the portal does, as Apple says in "Validating apps that connect to your server".

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::keys::Jwk;

/// A challenge. A portal that accepts no attestations has none and answers `not_found`: the device then sends none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeReply {
    /// Up to 200 characters of base64url; for the key that asked for it.
    pub challenge: String,
    /// Seconds until it holds no longer.
    pub expires_in: u64,
    /// The portal's time.
    pub server_time_ms: u64,
}

/// What vouches for a device's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// As [`ChallengeReply`] has it.
    pub challenge: String,
    /// The name of the key that was attested: SHA-256 of its public key; base64url, where Apple's own text is base64.
    pub key_id: String,
    /// The attestation object, as Apple made it; base64url of up to [`MAX_OBJECT`] octets.
    pub object: String,
}

/// Returns what App Attest is to be given as the hash of the client's data: SHA-256 over a word of ours, the thumbprint of the
/// device's key, what the enrollment token says of the organization's, and the challenge as it was written.
#[must_use]
pub fn client_data_hash(challenge: &str, device_key: &Jwk, portal_key: &[u8; 16]) -> [u8; 32] {
    Sha256::new()
        .chain_update(PURPOSE)
        .chain_update(device_key.thumbprint())
        .chain_update(portal_key)
        .chain_update(challenge)
        .finalize()
        .into()
}

/// Apple's are of 6 KiB or so.
pub const MAX_OBJECT: usize = 16 * 1024;
const PURPOSE: &[u8] = b"bartizan app attest 1";
