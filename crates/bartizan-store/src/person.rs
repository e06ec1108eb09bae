//! The people whom the product protects: written by hand or by a directory.
//!
//! They are not the members, who may look at the console; somebody may be both, by the same e-mail address.
//!
//! # Invariants
//! - A user name is unique in its tenant, in any case of letters.
//! - Whoever becomes inactive is also disabled as a member, and their sessions end, unless nobody would be left who may
//!   change people and roles. Becoming active again does not let them in as a member: a person decides that.
//! - A device follows its person's address.

use bartizan_model::UnixMillis;
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::{count, fresh_id, ms, time};
use crate::db::{Connection, Row, params};
use crate::{
    Licensee, MemberId, PersonGroupId, PersonId, Store, StoreError, TenantScope, audit_log,
    device_member, license, member_list,
};

/// What is known of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonFacts {
    /// Unique in the tenant, often an e-mail address.
    pub user_name: String,
    /// The directory's own name for them; empty where there is none, as is what follows.
    pub external_id: String,
    /// As people know them.
    pub display_name: String,
    /// The whole name.
    pub formatted_name: String,
    /// The first name, in much of the world.
    pub given_name: String,
    /// The last name, in much of the world.
    pub family_name: String,
    /// At most [`MAX_EMAILS`].
    pub emails: Vec<PersonEmail>,
    /// Whether they may have devices protected. Where nothing is said, they may.
    pub active: Option<bool>,
}

/// One of a person's addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonEmail {
    /// The address.
    pub value: String,
    /// Such as `work`; may be empty.
    pub kind: String,
    /// Whether it is the one to use.
    pub is_primary: bool,
}

impl PersonFacts {
    /// Whether they may have devices protected.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active != Some(false)
    }

    /// Returns the address to use: the primary one, the first, or a user name that is one.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        let primary = self.emails.iter().find(|email| email.is_primary);
        let email = primary.or_else(|| self.emails.first()).map(|email| email.value.as_str());
        email.or_else(|| self.user_name.contains('@').then_some(self.user_name.as_str()))
    }

    /// Returns what to call them.
    #[must_use]
    pub fn name(&self) -> &str {
        [&self.display_name, &self.formatted_name, &self.user_name]
            .into_iter()
            .find(|name| !name.is_empty())
            .map_or("", String::as_str)
    }

    /// Every address of theirs, in lower case.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let mut all: Vec<_> = self.emails.iter().map(|email| folded(&email.value)).collect();
        if self.user_name.contains('@') {
            all.push(folded(&self.user_name));
        }
        all.sort();
        all.dedup();
        all
    }
}

/// Who wrote a person or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryOrigin {
    /// A member, at the console.
    Hand,
    /// A directory, which keeps it up to date.
    Scim,
}

impl DirectoryOrigin {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Hand => "hand",
            Self::Scim => "scim",
        }
    }

    pub(crate) fn of(word: &str) -> Self {
        if word == "scim" { Self::Scim } else { Self::Hand }
    }
}

/// A person, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRow {
    /// The person.
    pub id: PersonId,
    /// What is known of them.
    pub facts: PersonFacts,
    /// Who wrote them.
    pub origin: DirectoryOrigin,
    /// Counts changes, from 1.
    pub version: u64,
    /// When they were added.
    pub created_at: UnixMillis,
    /// When they were last changed.
    pub updated_at: UnixMillis,
    /// The groups they are in, by name.
    pub groups: Vec<(PersonGroupId, String)>,
}

