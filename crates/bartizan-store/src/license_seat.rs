//! How many seats of each plan there are and how many are taken, without who takes them.
//!
//! What it costs grows with the number of people who have a plan: whoever shows it often keeps it for a while.

use std::collections::BTreeMap;

use crate::column::count;
use crate::db::{Connection, params};
use crate::license::OWNERS;
use crate::{Plan, Store, StoreError, TenantScope, enrollment_rule};

/// How the seats of a plan are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seats {
    /// The plan.
    pub plan: Plan,
    /// What was bought.
    pub seats: u64,
    /// Active people who have it and none that is better.
    pub used: u64,
}

impl Seats {
    /// How many have no seat.
    #[must_use]
    pub fn over(self) -> u64 {
        self.used.saturating_sub(self.seats)
    }
}

impl Store {
    /// Returns how the seats of both plans are taken; nothing where licenses are not enforced and no seat was bought.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn seats(&self, scope: TenantScope) -> Result<Vec<Seats>, StoreError> {
        self.db.read(scope, move |db| seats(db, scope)).await
    }
}

fn seats(db: &Connection, scope: TenantScope) -> Result<Vec<Seats>, StoreError> {
    let bought = numbers(db, scope, "SELECT plan, seats FROM license_plan WHERE tenant_id = ?1")?;
    let is_enforced = enrollment_rule::of(db, scope)?.licenses_enforced;
    if !is_enforced && bought.values().all(|seats| *seats == 0) {
        return Ok(Vec::new());
    }
    let taken =
        format!("SELECT o.plan, count(*) FROM ({OWNERS}) AS o /* tenant_id */ GROUP BY o.plan");
    let taken = numbers(db, scope, &taken)?;
    let of = |numbers: &BTreeMap<String, u64>, plan: Plan| {
        numbers.get(plan.word()).copied().unwrap_or_default()
    };
    let one = |plan| Seats { plan, seats: of(&bought, plan), used: of(&taken, plan) };
    Ok(Plan::ALL.map(one).to_vec())
}

/// Reads numbers by the words of plans.
fn numbers(
    db: &Connection,
    scope: TenantScope,
    sql: &str,
) -> Result<BTreeMap<String, u64>, StoreError> {
    let rows = db
        .prepare_cached(sql)?
        .query_map(params![scope.id()], |row| Ok((row.get(0)?, count(row.get(1)?))))?;
    Ok(rows.collect::<crate::db::Result<_>>()?)
}
