//! Devices that are let in by their tokens, many in one job.
//!
//! # Invariants
//! - What the rule refuses leaves the token as it is: it lets the device in once the reason is gone.
//! - A device that enrolls again takes the place of its earlier record: of one with the same key, or with the same
//!   hardware and the same person. The earlier one is refused from then on, keeps its alerts and history, and leads to
//!   the later one. What a stranger says of their hardware ousts nobody.
//! - Those that have something to do with each other are let in one after the other, in the order in which they asked.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_model::{DeviceId, UnixMillis};
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{ms, time};
use crate::db::{Connection, Value, execute_many, params, query_many};
use crate::device_event::{DeviceEventKind, note, note_enrolled};
use crate::device_rule::{Facts, GroupRules};
use crate::enrollment::{Pass, name};
use crate::enrollment_rule::{self, Owner};
use crate::event::{self, EventKind, Happened};
use crate::gather::Outcomes;
use crate::person::folded;
use crate::{
    Actor, Attestation, EnrollError, Enrolled, EnrollmentRule, GroupId, NewDevice, PersonId,
    StoreError, TenantScope, device_member, policy_use, tenant,
};

/// One that asks to be let in.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) token_hash: [u8; 32],
    pub(crate) device: NewDevice,
    pub(crate) now: UnixMillis,
}

/// Lets devices in, all by tokens of one tenant.
pub(crate) fn let_in(
    db: &Connection,
    scope: TenantScope,
    asking: Vec<Asking>,
) -> Result<Outcomes<Result<Enrolled, EnrollError>>, StoreError> {
    if tenant::is_suspended(db, scope)? {
        return Ok(asking.iter().map(|_| Ok(Err(EnrollError::Suspended))).collect());
    }
    let tenant = tenant::tenant_row(db, scope)?;
    let house = House::read(db, scope)?;
    let mut outcomes = Vec::with_capacity(asking.len());
    for round in rounds(&asking) {
        for outcome in let_in_round(db, scope, &house, round)? {
            outcomes.push(match outcome {
                Ok(device) => Ok(Ok(Enrolled {
                    scope,
                    device,
                    tenant_name: tenant.name.clone(),
                    signing_key: tenant.signing_key,
                })),
                Err(EnrollError::Store(error)) => Err(error),
                Err(refusal) => Ok(Err(refusal)),
            });
        }
    }
    Ok(outcomes)
}

/// Takes them apart so that no two of a round have something to do with each other.
fn rounds(mut asking: &[Asking]) -> impl Iterator<Item = &[Asking]> {
    std::iter::from_fn(move || {
        let count = unrelated(asking);
        let (round, later) = asking.split_at_checked(count).filter(|_| count != 0)?;
        asking = later;
        Some(round)
    })
}

/// Counts how many of the first share neither token nor key nor hardware.
fn unrelated(asking: &[Asking]) -> usize {
    let (mut tokens, mut keys, mut hardware) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut count = 0;
    for Asking { token_hash, device, .. } in asking {
        let is_new = tokens.insert(token_hash)
            && keys.insert(&device.key_thumbprint)
            && (device.hardware_id.is_empty() || hardware.insert(&device.hardware_id));
        if !is_new {
            break;
        }
        count += 1;
    }
    count
}

/// What an organization has decided.
struct House {
    rule: EnrollmentRule,
    has_users: bool,
    groups: Vec<(GroupId, GroupRules)>,
}

impl House {
    fn read(db: &Connection, scope: TenantScope) -> Result<Self, StoreError> {
        Ok(Self {
            rule: enrollment_rule::of(db, scope)?,
            has_users: enrollment_rule::has_users(db, scope)?,
            groups: device_member::ranked(db, scope)?,
        })
    }
}

fn let_in_round(
    db: &Connection,
    scope: TenantScope,
    house: &House,
    asking: &[Asking],
) -> Result<Vec<Result<DeviceId, EnrollError>>, StoreError> {
    let tokens = tokens(db, scope, asking)?;
    let people = people(db, scope, tokens.values().filter_map(|token| token.pass.owner))?;
    let mut fresh = Vec::new();
    let mut outcomes = Vec::with_capacity(asking.len());
    for Asking { token_hash, device, now } in asking {
        let token = tokens.get(token_hash);
        outcomes.push(match decide(house, token, &people, device, *now) {
            Ok(Decision::Again(id)) => Ok(id),
            Ok(Decision::New(attestation, owner)) => {
                fresh.push(Fresh { token_hash, device, now: *now, attestation, owner });
                Ok(device.id)
            }
            Err(refusal) => {
                if let Some(reason) = refusal.reason() {
                    let owner = token.and_then(|token| token.pass.owner);
                    enrollment_rule::note_refusal(db, scope, device, owner, &reason, *now)?;
                }
                Err(refusal)
            }
        });
    }
    store(db, scope, house, &fresh)?;
    Ok(outcomes)
}