/// Why a person or a group was not written.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Somebody else has this user name.
    #[error("somebody has this user name")]
    Taken,
    /// It was changed since it was read.
    #[error("it was changed in between")]
    Changed,
    /// A member of a group is nobody.
    #[error("there is nobody with the id {0}")]
    NoSuchMember(PersonId),
    /// The store failed, or there is no such thing.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<crate::db::Error> for DirectoryError {
    fn from(error: crate::db::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Addresses of one person.
pub const MAX_EMAILS: usize = 10;

impl Store {
    /// Adds a person.
    ///
    /// # Errors
    /// [`DirectoryError::Taken`].
    pub async fn create_person(
        &self,
        scope: TenantScope,
        facts: PersonFacts,
        origin: DirectoryOrigin,
        now: UnixMillis,
    ) -> Result<PersonRow, DirectoryError> {
        self.directory(scope, move |db| create(db, scope, &facts, origin, now)).await
    }

    /// Replaces what is known of a person, if they are still at the version that is expected.
    ///
    /// # Errors
    /// There is no such person; [`DirectoryError::Taken`] or [`DirectoryError::Changed`].
    pub async fn replace_person(
        &self,
        scope: TenantScope,
        person: PersonId,
        facts: PersonFacts,
        expected: Option<u64>,
        now: UnixMillis,
    ) -> Result<PersonRow, DirectoryError> {
        self.directory(scope, move |db| replace(db, scope, person, &facts, expected, now)).await
    }

    /// Erases a person, also as the one whose devices they are, and what the audit log says of them.
    ///
    /// # Errors
    /// There is no such person; [`DirectoryError::Changed`].
    pub async fn erase_person(
        &self,
        scope: TenantScope,
        person: PersonId,
        expected: Option<u64>,
        now: UnixMillis,
    ) -> Result<(), DirectoryError> {
        self.directory(scope, move |db| erase(db, scope, person, expected, now)).await
    }

    /// Returns one person.
    ///
    /// # Errors
    /// The tenant has no such person.
    pub async fn person(
        &self,
        scope: TenantScope,
        person: PersonId,
    ) -> Result<PersonRow, StoreError> {
        self.db.read(scope, move |db| one(db, scope, person)).await
    }

    /// Writes; a refusal is an answer and not a failure of the job, and comes before anything was written.
    pub(crate) async fn directory<T: Send + 'static>(
        &self,
        scope: TenantScope,
        work: impl Fn(&Connection) -> Result<T, DirectoryError> + Send + 'static,
    ) -> Result<T, DirectoryError> {
        self.db
            .write(scope, move |db| match work(db) {
                Err(DirectoryError::Store(error)) => Err(error),
                answer => Ok(answer),
            })
            .await?
    }
}

fn create(
    db: &Connection,
    scope: TenantScope,
    facts: &PersonFacts,
    origin: DirectoryOrigin,
    now: UnixMillis,
) -> Result<PersonRow, DirectoryError> {
    let id = PersonId::of(fresh_id(now)?);
    refuse_taken(db, scope, facts, id)?;
    db.prepare_cached(
        "INSERT INTO person (tenant_id, person_id, user_name, user_key, external_id, display_name,
                             display_key, formatted_name, given_name, family_name, active, origin,
                             version, created_at_ms, updated_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1, ?13, ?13)",
    )?
    .execute(params![
        scope.id(),
        id.octets(),
        facts.user_name,
        folded(&facts.user_name),
        facts.external_id,
        facts.display_name,
        folded(&facts.display_name),
        facts.formatted_name,
        facts.given_name,
        facts.family_name,
        facts.active,
        origin.word(),
        ms(now),
    ])?;
    write_emails(db, scope, id, facts)?;
    let subject = id.to_string();
    let event = Event::new("person.create", "person", id)
        .of_person(&subject, json!({ "user": facts.user_name }));
    audit::append(db, scope, event, now)?;
    if !facts.is_active() {
        disable_members(db, scope, facts, now)?;
    }
    Ok(one(db, scope, id)?)
}

fn replace(
    db: &Connection,
    scope: TenantScope,
    id: PersonId,
    facts: &PersonFacts,
    expected: Option<u64>,
    now: UnixMillis,
) -> Result<PersonRow, DirectoryError> {
    let before = one(db, scope, id)?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Err(DirectoryError::Changed);
    }
    if before.facts == *facts {
        return Ok(before);
    }
    refuse_taken(db, scope, facts, id)?;
    db.prepare_cached(
        "UPDATE person SET user_name = ?3, user_key = ?4, external_id = ?5, display_name = ?6,
             display_key = ?7, formatted_name = ?8, given_name = ?9, family_name = ?10, active = ?11,
             version = version + 1, updated_at_ms = ?12
         WHERE tenant_id = ?1 AND person_id = ?2",
    )?
    .execute(params![
        scope.id(),
        id.octets(),
        facts.user_name,
        folded(&facts.user_name),
        facts.external_id,
        facts.display_name,
        folded(&facts.display_name),
        facts.formatted_name,
        facts.given_name,
        facts.family_name,
        facts.active,
        ms(now),
    ])?;
    write_emails(db, scope, id, facts)?;
    let address = facts.address().map(folded).unwrap_or_default();
    for old in before.facts.addresses() {
        if !facts.addresses().contains(&old) {
            move_devices(db, scope, &old, &address)?;
        }
    }
    let (subject, was, is) = (id.to_string(), before.facts.is_active(), facts.is_active());
    let action = match (was, is) {
        (true, false) => "person.deactivate",
        (false, true) => "person.activate",
        (true, true) | (false, false) => "person.change",
    };
    let said = json!({ "user": facts.user_name });
    let mut detail = json!({});
    if was && !is {
        let kept = disable_members(db, scope, facts, now)?;
        if kept {
            detail = json!({ "last_administrator_stays": true });
        }
    }
    let event = Event::new(action, "person", id).detail(detail).of_person(&subject, said);
    audit::append(db, scope, event, now)?;
    Ok(one(db, scope, id)?)
}

