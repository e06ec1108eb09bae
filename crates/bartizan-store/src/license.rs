//! Licenses: two plans, how many seats of each, and who has one.
//!
//! # Invariants
//! - Who has both plans, by themselves or by groups, has the second.
//! - What a plan gives is one table, [`FEATURES`]; `docs/licenses.md` has the same.

use bartizan_model::UnixMillis;
use serde_json::json;

use crate::audit::{self, Event};
use crate::column::count;
use crate::db::{Connection, Optional, params};
use crate::enrollment_rule;
use crate::{PersonGroupId, PersonId, Store, StoreError, TenantScope};

/// What a person may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plan {
    /// Protection.
    One,
    /// And looking into what happened.
    Two,
}

impl Plan {
    /// Both.
    pub const ALL: [Self; 2] = [Self::One, Self::Two];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::One => "plan-1",
            Self::Two => "plan-2",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plan| plan.word() == word)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "Plan 1",
            Self::Two => "Plan 2",
        }
    }

    /// Whether it gives this.
    #[must_use]
    pub fn gives(self, feature: Feature) -> bool {
        match self {
            Self::One => FEATURES.iter().any(|(one, _, in_first)| *one == feature && *in_first),
            Self::Two => true,
        }
    }
}

/// Something that a plan may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Sites and connections are stopped.
    WebProtection,
    /// Indicators of the organization's own.
    OwnIndicators,
    /// Networks are watched.
    NetworkProtection,
    /// Jailbroken devices are found.
    JailbreakDetection,
    /// Alerts and risk level.
    Alerts,
    /// Policies by group.
    Policies,
    /// What happened on a device, in the order of time.
    Timeline,
    /// Weaknesses of the system and of apps.
    Vulnerabilities,
    /// Asking questions of all that was gathered.
    Hunting,
}

/// What each plan gives: the feature, in words, and whether the first plan has it. The second has all.
pub const FEATURES: &[(Feature, &str, bool)] = &[
    (Feature::WebProtection, "Web protection: phishing and unsafe connections are stopped", true),
    (Feature::OwnIndicators, "Indicators of the organization's own", true),
    (Feature::NetworkProtection, "Network protection", true),
    (Feature::JailbreakDetection, "Jailbreak detection", true),
    (Feature::Alerts, "Alerts, incidents and risk level", true),
    (Feature::Policies, "Policies by group", true),
    (Feature::Timeline, "Device timeline", false),
    (Feature::Vulnerabilities, "Vulnerability assessment of system and apps", false),
    (Feature::Hunting, "Advanced hunting", false),
];

/// How a plan is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanUse {
    /// The plan.
    pub plan: Plan,
    /// What was bought.
    pub seats: u64,
    /// Active people who have it and none that is better.
    pub used: u64,
    /// Of these, those for whom there is no seat, at most [`MAX_LISTED`]: the ones added last.
    pub without_seat: Vec<(PersonId, String)>,
}

impl PlanUse {
    /// How many have no seat.
    #[must_use]
    pub fn over(&self) -> u64 {
        self.used.saturating_sub(self.seats)
    }
}

/// Who has a plan: somebody, or all of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Licensee {
    /// One person.
    Person(PersonId),
    /// All who are in the group.
    Group(PersonGroupId),
}

impl Licensee {
    fn columns(self) -> (&'static str, [u8; 16]) {
        match self {
            Self::Person(id) => ("person", id.octets()),
            Self::Group(id) => ("group", id.octets()),
        }
    }
}

/// People without a seat that are named.
const MAX_LISTED: u32 = 50;

