//! What a provider's tokens must say: the ID token (OpenID Connect Core 1.0 §3.1.3.7) and the logout token
//! (Back-Channel Logout 1.0 §2.6).
//!
//! Pure: who is expected, and the time, are arguments. Signatures were checked before, by `jose`.

use bartizan_model::UnixMillis;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::jose::Claims;

/// Why a token's claims are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimError {
    /// Absent, or of another type.
    #[error("the token's {0} is missing or malformed")]
    Missing(&'static str),
    /// Somebody else's.
    #[error("the token's {0} is not what is expected")]
    Other(&'static str),
    /// Over, or from the future.
    #[error("the token's {0} is out of its time")]
    Time(&'static str),
    /// Must not be there.
    #[error("the token has a {0}, which it must not")]
    Surplus(&'static str),
}

/// Who speaks to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
}

/// Whom an ID token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) subject: String,
    pub(crate) session: Option<String>,
}

/// Checks an ID token.
pub(crate) fn id_token(
    claims: &Claims,
    parties: Parties<'_>,
    nonce: &str,
    now: UnixMillis,
) -> Result<Named, ClaimError> {
    addressed(claims, parties)?;
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|all| 1 < all.len());
    match text(claims, "azp") {
        Some(azp) if azp != parties.client_id => return Err(ClaimError::Other("azp")),
        None if several => return Err(ClaimError::Missing("azp")),
        Some(_) | None => {}
    }
    let expires_at = seconds(claims, "exp").ok_or(ClaimError::Missing("exp"))?;
    if expires_at.saturating_add(SKEW_S) <= now.0 / 1_000 {
        return Err(ClaimError::Time("exp"));
    }
    issued(claims, now, None)?;
    if text(claims, "nonce") != Some(nonce) {
        return Err(ClaimError::Other("nonce"));
    }
    if claims.contains_key("events") {
        // A logout token is never an ID token.
        return Err(ClaimError::Surplus("events"));
    }
    let subject = subject(claims)?.ok_or(ClaimError::Missing("sub"))?;
    Ok(Named { subject, session: bounded(claims, "sid") })
}

/// Whom a logout token logs out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogOut {
    pub(crate) subject: Option<String>,
    pub(crate) session: Option<String>,
    /// SHA-256 of its `jti`.
    pub(crate) id_hash: [u8; 32],
    /// After this it is too old to be obeyed.
    pub(crate) until: UnixMillis,
}

/// Checks a logout token; that it comes once is for who keeps its id.
pub(crate) fn logout_token(
    claims: &Claims,
    parties: Parties<'_>,
    now: UnixMillis,
) -> Result<LogOut, ClaimError> {
    addressed(claims, parties)?;
    let issued_at = issued(claims, now, Some(LOGOUT_AGE_S))?;
    // Older providers give none; then its age bounds it.
    if seconds(claims, "exp").is_some_and(|at| at.saturating_add(SKEW_S) <= now.0 / 1_000) {
        return Err(ClaimError::Time("exp"));
    }
    let events = claims.get("events").and_then(Value::as_object);
    let event = events.and_then(|events| events.get(LOGOUT_EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(ClaimError::Missing("events"));
    }
    if claims.contains_key("nonce") {
        return Err(ClaimError::Surplus("nonce"));
    }
    let (subject, session) = (subject(claims)?, bounded(claims, "sid"));
    if subject.is_none() && session.is_none() {
        return Err(ClaimError::Missing("sub"));
    }
    let id = bounded(claims, "jti").ok_or(ClaimError::Missing("jti"))?;
    let until = issued_at.saturating_add(LOGOUT_AGE_S + SKEW_S).saturating_mul(1_000);
    Ok(LogOut { subject, session, id_hash: Sha256::digest(id).into(), until: UnixMillis(until) })
}

/// Returns the values of a claim that lists groups: one text, or a list of them. The claim may lie inside others, its
/// path joined by dots, such as `realm_access.roles`.
pub(crate) fn groups(claims: &Claims, name: &str) -> Vec<String> {
    let value = claims.get(name).or_else(|| {
        let mut path = name.split('.');
        let first = claims.get(path.next()?)?;
        path.try_fold(first, |value, part| value.get(part))
    });
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => {
            all.iter().take(MAX_GROUPS).filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
            Vec::new()
        }
    }
}

