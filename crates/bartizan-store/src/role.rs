//! Roles: what members may do.
//!
//! Some roles every organization has ([`BuiltIn`]); others are its own rows. A member may do what any of their roles lets
//! them, with the devices of the groups that this role is limited to (`sight`).
//!
//! # Invariants
//! - Somebody who is not disabled is an administrator, once somebody was; and can come in by a password where only
//!   break-glass accounts do.

use bartizan_model::UnixMillis;
use serde_json::json;
use uuid::Uuid;

use crate::audit::{self, Event};
use crate::column::{count, fresh_id, ms, stored};
use crate::db::{Connection, Optional, params};
use crate::permission::{BuiltIn, Permissions};
use crate::{MemberId, Store, StoreError, TenantScope};

/// A role, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRow {
    /// Its id.
    pub id: String,
    /// As people know it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it lets one do.
    pub permissions: Permissions,
    /// The device groups that it is limited to; `None`: all devices.
    pub device_groups: Option<Vec<String>>,
    /// Whether every organization has it; then nobody changes it.
    pub is_built_in: bool,
    /// How many members have it.
    pub members: u64,
}

/// What a role of the organization's own is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRole {
    /// As people know it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it lets one do.
    pub permissions: Permissions,
    /// The device groups that it is limited to; `None`: all devices.
    pub device_groups: Option<Vec<String>>,
}

