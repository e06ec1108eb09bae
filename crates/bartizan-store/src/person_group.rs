//! Groups of the people whom the product protects.
//!
//! # Invariants
//! - Two groups may have the same name: directories have such.
//! - Only people are in a group, and each once.

use bartizan_model::UnixMillis;
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, found, fresh_id, ms, time};
use crate::db::{Connection, Row, params};
use crate::person::folded;
use crate::{
    DirectoryError, DirectoryOrigin, Licensee, PersonGroupId, PersonId, Store, StoreError,
    TenantScope, license,
};

/// What is known of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFacts {
    /// What is shown.
    pub display_name: String,
    /// The directory's own name for it; may be empty.
    pub external_id: String,
}

/// A group, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonGroupRow {
    /// The group.
    pub id: PersonGroupId,
    /// What is known of it.
    pub facts: GroupFacts,
    /// Who wrote it.
    pub origin: DirectoryOrigin,
    /// Counts changes, from 1.
    pub version: u64,
    /// When it was added.
    pub created_at: UnixMillis,
    /// When it, or who is in it, was last changed.
    pub updated_at: UnixMillis,
    /// How many people are in it.
    pub members: u64,
}

/// A change of who is in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// These, too.
    Add(Vec<PersonId>),
    /// No longer these.
    Remove(Vec<PersonId>),
    /// These and nobody else.
    Replace(Vec<PersonId>),
}