enum Decision<'a> {
    /// It was let in before, as this device.
    Again(DeviceId),
    /// It is let in: what vouches for it, and the address of its person, which is empty where it is nobody's.
    New(Attestation, &'a str),
}

fn decide<'a>(
    house: &House,
    token: Option<&Token>,
    people: &'a BTreeMap<[u8; 16], Person>,
    device: &NewDevice,
    now: UnixMillis,
) -> Result<Decision<'a>, EnrollError> {
    let token = token.ok_or(EnrollError::Unknown)?;
    match token.used {
        Some((id, key)) if key == device.key_thumbprint => return Ok(Decision::Again(id)),
        Some(_) => return Err(EnrollError::Used),
        None if token.expires_at <= now => return Err(EnrollError::Expired),
        None => {}
    }
    let (owner, address) = match token.pass.owner {
        None => (Owner::Nobody { has_users: house.has_users }, ""),
        Some(owner) => {
            let person = people.get(&owner.octets());
            let person = person.ok_or(StoreError::NotFound { what: "user" })?;
            let Person { is_active, has_license, ref address } = *person;
            (Owner::Person { is_active, has_license }, address.as_str())
        }
    };
    let judged = enrollment_rule::judge(&house.rule, device, owner, token.pass.by_code, now);
    Ok(Decision::New(judged?, address))
}

/// A token that was given out.
struct Token {
    expires_at: UnixMillis,
    /// The device that it let in, and the name of that one's key.
    used: Option<(DeviceId, [u8; 32])>,
    pass: Pass,
}

fn tokens(
    db: &Connection,
    scope: TenantScope,
    asking: &[Asking],
) -> Result<BTreeMap<[u8; 32], Token>, StoreError> {
    let keys: Vec<_> =
        asking.iter().map(|one| vec![scope.id().into(), one.token_hash.into()]).collect();
    let mut tokens = BTreeMap::new();
    query_many(
        db,
        "WITH k (tenant_id, token_hash) AS (",
        &keys,
        ") SELECT e.token_hash, e.expires_at_ms, e.used_by, e.person_id, e.way,
                  (SELECT d.key_thumbprint FROM device AS d
                   WHERE d.tenant_id = e.tenant_id AND d.device_id = e.used_by)
           FROM k JOIN enrollment_token AS e
               ON e.tenant_id = k.tenant_id AND e.token_hash = k.token_hash",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                let used_by: Option<[u8; 16]> = row.get(2)?;
                let used_by = used_by.map(|id| DeviceId(u128::from_be_bytes(id)));
                let owner: Option<[u8; 16]> = row.get(3)?;
                let token = Token {
                    expires_at: time(row.get(1)?),
                    used: used_by.zip(row.get(5)?),
                    pass: Pass {
                        owner: owner.map(PersonId::of),
                        by_code: row.get::<String>(4)? == "code",
                    },
                };
                tokens.insert(row.get(0)?, token);
            }
            Ok(())
        },
    )?;
    Ok(tokens)
}

/// Whose devices are to be.
struct Person {
    is_active: bool,
    has_license: bool,
    /// In lower case; may be empty.
    address: String,
}

