//! Finding people and groups of them: by a filter of a directory, or page by page at the console.

use bartizan_model::{DeviceId, UnixMillis};

use crate::column::{count, time};
use crate::db::{Connection, Value, params};
use crate::person::{self, folded, person_columns};
use crate::{
    PersonGroupId, PersonGroupRow, PersonId, PersonRow, Sight, Store, StoreError, TenantScope,
};

/// What a filter speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryField {
    /// The id, in its one spelling.
    Id,
    /// A person's user name.
    UserName,
    /// What is shown.
    DisplayName,
    /// The directory's own name for it; its case counts.
    ExternalId,
    /// Whether a person is active, as `true` or `false`.
    Active,
    /// Any address of a person.
    Email,
    /// The id of somebody in a group.
    Member,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryMatch {
    /// It is this.
    Equals,
    /// It has this in it.
    Contains,
    /// It begins with this.
    StartsWith,
    /// It is not empty.
    Present,
}

/// Which people or groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryFilter {
    /// One whose field is so.
    Is(DirectoryField, DirectoryMatch, String),
    /// One that fits all.
    And(Vec<Self>),
    /// One that fits any.
    Or(Vec<Self>),
    /// One that does not fit.
    Not(Box<Self>),
}

/// A person without a column for what a filter speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is found by this attribute and operator")]
pub struct UnfitFilter;

/// A device of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDevice {
    /// The device.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// Its system and version.
    pub os: String,
    /// When it was last heard of.
    pub last_seen_at: UnixMillis,
}

impl Store {
    /// Finds people by a filter, in the order of their ids: how many there are, and `limit` from the one at `skip` on.
    ///
    /// # Errors
    /// The store is unavailable. A filter that does not fit finds nobody; ask [`DirectoryFilter::fits_people`] before.
    pub async fn people(
        &self,
        scope: TenantScope,
        filter: Option<DirectoryFilter>,
        skip: u32,
        limit: u32,
    ) -> Result<(u64, Vec<PersonRow>), StoreError> {
        self.db
            .read(scope, move |db| {
                let (condition, values) = condition(scope, filter.as_ref(), "p", People);
                let total = total(db, "person AS p", &condition, &values)?;
                let sql = format!(
                    "{} FROM person AS p WHERE {condition} ORDER BY p.person_id LIMIT ? OFFSET ?",
                    person_columns!()
                );
                let rows =
                    db.prepare_cached(&sql)?.query_map(paged(values, limit, skip), person::read)?;
                let mut rows: Vec<_> = rows.collect::<crate::db::Result<_>>()?;
                for row in &mut rows {
                    person::complete(db, scope, row)?;
                }
                Ok((total, rows))
            })
            .await
    }

    /// Finds groups by a filter, likewise; their people are not read.
    ///
    /// # Errors
    /// The store is unavailable. A filter that does not fit finds none; ask [`DirectoryFilter::fits_groups`] before.
    pub async fn person_groups(
        &self,
        scope: TenantScope,
        filter: Option<DirectoryFilter>,
        skip: u32,
        limit: u32,
    ) -> Result<(u64, Vec<PersonGroupRow>), StoreError> {
        self.db
            .read(scope, move |db| {
                let (condition, values) = condition(scope, filter.as_ref(), "g", Groups);
                let total = total(db, "person_group AS g", &condition, &values)?;
                let sql = format!(
                    "{} FROM person_group AS g WHERE {condition}
                     ORDER BY g.group_id LIMIT ? OFFSET ?",
                    crate::person_group::group_columns!()
                );
                let rows = db
                    .prepare_cached(&sql)?
                    .query_map(paged(values, limit, skip), crate::person_group::read)?;
                Ok((total, rows.collect::<crate::db::Result<_>>()?))
            })
            .await
    }

