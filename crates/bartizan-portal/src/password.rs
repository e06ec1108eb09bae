//! Passwords: Argon2id with the parameters that OWASP recommends (19 MiB, 2 passes), off the async threads.

use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _};
use bartizan_model::Private;
use tokio::sync::Semaphore;

/// Hashing failed, which only a machine out of memory or randomness makes it.
#[derive(Debug, thiserror::Error)]
#[error("password hashing failed")]
pub(crate) struct HashError;

/// Hashes a password as a PHC string.
pub(crate) async fn hash(password: Private<String>) -> Result<Private<String>, HashError> {
    off_thread(move || {
        let hash = Argon2::default().hash_password(password.0.as_bytes()).map_err(|_| HashError)?;
        Ok(Private(hash.to_string()))
    })
    .await
}

/// Tells whether this is the password that was hashed.
pub(crate) async fn verify(
    password: Private<String>,
    hash: Private<String>,
) -> Result<bool, HashError> {
    off_thread(move || {
        let hash = PasswordHash::new(&hash.0).map_err(|_| HashError)?;
        Ok(Argon2::default().verify_password(password.0.as_bytes(), &hash).is_ok())
    })
    .await
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
) -> Result<T, HashError> {
    let permit = AT_ONCE.acquire().await.map_err(|_| HashError)?;
    let done = tokio::task::spawn_blocking(work).await.map_err(|_| HashError)?;
    drop(permit);
    done
}

/// 40 MiB at most, and a core left for devices.
static AT_ONCE: Semaphore = Semaphore::const_new(2);