impl Store {
    /// Says how many seats of a plan there are.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn set_seats(
        &self,
        scope: TenantScope,
        plan: Plan,
        seats: u32,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                db.prepare_cached(
                    "INSERT INTO license_plan (tenant_id, plan, seats) VALUES (?1, ?2, ?3)
                     ON CONFLICT (tenant_id, plan) DO UPDATE SET seats = excluded.seats",
                )?
                .execute(params![scope.id(), plan.word(), seats])?;
                let event = Event::new("license.seats", "license", plan.word())
                    .detail(json!({ "seats": seats }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Gives a plan to somebody or a group, or takes it away. Once more changes nothing.
    ///
    /// # Errors
    /// There is no such person or group.
    pub async fn assign_license(
        &self,
        scope: TenantScope,
        plan: Plan,
        licensee: Licensee,
        is_given: bool,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        self.db
            .write(scope, move |db| {
                let (kind, id) = licensee.columns();
                let changed = if is_given {
                    exists(db, scope, licensee)?;
                    db.prepare_cached(
                        "INSERT INTO license_assignment (tenant_id, plan, subject_kind, subject_id)
                         VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT (tenant_id, plan, subject_kind, subject_id) DO NOTHING",
                    )?
                    .execute(params![scope.id(), plan.word(), kind, id])?
                } else {
                    db.prepare_cached(
                        "DELETE FROM license_assignment
                         WHERE tenant_id = ?1 AND plan = ?2 AND subject_kind = ?3 AND subject_id = ?4",
                    )?
                    .execute(params![scope.id(), plan.word(), kind, id])?
                };
                if changed == 0 {
                    return Ok(());
                }
                let action = if is_given { "license.assign" } else { "license.withdraw" };
                let object = match licensee {
                    Licensee::Person(id) => Event::new(action, "person", id),
                    Licensee::Group(id) => Event::new(action, "person-group", id),
                };
                let event = object.detail(json!({ "plan": plan.word() }));
                audit::append(db, scope, event, now)
            })
            .await
    }

    /// Returns how both plans are used.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn license_use(&self, scope: TenantScope) -> Result<Vec<PlanUse>, StoreError> {
        self.db
            .read(scope, move |db| {
                let one = |plan| plan_use(db, scope, plan);
                Plan::ALL.into_iter().map(one).collect()
            })
            .await
    }

    /// Returns the plans that were given to somebody or a group itself.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn licenses_of(
        &self,
        scope: TenantScope,
        licensee: Licensee,
    ) -> Result<Vec<Plan>, StoreError> {
        self.db
            .read(scope, move |db| {
                let (kind, id) = licensee.columns();
                let statement = db.prepare_cached(
                    "SELECT plan FROM license_assignment
                     WHERE tenant_id = ?1 AND subject_kind = ?2 AND subject_id = ?3 ORDER BY plan",
                )?;
                let mut plans = Vec::new();
                for word in statement
                    .query_map(params![scope.id(), kind, id], |row| row.get::<String>(0))?
                {
                    plans.extend(Plan::from_word(&word?));
                }
                Ok(plans)
            })
            .await
    }

    /// Returns the groups that have a plan, by name.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn licensed_groups(
        &self,
        scope: TenantScope,
    ) -> Result<Vec<(Plan, PersonGroupId, String)>, StoreError> {
        self.db
            .read(scope, move |db| {
                let statement = db.prepare_cached(
                    "SELECT a.plan, g.group_id, g.display_name FROM license_assignment AS a
                     JOIN person_group AS g
                         ON g.tenant_id = a.tenant_id AND g.group_id = a.subject_id
                     WHERE a.tenant_id = ?1 AND a.subject_kind = 'group'
                     ORDER BY a.plan, g.display_key, g.group_id",
                )?;
                let mut groups = Vec::new();
                for row in statement.query_map([scope.id()], |row| {
                    Ok((row.get::<String>(0)?, PersonGroupId::of(row.get(1)?), row.get(2)?))
                })? {
                    let (word, id, name) = row?;
                    groups.extend(Plan::from_word(&word).map(|plan| (plan, id, name)));
                }
                Ok(groups)
            })
            .await
    }

    /// Returns the plan that a person has, by themselves or by a group.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn plan_of(
        &self,
        scope: TenantScope,
        person: PersonId,
    ) -> Result<Option<Plan>, StoreError> {
        self.db.read(scope, move |db| plan_of(db, scope, person)).await
    }

    /// Returns the plans that some people have, in their order.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn plans_of(
        &self,
        scope: TenantScope,
        people: Vec<PersonId>,
    ) -> Result<Vec<Option<Plan>>, StoreError> {
        self.db
            .read(scope, move |db| {
                people.into_iter().map(|person| plan_of(db, scope, person)).collect()
            })
            .await
    }

    /// Whether the person of a device, by an address of theirs, is given something. Where licenses are not enforced, and
    /// where nobody is known whose plan could lack it, everything is.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn is_given(
        &self,
        scope: TenantScope,
        owner: String,
        feature: Feature,
    ) -> Result<bool, StoreError> {
        self.db
            .read(scope, move |db| {
                if !enrollment_rule::of(db, scope)?.licenses_enforced {
                    return Ok(true);
                }
                let Some(person) = person_of_address(db, scope, &owner)? else { return Ok(true) };
                Ok(plan_of(db, scope, person)?.is_some_and(|plan| plan.gives(feature)))
            })
            .await
    }
}

/// Finds whose address it is, in lower case.
pub(crate) fn person_of_address(
    db: &Connection,
    scope: TenantScope,
    address: &str,
) -> Result<Option<PersonId>, StoreError> {
    let found = db
        .prepare_cached(
            "SELECT person_id FROM person_email WHERE tenant_id = ?1 AND value_key = ?2
             UNION SELECT person_id FROM person WHERE tenant_id = ?1 AND user_key = ?2 LIMIT 1",
        )?
        .query_row(params![scope.id(), address], |row| Ok(PersonId::of(row.get(0)?)))
        .optional()?;
    Ok(found)
}