/// Reads people by their ids.
fn people(
    db: &Connection,
    scope: TenantScope,
    people: impl Iterator<Item = PersonId>,
) -> Result<BTreeMap<[u8; 16], Person>, StoreError> {
    let ids: BTreeSet<[u8; 16]> = people.map(PersonId::octets).collect();
    let keys: Vec<_> = ids.into_iter().map(|id| vec![scope.id().into(), id.into()]).collect();
    let mut found = BTreeMap::new();
    query_many(
        db,
        "WITH k (tenant_id, person_id) AS (",
        &keys,
        ") SELECT p.person_id, coalesce(p.active, 1), p.user_name,
                  (SELECT e.value FROM person_email AS e
                   WHERE e.tenant_id = p.tenant_id AND e.person_id = p.person_id
                   ORDER BY e.is_primary DESC, e.position LIMIT 1),
                  (SELECT max(a.plan) FROM license_assignment AS a
                   WHERE a.tenant_id = p.tenant_id
                       AND (a.subject_kind = 'person' AND a.subject_id = p.person_id
                            OR a.subject_kind = 'group' AND a.subject_id IN (
                                SELECT m.group_id FROM person_group_member AS m
                                WHERE m.tenant_id = p.tenant_id AND m.person_id = p.person_id)))
           FROM k JOIN person AS p ON p.tenant_id = k.tenant_id AND p.person_id = k.person_id",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                let (name, email): (String, Option<String>) = (row.get(2)?, row.get(3)?);
                let address = email.or_else(|| name.contains('@').then_some(name));
                let person = Person {
                    is_active: row.get(1)?,
                    has_license: row.get::<Option<String>>(4)?.is_some(),
                    address: address.as_deref().map(folded).unwrap_or_default(),
                };
                found.insert(row.get(0)?, person);
            }
            Ok(())
        },
    )?;
    Ok(found)
}

/// A device that is let in.
struct Fresh<'a> {
    token_hash: &'a [u8; 32],
    device: &'a NewDevice,
    now: UnixMillis,
    attestation: Attestation,
    /// Address of its person; empty where it is nobody's.
    owner: &'a str,
}

fn store(
    db: &Connection,
    scope: TenantScope,
    house: &House,
    fresh: &[Fresh<'_>],
) -> Result<(), StoreError> {
    let Some(now) = fresh.iter().map(|one| one.now).max() else { return Ok(()) };
    let tenant = || Value::from(scope.id());
    let insert = |table: &str, row: &dyn Fn(&Fresh<'_>) -> Vec<Value>| {
        let rows: Vec<_> = fresh.iter().map(row).collect();
        execute_many(db, table, &rows, "", &[])
    };
    insert(
        "INSERT INTO device (tenant_id, device_id, jwk, key_thumbprint, os, model, device_name,
                             enrolled_at_ms, hardware_id, shared, attestation, attested_at_ms,
                             owner, group_id)",
        &|one| device_row(scope, house, one),
    )?;
    insert(
        "INSERT INTO device_status (tenant_id, device_id, last_seen_at_ms, os_version, app_version,
                                    policy_version, queries, blocked, dropped, alerts_lost)",
        &|Fresh { device, now, .. }| {
            let mut row = vec![tenant(), device.id.0.to_be_bytes().into(), ms(*now).into()];
            row.extend([device.os_version.clone().into(), device.app_version.clone().into()]);
            row.extend([0_i64; 5].map(Value::from));
            row
        },
    )?;
    // None has a policy yet.
    let more = i64::try_from(fresh.len()).unwrap_or(i64::MAX);
    policy_use::shift(db, scope, &BTreeMap::from([(0, more)]))?;
    insert("INSERT INTO locator (kind, key, tenant_id)", &|one| {
        vec!["device".into(), one.device.id.0.to_be_bytes().into(), tenant()]
    })?;
    let used: Vec<_> = fresh
        .iter()
        .map(|Fresh { token_hash, device, now, .. }| {
            let id = device.id.0.to_be_bytes();
            vec![tenant(), (**token_hash).into(), ms(*now).into(), id.into()]
        })
        .collect();
    execute_many(
        db,
        "WITH v (tenant_id, token_hash, at_ms, device_id) AS (",
        &used,
        ") UPDATE enrollment_token SET used_at_ms = v.at_ms, used_by = v.device_id FROM v
           WHERE enrollment_token.tenant_id = v.tenant_id
               AND enrollment_token.token_hash = v.token_hash",
        &[],
    )?;
    note_enrolled(db, scope, fresh.iter().map(|one| (one.device.id, one.now)))?;
    replace_earlier(db, scope, fresh)?;
    let event = |one: &Fresh<'_>| {
        let by = scope.by(Actor::Device(one.device.id));
        let detail = json!({
            "token": name(one.token_hash),
            "os": one.device.os,
            "model": one.device.model,
            "attestation": one.attestation.word(),
        });
        (by, Event::new("device.enroll", "device", by.actor().id()).detail(detail))
    };
    audit::append_many(db, scope, fresh.iter().map(event).collect(), now)?;
    event::append(db, scope, now, || {
        let happened = |one: &Fresh<'_>| Happened::device(EventKind::DeviceEnrolled, one.device.id);
        fresh.iter().map(happened).collect()
    })
}

