//! The one shape of an error (RFC 9457), and the codes that a device acts on.

use serde::{Deserialize, Serialize};

/// The body of every answer that is not a success; media type [`MEDIA_TYPE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status, again.
    pub status: u16,
    /// A word of [`code`]; stable.
    pub code: String,
    /// One sentence for people; may change.
    pub detail: String,
    /// The portal's time, so that a device with a wrong clock can mend itself.
    pub server_time_ms: u64,
}

/// RFC 9457 §3.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, in a word.
pub mod code {
    /// The token was never given out.
    pub const ENROLLMENT_TOKEN_UNKNOWN: &str = "enrollment_token_unknown";
    /// The token has let its one device in.
    pub const ENROLLMENT_TOKEN_USED: &str = "enrollment_token_used";
    /// The token's time is over.
    pub const ENROLLMENT_TOKEN_EXPIRED: &str = "enrollment_token_expired";
    /// The code was never given out, or was mistyped.
    pub const ENROLLMENT_CODE_UNKNOWN: &str = "enrollment_code_unknown";
    /// The code was taken already.
    pub const ENROLLMENT_CODE_USED: &str = "enrollment_code_used";
    /// The code's time is over.
    pub const ENROLLMENT_CODE_EXPIRED: &str = "enrollment_code_expired";
    /// The organization lets no device in this way.
    pub const ENROLLMENT_WAY_CLOSED: &str = "enrollment_way_closed";
    /// The person is not active; trying again helps once they are.
    pub const USER_INACTIVE: &str = "user_inactive";
    /// The person has no license; trying again helps once they have.
    pub const LICENSE_MISSING: &str = "license_missing";
    /// The device is shared or belongs to no user, and the organization does not allow that.
    pub const USER_REQUIRED: &str = "user_required";
    /// The system is older than what is protected.
    pub const SYSTEM_UNSUPPORTED: &str = "system_unsupported";
    /// The organization wants App Attest to vouch for the device's key, and nothing was sent.
    pub const ATTESTATION_REQUIRED: &str = "attestation_required";
    /// What was sent to vouch for the device's key does not; attest anew, with another challenge.
    pub const ATTESTATION_INVALID: &str = "attestation_invalid";
    /// No DPoP proof, or one that does not hold for this request.
    pub const PROOF_INVALID: &str = "proof_invalid";
    /// The proof was seen before.
    pub const PROOF_REPLAYED: &str = "proof_replayed";
    /// Times differ too much; correct the clock by `server_time_ms` and try again.
    pub const CLOCK_SKEW: &str = "clock_skew";
    /// No access token, or not one of ours, or bound to another key.
    pub const TOKEN_INVALID: &str = "token_invalid";
    /// Get another one.
    pub const TOKEN_EXPIRED: &str = "token_expired";
    /// The portal does not know this device; it has to enroll again.
    pub const DEVICE_UNKNOWN: &str = "device_unknown";
    /// The organization took this device out; it has to enroll again to come back.
    pub const DEVICE_OFFBOARDED: &str = "device_offboarded";
    /// The organization is suspended: a device goes on with what it has, and comes back after `Retry-After`.
    pub const SUSPENDED: &str = "suspended";
    /// The request is not what the contract says.
    pub const MALFORMED: &str = "malformed";
    /// The request is larger than the contract allows.
    pub const TOO_LARGE: &str = "too_large";
    /// There is no such thing, or it is not yours.
    pub const NOT_FOUND: &str = "not_found";
    /// Too many tries; `Retry-After` says when to come back.
    pub const RATE_LIMITED: &str = "rate_limited";
    /// The portal cannot answer now.
    pub const UNAVAILABLE: &str = "unavailable";
}
