//! The audit log: who did what, in an order that can be proven.
//!
//! A store function that changes something calls [`append`] inside its own write, so that the change and its entry
//! stand or fall together. Who acts, for which request and from where, is in the [`TenantScope`].
//!
//! Each entry is a leaf of the tenant's Merkle tree ([`crate::merkle`]). What it says of people (addresses, names)
//! stands beside it and is named in it by a salted hash: it may be removed, and the proof stands.
//!
//! # Words
//! An action is `object.verb`, such as `policy.change`; [`ACTIONS`] has all of them. `detail` is a flat JSON object of
//! what the object cannot tell any more tomorrow: names, and values before and after. It holds nothing of people and
//! no secrets.

use bartizan_model::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::column::{count, int, ms};
use crate::db::{Connection, Optional, params};
use crate::event::{self, Happened};
use crate::merkle::{self, Hash, Nodes, Place};
use crate::{StoreError, TenantScope};

/// Every action there is, with what it means.
pub const ACTIONS: &[(&str, &str)] = &[
    ("alert-job.cancel", "Change of many alerts canceled"),
    ("alert-job.create", "Change of many alerts asked for"),
    ("alert-job.end", "Change of many alerts ended"),
    ("alert.intake", "Alerts of another product taken in"),
    ("alert.status", "Alert status changed"),
    ("application.change", "Application changed"),
    ("application.create", "Application added"),
    ("application.credential-add", "Secret or key given to an application"),
    ("application.credential-remove", "Secret or key taken from an application"),
    ("application.disable", "Application disabled"),
    ("application.enable", "Application enabled"),
    ("audit.export", "Audit log exported"),
    ("detector.auto-resolve", "Days until alerts of a detector resolve themselves changed"),
    ("detector.mode", "Mode of a detector changed"),
    ("device-group.change", "Device group changed"),
    ("device-group.create", "Device group added"),
    ("device-group.rank", "Device group ranked"),
    ("device-group.remove", "Device group removed"),
    ("device.describe", "Device described"),
    ("device.enroll", "Device enrolled"),
    ("device.forget", "Device forgotten"),
    ("device.merge", "Device merged into another record"),
    ("device.offboard", "Device offboarded"),
    ("device.tag", "Tag given to a device"),
    ("device.untag", "Tag taken from a device"),
    ("directory-token.create", "Directory token created"),
    ("directory-token.revoke", "Directory token revoked"),
    ("enrollment-code.create", "Enrollment code created"),
    ("enrollment-rule.change", "Rules of enrollment changed"),
    ("enrollment-token.create", "Enrollment token created"),
    ("feed.change", "Feed changed"),
    ("feed.create", "Feed added"),
    ("feed.remove", "Feed removed"),
    ("feed.upload", "Feed uploaded"),
    ("feed.use-version", "Feed set to a version"),
    ("feedback.answer", "Feedback answered"),
    ("feedback.status", "Feedback settled"),
    ("guard.hold-back", "Entry put under the guard again"),
    ("guard.release", "Entry released from the guard"),
    ("identity-provider.change", "Provider for signing in changed"),
    ("identity-provider.remove", "Provider for signing in removed"),
    ("incident.merge", "Incident merged into another"),
    ("incident.split", "Incident split"),
    ("incident.title", "Title of an incident changed"),
    ("indicator.change", "Indicator changed"),
    ("indicator.create", "Indicator created"),
    ("indicator.delete", "Indicator deleted"),
    ("indicator.expire", "Indicator expired by hand"),
    ("indicator.import", "Indicators imported"),
    ("license.assign", "License given"),
    ("license.seats", "Seats of a plan changed"),
    ("license.withdraw", "License taken away"),
    ("member.break-glass", "Break-glass account made or unmade"),
    ("member.disable", "Person disabled"),
    ("member.enable", "Person enabled"),
    ("member.erase", "Person's data erased"),
    ("member.invite", "Person invited"),
    ("member.link", "Person known by the provider"),
    ("member.password", "Password changed"),
    ("member.provision", "Person added by the provider"),
    ("member.reset-password", "One-time password given"),
    ("member.roles", "Roles of a person changed"),
    ("notice.dismiss", "Notice dismissed"),
    ("operator.admission", "Admission of operators changed"),
    ("operator.enter", "Operator entered"),
    ("operator.grant", "Operator let into an organization"),
    ("operator.revoke", "Operator no longer let into an organization"),
    ("own-domain.add", "Own domain added"),
    ("own-domain.remove", "Own domain removed"),
    ("passkey.add", "Passkey added"),
    ("passkey.refuse", "Passkey refused: it counts backwards, so there may be a copy of it"),
    ("passkey.remove", "Passkey removed"),
    ("passkey.remove-all", "Passkeys of a person removed"),
    ("passkey.rename", "Passkey renamed"),
    ("person-group.change", "User group changed"),
    ("person-group.create", "User group added"),
    ("person-group.delete", "User group deleted"),
    ("person.activate", "User activated"),
    ("person.change", "User changed"),
    ("person.create", "User added"),
    ("person.deactivate", "User deactivated"),
    ("person.erase", "User erased"),
    ("policy.change", "Policy changed"),
    ("policy.percent", "Share of a policy changed"),
    ("role.change", "Role changed"),
    ("role.create", "Role created"),
    ("role.remove", "Role removed"),
    ("second-factor.enroll", "Second factor set up"),
    ("second-factor.recovery-code", "Recovery code used"),
    ("second-factor.remove", "Second factor removed"),
    ("session.begin", "Signed in"),
    ("session.end", "Signed out"),
    ("session.end-by-provider", "Signed out by the provider"),
    ("session.revoke", "Session ended by hand"),
    ("sign-in-rule.change", "Rule for signing in changed"),
    ("sink.change", "Sink changed"),
    ("sink.create", "Sink added"),
    ("sink.discard", "Dead letters discarded"),
    ("sink.pause", "Sink paused"),
    ("sink.remove", "Sink removed"),
    ("sink.replay", "Dead letters sent again"),
    ("sink.resume", "Sink resumed"),
    ("sink.rotate", "Signing secret drawn anew"),
    ("sink.test", "Test sent to a sink"),
    ("site-report.decide", "Report about a site decided"),
    ("suppression.change", "Suppression rule changed"),
    ("suppression.create", "Suppression rule created"),
    ("suppression.end", "Suppression rule ended"),
    ("tenant.ask-deletion", "Organization to be deleted"),
    ("tenant.create", "Organization created"),
    ("tenant.delete", "Organization deleted"),
    ("tenant.rename", "Organization renamed"),
    ("tenant.resume", "Organization resumed"),
    ("tenant.suspend", "Organization suspended"),
];

