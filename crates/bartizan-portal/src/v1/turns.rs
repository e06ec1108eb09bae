//! Changes of a tenant's things by applications take turns, so that between looking at an entity tag and changing what it
//! stands for no other application's change comes.
//!
//! # What it does not do
//! - Hold off people at the console, or another process of the portal: their changes are told from each other by the
//!   history, as those of two people at the console are.
//!
//! # Invariants
//! - [`PLACES`] locks, whatever the number of tenants; two tenants may share one, which costs only time.

use bartizan_model::TenantId;
use tokio::sync::{Mutex, MutexGuard};

/// The turns.
pub(crate) struct Turns([Mutex<()>; PLACES]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Turns {
    /// Waits until it is this tenant's turn; it ends when what is returned is dropped.
    pub(crate) async fn take(&self, tenant: TenantId) -> Option<MutexGuard<'_, ()>> {
        let place = usize::try_from(tenant.0.unsigned_abs()).unwrap_or(0) % PLACES;
        Some(self.0.get(place)?.lock().await)
    }
}

const PLACES: usize = 64;
