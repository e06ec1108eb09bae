//! Passkeys (WebAuthn Level 3): asking authenticators, and taking their answers. `verify` checks an answer, the store keeps
//! keys and which questions were answered, `pages` shows it.
//!
//! # What it does not do
//! - Ask which make an authenticator is: attestation is "none".
//!
//! # Invariants
//! - A question is bound to the browser that asked, by a sealed cookie, to what it was asked for, and to five minutes; it is
//!   answered once.
//! - Whoever comes in without a password was verified by their authenticator.
//! - A passkey of an operator opens no organization, and a member's not the installation.
//! - Nobody learns from a refusal whether a passkey, or somebody, is known here.

mod key;
mod site;
mod verify;

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use bartizan_model::{TenantId, UnixMillis};
use bartizan_store::{
    MemberId, NewPasskey, PasskeyCredential, PasskeyRow, PasskeyUse, SpentChallenge, StoreError,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) use self::site::{NoSite, Site};
pub(crate) use self::verify::fuzz;
use self::verify::{AnswerError, Assertion, MAX_CREDENTIAL, Question};
use crate::error::ApiError;
use crate::files::hexadecimal;
use crate::request::Origin;
use crate::session::Session;
use crate::state::AppState;
use crate::ticket::{self, Step};
use crate::{later, random};

/// What a question is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// Coming in without a password: as a member of an organization, or as an operator.
    SignIn { as_operator: bool },
    /// Coming in after the password of this member.
    SecondFactor(String),
    /// Showing anew that it is they, in the session with this hash.
    Confirm([u8; 32]),
    /// Adding a passkey, in the session with this hash.
    Add([u8; 32]),
}

impl Purpose {
    /// After a password, that somebody touches the authenticator is enough.
    fn must_verify(&self) -> bool {
        match self {
            Self::SignIn { .. } | Self::Confirm(_) => true,
            Self::SecondFactor(_) | Self::Add(_) => false,
        }
    }

    /// Whether somebody of this tenant may answer: operators come in by their own door, and members by theirs.
    fn admits(&self, is_installation: bool) -> bool {
        match self {
            Self::SignIn { as_operator } => *as_operator == is_installation,
            Self::SecondFactor(_) | Self::Confirm(_) | Self::Add(_) => true,
        }
    }
}

/// Why an answer was not taken. It is logged; people are told less.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The browser was asked nothing, something else, or too long ago.
    #[error("no question stands")]
    Late,
    /// See there.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// There is no such passkey, or it is somebody else's or for another site.
    #[error("the passkey is not known")]
    Unknown,
    /// Its owner may not sign in.
    #[error("its owner is disabled")]
    Disabled,
    /// The organization lets people in by its provider alone.
    #[error("the organization lets break-glass accounts alone sign in without its provider")]
    ProviderOnly,
    /// The question was answered before.
    #[error("the question was answered before")]
    Spent,
    /// There may be a copy of the authenticator.
    #[error("the authenticator counts backwards")]
    Cloned,
    /// Too many were refused.
    #[error("too many attempts; try again later")]
    RateLimited(Duration),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Serialize, Deserialize)]
struct Asked {
    purpose: Purpose,
    challenge: [u8; 32],
    until_ms: u64,
}

/// Asks for an answer by a passkey that is there: what the script gives to the browser, and the cookie that remembers it.
/// Without `allowed` the person chooses among those that their authenticators know by themselves.
pub(crate) fn ask(
    state: &AppState,
    site: &Site,
    purpose: Purpose,
    allowed: &[PasskeyRow],
) -> Result<(Value, HeaderValue), ApiError> {
    let verification = if purpose.must_verify() { "required" } else { "discouraged" };
    let (challenge, cookie) = remember(state, purpose)?;
    let question = json!({ "get": {
        "rpId": site.host,
        "challenge": text(&challenge),
        "timeout": PATIENCE_MS,
        "userVerification": verification,
        "allowCredentials": descriptors(site, allowed),
    }});
    Ok((question, cookie))
}

/// Asks for a new passkey.
pub(crate) fn ask_for_new(
    state: &AppState,
    site: &Site,
    session: &Session,
    known: &[PasskeyRow],
) -> Result<(Value, HeaderValue), ApiError> {
    let (challenge, cookie) = remember(state, Purpose::Add(session.token_hash))?;
    let algorithms: Vec<_> =
        key::ALGORITHMS.iter().map(|alg| json!({ "type": "public-key", "alg": alg })).collect();
    let question = json!({ "create": {
        "rp": { "id": site.host, "name": "Bartizan" },
        "user": {
            "id": text(&user_handle(session.scope.tenant_id(), session.member)),
            "name": session.email,
            "displayName": format!("{} · {}", session.email, session.tenant_name),
        },
        "challenge": text(&challenge),
        "timeout": PATIENCE_MS,
        "pubKeyCredParams": algorithms,
        "excludeCredentials": descriptors(site, known),
        // A key without a PIN is still good beside a password.
        "authenticatorSelection": { "residentKey": "preferred", "userVerification": "preferred" },
        "attestation": "none",
    }});
    Ok((question, cookie))
}