    /// Lists people by user name, those whose name or address has a text in it, from after a user name on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn people_page(
        &self,
        scope: TenantScope,
        text: String,
        after: String,
        limit: u32,
    ) -> Result<Vec<PersonRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(concat!(
                    person_columns!(),
                    " FROM person AS p WHERE p.tenant_id = ?1 AND ?2 < p.user_key
                         AND (?3 = '' OR 0 < strpos(p.user_key, ?3) OR 0 < strpos(p.display_key, ?3)
                             OR EXISTS (SELECT 1 FROM person_email AS e
                                 WHERE e.tenant_id = p.tenant_id AND e.person_id = p.person_id
                                     AND 0 < strpos(e.value_key, ?3)))
                     ORDER BY p.user_key LIMIT ?4"
                ))?;
                let (after, text) = (folded(&after), folded(&text));
                let rows =
                    statement.query_map(params![scope.id(), after, text, limit], person::read)?;
                let mut rows: Vec<_> = rows.collect::<crate::db::Result<_>>()?;
                for row in &mut rows {
                    person::complete(db, scope, row)?;
                }
                Ok(rows)
            })
            .await
    }

    /// Lists groups by name, those whose name has a text in it, from after one on.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn person_groups_page(
        &self,
        scope: TenantScope,
        text: String,
        after: Option<PersonGroupId>,
        limit: u32,
    ) -> Result<Vec<PersonGroupRow>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(concat!(
                    crate::person_group::group_columns!(),
                    " FROM person_group AS g WHERE g.tenant_id = ?1
                         AND (?2 = '' OR 0 < strpos(g.display_key, ?2))
                         AND (?3 = 0 OR (g.display_key, g.group_id) > (
                             SELECT a.display_key, a.group_id FROM person_group AS a
                             WHERE a.tenant_id = ?1 AND a.group_id = ?4))
                     ORDER BY g.display_key, g.group_id LIMIT ?5"
                ))?;
                let (text, is_later) = (folded(&text), after.is_some());
                let from = after.unwrap_or(PersonGroupId(0)).octets();
                let rows = statement.query_map(
                    params![scope.id(), text, is_later, from, limit],
                    crate::person_group::read,
                )?;
                Ok(rows.collect::<crate::db::Result<_>>()?)
            })
            .await
    }

    /// Finds a person by user name or, where one alone has it, by address; in any case of letters.
    ///
    /// # Errors
    /// There is no such person.
    pub async fn person_named(
        &self,
        scope: TenantScope,
        name: String,
    ) -> Result<PersonRow, StoreError> {
        self.db
            .read(scope, move |db| {
                let key = folded(&name);
                let statement = db.prepare_cached(
                    "SELECT person_id FROM person WHERE tenant_id = ?1 AND user_key = ?2
                     UNION SELECT person_id FROM person_email
                     WHERE tenant_id = ?1 AND value_key = ?2 LIMIT 2",
                )?;
                let found: Vec<[u8; 16]> = statement
                    .query_map(params![scope.id(), key], |row| row.get(0))?
                    .collect::<crate::db::Result<_>>()?;
                match found.as_slice() {
                    [one] => person::one(db, scope, PersonId::of(*one)),
                    _ => Err(StoreError::NotFound { what: "user" }),
                }
            })
            .await
    }

    /// Returns a person's devices, the latest heard of first, at most [`MAX_DEVICES`].
    ///
    /// # Errors
    /// The tenant has no such person.
    pub async fn devices_of_person(
        &self,
        sight: Sight,
        person: PersonId,
    ) -> Result<Vec<OwnDevice>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let facts = person::one(db, scope, person)?.facts;
                let mut all = Vec::new();
                for address in facts.addresses() {
                    let mut values =
                        vec![Value::from(scope.id()), address.into(), i64::from(MAX_DEVICES).into()];
                    let inside = within.condition("d.group_id", values.len().saturating_add(1));
                    values.extend(within.values());
                    let sql = format!(
                        "SELECT d.device_id, d.device_name, d.os, s.os_version, s.last_seen_at_ms
                         FROM device AS d JOIN device_status AS s
                             ON s.tenant_id = d.tenant_id AND s.device_id = d.device_id
                         WHERE d.tenant_id = ?1 AND d.owner = ?2 AND d.forgotten_at_ms IS NULL AND {inside}
                         ORDER BY d.device_id DESC LIMIT ?3"
                    );
                    let rows = db.prepare_cached(&sql)?.query_map(values, |row| {
                            let (os, version): (String, String) = (row.get(2)?, row.get(3)?);
                            Ok(OwnDevice {
                                id: DeviceId(u128::from_be_bytes(row.get(0)?)),
                                name: row.get(1)?,
                                os: format!("{os} {version}"),
                                last_seen_at: time(row.get(4)?),
                            })
                        })?;
                    for row in rows {
                        all.push(row?);
                    }
                }
                all.sort_by_key(|device: &OwnDevice| std::cmp::Reverse(device.last_seen_at));
                Ok(all)
            })
            .await
    }
}

impl DirectoryFilter {
    /// Refuses a filter that people are not found by.
    ///
    /// # Errors
    /// It is one.
    pub fn fits_people(&self) -> Result<(), UnfitFilter> {
        self.fits(People)
    }

    /// Refuses a filter that groups are not found by.
    ///
    /// # Errors
    /// It is one.
    pub fn fits_groups(&self) -> Result<(), UnfitFilter> {
        self.fits(Groups)
    }

    fn fits(&self, of: Of) -> Result<(), UnfitFilter> {
        match self {
            Self::Is(field, how, value) => {
                is(*field, *how, value, "", of).map(drop).ok_or(UnfitFilter)
            }
            Self::And(all) | Self::Or(all) => all.iter().try_for_each(|one| one.fits(of)),
            Self::Not(one) => one.fits(of),
        }
    }
}

#[derive(Clone, Copy)]
enum Of {
    People,
    Groups,
}
use Of::{Groups, People};