fn erase(
    db: &Connection,
    scope: TenantScope,
    id: PersonId,
    expected: Option<u64>,
    now: UnixMillis,
) -> Result<(), DirectoryError> {
    let before = one(db, scope, id)?;
    if expected.is_some_and(|expected| expected != before.version) {
        return Err(DirectoryError::Changed);
    }
    if before.facts.is_active() {
        disable_members(db, scope, &before.facts, now)?;
    }
    for address in before.facts.addresses() {
        move_devices(db, scope, &address, "")?;
    }
    license::forget(db, scope, Licensee::Person(id))?;
    db.prepare_cached(
        "DELETE FROM locator WHERE kind = 'enrollment' AND tenant_id = ?1 AND key IN (
             SELECT code_hash FROM enrollment_code WHERE tenant_id = ?1 AND person_id = ?2
             UNION SELECT token_hash FROM enrollment_token
             WHERE tenant_id = ?1 AND person_id = ?2 AND used_by IS NULL)",
    )?
    .execute(params![scope.id(), id.octets()])?;
    for statement in [
        "DELETE FROM enrollment_code WHERE tenant_id = ?1 AND person_id = ?2",
        "DELETE FROM enrollment_token
         WHERE tenant_id = ?1 AND person_id = ?2 AND used_by IS NULL",
        "UPDATE enrollment_token SET person_id = NULL WHERE tenant_id = ?1 AND person_id = ?2",
        "DELETE FROM enrollment_refusal WHERE tenant_id = ?1 AND person_id = ?2",
        "DELETE FROM person_group_member WHERE tenant_id = ?1 AND person_id = ?2",
        "DELETE FROM person_email WHERE tenant_id = ?1 AND person_id = ?2",
        "DELETE FROM person WHERE tenant_id = ?1 AND person_id = ?2",
    ] {
        db.prepare_cached(statement)?.execute(params![scope.id(), id.octets()])?;
    }
    audit_log::forget_person(db, scope, &id.to_string())?;
    audit::append(db, scope, Event::new("person.erase", "person", id), now)?;
    Ok(())
}

fn refuse_taken(
    db: &Connection,
    scope: TenantScope,
    facts: &PersonFacts,
    except: PersonId,
) -> Result<(), DirectoryError> {
    let is_taken = db
        .prepare_cached(
            "SELECT 1 FROM person WHERE tenant_id = ?1 AND user_key = ?2 AND person_id <> ?3",
        )?
        .exists(params![scope.id(), folded(&facts.user_name), except.octets()])?;
    if is_taken { Err(DirectoryError::Taken) } else { Ok(()) }
}

fn write_emails(
    db: &Connection,
    scope: TenantScope,
    id: PersonId,
    facts: &PersonFacts,
) -> Result<(), StoreError> {
    db.prepare_cached("DELETE FROM person_email WHERE tenant_id = ?1 AND person_id = ?2")?
        .execute(params![scope.id(), id.octets()])?;
    for (position, email) in (0_i64..).zip(facts.emails.iter().take(MAX_EMAILS)) {
        db.prepare_cached(
            "INSERT INTO person_email (tenant_id, person_id, position, value, value_key, kind,
                                       is_primary)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            scope.id(),
            id.octets(),
            position,
            email.value,
            folded(&email.value),
            email.kind,
            email.is_primary,
        ])?;
    }
    Ok(())
}