impl Store {
    /// Adds a group.
    ///
    /// # Errors
    /// [`DirectoryError::NoSuchMember`].
    pub async fn create_person_group(
        &self,
        scope: TenantScope,
        facts: GroupFacts,
        members: Vec<PersonId>,
        origin: DirectoryOrigin,
        now: UnixMillis,
    ) -> Result<PersonGroupRow, DirectoryError> {
        self.directory(scope, move |db| {
            all_exist(db, scope, &members)?;
            let id = PersonGroupId::of(fresh_id(now)?);
            db.prepare_cached(
                "INSERT INTO person_group (tenant_id, group_id, display_name, display_key,
                                           external_id, origin, version, created_at_ms,
                                           updated_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?7)",
            )?
            .execute(params![
                scope.id(),
                id.octets(),
                facts.display_name,
                folded(&facts.display_name),
                facts.external_id,
                origin.word(),
                ms(now),
            ])?;
            add(db, scope, id, &members)?;
            let detail = json!({ "name": facts.display_name, "members": members.len() });
            let event = Event::new("person-group.create", "person-group", id).detail(detail);
            audit::append(db, scope, event, now)?;
            Ok(one(db, scope, id)?)
        })
        .await
    }

    /// Changes a group and who is in it, if it is still at the version that is expected.
    ///
    /// # Errors
    /// There is no such group; [`DirectoryError::Changed`] or [`DirectoryError::NoSuchMember`].
    pub async fn change_person_group(
        &self,
        scope: TenantScope,
        group: PersonGroupId,
        (facts, changes): (GroupFacts, Vec<MemberChange>),
        expected: Option<u64>,
        now: UnixMillis,
    ) -> Result<PersonGroupRow, DirectoryError> {
        self.directory(scope, move |db| {
            let before = one(db, scope, group)?;
            if expected.is_some_and(|expected| expected != before.version) {
                return Err(DirectoryError::Changed);
            }
            for change in &changes {
                match change {
                    MemberChange::Add(who) | MemberChange::Replace(who) => {
                        all_exist(db, scope, who)?;
                    }
                    MemberChange::Remove(_) => {}
                }
            }
            let mut moved = 0;
            for change in &changes {
                moved += apply(db, scope, group, change)?;
            }
            if moved == 0 && before.facts == facts {
                return Ok(before);
            }
            db.prepare_cached(
                "UPDATE person_group SET display_name = ?3, display_key = ?4, external_id = ?5,
                     version = version + 1, updated_at_ms = ?6
                 WHERE tenant_id = ?1 AND group_id = ?2",
            )?
            .execute(params![
                scope.id(),
                group.octets(),
                facts.display_name,
                folded(&facts.display_name),
                facts.external_id,
                ms(now),
            ])?;
            let after = one(db, scope, group)?;
            let detail = json!({
                "name": facts.display_name, "members_before": before.members,
                "members_after": after.members,
            });
            let event = Event::new("person-group.change", "person-group", group).detail(detail);
            audit::append(db, scope, event, now)?;
            Ok(after)
        })
        .await
    }

    /// Deletes a group; who was in it stays.
    ///
    /// # Errors
    /// There is no such group; [`DirectoryError::Changed`].
    pub async fn delete_person_group(
        &self,
        scope: TenantScope,
        group: PersonGroupId,
        expected: Option<u64>,
        now: UnixMillis,
    ) -> Result<(), DirectoryError> {
        self.directory(scope, move |db| {
            let before = one(db, scope, group)?;
            if expected.is_some_and(|expected| expected != before.version) {
                return Err(DirectoryError::Changed);
            }
            license::forget(db, scope, Licensee::Group(group))?;
            for statement in [
                "DELETE FROM person_group_member WHERE tenant_id = ?1 AND group_id = ?2",
                "DELETE FROM person_group WHERE tenant_id = ?1 AND group_id = ?2",
            ] {
                db.prepare_cached(statement)?.execute(params![scope.id(), group.octets()])?;
            }
            let event = Event::new("person-group.delete", "person-group", group)
                .detail(json!({ "name": before.facts.display_name }));
            audit::append(db, scope, event, now)?;
            Ok(())
        })
        .await
    }

    /// Returns one group.
    ///
    /// # Errors
    /// The tenant has no such group.
    pub async fn person_group(
        &self,
        scope: TenantScope,
        group: PersonGroupId,
    ) -> Result<PersonGroupRow, StoreError> {
        self.db.read(scope, move |db| one(db, scope, group)).await
    }

    /// Returns who is in a group, in the order of their ids, from after one on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn people_in_group(
        &self,
        scope: TenantScope,
        group: PersonGroupId,
        after: Option<PersonId>,
        limit: u32,
    ) -> Result<Vec<(PersonId, String)>, StoreError> {
        self.db
            .read(scope, move |db| {
                let after = after.unwrap_or(PersonId(0)).octets();
                let statement = db.prepare_cached(
                    "SELECT m.person_id, p.user_name FROM person_group_member AS m
                     JOIN person AS p ON p.tenant_id = m.tenant_id AND p.person_id = m.person_id
                     WHERE m.tenant_id = ?1 AND m.group_id = ?2 AND ?3 < m.person_id
                     ORDER BY m.person_id LIMIT ?4",
                )?;
                let rows = statement
                    .query_map(params![scope.id(), group.octets(), after, limit], |row| {
                        Ok((PersonId::of(row.get(0)?), row.get(1)?))
                    })?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }
}

/// Returns how many came or went.
fn apply(
    db: &Connection,
    scope: TenantScope,
    group: PersonGroupId,
    change: &MemberChange,
) -> Result<usize, StoreError> {
    match change {
        MemberChange::Add(who) => add(db, scope, group, who),
        MemberChange::Remove(who) => {
            let mut removed = 0;
            for person in who {
                removed += db
                    .prepare_cached(
                        "DELETE FROM person_group_member
                         WHERE tenant_id = ?1 AND group_id = ?2 AND person_id = ?3",
                    )?
                    .execute(params![scope.id(), group.octets(), person.octets()])?;
            }
            Ok(removed)
        }
        MemberChange::Replace(who) => {
            let removed = db
                .prepare_cached(
                    "DELETE FROM person_group_member WHERE tenant_id = ?1 AND group_id = ?2",
                )?
                .execute(params![scope.id(), group.octets()])?;
            Ok(removed + add(db, scope, group, who)?)
        }
    }
}

fn add(
    db: &Connection,
    scope: TenantScope,
    group: PersonGroupId,
    who: &[PersonId],
) -> Result<usize, StoreError> {
    let mut added = 0;
    for person in who {
        added += db
            .prepare_cached(
                "INSERT INTO person_group_member (tenant_id, group_id, person_id)
                 VALUES (?1, ?2, ?3) ON CONFLICT (tenant_id, group_id, person_id) DO NOTHING",
            )?
            .execute(params![scope.id(), group.octets(), person.octets()])?;
    }
    Ok(added)
}

fn all_exist(db: &Connection, scope: TenantScope, who: &[PersonId]) -> Result<(), DirectoryError> {
    for person in who {
        let exists = db
            .prepare_cached("SELECT 1 FROM person WHERE tenant_id = ?1 AND person_id = ?2")?
            .exists(params![scope.id(), person.octets()])?;
        if !exists {
            return Err(DirectoryError::NoSuchMember(*person));
        }
    }
    Ok(())
}

fn one(
    db: &Connection,
    scope: TenantScope,
    group: PersonGroupId,
) -> Result<PersonGroupRow, StoreError> {
    let row = db
        .prepare_cached(concat!(
            group_columns!(),
            " FROM person_group AS g WHERE g.tenant_id = ?1 AND g.group_id = ?2"
        ))?
        .query_row(params![scope.id(), group.octets()], read);
    found(row, "user group")
}

/// Reads the columns of [`group_columns`].
pub(crate) fn read(row: &Row<'_>) -> crate::db::Result<PersonGroupRow> {
    Ok(PersonGroupRow {
        id: PersonGroupId::of(row.get(0)?),
        facts: GroupFacts { display_name: row.get(1)?, external_id: row.get(2)? },
        origin: DirectoryOrigin::of(&row.get::<String>(3)?),
        version: count(row.get(4)?),
        created_at: time(row.get(5)?),
        updated_at: time(row.get(6)?),
        members: count(row.get(7)?),
    })
}

/// What [`read`] reads, of `person_group AS g`.
macro_rules! group_columns {
    () => {
        "SELECT g.group_id, g.display_name, g.external_id, g.origin, g.version, g.created_at_ms,
                g.updated_at_ms,
                (SELECT count(*) FROM person_group_member AS m
                 WHERE m.tenant_id = g.tenant_id AND m.group_id = g.group_id)"
    };
}
pub(crate) use group_columns;