fn device_row(scope: TenantScope, house: &House, fresh: &Fresh<'_>) -> Vec<Value> {
    let Fresh { device, now, attestation, owner, .. } = fresh;
    let facts = Facts {
        name: device.device_name.clone(),
        os: device.os.clone(),
        os_version: device.os_version.clone(),
        owner: (*owner).to_owned(),
        tags: Vec::new(),
    };
    let group = device_member::group_of(&house.groups, &facts);
    vec![
        scope.id().into(),
        device.id.0.to_be_bytes().into(),
        device.jwk.clone().into(),
        device.key_thumbprint.into(),
        device.os.clone().into(),
        device.model.clone().into(),
        device.device_name.clone().into(),
        ms(*now).into(),
        device.hardware_id.clone().into(),
        i64::from(device.is_shared).into(),
        attestation.word().into(),
        (*attestation != Attestation::None).then(|| ms(*now)).into(),
        (*owner).into(),
        group.map(GroupId::octets).into(),
    ]
}

/// Takes the earlier records of devices out.
fn replace_earlier(
    db: &Connection,
    scope: TenantScope,
    fresh: &[Fresh<'_>],
) -> Result<(), StoreError> {
    let key = |one: &Fresh<'_>| {
        vec![
            scope.id().into(),
            one.device.id.0.to_be_bytes().into(),
            one.device.key_thumbprint.into(),
            one.device.hardware_id.clone().into(),
            one.owner.into(),
        ]
    };
    let keys: Vec<_> = fresh.iter().map(key).collect();
    let mut again = BTreeSet::new();
    // Few have any, and each is looked up by a key: joined, PostgreSQL may read all devices of a table that grew quickly.
    query_many(
        db,
        "WITH k (tenant_id, device_id, key_thumbprint, hardware_id, owner) AS (",
        &keys,
        ") SELECT k.device_id, coalesce(
               (SELECT 1 FROM device AS e
                WHERE e.tenant_id = k.tenant_id AND e.key_thumbprint = k.key_thumbprint
                    AND e.device_id <> k.device_id
                    AND e.offboarded_at_ms IS NULL AND e.forgotten_at_ms IS NULL LIMIT 1),
               (SELECT 1 FROM device AS e
                WHERE k.hardware_id <> '' AND k.owner <> ''
                    AND e.tenant_id = k.tenant_id AND e.hardware_id = k.hardware_id
                    AND e.owner = k.owner AND e.device_id <> k.device_id
                    AND e.offboarded_at_ms IS NULL AND e.forgotten_at_ms IS NULL LIMIT 1), 0)
           FROM k",
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                if row.get(1)? {
                    again.insert(u128::from_be_bytes(row.get(0)?));
                }
            }
            Ok(())
        },
    )?;
    for one in fresh.iter().filter(|one| again.contains(&one.device.id.0)) {
        replace(db, scope, one)?;
    }
    Ok(())
}

/// Takes the earlier records of one device out.
fn replace(db: &Connection, scope: TenantScope, fresh: &Fresh<'_>) -> Result<(), StoreError> {
    let Fresh { device, now, owner, .. } = fresh;
    let id = device.id.0.to_be_bytes();
    let statement = db.prepare_cached(
        "SELECT device_id FROM device
         WHERE tenant_id = ?1 AND key_thumbprint = ?3 AND device_id <> ?2
             AND offboarded_at_ms IS NULL AND forgotten_at_ms IS NULL
         UNION SELECT device_id FROM device
         WHERE tenant_id = ?1 AND hardware_id = ?4 AND ?4 <> '' AND device_id <> ?2
             AND owner = ?5 AND ?5 <> ''
             AND offboarded_at_ms IS NULL AND forgotten_at_ms IS NULL",
    )?;
    let values = params![scope.id(), id, device.key_thumbprint, device.hardware_id, *owner];
    let earlier: Vec<[u8; 16]> =
        statement.query_map(values, |row| row.get(0))?.collect::<crate::db::Result<_>>()?;
    for old in earlier {
        policy_use::leave(db, scope, DeviceId(u128::from_be_bytes(old)))?;
        db.prepare_cached(
            "UPDATE device SET offboarded_at_ms = ?3, replaced_by = ?4
             WHERE tenant_id = ?1 AND device_id = ?2",
        )?
        .execute(params![scope.id(), old, ms(*now), id])?;
        let old = DeviceId(u128::from_be_bytes(old));
        note(db, scope, old, DeviceEventKind::Offboarded, ("", "Enrolled again"), *now)?;
    }
    Ok(())
}