/// Whether the provider says that it has verified the address. Some write truth as text.
pub(crate) fn is_email_verified(claims: &Claims) -> bool {
    match claims.get("email_verified") {
        Some(Value::Bool(is_verified)) => *is_verified,
        Some(Value::String(text)) => text == "true",
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => false,
    }
}

/// A claim that is a text.
pub(crate) fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

fn addressed(claims: &Claims, parties: Parties<'_>) -> Result<(), ClaimError> {
    if text(claims, "iss") != Some(parties.issuer) {
        return Err(ClaimError::Other("iss"));
    }
    let is_ours = match claims.get("aud") {
        Some(Value::String(one)) => one == parties.client_id,
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(parties.client_id)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
    };
    if is_ours { Ok(()) } else { Err(ClaimError::Other("aud")) }
}

/// When it was issued: not in the future, and not longer ago than allowed.
fn issued(claims: &Claims, now: UnixMillis, oldest_s: Option<u64>) -> Result<u64, ClaimError> {
    let (now_s, at) = (now.0 / 1_000, seconds(claims, "iat").ok_or(ClaimError::Missing("iat"))?);
    let is_old = oldest_s.is_some_and(|oldest| at.saturating_add(oldest + SKEW_S) <= now_s);
    if is_old || now_s.saturating_add(SKEW_S) < at {
        return Err(ClaimError::Time("iat"));
    }
    if seconds(claims, "nbf").is_some_and(|at| now_s.saturating_add(SKEW_S) < at) {
        return Err(ClaimError::Time("nbf"));
    }
    Ok(at)
}

/// At most 255 characters (Core §2).
fn subject(claims: &Claims) -> Result<Option<String>, ClaimError> {
    match claims.get("sub") {
        None => Ok(None),
        Some(_) => bounded(claims, "sub").map(Some).ok_or(ClaimError::Missing("sub")),
    }
}

fn bounded(claims: &Claims, name: &str) -> Option<String> {
    text(claims, name).filter(|text| !text.is_empty() && text.len() <= MAX_TEXT).map(str::to_owned)
}

fn seconds(claims: &Claims, name: &str) -> Option<u64> {
    claims.get(name)?.as_u64()
}

/// What `jose::fuzz` does with claims that were signed, and what it is to survive with others.
pub(crate) fn fuzz(claims: &Claims) {
    let (parties, now) = (Parties { issuer: "i", client_id: "c" }, UnixMillis(1_800_000_000_000));
    let _ = id_token(claims, parties, "n", now);
    let _ = logout_token(claims, parties, now);
    let _ = (groups(claims, "a.b"), is_email_verified(claims));
}

