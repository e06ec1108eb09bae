//! Signing in by the organization's OpenID provider: the code flow with PKCE (OpenID Connect Core 1.0 §3.1, RFC 7636),
//! and logging out by it (Back-Channel Logout 1.0).
//!
//! [`begin`] sends the person to the provider, [`finish`] takes them back, [`log_out`] obeys the provider. [`jose`]
//! verifies tokens, [`claims`] judges what they say, [`provider`] speaks to the provider. Which member somebody is
//! decides the store (`arrive`).
//!
//! # What it does not do
//! - Implicit and hybrid flows, dynamic registration, signed or encrypted requests.
//! - Keep the provider's tokens: who somebody is, is asked once.
//!
//! # Invariants
//! - State, nonce and verifier are random, sealed in the browser's cookie, and good for one return.
//! - Whatever fails, people are told the same; why stands in the log.

pub(crate) mod claims;
pub(crate) mod jose;
pub(crate) mod provider;

use axum::http::HeaderValue;
use bartizan_model::Private;
use bartizan_store::{
    Arrival, Arrived, IdentityProvider, SignInKey, SignInMethod, SignInPlace, StoreError,
    TenantScope, Vouched,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::claims::{ClaimError, Named, Parties};
use self::jose::{Claims, JoseError, Token};
use self::provider::{Bearer, Metadata, Place, ProviderError};
use crate::random;
use crate::request::Origin;
use crate::session::{SessionToken, query_value};
use crate::sign_in::{self, Proof, SignInError};
use crate::state::AppState;
use crate::ticket::{self, Step};

/// What the browser keeps while the person is at the provider.
#[derive(Serialize, Deserialize)]
pub(crate) struct Flow {
    /// Names the organization.
    pub(crate) address: String,
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
    /// Where to go on.
    pub(crate) next: String,
}

/// What comes back from the provider (RFC 6749 §4.1.2, RFC 9207).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Return {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Why nobody was signed in; for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The browser has no ticket for this, or another's.
    #[error("the sign-in was not begun by this browser, or took too long")]
    NoFlow,
    /// The organization has no provider by this address.
    #[error("no organization signs in by this address")]
    NoPlace,
    /// The provider says so.
    #[error("the provider answers with the error {0}")]
    Told(String),
    /// Another provider answers, or one that must name itself does not.
    #[error("the answer is not the provider's own (iss)")]
    OtherIssuer,
    /// Without a code.
    #[error("the answer has no code")]
    NoCode,
    /// It cannot be asked.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A token is not the provider's.
    #[error(transparent)]
    Token(#[from] JoseError),
    /// A token is not for this.
    #[error(transparent)]
    Claims(#[from] ClaimError),
    /// The token is of another kind.
    #[error("the token is of another kind")]
    OtherKind,
    /// The provider names two people.
    #[error("the provider's user information is about somebody else")]
    OtherSubject,
    /// The secret was sealed by another installation.
    #[error("the client's secret cannot be opened: enter it again")]
    Sealed,
    /// They are known, and not let in.
    #[error("the person is not let in: {0:?}")]
    NotLetIn(Arrived),
    /// A logout token came twice.
    #[error("the logout token was seen before")]
    Replayed,
    /// No session could be begun.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no randomness.
    #[error("there is no randomness")]
    Random(#[from] getrandom::Error),
}

/// Sends the person to the provider: the address, and the cookie with which they come back.
pub(crate) async fn begin(
    state: &AppState,
    place: &SignInPlace,
    redirect_uri: String,
    next: String,
) -> Result<(String, HeaderValue), Refusal> {
    let provider = &place.provider;
    let metadata = provider::metadata(state, &place_of(state, provider)).await?;
    let secret = || random::<32>().map(|octets| URL_SAFE_NO_PAD.encode(octets));
    let flow = Flow {
        address: provider.address.clone(),
        state: secret()?,
        nonce: secret()?,
        verifier: secret()?,
        redirect_uri,
        next,
    };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&flow.verifier));
    let query = form(&[
        ("response_type", "code"),
        ("client_id", &provider.client_id),
        ("redirect_uri", &flow.redirect_uri),
        ("scope", &provider.scopes),
        ("state", &flow.state),
        ("nonce", &flow.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let endpoint = metadata.authorization_endpoint;
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    let cookie =
        ticket::give(state, Step::AtProvider, flow).map_err(|_| getrandom::Error::UNEXPECTED)?;
    Ok((format!("{endpoint}{joint}{query}"), cookie))
}

/// Takes the person back: a session, if the provider vouches for a member.
pub(crate) async fn finish(
    state: &AppState,
    flow: &Flow,
    back: Return,
    origin: Origin,
) -> Result<SessionToken, Refusal> {
    // Both are random and as long as each other; which octet differs tells nothing that helps.
    if back.state.as_deref() != Some(&flow.state) {
        return Err(Refusal::NoFlow);
    }
    let place = place_at(state, &flow.address).await?;
    let provider = &place.provider;
    let metadata = provider::metadata(state, &place_of(state, provider)).await?;
    match back.iss {
        Some(issuer) if issuer != provider.issuer => return Err(Refusal::OtherIssuer),
        None if metadata.authorization_response_iss_parameter_supported => {
            return Err(Refusal::OtherIssuer);
        }
        Some(_) | None => {}
    }
    if let Some(error) = back.error {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        return Err(Refusal::Told(error.chars().filter(is_plain).take(60).collect()));
    }
    let code = back.code.ok_or(Refusal::NoCode)?;
    let tokens = redeem(state, &place, &metadata, flow, &code).await?;
    let token = Token::parse(&tokens.id_token.0)?;
    if token.kind().is_some_and(|kind| kind != "jwt") {
        return Err(Refusal::OtherKind);
    }
    let claims = verify(state, provider, &metadata, &token, Bearer::Provider).await?;
    let named = claims::id_token(&claims, parties(provider), &flow.nonce, state.clock.now())?;
    let asked = place_of(state, provider);
    let claims = complete(&asked, provider, &metadata, claims, &named, tokens.access_token).await?;
    if place.is_suspended {
        // Before anybody is noted there.
        return Err(SignInError::Suspended.into());
    }
    let arrival = Arrival {
        issuer: provider.issuer.clone(),
        subject: named.subject.clone(),
        email: claims::text(&claims, "email").map(str::to_owned),
        is_email_verified: claims::is_email_verified(&claims),
        name: claims::text(&claims, "name").map(str::to_owned),
        groups: claims::groups(&claims, &provider.group_claim),
    };
    let scope = place.scope.during(origin.request, origin.address);
    match state.store.arrive(scope, arrival, state.clock.now()).await? {
        Arrived::Member { scope, id } => {
            let vouched = Vouched { subject: named.subject, session: named.session };
            let proof = Proof { method: SignInMethod::Provider, vouched: Some(vouched) };
            Ok(sign_in::begin(state, scope, id, origin.agent, proof).await?)
        }
        refused @ (Arrived::OtherProvider
        | Arrived::Unknown
        | Arrived::NoEmail
        | Arrived::Taken
        | Arrived::Disabled
        | Arrived::NoRole
        | Arrived::LastAdministrator) => Err(Refusal::NotLetIn(refused)),
    }
}

/// Obeys a logout token. Returns how many sessions ended.
pub(crate) async fn log_out(
    state: &AppState,
    address: &str,
    token: &str,
    origin: &Origin,
) -> Result<usize, Refusal> {
    let place = place_at(state, address).await?;
    // Older providers call it no more than a JWT, or nothing; its claims tell it from others.
    let token = Token::parse(token)?;
    if token.kind().is_some_and(|kind| kind != "logout+jwt" && kind != "jwt") {
        return Err(Refusal::OtherKind);
    }
    let provider = &place.provider;
    let metadata = provider::metadata(state, &place_of(state, provider)).await?;
    let claims = verify(state, provider, &metadata, &token, Bearer::Stranger).await?;
    let now = state.clock.now();
    let out = claims::logout_token(&claims, parties(provider), now)?;
    let scope = place.scope.during(origin.request, origin.address);
    state
        .store
        .log_out_by_provider(scope, out.id_hash, out.until, out.subject, out.session, now)
        .await?
        .ok_or(Refusal::Replayed)
}

/// Asks a provider who it is, and for its keys: what an administrator wants to know before they save.
pub(crate) async fn try_out(
    state: &AppState,
    provider: &IdentityProvider,
) -> Result<(), ProviderError> {
    let place = place_of(state, provider);
    state.providers.forget(&place).await;
    let metadata = provider::metadata(state, &place).await?;
    let keys = provider::keys(state, &place, &metadata, None).await?;
    if keys.is_empty() { Err(JoseError::UnknownKey.into()) } else { Ok(()) }
}

/// What a client's secret is sealed for.
pub(crate) fn secret_purpose(scope: TenantScope) -> String {
    format!("client secret of {}", scope.tenant_id().0)
}

/// Writes pairs as a form (RFC 6749 appendix B).
fn form(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", query_value(value)));
    pairs.collect::<Vec<_>>().join("&")
}

async fn place_at(state: &AppState, address: &str) -> Result<SignInPlace, Refusal> {
    state.store.sign_in_place(SignInKey::Address, address).await?.ok_or(Refusal::NoPlace)
}

fn place_of(state: &AppState, provider: &IdentityProvider) -> Place {
    let allow_private = provider.allow_private && state.reach.private_addresses;
    Place { issuer: provider.issuer.clone(), allow_private }
}

fn parties(provider: &IdentityProvider) -> Parties<'_> {
    Parties { issuer: &provider.issuer, client_id: &provider.client_id }
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Hidden,
    access_token: Option<Hidden>,
}

#[derive(Deserialize)]
struct Hidden(String);

/// Exchanges the code (RFC 6749 §4.1.3). The provider sees to it that a code is taken once.
async fn redeem(
    state: &AppState,
    place: &SignInPlace,
    metadata: &Metadata,
    flow: &Flow,
    code: &str,
) -> Result<Tokens, Refusal> {
    let provider = &place.provider;
    let secret = match &provider.client_secret {
        None => None,
        Some(sealed) => {
            let opened = state.sealer.open(&secret_purpose(place.scope), &sealed.0);
            let text = opened.and_then(|opened| String::from_utf8(opened.0).ok());
            Some(Private(text.ok_or(Refusal::Sealed)?))
        }
    };
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &flow.redirect_uri),
        ("code_verifier", &flow.verifier),
    ];
    let takes_basic = match &metadata.token_endpoint_auth_methods_supported {
        None => true,
        Some(methods) => methods.iter().any(|method| method == "client_secret_basic"),
    };
    let mut authorization = None;
    match &secret {
        Some(secret) if takes_basic => {
            let both = format!("{}:{}", query_value(&provider.client_id), query_value(&secret.0));
            authorization = Some(Private(format!("Basic {}", STANDARD.encode(both))));
        }
        Some(secret) => {
            pairs
                .extend([("client_id", provider.client_id.as_str()), ("client_secret", &secret.0)]);
        }
        None => pairs.push(("client_id", &provider.client_id)),
    }
    let body = Private(form(&pairs));
    let url = metadata.token_endpoint.clone();
    Ok(provider::post(&place_of(state, provider), url, authorization, body).await?)
}

/// Verifies a token by the keys that are known, and by those of this moment if none of them fits.
async fn verify(
    state: &AppState,
    provider: &IdentityProvider,
    metadata: &Metadata,
    token: &Token<'_>,
    bearer: Bearer,
) -> Result<Claims, Refusal> {
    let place = place_of(state, provider);
    let keys = provider::keys(state, &place, metadata, None).await?;
    match token.verify(&keys) {
        Ok(claims) => Ok(claims.clone()),
        Err(JoseError::UnknownKey | JoseError::BadSignature) => {
            let keys = provider::keys(state, &place, metadata, Some(bearer)).await?;
            Ok(token.verify(&keys)?.clone())
        }
        Err(error) => Err(error.into()),
    }
}

/// Adds what the token leaves out and the provider tells whoever has an access token (Core §5.3).
async fn complete(
    place: &Place,
    provider: &IdentityProvider,
    metadata: &Metadata,
    mut claims: Claims,
    named: &Named,
    access_token: Option<Hidden>,
) -> Result<Claims, Refusal> {
    let wants_groups = !provider.group_claim.is_empty()
        && claims::groups(&claims, &provider.group_claim).is_empty();
    let is_short = !claims.contains_key("email") || wants_groups;
    let (true, Some(url), Some(token)) = (is_short, &metadata.userinfo_endpoint, access_token)
    else {
        return Ok(claims);
    };
    let told: Claims = provider::get(place, url.clone(), Some(Private(token.0))).await?;
    if claims::text(&told, "sub") != Some(&named.subject) {
        return Err(Refusal::OtherSubject);
    }
    for (name, value) in told {
        claims.entry(name).or_insert(value);
    }
    Ok(claims)
}
