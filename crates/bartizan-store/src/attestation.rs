//! What vouches for a device's key, and by which key an organization is known to a device that is not let in yet.
//!
//! Whether an attestation holds is not judged here, but by who lets the device in.

use bartizan_model::Private;

use crate::db::{Optional, Reach};
use crate::{EnrollError, Store, StoreError, TenantScope, tenant};

/// What vouches for a device's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attestation {
    /// Nothing.
    None,
    /// App Attest: the key is of a genuine app, on genuine hardware.
    Genuine,
    /// App Attest, for a build that is under development.
    Development,
}

impl Attestation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Genuine, Self::Development];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Genuine => "genuine",
            Self::Development => "development",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }
}

impl Store {
    /// Returns the seed of the signing key of the organization that gave out an enrollment token, used up or not.
    ///
    /// # Errors
    /// No such token was given out.
    pub async fn signing_key_of_token(
        &self,
        token_hash: [u8; 32],
    ) -> Result<Private<[u8; 32]>, EnrollError> {
        let found = self.db.read(Reach::All, move |db| {
            let scope = db
                .prepare_cached(
                    "SELECT e.tenant_id FROM locator AS l
                     JOIN enrollment_token AS e ON e.tenant_id = l.tenant_id AND e.token_hash = l.key
                     WHERE l.kind = 'enrollment' AND l.key = ?1",
                )?
                .query_row([token_hash], |row| Ok(TenantScope::new(row.get(0)?)))
                .optional()?;
            let row = scope.map(|scope| tenant::tenant_row(db, scope)).transpose()?;
            Ok::<_, StoreError>(row.map(|row| row.signing_key))
        });
        found.await?.ok_or(EnrollError::Unknown)
    }
}
