//! The log as a file: JSON lines, the first with the signed head, then one for each entry.
//!
//! A file of all entries needs no more: they give the head's root. In one of some entries each brings the proof that it is
//! under that root.

use axum::body::{Body, Bytes};
use axum::response::Response;
use bartizan_contract::keys::Jwk;
use bartizan_store::{AuditEntry, AuditFilter, AuditPlace, Personal, StoreError, TenantScope};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use futures_util::stream::unfold;
use serde::{Deserialize, Serialize};

use super::head;
use crate::files::hexadecimal;
use crate::state::AppState;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) format: String,
    /// The signed note.
    pub(super) head: String,
    /// The key that signed it.
    pub(super) key: Jwk,
    /// Whether every entry under the head follows.
    pub(super) complete: bool,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) entry: AuditEntry,
    /// What the entry says of people, by the order of its hashes; `null` where it was erased.
    pub(super) personal: Vec<Option<Personal>>,
    /// The hash that the log has at its place.
    pub(super) leaf: String,
    /// Where not all entries follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<Vec<String>>,
}

/// Streams the entries that are asked for.
pub(crate) async fn export(
    state: &AppState,
    scope: TenantScope,
    filter: AuditFilter,
) -> Result<Response, StoreError> {
    let (tree, signed) = head(state, scope).await?;
    let key = SigningKey::from_bytes(&state.store.tenant_row(scope).await?.signing_key.0);
    let is_complete = filter == AuditFilter::default();
    let header = Header {
        format: FORMAT.into(),
        head: signed.note,
        key: Jwk::from_portal_key(&key.verifying_key()),
        complete: is_complete,
    };
    let mut first = serde_json::to_vec(&header).unwrap_or_default();
    first.push(b'\n');
    let page = Page { state: state.clone(), scope, filter, size: tree.size, is_complete };
    let stream = unfold((Some(first), 0, page), async |(first, from, page)| {
        if let Some(first) = first {
            return Some((Ok(Bytes::from(first)), (None, from, page)));
        }
        match page.lines(from).await {
            Ok((_, octets)) if octets.is_empty() => None,
            Ok((next, octets)) => Some((Ok(Bytes::from(octets)), (None, next, page))),
            Err(error) => Some((Err(error), (None, u64::MAX, page))),
        }
    });
    Ok(Response::new(Body::from_stream(stream)))
}

struct Page {
    state: AppState,
    scope: TenantScope,
    filter: AuditFilter,
    size: u64,
    is_complete: bool,
}

impl Page {
    /// Writes some entries from this one on; nothing where there are no more under the head.
    async fn lines(&self, from: u64) -> Result<(u64, Vec<u8>), StoreError> {
        if self.size <= from {
            return Ok((from, Vec::new()));
        }
        let (store, scope) = (&self.state.store, self.scope);
        let mut rows =
            store.audit(scope, self.filter.clone(), AuditPlace::From(from), PAGE).await?;
        rows.retain(|row| row.entry.seq < self.size);
        let next = rows.last().map_or(self.size, |row| row.entry.seq + 1);
        let numbers = rows.iter().map(|row| row.entry.seq).collect();
        let mut proofs = Vec::new();
        if !self.is_complete {
            proofs = store.audit_inclusion(scope, numbers, self.size).await?;
        }
        let mut proofs = proofs.into_iter();
        let mut octets = Vec::new();
        for row in rows {
            let proof = proofs.next();
            let line = Line {
                entry: row.entry,
                personal: row.personal,
                leaf: hexadecimal(&row.leaf),
                proof: proof.map(|proof| proof.iter().map(|hash| STANDARD.encode(hash)).collect()),
            };
            octets.extend(serde_json::to_vec(&line).unwrap_or_default());
            octets.push(b'\n');
        }
        Ok((next, octets))
    }
}

pub(super) const FORMAT: &str = "bartizan-audit-1";
const PAGE: u32 = 500;
