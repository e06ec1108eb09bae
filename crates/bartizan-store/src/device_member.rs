//! Which group a device is in: found anew when the device has changed at once, and when groups have changed in
//! pages, by a job.
//!
//! # Invariants
//! - A device whose group changes counts its moves up, so that it fetches its policy again.

use bartizan_model::DeviceId;

use crate::column::count;
use crate::db::{Connection, Reach, params};
use crate::device_group::groups;
use crate::device_rule::{Facts, GroupRules};
use crate::{GroupId, Sight, Store, StoreError, TenantScope};

impl Store {
    /// Returns the tenants whose devices are to be put into groups anew. For the portal's own work.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn wanted_regroups(&self) -> Result<Vec<TenantScope>, StoreError> {
        self.db
            .read(Reach::All, |db| {
                let statement =
                    db.prepare_cached("SELECT tenant_id FROM regroup_wanted ORDER BY tenant_id")?;
                let rows =
                    statement.query_map(params![], |row| Ok(TenantScope::new(row.get(0)?)))?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Puts the next `limit` devices into groups; tells whether there are more to do.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn regroup_some(&self, scope: TenantScope, limit: u32) -> Result<bool, StoreError> {
        self.db.write(scope, move |db| regroup_some(db, scope, limit)).await
    }

    /// Counts the devices that rules match, whatever group they are in.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn devices_that_match(
        &self,
        sight: Sight,
        rules: GroupRules,
    ) -> Result<u64, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let (mut from, mut matching) = (0, 0);
                loop {
                    let page = members(db, scope, from, u128::MAX, PAGE)?;
                    let Some(last) = page.last() else { return Ok(matching) };
                    from = last.id.saturating_add(1);
                    let found = page
                        .iter()
                        .filter(|member| within.has(member.group) && rules.matches(&member.facts))
                        .count();
                    matching += u64::try_from(found).unwrap_or(0);
                }
            })
            .await
    }
}

/// Wants every device to be put into groups anew, from the first on.
pub(crate) fn want(db: &Connection, scope: TenantScope) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT INTO regroup_wanted (tenant_id, next_device_id) VALUES (?1, ?2)
         ON CONFLICT (tenant_id) DO UPDATE SET next_device_id = excluded.next_device_id",
    )?
    .execute(params![scope.id(), [0_u8; 16]])?;
    Ok(())
}

/// Puts one device into its group. One that is new has not moved.
pub(crate) fn regroup(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
    is_new: bool,
) -> Result<(), StoreError> {
    let groups = ranked(db, scope)?;
    for member in members(db, scope, device.0, device.0, 1)? {
        place(db, scope, &member, &groups, is_new)?;
    }
    Ok(())
}

fn regroup_some(db: &Connection, scope: TenantScope, limit: u32) -> Result<bool, StoreError> {
    use crate::db::Optional as _;
    let next: Option<[u8; 16]> = db
        .prepare_cached("SELECT next_device_id FROM regroup_wanted WHERE tenant_id = ?1")?
        .query_row([scope.id()], |row| row.get(0))
        .optional()?;
    let Some(next) = next else { return Ok(false) };
    let groups = ranked(db, scope)?;
    let page = members(db, scope, u128::from_be_bytes(next), u128::MAX, limit)?;
    for member in &page {
        place(db, scope, member, &groups, false)?;
    }
    match page.last().and_then(|last| last.id.checked_add(1)) {
        Some(next) => {
            db.prepare_cached(
                "UPDATE regroup_wanted SET next_device_id = ?2 WHERE tenant_id = ?1",
            )?
            .execute(params![scope.id(), next.to_be_bytes()])?;
            Ok(true)
        }
        None => {
            db.prepare_cached("DELETE FROM regroup_wanted WHERE tenant_id = ?1")?
                .execute([scope.id()])?;
            Ok(false)
        }
    }
}

/// Reads the groups with their rules, the one that comes first at first.
pub(crate) fn ranked(
    db: &Connection,
    scope: TenantScope,
) -> Result<Vec<(GroupId, GroupRules)>, StoreError> {
    Ok(groups(db, scope)?.into_iter().map(|group| (group.id, group.rules)).collect())
}

/// Finds the group that a device belongs to.
pub(crate) fn group_of(groups: &[(GroupId, GroupRules)], facts: &Facts) -> Option<GroupId> {
    groups.iter().find(|(_, rules)| rules.matches(facts)).map(|(id, _)| *id)
}

struct Member {
    id: u128,
    group: Option<[u8; 16]>,
    facts: Facts,
}

fn place(
    db: &Connection,
    scope: TenantScope,
    member: &Member,
    groups: &[(GroupId, GroupRules)],
    is_new: bool,
) -> Result<(), StoreError> {
    let group = group_of(groups, &member.facts).map(GroupId::octets);
    if group != member.group {
        db.prepare_cached(
            "UPDATE device SET group_id = ?3, group_moves = group_moves + ?4
             WHERE tenant_id = ?1 AND device_id = ?2",
        )?
        .execute(params![
            scope.id(),
            member.id.to_be_bytes(),
            group,
            i64::from(!is_new)
        ])?;
    }
    Ok(())
}

/// Reads devices by their ids, both ends included, with the tags that people gave them.
fn members(
    db: &Connection,
    scope: TenantScope,
    from: u128,
    to: u128,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    let statement = db.prepare_cached(
        "SELECT d.device_id, d.group_id, d.device_name, d.os, s.os_version, d.owner
         FROM device AS d
         JOIN device_status AS s ON s.tenant_id = d.tenant_id AND s.device_id = d.device_id
         WHERE d.tenant_id = ?1 AND ?2 <= d.device_id AND d.device_id <= ?3
         ORDER BY d.device_id LIMIT ?4",
    )?;
    let range = [from.to_be_bytes(), to.to_be_bytes()];
    let values = params![scope.id(), range[0], range[1], i64::from(limit)];
    let rows = statement.query_map(values, |row| {
        let facts = Facts {
            name: row.get(2)?,
            os: row.get(3)?,
            os_version: row.get(4)?,
            owner: row.get(5)?,
            tags: Vec::new(),
        };
        Ok(Member { id: u128::from_be_bytes(row.get(0)?), group: row.get(1)?, facts })
    })?;
    let mut members: Vec<Member> = rows.collect::<crate::db::Result<_>>()?;
    let Some(last) = members.last() else { return Ok(members) };
    let statement = db.prepare_cached(
        "SELECT device_id, tag FROM device_tag
         WHERE tenant_id = ?1 AND ?2 <= device_id AND device_id <= ?3 AND origin = 'hand'",
    )?;
    let values = params![scope.id(), range[0], last.id.to_be_bytes()];
    let tags = statement
        .query_map(values, |row| Ok((u128::from_be_bytes(row.get(0)?), row.get::<String>(1)?)))?;
    for tag in tags {
        let (id, tag) = tag?;
        if let Ok(place) = members.binary_search_by_key(&id, |member| member.id)
            && let Some(member) = members.get_mut(place)
        {
            member.facts.tags.push(tag);
        }
    }
    Ok(members)
}

const PAGE: u32 = 1_000;

/// Returns how often a device came into another group.
pub(crate) fn moves(
    db: &Connection,
    scope: TenantScope,
    device: DeviceId,
) -> Result<u64, StoreError> {
    let moves = db
        .prepare_cached("SELECT group_moves FROM device WHERE tenant_id = ?1 AND device_id = ?2")?
        .query_row(params![scope.id(), device.0.to_be_bytes()], |row| row.get(0))?;
    Ok(count(moves))
}
