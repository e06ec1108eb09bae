//! What the organization's own programs call: `/oauth2/token` and `/api/v1`.
//!
//! A program is an application (`bartizan_store::ApplicationRow`). It proves itself with a secret or a signed assertion
//! (`assertion`), is given a token for ten minutes (`token`), and shows it with every request (`access`).

pub(crate) mod access;
mod assertion;
pub(crate) mod public_key;
pub(crate) mod token;

/// Where all of it stands but the tokens.
pub(crate) const BASE: &str = "/api/v1";