/// Takes an answer by a passkey: of whoever it is, or of one member.
pub(crate) async fn take(
    state: &AppState,
    site: &Site,
    headers: &HeaderMap,
    purpose: Purpose,
    whose: Option<(TenantId, MemberId)>,
    answer: &str,
    origin: &Origin,
) -> Result<PasskeyCredential, Refusal> {
    let told = judge(state, site, headers, purpose, whose, answer, origin).await;
    if let Err(refusal) = &told {
        note(refusal, origin);
    }
    told
}

async fn judge(
    state: &AppState,
    site: &Site,
    headers: &HeaderMap,
    purpose: Purpose,
    whose: Option<(TenantId, MemberId)>,
    answer: &str,
    origin: &Origin,
) -> Result<PasskeyCredential, Refusal> {
    let must_verify = purpose.must_verify();
    let installation = state.store.installation().scope().tenant_id();
    let asked = recall(state, headers, &purpose).ok_or(Refusal::Late)?;
    let answer: AssertionAnswer =
        serde_json::from_str(answer).map_err(|_| AnswerError::Malformed)?;
    let now = state.clock.now();
    // The passkey's name stands for the account: nobody who has none is held up for somebody else.
    let attempt = state
        .throttle
        .begin(&text(&answer.id.0), origin.address, now)
        .map_err(Refusal::RateLimited)?;
    let said = answer.user_handle.map(|handle| handle_of(&handle.0).ok_or(Refusal::Unknown));
    let owner = match (whose, said.transpose()?) {
        (Some(whose), Some(said)) if whose != said => return Err(Refusal::Unknown),
        (Some(whose), _) => whose,
        (None, Some(said)) => said,
        (None, None) => return Err(Refusal::Unknown),
    };
    if !purpose.admits(owner.0 == installation) {
        return Err(Refusal::Unknown);
    }
    let found = state.store.passkey(owner.0, owner.1, answer.id.0).await?;
    let found = found.filter(|found| found.site == site.host).ok_or(Refusal::Unknown)?;
    let question = Question { challenge: &asked.challenge, site, must_verify };
    let assertion = Assertion {
        client_data: &answer.client_data.0,
        authenticator_data: &answer.authenticator_data.0,
        signature: &answer.signature.0,
    };
    let told = verify::asserted(question, assertion, &found.public_key, found.may_be_backed_up)?;
    if found.is_disabled {
        return Err(Refusal::Disabled);
    }
    if !found.may_sign_in {
        return Err(Refusal::ProviderOnly);
    }
    let scope = found.scope.during(origin.request, origin.address);
    let found = PasskeyCredential { scope, ..found };
    let spent = asked.spent();
    match state.store.use_passkey(&found, told.sign_count, told.is_backed_up, spent, now).await? {
        PasskeyUse::Taken => {
            state.throttle.succeeded(attempt);
            Ok(found)
        }
        PasskeyUse::Spent => Err(Refusal::Spent),
        PasskeyUse::Cloned => Err(Refusal::Cloned),
    }
}

/// Adds the passkey that was asked for in this session.
pub(crate) async fn add(
    state: &AppState,
    site: &Site,
    headers: &HeaderMap,
    session: &Session,
    name: String,
    answer: &str,
    origin: &Origin,
) -> Result<(), Refusal> {
    let purpose = Purpose::Add(session.token_hash);
    let told = match recall(state, headers, &purpose) {
        Some(asked) => made(site, &asked, name, answer).map(|passkey| (asked.spent(), passkey)),
        None => Err(Refusal::Late),
    };
    let (spent, passkey) = told.inspect_err(|refusal| note(refusal, origin))?;
    let (scope, member, hash) = (session.scope, session.member, session.token_hash);
    let now = state.clock.now();
    state.store.add_passkey(scope, member, passkey, spent, hash, now).await?;
    Ok(())
}

