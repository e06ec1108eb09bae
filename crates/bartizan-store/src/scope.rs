//! Proof that somebody may act for a tenant.

use bartizan_model::TenantId;

/// Whose rows a call may touch. Only the store makes one, for someone whose credential it has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantScope {
    tenant: TenantId,
}

impl TenantScope {
    pub(crate) fn new(tenant: i64) -> Self {
        Self { tenant: TenantId(tenant) }
    }

    /// Returns the tenant's id, for logs and tokens.
    #[must_use]
    pub fn tenant_id(self) -> TenantId {
        self.tenant
    }

    /// The value of `tenant_id`.
    pub(crate) fn id(self) -> i64 {
        self.tenant.0
    }
}
