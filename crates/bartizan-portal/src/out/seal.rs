//! Secrets of sinks, sealed for the database.
//!
//! # Invariants
//! - A tenant's secrets open for that tenant alone.

use bartizan_model::{Private, TenantId};

use super::settings::Secrets;
use crate::seal::Sealer;

/// What was sealed does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secrets of this sink do not open: they were sealed by another installation; enter them again"
)]
pub(crate) struct Sealed;

/// Seals for a tenant.
pub(crate) fn seal(
    sealer: &Sealer,
    tenant: TenantId,
    secrets: &Secrets,
) -> anyhow::Result<Private<Vec<u8>>> {
    Ok(Private(sealer.seal(&purpose(tenant), &serde_json::to_vec(secrets)?)?))
}

/// Opens what was sealed for a tenant.
pub(crate) fn open(
    sealer: &Sealer,
    tenant: TenantId,
    sealed: &Private<Vec<u8>>,
) -> Result<Secrets, Sealed> {
    let opened = sealer.open(&purpose(tenant), &sealed.0).ok_or(Sealed)?;
    serde_json::from_slice(&opened.0).map_err(|_| Sealed)
}

fn purpose(tenant: TenantId) -> String {
    format!("sink of tenant {}", tenant.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_tenant_and_nobody_else() {
        let sealer = Sealer::new(&Private([1; 32])).unwrap();
        let secrets = Secrets { password: "secret word".into(), ..Secrets::default() };
        let sealed = seal(&sealer, TenantId(1), &secrets).unwrap();
        assert!(!String::from_utf8_lossy(&sealed.0).contains("secret word"));
        assert_eq!(open(&sealer, TenantId(1), &sealed), Ok(secrets));
        assert_eq!(open(&sealer, TenantId(2), &sealed), Err(Sealed));
        assert_eq!(open(&sealer, TenantId(1), &Private(Vec::new())), Err(Sealed));
    }
}
