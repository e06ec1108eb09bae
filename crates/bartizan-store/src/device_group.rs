//! Device groups: named, ranked, each with rules. What no group matches is ungrouped.
//!
//! # What it does not do
//! - Put devices into groups: `device_member` does, when a device or a group has changed.
//!
//! # Invariants
//! - Ranks are 1 to the number of groups.
//! - Every change counts the policy's epoch up and wants devices to be put into groups anew, since both may differ.

use bartizan_model::UnixMillis;
use serde_json::{Value as Json, json};

use crate::audit::{self, Event};
use crate::column::{count, found, fresh_id, int, ms, stored, time, word};
use crate::db::{Connection, params};
use crate::device_rule::{Combine, GroupRules, Rule, RuleField, RuleOperator};
use crate::sight::Within;
use crate::{GroupId, Sight, Store, StoreError, TenantScope, device_member, policy};

/// A device group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// Names it.
    pub id: GroupId,
    /// For people; unique.
    pub name: String,
    /// 1 is asked first.
    pub rank: u32,
    /// Which devices it takes.
    pub rules: GroupRules,
    /// How many are in it now.
    pub devices: u64,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// Groups that a tenant may have.
pub const MAX_GROUPS: u64 = 200;

impl Store {
    /// Returns the groups by their rank.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn device_groups(&self, sight: Sight) -> Result<Vec<GroupRow>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let mut groups = groups(db, scope)?;
                for group in &mut groups {
                    group.devices = members(db, scope, &within, group.id)?;
                }
                Ok(groups)
            })
            .await
    }

    /// Returns what the groups are called, by their rank: counting the devices of large ones takes long.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn device_group_names(
        &self,
        scope: TenantScope,
    ) -> Result<Vec<(GroupId, String)>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT group_id, name FROM device_group WHERE tenant_id = ?1 ORDER BY rank",
                )?;
                let rows = statement
                    .query_map([scope.id()], |row| Ok((GroupId::of(row.get(0)?), row.get(1)?)))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Returns one group.
    ///
    /// # Errors
    /// The tenant has no such group.
    pub async fn device_group(&self, sight: Sight, id: GroupId) -> Result<GroupRow, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let group = groups(db, scope)?.into_iter().find(|group| group.id == id);
                let mut group = group.ok_or(NO_GROUP)?;
                group.devices = members(db, scope, &within, id)?;
                Ok(group)
            })
            .await
    }

    /// Makes a group of the last rank.
    ///
    /// # Errors
    /// The name is taken, or there are [`MAX_GROUPS`].
    pub async fn create_device_group(
        &self,
        scope: TenantScope,
        name: String,
        rules: GroupRules,
        now: UnixMillis,
    ) -> Result<GroupId, StoreError> {
        self.db
            .write(scope, move |db| {
                let groups: i64 = db
                    .prepare_cached("SELECT count(*) FROM device_group WHERE tenant_id = ?1")?
                    .query_row([scope.id()], |row| row.get(0))?;
                if MAX_GROUPS <= count(groups) {
                    return Err(StoreError::Full { what: "device groups", limit: MAX_GROUPS });
                }
                let id = GroupId::of(fresh_id(now)?);
                let added = db
                    .prepare_cached(
                        "INSERT INTO device_group (tenant_id, group_id, name, rank, combine, created_at_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                         ON CONFLICT (tenant_id, name) DO NOTHING",
                    )?
                    .execute(params![
                        scope.id(),
                        id.octets(),
                        name,
                        groups + 1,
                        rules.combine.word(),
                        ms(now),
                    ])?;
                if added == 0 {
                    return Err(NAME_TAKEN);
                }
                write_rules(db, scope, id, &rules)?;
                let event = Event::new("device-group.create", "device-group", id);
                audit::append(db, scope, event.detail(told(&name, &rules)), now)?;
                changed(db, scope)?;
                Ok(id)
            })
            .await
    }

    /// Renames a group and replaces its rules.
    ///
    /// # Errors
    /// There is no such group, or the name is another's.
    pub async fn change_device_group(
        &self,
        scope: TenantScope,
        id: GroupId,
        name: String,
        rules: GroupRules,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let other: i64 = db
                    .prepare_cached(
                        "SELECT count(*) FROM device_group
                         WHERE tenant_id = ?1 AND name = ?2 AND group_id <> ?3",
                    )?
                    .query_row(params![scope.id(), name, id.octets()], |row| row.get(0))?;
                if other != 0 {
                    return Err(NAME_TAKEN);
                }
                let written = db.prepare_cached(
                    "UPDATE device_group SET name = ?3, combine = ?4
                     WHERE tenant_id = ?1 AND group_id = ?2",
                )?;
                let written = written.execute(params![
                    scope.id(),
                    id.octets(),
                    name,
                    rules.combine.word()
                ])?;
                if written == 0 {
                    return Err(NO_GROUP);
                }
                db.prepare_cached(
                    "DELETE FROM device_group_rule WHERE tenant_id = ?1 AND group_id = ?2",
                )?
                .execute(params![scope.id(), id.octets()])?;
                write_rules(db, scope, id, &rules)?;
                let event = Event::new("device-group.change", "device-group", id);
                audit::append(db, scope, event.detail(told(&name, &rules)), now)?;
                changed(db, scope)
            })
            .await
    }

    /// Gives a group another rank; those between move by one. A rank past the last is the last.
    ///
    /// # Errors
    /// There is no such group.
    pub async fn rank_device_group(
        &self,
        scope: TenantScope,
        id: GroupId,
        rank: u32,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let mut order: Vec<GroupId> =
                    groups(db, scope)?.into_iter().map(|group| group.id).collect();
                let before = order.len();
                order.retain(|other| *other != id);
                if order.len() == before {
                    return Err(NO_GROUP);
                }
                let place = usize::try_from(rank.saturating_sub(1)).unwrap_or(usize::MAX);
                order.insert(place.min(order.len()), id);
                write_ranks(db, scope, &order)?;
                let event = Event::new("device-group.rank", "device-group", id)
                    .detail(json!({ "rank": rank }));
                audit::append(db, scope, event, now)?;
                changed(db, scope)
            })
            .await
    }

    /// Removes a group and its policy; its devices go to the next group that matches.
    ///
    /// # Errors
    /// There is no such group.
    pub async fn delete_device_group(
        &self,
        scope: TenantScope,
        id: GroupId,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let order: Vec<GroupId> =
                    groups(db, scope)?.into_iter().map(|group| group.id).collect();
                if !order.contains(&id) {
                    return Err(NO_GROUP);
                }
                for statement in [
                    "DELETE FROM policy_version WHERE tenant_id = ?1 AND policy_id = ?2",
                    "DELETE FROM device_group_rule WHERE tenant_id = ?1 AND group_id = ?2",
                    "DELETE FROM detector_mode WHERE tenant_id = ?1 AND group_id = ?2",
                    "DELETE FROM device_group WHERE tenant_id = ?1 AND group_id = ?2",
                ] {
                    db.prepare_cached(statement)?.execute(params![scope.id(), id.octets()])?;
                }
                let rest: Vec<GroupId> = order.into_iter().filter(|other| *other != id).collect();
                write_ranks(db, scope, &rest)?;
                let event = Event::new("device-group.remove", "device-group", id);
                audit::append(db, scope, event, now)?;
                changed(db, scope)
            })
            .await
    }
}