/// An entry, as its leaf has it: serialized by itself, it gives the octets that are hashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// Counts from 0, without gaps.
    pub seq: u64,
    /// By the portal's clock, and never before that of the entry before.
    pub at_ms: u64,
    /// Who did it.
    pub actor: Named,
    /// One of [`ACTIONS`].
    pub action: String,
    /// What it was done to.
    pub object: Named,
    /// What else is to be known.
    pub detail: Value,
    /// The request's id, as in the log; empty where there was none.
    pub request: String,
    /// Hashes of what is said of people, in hexadecimal.
    pub personal: Vec<String>,
}

/// Somebody or something, by kind and id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// In a word.
    pub kind: String,
    /// Empty where there is only one of the kind.
    pub id: String,
}

/// What an entry says of a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Personal {
    /// In hexadecimal; without it nobody finds out by trying what was removed.
    pub salt: String,
    /// JSON.
    pub body: String,
}

impl AuditEntry {
    /// Returns the octets that are hashed.
    #[must_use]
    pub fn leaf(&self) -> Vec<u8> {
        // Text keys and plain values always serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Personal {
    /// Returns the hash that the entry names it by.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Sha256::new().chain_update(&self.salt).chain_update(&self.body).finalize().into()
    }
}

/// What is to be noted.
pub(crate) struct Event<'a> {
    action: &'static str,
    object: (&'static str, String),
    detail: Value,
    personal: Vec<(&'a str, Value)>,
}

impl<'a> Event<'a> {
    pub(crate) fn new(
        action: &'static str,
        object_kind: &'static str,
        object_id: impl ToString,
    ) -> Self {
        let object = (object_kind, object_id.to_string());
        Self { action, object, detail: Value::Object(serde_json::Map::new()), personal: Vec::new() }
    }

    /// Says what else is to be known; nothing of people.
    pub(crate) fn detail(self, detail: Value) -> Self {
        Self { detail, ..self }
    }

    /// Says something of a member, so that it can be removed with all else of theirs.
    pub(crate) fn of_person(mut self, member: &'a str, body: Value) -> Self {
        self.personal.push((member, body));
        self
    }
}

/// Notes what is done, in the same transaction. The tenant's entries wait for each other.
pub(crate) fn append(
    db: &Connection,
    scope: TenantScope,
    event: Event<'_>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    // Takes the place first: others that append at the same time wait here.
    let (seq, at_ms): (i64, i64) = db
        .prepare_cached(
            "INSERT INTO audit_tree (tenant_id, size, signed_size, last_at_ms) VALUES (?1, 1, 0, ?2)
             ON CONFLICT (tenant_id) DO UPDATE SET size = audit_tree.size + 1,
                 last_at_ms = greatest(audit_tree.last_at_ms, excluded.last_at_ms)
             RETURNING size - 1, last_at_ms",
        )?
        .query_row(params![scope.id(), ms(now)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let actor = scope.actor();
    let Event { action, object: (object_kind, object_id), detail, personal } = event;
    let actor_id = actor.id();
    let address =
        scope.address().map(|address| serde_json::json!({ "address": address.to_string() }));
    let mut kept = Vec::new();
    for (subject, body) in personal.into_iter().chain(address.map(|body| (&*actor_id, body))) {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        kept.push((subject, salt, Personal { salt: hex(&salt), body: body.to_string() }));
    }
    let entry = AuditEntry {
        seq: count(seq),
        at_ms: count(at_ms),
        actor: Named { kind: actor.kind().into(), id: actor_id.clone() },
        action: action.into(),
        object: Named { kind: object_kind.into(), id: object_id },
        detail,
        request: scope.request_id(),
        personal: kept.iter().map(|(_, _, personal)| hex(&personal.hash())).collect(),
    };
    db.prepare_cached(
        "INSERT INTO audit_entry (tenant_id, seq, at_ms, actor_kind, actor_id, action, object_kind,
                                  object_id, detail, request_id, personal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        scope.id(),
        seq,
        at_ms,
        entry.actor.kind,
        entry.actor.id,
        entry.action,
        entry.object.kind,
        entry.object.id,
        entry.detail.to_string(),
        entry.request,
        serde_json::json!(entry.personal).to_string(),
    ])?;
    for (subject, salt, personal) in &kept {
        db.prepare_cached(
            "INSERT INTO audit_personal (tenant_id, seq, hash, salt, subject, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            scope.id(),
            seq,
            personal.hash(),
            *salt,
            *subject,
            personal.body
        ])?;
    }
    event::append(db, scope, now, || vec![Happened::audit(&entry)])?;
    let nodes = Stored { db, scope };
    for (at, hash) in merkle::append(&nodes, entry.seq, merkle::leaf_hash(&entry.leaf()))? {
        db.prepare_cached(
            "INSERT INTO audit_node (tenant_id, level, place, hash) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![scope.id(), i64::from(at.level), int(at.place), hash])?;
    }
    Ok(())
}

/// The nodes of a tenant's tree.
pub(crate) struct Stored<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) scope: TenantScope,
}

impl Nodes for Stored<'_> {
    type Error = StoreError;

    fn node(&self, at: Place) -> Result<Hash, StoreError> {
        let hash = self
            .db
            .prepare_cached(
                "SELECT hash FROM audit_node WHERE tenant_id = ?1 AND level = ?2 AND place = ?3",
            )?
            .query_row(params![self.scope.id(), i64::from(at.level), int(at.place)], |row| {
                row.get(0)
            })
            .optional()?;
        hash.ok_or(StoreError::Damaged { column: "audit_node" })
    }
}

/// In lower-case hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
