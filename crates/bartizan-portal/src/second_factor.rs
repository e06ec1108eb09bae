//! A code beside the password: asked for, checked, set up, taken away. `totp` computes codes, the store keeps what was
//! used.
//!
//! # Invariants
//! - A code or recovery code is looked at only after the store has counted the attempt.
//! - Seeds are sealed for their member; recovery codes are kept as hashes.

use std::time::Duration;

use bartizan_model::Private;
use bartizan_store::{MemberId, NewSecondFactor, StoreError, TenantScope};
use sha2::{Digest as _, Sha256};

use crate::draw::random_groups;
use crate::state::AppState;
use crate::totp;

/// Why a code was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodeError {
    /// Not the code of this moment, or used before.
    #[error("the code is wrong or was used before")]
    Wrong,
    /// Too many were.
    #[error("too many wrong codes; try again later")]
    RateLimited(Duration),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes a code of the member's app or a recovery code.
pub(crate) async fn take(
    state: &AppState,
    scope: TenantScope,
    member: MemberId,
    code: &str,
) -> Result<(), CodeError> {
    let (store, now) = (&state.store, state.clock.now());
    let tried = store.try_second_factor(scope, member, now).await?;
    tried.map_err(CodeError::RateLimited)?;
    let factor = store.second_factor(scope, member).await?;
    let factor = factor.ok_or(StoreError::NotFound { what: "second factor" })?;
    let seed = state.sealer.open(&purpose(scope, member), &factor.secret.0);
    let seed = seed.ok_or(StoreError::Damaged { column: "second_factor.secret" })?;
    let taken = match totp::step_of(&seed.0, code, now, factor.last_step) {
        Some(step) => store.use_step(scope, member, step).await?,
        None => store.use_recovery_code(scope, member, hash(code), now).await?,
    };
    if taken { Ok(()) } else { Err(CodeError::Wrong) }
}

/// Sets a second factor up, if the code is of its seed. Returns the recovery codes.
pub(crate) async fn enroll(
    state: &AppState,
    scope: TenantScope,
    member: MemberId,
    session_hash: [u8; 32],
    seed: &[u8],
    code: &str,
) -> Result<Vec<String>, CodeError> {
    let now = state.clock.now();
    let step = totp::step_of(seed, code, now, 0).ok_or(CodeError::Wrong)?;
    let no_randomness = |error: getrandom::Error| StoreError::Unavailable(Box::new(error));
    let codes: Result<Vec<_>, _> = (0..RECOVERY_CODES).map(|_| random_groups(3)).collect();
    let codes = codes.map_err(no_randomness)?;
    let sealed = state.sealer.seal(&purpose(scope, member), seed).map_err(no_randomness)?;
    let factor = NewSecondFactor {
        secret: Private(sealed),
        step,
        recovery_codes: codes.iter().map(|code| hash(code)).collect(),
    };
    state.store.enroll_second_factor(scope, member, factor, session_hash, now).await?;
    Ok(codes)
}

/// Of what people type, letters and digits count. 72 random bits need no slow hash.
fn hash(code: &str) -> [u8; 32] {
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    Sha256::digest(code.to_ascii_uppercase()).into()
}

fn purpose(scope: TenantScope, member: MemberId) -> String {
    format!("second factor of {member} of {}", scope.tenant_id().0)
}

const RECOVERY_CODES: usize = 10;
