//! One's own password: choosing another, and showing once more that one knows it.

use bartizan_model::Private;

use crate::password;
use crate::request::Origin;
use crate::session::{Session, SessionToken};
use crate::sign_in::{self, Proof, SignInError};
use crate::state::AppState;

/// Why a password was not set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetPasswordError {
    /// The present password is wrong.
    #[error("the current password is wrong")]
    WrongCurrent,
    /// Fewer than [`MIN_PASSWORD`] characters.
    #[error("a password has {MIN_PASSWORD} or more characters")]
    TooShort,
    /// More than [`MAX_PASSWORD`] characters.
    #[error("a password has at most {MAX_PASSWORD} characters")]
    TooLong,
    /// It is the one in use.
    #[error("choose another password than the current one")]
    Unchanged,
    /// See [`password::is_guessable`].
    #[error("the password is easy to guess")]
    Guessable,
    /// Too many failures, or the store failed.
    #[error(transparent)]
    SignIn(#[from] SignInError),
}

/// Sets the member's own password, ends all their sessions and begins another.
///
/// `current` is not asked for while the password is a one-time one: they have just typed it.
pub(crate) async fn choose(
    state: &AppState,
    session: &Session,
    current: Private<String>,
    chosen: Private<String>,
    origin: Origin,
) -> Result<SessionToken, SetPasswordError> {
    let length = chosen.0.chars().count();
    if length < MIN_PASSWORD {
        return Err(SetPasswordError::TooShort);
    }
    if MAX_PASSWORD < length {
        return Err(SetPasswordError::TooLong);
    }
    let (scope, member) = (session.scope, session.member);
    let present = state.store.password_hash(scope, member).await.map_err(SignInError::from)?;
    if present.0.is_empty() {
        // Whom only the provider lets in does not give themselves another way.
        return Err(SetPasswordError::WrongCurrent);
    }
    if !session.one_time_password {
        confirm_by(state, session, current, present.clone(), &origin).await?;
    }
    if password::verify(chosen.clone(), present).await.map_err(SignInError::from)? {
        return Err(SetPasswordError::Unchanged);
    }
    let words = known_words(session);
    if password::is_guessable(chosen.clone(), words).await.map_err(SignInError::from)? {
        return Err(SetPasswordError::Guessable);
    }
    let hash = password::hash(chosen).await.map_err(SignInError::from)?;
    let now = state.clock.now();
    state.store.set_password(scope, member, hash, now).await.map_err(SignInError::from)?;
    // The session goes on as it was begun.
    let proof = Proof { method: session.method, vouched: None };
    Ok(sign_in::begin(state, scope, member, origin.agent, proof).await?)
}

/// Checks a member's own password once more.
pub(crate) async fn confirm(
    state: &AppState,
    session: &Session,
    current: Private<String>,
    origin: &Origin,
) -> Result<(), SetPasswordError> {
    let present = state.store.password_hash(session.scope, session.member).await;
    let present = present.map_err(SignInError::from)?;
    // What nobody has as a password is not worth its slow hash.
    let is_possible = (1..=MAX_PASSWORD).contains(&current.0.chars().count());
    if present.0.is_empty() || !is_possible {
        return Err(SetPasswordError::WrongCurrent);
    }
    confirm_by(state, session, current, present, origin).await
}

async fn confirm_by(
    state: &AppState,
    session: &Session,
    current: Private<String>,
    present: Private<String>,
    origin: &Origin,
) -> Result<(), SetPasswordError> {
    // Whoever finds a browser open must not be able to guess here either.
    let attempt = state
        .throttle
        .begin(&session.email, origin.address, state.clock.now())
        .map_err(|retry_after| SignInError::RateLimited { retry_after })?;
    let is_theirs = password::verify(current, present).await;
    if !is_theirs.map_err(SignInError::from)? {
        return Err(SetPasswordError::WrongCurrent);
    }
    state.throttle.succeeded(attempt);
    Ok(())
}

/// What a stranger tries first: names of the product, the organization and the person.
fn known_words(session: &Session) -> Vec<String> {
    let parts = [session.email.as_str(), session.tenant_name.as_str()];
    let parts = parts.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let parts = parts.filter(|part| 2 < part.len()).take(20).map(str::to_lowercase);
    parts.chain(["bartizan".to_owned(), session.tenant_name.to_lowercase()]).collect()
}

/// NIST SP 800-63B asks for 8; 12 makes up for the missing second factor.
pub(crate) const MIN_PASSWORD: usize = 12;
/// Longer than any sentence, shorter than a burden.
pub(crate) const MAX_PASSWORD: usize = 256;