fn made(site: &Site, asked: &Asked, name: String, answer: &str) -> Result<NewPasskey, Refusal> {
    let answer: CreationAnswer =
        serde_json::from_str(answer).map_err(|_| AnswerError::Malformed)?;
    let question = Question { challenge: &asked.challenge, site, must_verify: false };
    let made = verify::created(question, &answer.client_data.0, &answer.attestation_object.0)?;
    // Browsers' words; those that are no words are not kept.
    let is_word = |word: &String| {
        (1..=20).contains(&word.len())
            && word.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    let transports = answer.transports.into_iter().filter(is_word).take(MAX_TRANSPORTS).collect();
    Ok(NewPasskey {
        credential: made.credential,
        site: site.host.clone(),
        public_key: made.public_key,
        sign_count: made.told.sign_count,
        may_be_backed_up: made.told.may_be_backed_up,
        is_backed_up: made.told.is_backed_up,
        transports,
        name,
    })
}

/// The header that takes the question from the browser.
pub(crate) fn forget(state: &AppState) -> HeaderValue {
    ticket::take(state, Step::AskedForPasskey)
}

impl Asked {
    fn spent(&self) -> SpentChallenge {
        let hash = Sha256::digest(self.challenge).into();
        SpentChallenge { hash, expires_at: UnixMillis(self.until_ms) }
    }
}

fn remember(state: &AppState, purpose: Purpose) -> Result<([u8; 32], HeaderValue), ApiError> {
    let challenge = random().map_err(|error| ApiError::internal(&error))?;
    let until_ms = later(state.clock.now(), Step::AskedForPasskey.lifetime()).0;
    let asked = Asked { purpose, challenge, until_ms };
    Ok((challenge, ticket::give(state, Step::AskedForPasskey, asked)?))
}

fn recall(state: &AppState, headers: &HeaderMap, purpose: &Purpose) -> Option<Asked> {
    let asked: Asked = ticket::read(state, Step::AskedForPasskey, headers)?;
    (asked.purpose == *purpose).then_some(asked)
}

fn note(refusal: &Refusal, origin: &Origin) {
    let error: &dyn std::error::Error = refusal;
    tracing::warn!(
        error,
        client.address = %origin.address,
        request.id = hexadecimal(&origin.request),
        "passkey refused"
    );
}

/// Those that were made for this site; others would only confuse the browser.
fn descriptors(site: &Site, passkeys: &[PasskeyRow]) -> Vec<Value> {
    let here = passkeys.iter().filter(|passkey| passkey.site == site.host);
    here.map(|passkey| {
        json!({
            "type": "public-key",
            "id": text(&passkey.credential),
            "transports": passkey.transports,
        })
    })
    .collect()
}

/// What authenticators keep of whose a passkey is (§5.4.3): tenant and member, nothing of the person.
fn user_handle(tenant: TenantId, member: MemberId) -> Vec<u8> {
    [&tenant.0.to_be_bytes()[..], &member.0.to_be_bytes()].concat()
}

fn handle_of(octets: &[u8]) -> Option<(TenantId, MemberId)> {
    let (tenant, member) = octets.split_first_chunk::<8>()?;
    let member: [u8; 16] = member.try_into().ok()?;
    Some((TenantId(i64::from_be_bytes(*tenant)), MemberId(u128::from_be_bytes(member))))
}

fn text(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// Octets as the script writes them: Base64url.
struct Octets(Vec<u8>);

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let octets = URL_SAFE_NO_PAD.decode(text).map_err(serde::de::Error::custom)?;
        if octets.len() <= MAX_OCTETS {
            Ok(Self(octets))
        } else {
            Err(serde::de::Error::custom("more octets than any answer has"))
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AssertionAnswer {
    id: Octets,
    client_data: Octets,
    authenticator_data: Octets,
    signature: Octets,
    user_handle: Option<Octets>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreationAnswer {
    client_data: Octets,
    attestation_object: Octets,
    #[serde(default)]
    transports: Vec<String>,
}

/// Of a browser, before it asks its person to try again: less than the question holds.
const PATIENCE_MS: u64 = 4 * 60_000;
const MAX_OCTETS: usize = 16 * 1_024;
const MAX_TRANSPORTS: usize = 8;
const _: () = assert!(MAX_CREDENTIAL < MAX_OCTETS, "every credential's name can be told");

#[cfg(test)]
mod handle_tests {
    use super::*;

    #[test]
    fn a_user_handle_names_tenant_and_member_and_nothing_else_does() {
        let (tenant, member) = (TenantId(7), MemberId(u128::MAX - 1));
        let handle = user_handle(tenant, member);
        assert_eq!((handle.len(), handle_of(&handle)), (24, Some((tenant, member))));
        for odd in [&handle[..23], &[], &[0; 25]] {
            assert_eq!(handle_of(odd), None);
        }
    }
}
