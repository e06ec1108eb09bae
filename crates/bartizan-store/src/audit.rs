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

use std::collections::BTreeMap;

use bartizan_model::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use crate::column::{count, int, ms};
use crate::db::{Connection, Optional, Value, execute_many, params};
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
    ("retention.change", "Retention changed"),
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
    pub detail: Json,
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
    detail: Json,
    personal: Vec<(&'a str, Json)>,
}

impl<'a> Event<'a> {
    pub(crate) fn new(
        action: &'static str,
        object_kind: &'static str,
        object_id: impl ToString,
    ) -> Self {
        let object = (object_kind, object_id.to_string());
        Self { action, object, detail: Json::Object(serde_json::Map::new()), personal: Vec::new() }
    }

    /// Says what else is to be known; nothing of people.
    pub(crate) fn detail(self, detail: Json) -> Self {
        Self { detail, ..self }
    }

    /// Says something of a member, so that it can be removed with all else of theirs.
    pub(crate) fn of_person(mut self, member: &'a str, body: Json) -> Self {
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
    append_many(db, scope, vec![(scope, event)], now)
}

/// Notes several things at once, each with who did it; all are the tenant's.
pub(crate) fn append_many(
    db: &Connection,
    scope: TenantScope,
    events: Vec<(TenantScope, Event<'_>)>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let more = i64::try_from(events.len()).unwrap_or(i64::MAX);
    if more == 0 {
        return Ok(());
    }
    // Takes the places first: others that append at the same time wait here.
    let (size, at_ms): (i64, i64) = db
        .prepare_cached(
            "INSERT INTO audit_tree (tenant_id, size, signed_size, last_at_ms) VALUES (?1, ?3, 0, ?2)
             ON CONFLICT (tenant_id) DO UPDATE SET size = audit_tree.size + excluded.size,
                 last_at_ms = greatest(audit_tree.last_at_ms, excluded.last_at_ms)
             RETURNING size, last_at_ms",
        )?
        .query_row(params![scope.id(), ms(now), more], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut entries = Vec::with_capacity(events.len());
    let mut personal_rows = Vec::new();
    for (seq, (by, event)) in (size - more..).zip(events) {
        let (entry, personal) = entry(by, event, (seq, at_ms))?;
        entries.push(entry);
        personal_rows.extend(personal);
    }
    let rows: Vec<_> = entries.iter().map(|entry| row(scope, entry)).collect();
    execute_many(
        db,
        "INSERT INTO audit_entry (tenant_id, seq, at_ms, actor_kind, actor_id, action, object_kind,
                                  object_id, detail, request_id, personal)",
        &rows,
        "",
        &[],
    )?;
    execute_many(
        db,
        "INSERT INTO audit_personal (tenant_id, seq, hash, salt, subject, body)",
        &personal_rows,
        "",
        &[],
    )?;
    event::append(db, scope, now, || entries.iter().map(Happened::audit).collect())?;
    let mut nodes = Appending { stored: Stored { db, scope }, made: BTreeMap::new() };
    for entry in &entries {
        let complete = merkle::append(&nodes, entry.seq, merkle::leaf_hash(&entry.leaf()))?;
        nodes.made.extend(complete);
    }
    let node = |(at, hash): (Place, Hash)| {
        vec![scope.id().into(), i64::from(at.level).into(), int(at.place).into(), hash.into()]
    };
    let rows: Vec<_> = nodes.made.into_iter().map(node).collect();
    execute_many(db, "INSERT INTO audit_node (tenant_id, level, place, hash)", &rows, "", &[])?;
    Ok(())
}

/// Makes an entry of what is to be noted, and the rows of what it says of people.
fn entry(
    scope: TenantScope,
    event: Event<'_>,
    (seq, at_ms): (i64, i64),
) -> Result<(AuditEntry, Vec<Vec<Value>>), StoreError> {
    let actor = scope.actor();
    let Event { action, object: (object_kind, object_id), detail, personal } = event;
    let actor_id = actor.id();
    let address =
        scope.address().map(|address| serde_json::json!({ "address": address.to_string() }));
    let (mut hashes, mut rows) = (Vec::new(), Vec::new());
    for (subject, body) in personal.into_iter().chain(address.map(|body| (&*actor_id, body))) {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let personal = Personal { salt: hex(&salt), body: body.to_string() };
        let hash = personal.hash();
        hashes.push(hex(&hash));
        rows.push(vec![
            scope.id().into(),
            seq.into(),
            hash.into(),
            salt.into(),
            subject.into(),
            personal.body.into(),
        ]);
    }
    let entry = AuditEntry {
        seq: count(seq),
        at_ms: count(at_ms),
        actor: Named { kind: actor.kind().into(), id: actor_id },
        action: action.into(),
        object: Named { kind: object_kind.into(), id: object_id },
        detail,
        request: scope.request_id(),
        personal: hashes,
    };
    Ok((entry, rows))
}

fn row(scope: TenantScope, entry: &AuditEntry) -> Vec<Value> {
    vec![
        scope.id().into(),
        int(entry.seq).into(),
        int(entry.at_ms).into(),
        entry.actor.kind.clone().into(),
        entry.actor.id.clone().into(),
        entry.action.clone().into(),
        entry.object.kind.clone().into(),
        entry.object.id.clone().into(),
        entry.detail.to_string().into(),
        entry.request.clone().into(),
        serde_json::json!(entry.personal).to_string().into(),
    ]
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

/// The same while leaves are appended: with the nodes that they complete, which are not stored yet.
struct Appending<'a> {
    stored: Stored<'a>,
    made: BTreeMap<Place, Hash>,
}

impl Nodes for Appending<'_> {
    type Error = StoreError;

    fn node(&self, at: Place) -> Result<Hash, StoreError> {
        self.made.get(&at).copied().map_or_else(|| self.stored.node(at), Ok)
    }
}

/// In lower-case hexadecimal.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