/// A condition of fixed pieces, and what stands for its placeholders.
fn condition(
    scope: TenantScope,
    filter: Option<&DirectoryFilter>,
    table: &str,
    of: Of,
) -> (String, Vec<Value>) {
    let mut sql = format!("{table}.tenant_id = ?");
    let mut values = vec![Value::from(scope.id())];
    if let Some(filter) = filter {
        sql.push_str(" AND ");
        write(filter, table, of, &mut sql, &mut values);
    }
    (sql, values)
}

fn write(filter: &DirectoryFilter, table: &str, of: Of, sql: &mut String, values: &mut Vec<Value>) {
    match filter {
        DirectoryFilter::Is(field, how, value) => match is(*field, *how, value, table, of) {
            Some((piece, value)) => {
                sql.push_str(&piece);
                values.extend(value);
            }
            None => sql.push_str("1 = 0"),
        },
        DirectoryFilter::And(all) => join(all, " AND ", table, of, sql, values),
        DirectoryFilter::Or(all) => join(all, " OR ", table, of, sql, values),
        DirectoryFilter::Not(one) => {
            sql.push_str("NOT (");
            write(one, table, of, sql, values);
            sql.push(')');
        }
    }
}

fn join(
    all: &[DirectoryFilter],
    between: &str,
    table: &str,
    of: Of,
    sql: &mut String,
    values: &mut Vec<Value>,
) {
    sql.push('(');
    for (number, one) in all.iter().enumerate() {
        if number != 0 {
            sql.push_str(between);
        }
        write(one, table, of, sql, values);
    }
    sql.push(')');
}

/// One comparison; nothing where the field is not compared so.
fn is(
    field: DirectoryField,
    how: DirectoryMatch,
    value: &str,
    table: &str,
    of: Of,
) -> Option<(String, Option<Value>)> {
    use DirectoryField as F;
    let text = |column: String, value: String| {
        let piece = match how {
            DirectoryMatch::Equals => format!("{column} = ?"),
            DirectoryMatch::Contains => format!("0 < strpos({column}, ?)"),
            DirectoryMatch::StartsWith => format!("strpos({column}, ?) = 1"),
            DirectoryMatch::Present => return (format!("{column} <> ''"), None),
        };
        (piece, Some(Value::from(value)))
    };
    let id = |column: String, octets: Option<[u8; 16]>| match how {
        // What is no id is nobody's.
        DirectoryMatch::Equals => Some(match octets {
            Some(octets) => (format!("{column} = ?"), Some(Value::from(octets))),
            None => ("1 = 0".to_owned(), None),
        }),
        DirectoryMatch::Present => Some(("1 = 1".to_owned(), None)),
        DirectoryMatch::Contains | DirectoryMatch::StartsWith => None,
    };
    let own = |column: &str| format!("{table}.{column}");
    match (of, field) {
        (People, F::Id) => id(own("person_id"), value.parse().ok().map(PersonId::octets)),
        (Groups, F::Id) => id(own("group_id"), value.parse().ok().map(PersonGroupId::octets)),
        (People, F::UserName) => Some(text(own("user_key"), folded(value))),
        (People | Groups, F::DisplayName) => Some(text(own("display_key"), folded(value))),
        (People | Groups, F::ExternalId) => Some(text(own("external_id"), value.to_owned())),
        (People, F::Active) => match how {
            DirectoryMatch::Equals => {
                let wanted = i64::from(value == "true");
                Some((format!("coalesce({}, 1) = ?", own("active")), Some(wanted.into())))
            }
            DirectoryMatch::Present => Some((format!("{} IS NOT NULL", own("active")), None)),
            DirectoryMatch::Contains | DirectoryMatch::StartsWith => None,
        },
        (People, F::Email) => {
            let (piece, value) = text("e.value_key".to_owned(), folded(value));
            Some((
                format!(
                    "EXISTS (SELECT 1 FROM person_email AS e WHERE e.tenant_id = {table}.tenant_id
                         AND e.person_id = {table}.person_id AND {piece})"
                ),
                value,
            ))
        }
        (Groups, F::Member) => {
            let (piece, value) =
                id("m.person_id".to_owned(), value.parse().ok().map(PersonId::octets))?;
            Some((
                format!(
                    "EXISTS (SELECT 1 FROM person_group_member AS m
                         WHERE m.tenant_id = {table}.tenant_id AND m.group_id = {table}.group_id
                             AND {piece})"
                ),
                value,
            ))
        }
        (People, F::Member) | (Groups, F::UserName | F::Active | F::Email) => None,
    }
}

fn total(
    db: &Connection,
    from: &str,
    condition: &str,
    values: &[Value],
) -> Result<u64, StoreError> {
    // The condition begins with the tenant_id.
    let sql = format!("SELECT count(*) FROM {from} WHERE {condition} /* tenant_id */");
    Ok(count(db.prepare_cached(&sql)?.query_row(values.to_vec(), |row| row.get(0))?))
}

fn paged(mut values: Vec<Value>, limit: u32, skip: u32) -> Vec<Value> {
    values.extend([i64::from(limit), i64::from(skip)].map(Value::from));
    values
}

/// More than anybody carries.
const MAX_DEVICES: u32 = 50;