/// Disables whoever may look at the console by one of these addresses; tells whether the last administrator had to stay.
fn disable_members(
    db: &Connection,
    scope: TenantScope,
    facts: &PersonFacts,
    now: UnixMillis,
) -> Result<bool, StoreError> {
    let mut kept = false;
    for address in facts.addresses() {
        let statement = db.prepare_cached(
            "SELECT member_id FROM member
             WHERE tenant_id = ?1 AND email = ?2 AND disabled_at_ms IS NULL",
        )?;
        let members: Vec<[u8; 16]> = statement
            .query_map(params![scope.id(), address], |row| row.get(0))?
            .collect::<crate::db::Result<_>>()?;
        for member in members.into_iter().map(MemberId::of_column) {
            match member_list::disable(db, scope, member, Some(now)) {
                Ok(()) => {
                    let event = Event::new("member.disable", "member", member);
                    audit::append(db, scope, event, now)?;
                }
                Err(StoreError::LastAdministrator) => {
                    member_list::disable(db, scope, member, None)?;
                    kept = true;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(kept)
}

/// Has devices follow their person to another address, or to nobody.
fn move_devices(
    db: &Connection,
    scope: TenantScope,
    from: &str,
    to: &str,
) -> Result<(), StoreError> {
    let moved = db
        .prepare_cached("UPDATE device SET owner = ?3 WHERE tenant_id = ?1 AND owner = ?2")?
        .execute(params![scope.id(), from, to])?;
    if moved != 0 {
        device_member::want(db, scope)?;
    }
    Ok(())
}

pub(crate) fn one(
    db: &Connection,
    scope: TenantScope,
    id: PersonId,
) -> Result<PersonRow, StoreError> {
    let row = db
        .prepare_cached(concat!(
            person_columns!(),
            " FROM person AS p WHERE p.tenant_id = ?1 AND p.person_id = ?2"
        ))?
        .query_row(params![scope.id(), id.octets()], read);
    let mut row = crate::column::found(row, "user")?;
    complete(db, scope, &mut row)?;
    Ok(row)
}

/// Adds the addresses and groups of a person.
pub(crate) fn complete(
    db: &Connection,
    scope: TenantScope,
    person: &mut PersonRow,
) -> Result<(), StoreError> {
    let statement = db.prepare_cached(
        "SELECT value, kind, is_primary FROM person_email
         WHERE tenant_id = ?1 AND person_id = ?2 ORDER BY position",
    )?;
    let emails = statement.query_map(params![scope.id(), person.id.octets()], |row| {
        Ok(PersonEmail { value: row.get(0)?, kind: row.get(1)?, is_primary: row.get(2)? })
    })?;
    person.facts.emails = emails.collect::<crate::db::Result<_>>()?;
    let statement = db.prepare_cached(
        "SELECT g.group_id, g.display_name FROM person_group_member AS m
         JOIN person_group AS g ON g.tenant_id = m.tenant_id AND g.group_id = m.group_id
         WHERE m.tenant_id = ?1 AND m.person_id = ?2 ORDER BY g.display_key, g.group_id",
    )?;
    let groups = statement.query_map(params![scope.id(), person.id.octets()], |row| {
        Ok((PersonGroupId::of(row.get(0)?), row.get::<String>(1)?))
    })?;
    person.groups = groups.collect::<crate::db::Result<_>>()?;
    Ok(())
}

/// Reads the columns of [`person_columns`].
pub(crate) fn read(row: &Row<'_>) -> crate::db::Result<PersonRow> {
    Ok(PersonRow {
        id: PersonId::of(row.get(0)?),
        facts: PersonFacts {
            user_name: row.get(1)?,
            external_id: row.get(2)?,
            display_name: row.get(3)?,
            formatted_name: row.get(4)?,
            given_name: row.get(5)?,
            family_name: row.get(6)?,
            emails: Vec::new(),
            active: row.get(7)?,
        },
        origin: DirectoryOrigin::of(&row.get::<String>(8)?),
        version: count(row.get(9)?),
        created_at: time(row.get(10)?),
        updated_at: time(row.get(11)?),
        groups: Vec::new(),
    })
}

/// What is compared without regard to case.
pub(crate) fn folded(text: &str) -> String {
    text.trim().to_lowercase()
}

/// What [`read`] reads, of `person AS p`; the statement goes on with its tables and names `tenant_id`.
macro_rules! person_columns {
    () => {
        "SELECT p.person_id, p.user_name, p.external_id, p.display_name, p.formatted_name,
                p.given_name, p.family_name, p.active, p.origin, p.version, p.created_at_ms,
                p.updated_at_ms, p.tenant_id"
    };
}
pub(crate) use person_columns;
