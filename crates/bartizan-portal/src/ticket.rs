//! What a browser keeps for the portal between two steps of signing in: a sealed cookie for some minutes.
//!
//! Nothing is stored for somebody who has not shown who they are, and any process of the portal can go on.
//!
//! # Invariants
//! - A ticket opens for its own step alone, and not after its time.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use bartizan_model::UnixMillis;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::later;
use crate::session::{cookie, cookie_of};
use crate::state::AppState;

/// A step that is to be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The person is at the provider, from whose page they come back.
    AtProvider,
    /// The person knows the password, and is asked for a code.
    AskedForCode,
    /// The person was shown the seed of a second factor.
    Enrolling,
    /// An authenticator of the person's was asked a question.
    AskedForPasskey,
    /// The person has shown anew that it is they.
    Confirmed,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::AtProvider => "at-provider",
            Self::AskedForCode => "asked-for-code",
            Self::Enrolling => "enrolling",
            Self::AskedForPasskey => "asked-for-passkey",
            Self::Confirmed => "confirmed",
        }
    }

    pub(crate) fn lifetime(self) -> Duration {
        match self {
            // Long enough to find a phone and answer it.
            Self::AtProvider | Self::Enrolling => Duration::from_secs(10 * 60),
            Self::AskedForCode | Self::AskedForPasskey | Self::Confirmed => {
                Duration::from_secs(5 * 60)
            }
        }
    }

    /// `Lax` comes along when another site leads back.
    fn same_site(self) -> &'static str {
        match self {
            Self::AtProvider => "Lax",
            Self::AskedForCode | Self::Enrolling | Self::AskedForPasskey | Self::Confirmed => {
                "Strict"
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Ticket<T> {
    until_ms: u64,
    value: T,
}

/// The header that gives a ticket to the browser.
pub(crate) fn give<T: Serialize>(
    state: &AppState,
    step: Step,
    value: T,
) -> Result<HeaderValue, ApiError> {
    let until_ms = later(state.clock.now(), step.lifetime()).0;
    let plain = serde_json::to_vec(&Ticket { until_ms, value })
        .map_err(|error| ApiError::internal(&error))?;
    let sealed =
        state.sealer.seal(step.name(), &plain).map_err(|error| ApiError::internal(&error))?;
    let text = URL_SAFE_NO_PAD.encode(sealed);
    Ok(cookie(state, step.name(), &text, step.lifetime(), step.same_site()))
}

/// Reads the ticket that the browser has for this step.
pub(crate) fn read<T: DeserializeOwned>(
    state: &AppState,
    step: Step,
    headers: &HeaderMap,
) -> Option<T> {
    let text = cookie_of(state, headers, step.name())?;
    let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    let plain = state.sealer.open(step.name(), &sealed)?;
    let ticket: Ticket<T> = serde_json::from_slice(&plain.0).ok()?;
    (state.clock.now() < UnixMillis(ticket.until_ms)).then_some(ticket.value)
}

/// The header that takes it from the browser.
pub(crate) fn take(state: &AppState, step: Step) -> HeaderValue {
    cookie(state, step.name(), "", Duration::ZERO, step.same_site())
}