/// Reads the groups by their rank, without how many devices are in them.
pub(crate) fn groups(db: &Connection, scope: TenantScope) -> Result<Vec<GroupRow>, StoreError> {
    let statement = db.prepare_cached(
        "SELECT group_id, name, rank, combine, created_at_ms FROM device_group
         WHERE tenant_id = ?1 ORDER BY rank",
    )?;
    let rows = statement.query_map([scope.id()], |row| {
        let combine: String = row.get(3)?;
        let group = GroupRow {
            id: GroupId::of(row.get(0)?),
            name: row.get(1)?,
            rank: row.get(2)?,
            rules: GroupRules::default(),
            devices: 0,
            created_at: time(row.get(4)?),
        };
        Ok((group, combine))
    })?;
    let mut groups = Vec::new();
    for row in rows {
        let (mut group, combine) = row?;
        group.rules.combine = word("combine", &combine, Combine::from_word)?;
        groups.push(group);
    }
    let statement = db.prepare_cached(
        "SELECT group_id, field, operator, value FROM device_group_rule
         WHERE tenant_id = ?1 ORDER BY group_id, position",
    )?;
    let rows = statement.query_map([scope.id()], |row| {
        let texts: [String; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
        Ok((GroupId::of(row.get(0)?), texts))
    })?;
    for row in rows {
        let (id, [field, operator, value]) = row?;
        let rule = Rule {
            field: word("field", &field, RuleField::from_word)?,
            operator: word("operator", &operator, RuleOperator::from_word)?,
            value,
        };
        if let Some(group) = groups.iter_mut().find(|group| group.id == id) {
            group.rules.rules.push(rule);
        }
    }
    Ok(groups)
}

fn members(
    db: &Connection,
    scope: TenantScope,
    within: &Within,
    id: GroupId,
) -> Result<u64, StoreError> {
    // The group is a setting, and seen; its devices are not.
    if !within.has(Some(id.octets())) {
        return Ok(0);
    }
    let members = db
        .prepare_cached("SELECT count(*) FROM device WHERE tenant_id = ?1 AND group_id = ?2")?
        .query_row(params![scope.id(), id.octets()], |row| row.get(0));
    found(members, "device group").map(count)
}

fn write_rules(
    db: &Connection,
    scope: TenantScope,
    id: GroupId,
    rules: &GroupRules,
) -> Result<(), StoreError> {
    for (rule, position) in rules.rules.iter().zip(0_i64..) {
        let added = db
            .prepare_cached(
                "INSERT INTO device_group_rule (tenant_id, group_id, position, field, operator, value)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                scope.id(),
                id.octets(),
                position,
                rule.field.word(),
                rule.operator.word(),
                rule.value,
            ]);
        stored(added, "rule")?;
    }
    Ok(())
}

fn write_ranks(db: &Connection, scope: TenantScope, order: &[GroupId]) -> Result<(), StoreError> {
    for (id, rank) in order.iter().zip(1_u64..) {
        db.prepare_cached(
            "UPDATE device_group SET rank = ?3 WHERE tenant_id = ?1 AND group_id = ?2",
        )?
        .execute(params![scope.id(), id.octets(), int(rank)])?;
    }
    Ok(())
}

/// Values of rules may name people, and are not told.
fn told(name: &str, rules: &GroupRules) -> Json {
    let fields: Vec<&str> = rules.rules.iter().map(|rule| rule.field.word()).collect();
    json!({ "name": name, "combine": rules.combine.word(), "rules": fields.join(" ") })
}

fn changed(db: &Connection, scope: TenantScope) -> Result<(), StoreError> {
    policy::next_epoch(db, scope)?;
    device_member::want(db, scope)
}

const NO_GROUP: StoreError = StoreError::NotFound { what: "device group" };
const NAME_TAKEN: StoreError = StoreError::Conflict { what: "a group of this name" };