impl Store {
    /// Returns all roles: first those that every organization has, then its own by name.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn roles(&self, scope: TenantScope) -> Result<Vec<RoleRow>, StoreError> {
        self.db.read(scope, move |db| roles(db, scope)).await
    }

    /// Adds a role.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken.
    pub async fn create_role(
        &self,
        scope: TenantScope,
        role: NewRole,
        now: UnixMillis,
    ) -> Result<String, StoreError> {
        self.db
            .write(scope, move |db| {
                refuse_name(&role.name)?;
                let id = Uuid::from_bytes(fresh_id(now)?).to_string();
                let result = db
                    .prepare_cached(
                        "INSERT INTO role (tenant_id, role_id, name, description, permissions,
                                           device_groups, created_at_ms)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    )?
                    .execute(params![
                        scope.id(),
                        id,
                        role.name,
                        role.description,
                        role.permissions.words(),
                        role.device_groups.as_ref().map(|groups| groups.join(" ")),
                        ms(now),
                    ]);
                stored(result, "a role of this name")?;
                let event = Event::new("role.create", "role", &id).detail(told(&role));
                audit::append(db, scope, event, now)?;
                Ok(id)
            })
            .await
    }

    /// Changes one of the organization's own roles; whoever has it may at once do what it says.
    ///
    /// # Errors
    /// The tenant has no such role of its own, or the name is taken.
    pub async fn set_role(
        &self,
        scope: TenantScope,
        id: &str,
        role: NewRole,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.db
            .write(scope, move |db| {
                refuse_name(&role.name)?;
                let result = db
                    .prepare_cached(
                        "UPDATE role SET name = ?3, description = ?4, permissions = ?5,
                                         device_groups = ?6
                         WHERE tenant_id = ?1 AND role_id = ?2",
                    )?
                    .execute(params![
                        scope.id(),
                        id,
                        role.name,
                        role.description,
                        role.permissions.words(),
                        role.device_groups.as_ref().map(|groups| groups.join(" ")),
                    ]);
                if matches!(result, Ok(0)) {
                    return Err(StoreError::NotFound { what: "role" });
                }
                stored(result, "a role of this name")?;
                let event = Event::new("role.change", "role", &id).detail(told(&role));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Removes one of the organization's own roles, also from whoever has it.
    ///
    /// # Errors
    /// The tenant has no such role of its own.
    pub async fn remove_role(
        &self,
        scope: TenantScope,
        id: &str,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.db
            .write(scope, move |db| {
                let name: Option<String> = db
                    .prepare_cached(
                        "DELETE FROM role WHERE tenant_id = ?1 AND role_id = ?2 RETURNING name",
                    )?
                    .query_row(params![scope.id(), id], |row| row.get(0))
                    .optional()?;
                let name = name.ok_or(StoreError::NotFound { what: "role" })?;
                for statement in [
                    "DELETE FROM member_role WHERE tenant_id = ?1 AND role_id = ?2",
                    "DELETE FROM provider_role WHERE tenant_id = ?1 AND role_id = ?2",
                ] {
                    db.prepare_cached(statement)?.execute(params![scope.id(), id])?;
                }
                let event = Event::new("role.remove", "role", &id).detail(json!({ "name": name }));
                audit::append(db, scope, event, now)
            })
            .await
    }
}

fn told(role: &NewRole) -> serde_json::Value {
    json!({
        "name": role.name,
        "permissions": role.permissions.words(),
        "device_groups": role.device_groups.as_ref().map(|groups| groups.join(" ")),
    })
}

/// Two roles of one name would be one to whoever reads it.
fn refuse_name(name: &str) -> Result<(), StoreError> {
    let is_taken = BuiltIn::ALL.iter().any(|role| role.name().eq_ignore_ascii_case(name));
    if is_taken { Err(StoreError::Conflict { what: "a role of this name" }) } else { Ok(()) }
}

fn roles(db: &Connection, scope: TenantScope) -> Result<Vec<RoleRow>, StoreError> {
    let statement = db.prepare_cached(
        "SELECT role_id, count(*) FROM member_role WHERE tenant_id = ?1 GROUP BY role_id",
    )?;
    let counts = statement
        .query_map([scope.id()], |row| Ok((row.get::<String>(0)?, count(row.get(1)?))))?
        .collect::<crate::db::Result<Vec<_>>>()?;
    let members = |id: &str| counts.iter().find(|(role, _)| role == id).map_or(0, |(_, n)| *n);
    let mut all: Vec<_> = BuiltIn::ALL
        .into_iter()
        .map(|role| RoleRow {
            id: role.id().into(),
            name: role.name().into(),
            description: role.description().into(),
            permissions: role.permissions(),
            device_groups: None,
            is_built_in: true,
            members: members(role.id()),
        })
        .collect();
    let statement = db.prepare_cached(
        "SELECT role_id, name, description, permissions, device_groups FROM role
         WHERE tenant_id = ?1 ORDER BY name",
    )?;
    for row in statement.query_map([scope.id()], |row| {
        let (id, words): (String, String) = (row.get(0)?, row.get(3)?);
        let groups: Option<String> = row.get(4)?;
        let groups = groups.map(|text| text.split_whitespace().map(str::to_owned).collect());
        Ok(RoleRow {
            members: members(&id),
            id,
            name: row.get(1)?,
            description: row.get(2)?,
            permissions: Permissions::of_words(&words),
            device_groups: groups,
            is_built_in: false,
        })
    })? {
        all.push(row?);
    }
    Ok(all)
}

/// Gives a member these roles.
pub(crate) fn give(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
    role_ids: &[String],
) -> Result<(), StoreError> {
    let known = roles(db, scope)?;
    for id in role_ids {
        if !known.iter().any(|role| role.id == *id) {
            return Err(StoreError::NotFound { what: "role" });
        }
        db.prepare_cached(
            "INSERT INTO member_role (tenant_id, member_id, role_id) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![scope.id(), member.column(), id])?;
    }
    Ok(())
}

/// Refuses the id of a role that there is not.
pub(crate) fn check(db: &Connection, scope: TenantScope, id: &str) -> Result<(), StoreError> {
    let is_known = BuiltIn::of_id(id).is_some()
        || db
            .prepare_cached("SELECT 1 FROM role WHERE tenant_id = ?1 AND role_id = ?2")?
            .exists(params![scope.id(), id])?;
    if is_known { Ok(()) } else { Err(StoreError::NotFound { what: "role" }) }
}

/// Returns the ids of a member's roles, in their order.
pub(crate) fn ids_of(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
) -> Result<Vec<String>, StoreError> {
    let mut ids = db
        .prepare_cached("SELECT role_id FROM member_role WHERE tenant_id = ?1 AND member_id = ?2")?
        .query_map(params![scope.id(), member.column()], |row| row.get(0))?
        .collect::<crate::db::Result<Vec<String>>>()?;
    ids.sort();
    Ok(ids)
}

/// Gives a member these roles and no others.
pub(crate) fn replace(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
    role_ids: &[String],
) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM member_role WHERE tenant_id = ?1 AND member_id = ?2")?
        .execute(params![scope.id(), member.column()])?;
    give(db, scope, member, role_ids)
}

/// Tells whether somebody is an administrator once a member has these roles.
pub(crate) fn leaves_an_administrator(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
    role_ids: &[String],
) -> Result<bool, StoreError> {
    if role_ids.iter().any(|id| id == BuiltIn::Administrator.id()) {
        return Ok(true);
    }
    let others = db
        .prepare_cached(
            "SELECT 1 FROM member_role AS r
             JOIN member AS m ON m.tenant_id = r.tenant_id AND m.member_id = r.member_id
             WHERE r.tenant_id = ?1 AND r.role_id = ?2 AND m.disabled_at_ms IS NULL
                 AND m.member_id <> ?3 LIMIT 1",
        )?
        .exists(params![scope.id(), BuiltIn::Administrator.id(), member.column()])?;
    // Whoever is none now takes nothing away.
    Ok(others || !ids_of(db, scope, member)?.iter().any(|id| id == BuiltIn::Administrator.id()))
}

/// Refuses a change after which nobody would be an administrator who can come in: where passwords are for break-glass
/// accounts alone, one of these.
pub(crate) fn keep_an_administrator(db: &Connection, scope: TenantScope) -> Result<(), StoreError> {
    let is_left = db
        .prepare_cached(
            "SELECT 1 FROM member_role AS r
             JOIN member AS m ON m.tenant_id = r.tenant_id AND m.member_id = r.member_id
             WHERE r.tenant_id = ?1 AND r.role_id = ?2 AND m.disabled_at_ms IS NULL
                 AND (m.break_glass = 1 OR NOT EXISTS (SELECT 1 FROM sign_in_rule AS s
                      WHERE s.tenant_id = r.tenant_id AND s.local_passwords = 0))
             LIMIT 1",
        )?
        .exists(params![scope.id(), BuiltIn::Administrator.id()])?;
    if is_left { Ok(()) } else { Err(StoreError::LastAdministrator) }
}

/// Refuses a change after which no administrator could come in by a password.
pub(crate) fn keep_a_local_administrator(
    db: &Connection,
    scope: TenantScope,
) -> Result<(), StoreError> {
    let is_left = db
        .prepare_cached(
            "SELECT 1 FROM member_role AS r
             JOIN member AS m ON m.tenant_id = r.tenant_id AND m.member_id = r.member_id
             WHERE r.tenant_id = ?1 AND r.role_id = ?2 AND m.disabled_at_ms IS NULL
                 AND m.password_hash <> '' LIMIT 1",
        )?
        .exists(params![scope.id(), BuiltIn::Administrator.id()])?;
    if is_left { Ok(()) } else { Err(StoreError::LastAdministrator) }
}