/// Clocks of servers are within a minute of each other, or broken.
const SKEW_S: u64 = 60;
/// Of a logout token: it is sent at once, and tried again for a short time.
const LOGOUT_AGE_S: u64 = 5 * 60;
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const MAX_TEXT: usize = 255;
const MAX_GROUPS: usize = 1_000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const NOW_S: u64 = 1_800_000_000;
    const PARTIES: Parties<'_> = Parties { issuer: "https://id.test", client_id: "us" };

    #[test]
    fn an_id_token_is_for_us_for_this_sign_in_and_in_time() {
        id(&[], Ok(()));
        id(&[("iss", json!("https://id.test/"))], Err(ClaimError::Other("iss")));
        id(&[("iss", Value::Null)], Err(ClaimError::Other("iss")));
        id(&[("aud", json!("them"))], Err(ClaimError::Other("aud")));
        id(&[("aud", json!(["us"]))], Ok(()));
        id(&[("aud", json!(["us", "them"]))], Err(ClaimError::Missing("azp")));
        id(&[("aud", json!(["us", "them"])), ("azp", json!("us"))], Ok(()));
        id(&[("azp", json!("them"))], Err(ClaimError::Other("azp")));
        id(&[("nonce", json!("other"))], Err(ClaimError::Other("nonce")));
        id(&[("nonce", Value::Null)], Err(ClaimError::Other("nonce")));
        id(&[("exp", json!(NOW_S - 59))], Ok(()));
        id(&[("exp", json!(NOW_S - 60))], Err(ClaimError::Time("exp")));
        id(&[("exp", json!("soon"))], Err(ClaimError::Missing("exp")));
        id(&[("iat", json!(NOW_S + 60))], Ok(()));
        id(&[("iat", json!(NOW_S + 61))], Err(ClaimError::Time("iat")));
        id(&[("nbf", json!(NOW_S + 61))], Err(ClaimError::Time("nbf")));
        id(&[("sub", json!(""))], Err(ClaimError::Missing("sub")));
        id(&[("sub", json!("x".repeat(256)))], Err(ClaimError::Missing("sub")));
        id(&[("events", json!({}))], Err(ClaimError::Surplus("events")));
    }

    #[test]
    fn a_logout_token_is_for_us_recent_and_says_what_it_is() {
        out(&[], Ok(()));
        out(&[("iss", json!("https://evil.test"))], Err(ClaimError::Other("iss")));
        out(&[("aud", json!(["them"]))], Err(ClaimError::Other("aud")));
        out(&[("iat", json!(NOW_S - 359))], Ok(()));
        out(&[("iat", json!(NOW_S - 360))], Err(ClaimError::Time("iat")));
        out(&[("iat", json!(NOW_S + 61))], Err(ClaimError::Time("iat")));
        out(&[("exp", json!(NOW_S - 60))], Err(ClaimError::Time("exp")));
        out(&[("events", json!({}))], Err(ClaimError::Missing("events")));
        out(&[("events", json!({ LOGOUT_EVENT: true }))], Err(ClaimError::Missing("events")));
        out(&[("nonce", json!("n"))], Err(ClaimError::Surplus("nonce")));
        out(&[("sub", Value::Null)], Err(ClaimError::Missing("sub")));
        out(&[("sub", json!("s"))], Ok(()));
        out(&[("jti", json!(1))], Err(ClaimError::Missing("jti")));
    }

    #[test]
    fn groups_are_found_wherever_a_provider_puts_them() {
        let told = json!({
            "groups": ["a", 1, "b"], "role": "c", "realm_access": { "roles": ["d"] },
            "https://acme.test/groups": ["e"], "none": {}
        });
        let told = told.as_object().unwrap();
        for (name, expected) in [
            ("groups", &["a", "b"][..]),
            ("role", &["c"]),
            ("realm_access.roles", &["d"]),
            ("https://acme.test/groups", &["e"]),
            ("none", &[]),
            ("groups.x", &[]),
            ("", &[]),
        ] {
            assert_eq!(groups(told, name), expected, "{name}");
        }
    }

    #[track_caller]
    fn id(changes: &[(&str, Value)], expected: Result<(), ClaimError>) {
        let claims = changed(
            json!({
                "iss": "https://id.test", "aud": "us", "sub": "s", "nonce": "n", "sid": "x",
                "exp": NOW_S + 300, "iat": NOW_S
            }),
            changes,
        );
        let told = id_token(&claims, PARTIES, "n", NOW);
        assert_eq!(told.map(drop), expected, "{changes:?}");
    }

    #[track_caller]
    fn out(changes: &[(&str, Value)], expected: Result<(), ClaimError>) {
        let claims = changed(
            json!({
                "iss": "https://id.test", "aud": "us", "sid": "x", "jti": "j", "iat": NOW_S,
                "events": { LOGOUT_EVENT: {} }
            }),
            changes,
        );
        assert_eq!(logout_token(&claims, PARTIES, NOW).map(drop), expected, "{changes:?}");
    }

    fn changed(mut claims: Value, changes: &[(&str, Value)]) -> Claims {
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        claims.as_object().unwrap().clone()
    }
}
