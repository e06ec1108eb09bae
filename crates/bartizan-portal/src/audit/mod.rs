//! The audit log outside the store: signed heads, export, and proof without a portal.
//!
//! A head says of how many entries the tenant's log is and what their root is, signed by the tenant's key. Whoever keeps one
//! outside (a mail, a printout, another system) can show later that nothing before it was changed or removed.

mod export;
pub(crate) mod fuzz;
mod note;
mod verify;

use std::time::Duration;

use bartizan_store::{AuditHeadRow, AuditTree, StoreError, TenantScope};
use ed25519_dalek::SigningKey;

use crate::serve::closed;
use crate::state::AppState;

pub(crate) use export::export;
pub use verify::{AuditProblem, AuditReport, verify};

/// A head of now: the one that is kept where nothing has changed since.
pub(crate) async fn head(
    state: &AppState,
    scope: TenantScope,
) -> Result<(AuditTree, AuditHeadRow), StoreError> {
    let tree = state.store.audit_tree(scope).await?;
    let newest = state.store.audit_heads(scope, 1).await?.pop();
    if let Some(kept) = newest.filter(|kept| kept.size == tree.size) {
        return Ok((tree, kept));
    }
    let at = state.clock.now();
    let key = SigningKey::from_bytes(&state.store.tenant_row(scope).await?.signing_key.0);
    let note = note::sign(&note::origin(scope.tenant_id()), tree, at, &key);
    let head = AuditHeadRow { size: tree.size, at, note };
    state.store.keep_audit_head(scope, head.clone()).await?;
    Ok((tree, head))
}

/// Signs a head of every log that has grown.
pub(crate) async fn sign_what_grew(state: &AppState) -> Result<(), StoreError> {
    for scope in state.store.unsigned_audits().await? {
        head(state, scope).await?;
    }
    Ok(())
}

/// Signs heads until the portal closes.
pub(crate) async fn run(state: AppState) {
    let mut closing = state.closing.subscribe();
    loop {
        if let Err(error) = sign_what_grew(&state).await {
            tracing::error!(error = &error as &dyn std::error::Error, "audit log was not signed");
        }
        tokio::select! {
            () = closed(&mut closing) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

const EVERY: Duration = Duration::from_secs(60);
