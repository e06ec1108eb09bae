//! Which directory is calling: a bearer token (RFC 6750) of the tenant.
//!
//! Text form: `bzs1.TENANT.SECRET`. The tenant's number finds the row, the secret of 256 random bits is what counts; the
//! store keeps its SHA-256.

use std::fmt;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bartizan_model::{Private, TenantId};
use bartizan_store::TenantScope;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::error::ScimError;
use crate::random;
use crate::request::{Caller, Origin};
use crate::state::AppState;

/// A directory with a token that holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directory {
    pub(crate) scope: TenantScope,
}

impl FromRequestParts<AppState> for Directory {
    type Rejection = ScimError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ScimError> {
        let refused = || ScimError::new(StatusCode::UNAUTHORIZED, "a directory token is required");
        let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(refused()) };
        let (scheme, text) =
            value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(refused)?;
        let token: DirectoryToken = text.trim().parse().map_err(|_| refused())?;
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return Err(refused());
        }
        let now = state.clock.now();
        let scope = state.store.scope_of_scim_token(token.tenant, token.hash(), now).await?;
        let scope = scope.ok_or_else(refused)?;
        Caller::note(parts, scope.tenant_id());
        let origin = Origin::of(parts);
        Ok(Self { scope: scope.during(origin.request, origin.address) })
    }
}

/// What a directory shows to be let in. `Display` shows it, `Debug` hides it.
#[derive(Debug)]
pub(crate) struct DirectoryToken {
    tenant: TenantId,
    secret: Private<[u8; 32]>,
}

impl DirectoryToken {
    /// Draws one.
    pub(crate) fn random(tenant: TenantId) -> Result<Self, getrandom::Error> {
        Ok(Self { tenant, secret: Private(random()?) })
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret.0).into()
    }
}

impl fmt::Display for DirectoryToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{PREFIX}.{}.{}", self.tenant.0, URL_SAFE_NO_PAD.encode(self.secret.0))
    }
}

impl FromStr for DirectoryToken {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.');
        let (Some(PREFIX), Some(tenant), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let secret = URL_SAFE_NO_PAD.decode(secret).map_err(|_| ())?;
        let tenant = TenantId(tenant.parse().map_err(|_| ())?);
        Ok(Self { tenant, secret: Private(secret.try_into().map_err(|_| ())?) })
    }
}

const PREFIX: &str = "bzs1";
