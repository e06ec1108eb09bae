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

/// Tells whether somebody who knows what people choose, and these words, finds the password early: one that is used
/// often or became known, names, rows of keys, dates, repetitions, in any mixture. The words are in lower case.
///
/// What it asks for is surprise, of characters of any kind.
pub(crate) async fn is_guessable(
    password: Private<String>,
    words: Vec<String>,
) -> Result<bool, HashError> {
    off_thread(move || {
        let mut rest = password.0.to_lowercase();
        for word in words.iter().filter(|word| !word.is_empty()) {
            rest = rest.replace(word, "");
        }
        if rest.chars().count() < BESIDE_WORDS {
            return Ok(true);
        }
        let start: String = password.0.chars().take(JUDGED).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        // Three stands for more than a hundred million tries, of which the portal lets a guesser make some hundred a day.
        Ok(zxcvbn::zxcvbn(&start, &words).score() < zxcvbn::Score::Three)
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

/// So many characters have to stand beside the words that a stranger tries first.
const BESIDE_WORDS: usize = 8;
/// More would take long to look at, and tells no more.
const JUDGED: usize = 64;
/// 40 MiB at most, and a core left for devices.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_many_choose_and_what_follows_from_names_is_guessable() {
        for easy in [
            "aaaaaaaaaaaa",
            "123456789012",
            "qwertyuiop123",
            "password1234",
            "Passw0rd2026!",
            "iloveyou1234",
            "bartizan2026",
            "Globex-Globex1",
            "jane.doe.2026",
            "abcabcabcabcabc",
        ] {
            check(easy, true).await;
        }
        for hard in [
            "correct horse battery",
            "Tulpe fliegt sieben Mal",
            "xk7 2mw qp9 vvt",
            "&x)(%~^;'!@#",
            "\u{1F98A}\u{1F33F}\u{1F9CA}\u{1F3BB}\u{1F9F5}\u{1FA81}\u{1F40C}\u{1F52D}\u{1F955}\u{1F6F6}\u{1F9ED}\u{1F3A2}",
        ] {
            check(hard, false).await;
        }
        // However long, it takes no time.
        check(&"a".repeat(256), true).await;
    }

    async fn check(password: &str, expected: bool) {
        let words = ["bartizan", "globex", "jane", "doe"].map(str::to_owned).to_vec();
        let is_guessable = is_guessable(Private(password.to_owned()), words).await.unwrap();
        assert_eq!(is_guessable, expected, "{password}");
    }
}