pub(crate) fn plan_of(
    db: &Connection,
    scope: TenantScope,
    person: PersonId,
) -> Result<Option<Plan>, StoreError> {
    let word: Option<String> = db
        .prepare_cached(
            "SELECT max(a.plan) FROM license_assignment AS a
             WHERE a.tenant_id = ?1 AND (a.subject_kind = 'person' AND a.subject_id = ?2
                 OR a.subject_kind = 'group' AND a.subject_id IN (
                     SELECT m.group_id FROM person_group_member AS m
                     WHERE m.tenant_id = ?1 AND m.person_id = ?2))",
        )?
        .query_row(params![scope.id(), person.octets()], |row| row.get(0))?;
    Ok(word.as_deref().and_then(Plan::from_word))
}

/// Forgets what somebody or a group had, which is about to be removed.
pub(crate) fn forget(
    db: &Connection,
    scope: TenantScope,
    licensee: Licensee,
) -> Result<(), StoreError> {
    let (kind, id) = licensee.columns();
    db.prepare_cached(
        "DELETE FROM license_assignment
         WHERE tenant_id = ?1 AND subject_kind = ?2 AND subject_id = ?3",
    )?
    .execute(params![scope.id(), kind, id])?;
    Ok(())
}

fn exists(db: &Connection, scope: TenantScope, licensee: Licensee) -> Result<(), StoreError> {
    let (sql, what) = match licensee {
        Licensee::Person(_) => {
            ("SELECT 1 FROM person WHERE tenant_id = ?1 AND person_id = ?2", "user")
        }
        Licensee::Group(_) => {
            ("SELECT 1 FROM person_group WHERE tenant_id = ?1 AND group_id = ?2", "user group")
        }
    };
    let (_, id) = licensee.columns();
    let is_there = db.prepare_cached(sql)?.exists(params![scope.id(), id])?;
    if is_there { Ok(()) } else { Err(StoreError::NotFound { what }) }
}

/// Active people with the best plan of theirs.
pub(crate) const OWNERS: &str = "SELECT p.person_id, p.user_name, max(h.plan) AS plan FROM (
         SELECT a.subject_id AS person_id, a.plan FROM license_assignment AS a
         WHERE a.tenant_id = ?1 AND a.subject_kind = 'person'
         UNION ALL
         SELECT m.person_id, a.plan FROM license_assignment AS a
         JOIN person_group_member AS m ON m.tenant_id = a.tenant_id AND m.group_id = a.subject_id
         WHERE a.tenant_id = ?1 AND a.subject_kind = 'group'
     ) AS h
     JOIN person AS p ON p.tenant_id = ?1 AND p.person_id = h.person_id
     WHERE coalesce(p.active, 1) = 1 GROUP BY p.person_id, p.user_name";

fn plan_use(db: &Connection, scope: TenantScope, plan: Plan) -> Result<PlanUse, StoreError> {
    let seats = db
        .prepare_cached("SELECT seats FROM license_plan WHERE tenant_id = ?1 AND plan = ?2")?
        .query_row(params![scope.id(), plan.word()], |row| row.get::<i64>(0))
        .optional()?
        .unwrap_or(0);
    let holders = format!("{OWNERS} HAVING max(h.plan) = ?2 /* tenant_id */");
    let sql = format!("SELECT count(*) FROM ({holders}) AS holder /* tenant_id */");
    let used = db
        .prepare_cached(&sql)?
        .query_row(params![scope.id(), plan.word()], |row| row.get::<i64>(0))?;
    let sql = format!("{holders} ORDER BY p.person_id LIMIT ?3 OFFSET ?4");
    let without_seat = db
        .prepare_cached(&sql)?
        .query_map(params![scope.id(), plan.word(), MAX_LISTED, seats], |row| {
            Ok((PersonId::of(row.get(0)?), row.get(1)?))
        })?
        .collect::<crate::db::Result<_>>()?;
    Ok(PlanUse { plan, seats: count(seats), used: count(used), without_seat })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn the_public_table_of_plans() {
        let mut table = String::from("| Feature | Plan 1 | Plan 2 |\n| --- | --- | --- |\n");
        for (feature, words, in_first) in FEATURES {
            assert_eq!(Plan::One.gives(*feature), *in_first);
            assert!(Plan::Two.gives(*feature));
            let first = if *in_first { "yes" } else { "no" };
            writeln!(table, "| {words} | {first} | yes |").unwrap();
        }
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/licenses.md");
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&table), "docs/licenses.md has to have\n{table}");
    }
}
