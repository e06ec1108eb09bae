//! Passwords that let somebody in until they have chosen their own.
//!
//! What it does not do: let them in. `sign_in` takes one like any other password, and asks for another.

use std::fmt;
use std::time::Duration;

use bartizan_model::{Private, UnixMillis};
use bartizan_store::NewMember;

use crate::draw::random_groups;
use crate::{later, password};

/// Good for 24 hours, or until its owner has chosen their own.
///
/// Four groups of five characters that nobody mistakes for each other: 98 bits. `Display` shows it,
/// `Debug` hides it.
#[derive(Clone)]
pub struct OneTimePassword(Private<String>);

impl OneTimePassword {
    /// Draws one; what the store keeps of it is its hash, and until when it is good.
    pub(crate) async fn draw(
        now: UnixMillis,
    ) -> anyhow::Result<(Self, Private<String>, UnixMillis)> {
        let password = Private(random_groups(4)?);
        let hash = password::hash(password.clone()).await?;
        Ok((Self(password), hash, later(now, LIFETIME)))
    }

    /// Draws one for somebody who is new.
    pub(crate) async fn for_new(
        email: String,
        roles: Vec<String>,
        now: UnixMillis,
    ) -> anyhow::Result<(Self, NewMember)> {
        let (password, password_hash, one_time_expires_at) = Self::draw(now).await?;
        Ok((password, NewMember { email, password_hash, one_time_expires_at, roles }))
    }
}

impl fmt::Display for OneTimePassword {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.0)
    }
}

impl fmt::Debug for OneTimePassword {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("OneTimePassword(<private>)")
    }
}

pub(crate) const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
