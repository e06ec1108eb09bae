//! Which of a tenant's devices one sees, and with them what hangs on them.
//!
//! A role may be limited to device groups. Functions on devices and on what hangs on them take a [`Sight`] instead of a
//! [`TenantScope`]; a session has one for each permission, the portal's own work has [`TenantScope::whole`]. Lists and
//! counts narrow their statements by [`Within`]; what is named by its id and lies outside is not found.
//!
//! What it does not do: limit settings. Policies, roles, people, feeds and indicators are the whole tenant's.
//!
//! # Invariants
//! - A member's scope alone sees no device: only their session, which knows their roles, gives them sight.
//! - The groups are read in the transaction that uses them: who loses a role loses what it showed at once.
//! - For who sees everything no statement is another than without all this.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bartizan_model::{DeviceId, TenantId};

use crate::alert::AlertKey;
use crate::column::found;
use crate::db::{Connection, Value, params, query_many};
use crate::permission::{BuiltIn, Permission, Permissions};
use crate::{Actor, AlertJobRow, GroupId, IncidentId, MemberId, Store, StoreError, TenantScope};

/// Whose rows a call may touch, and of which devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    scope: TenantScope,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// Every device.
    Whole,
    /// Those that the member's roles with this permission are limited to.
    Roles(MemberId, Permission),
    /// None.
    Nothing,
}

impl TenantScope {
    /// All devices: for the portal's own work, the command line, devices, directories and programs.
    ///
    /// Of a member it sees nothing; what they see, their session knows.
    #[must_use]
    pub fn whole(self) -> Sight {
        let limit = match self.actor() {
            // An operator looks into a tenant by a visit, which is a session.
            Actor::Member(_) | Actor::Operator(_) => Limit::Nothing,
            Actor::Portal
            | Actor::CommandLine
            | Actor::Device(_)
            | Actor::Directory(_)
            | Actor::Application(_) => Limit::Whole,
        };
        Sight { scope: self, limit }
    }
}

impl Sight {
    /// What a member sees where they need a permission; `whole` are those that a role without a limit gives them.
    pub(crate) fn of_member(
        scope: TenantScope,
        member: MemberId,
        permission: Permission,
        whole: Permissions,
    ) -> Self {
        let limit =
            if whole.has(permission) { Limit::Whole } else { Limit::Roles(member, permission) };
        Self { scope, limit }
    }

    /// Whether it takes in every device of the tenant.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.limit == Limit::Whole
    }

    /// Returns the tenant's id.
    #[must_use]
    pub fn tenant_id(self) -> TenantId {
        self.scope.tenant_id()
    }

    /// The same, on behalf of a request.
    #[must_use]
    pub fn during(self, request: [u8; 8], address: std::net::IpAddr) -> Self {
        Self { scope: self.scope.during(request, address), ..self }
    }

    /// Returns whose rows, and reads the limit; who forgets the second is told by the compiler.
    pub(crate) fn open(self, db: &Connection) -> Result<(TenantScope, Within), StoreError> {
        let within = match self.limit {
            Limit::Whole => Within::Whole,
            Limit::Nothing => Within::Groups { of: None, groups: Vec::new() },
            Limit::Roles(member, permission) => Within::Groups {
                of: Some(member),
                groups: groups(db, self.scope, member, permission)?,
            },
        };
        Ok((self.scope, within))
    }
}

impl Store {
    /// Returns the device groups that a sight takes in by now; nothing where it takes in every device.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn groups_in_sight(&self, sight: Sight) -> Result<Option<Vec<GroupId>>, StoreError> {
        if sight.is_whole() {
            return Ok(None);
        }
        self.db
            .read(sight, move |db| {
                let (_, within) = sight.open(db)?;
                Ok(match within {
                    Within::Whole => None,
                    Within::Groups { groups, .. } => {
                        Some(groups.into_iter().map(GroupId::of).collect())
                    }
                })
            })
            .await
    }
}

impl From<Sight> for crate::db::Reach {
    fn from(sight: Sight) -> Self {
        Self::Tenant(sight.scope)
    }
}

/// Devices of which all alerts are read for one page; of more, a page's worth is found soon by walking.
const MOST_SORTED: i64 = 3_000;

/// Rows among which a page is looked for before all is read that the devices inside have.
pub(crate) const MOST_WALKED: u32 = 3_000;

/// Of an incident that is changed as a whole.
const PARTLY_SEEN: StoreError =
    StoreError::Conflict { what: "an alert of it outside of your device groups" };

/// What a member's roles let them do with every device, and with any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) any: Permissions,
    pub(crate) whole: Permissions,
}

/// How a list is put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sorting {
    /// As an index has it.
    Walk,
    /// All that it could have is read and sorted.
    Sort,
}

impl Sorting {
    /// What follows a column of numbers by which is ordered: no index is in the order of a sum.
    pub(crate) fn addend(self) -> &'static str {
        match self {
            Self::Walk => "",
            Self::Sort => " + 0",
        }
    }
}

/// A limit as it is in this transaction.
#[must_use]
#[derive(Debug)]
pub(crate) enum Within {
    /// Every device.
    Whole,
    /// The devices of these groups, and the jobs of this member.
    Groups { of: Option<MemberId>, groups: Vec<[u8; 16]> },
}

impl Within {
    /// Whether nothing is to be narrowed.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole)
    }

    /// What there is to fill the places of [`Self::condition`].
    pub(crate) fn values(&self) -> Vec<Value> {
        match self {
            Self::Whole => Vec::new(),
            Self::Groups { groups, .. } => groups.iter().map(|group| (*group).into()).collect(),
        }
    }

    /// A condition on a column of groups, with places numbered from `first`; true for who sees everything.
    pub(crate) fn condition(&self, column: &str, first: usize) -> String {
        match self {
            Self::Whole => "1 = 1".to_owned(),
            Self::Groups { groups, .. } if groups.is_empty() => "1 = 0".to_owned(),
            Self::Groups { groups, .. } => {
                let mut sql = format!("{column} IN (");
                for place in first..first.saturating_add(groups.len()) {
                    let comma = if place == first { "" } else { ", " };
                    // Writing to a string does not fail.
                    let _ = write!(sql, "{comma}?{place}");
                }
                sql.push(')');
                sql
            }
        }
    }

    /// Adds such a condition to a statement with places without numbers; nothing for who sees everything.
    pub(crate) fn narrow(&self, sql: &mut String, values: &mut Vec<Value>, column: &str) {
        match self {
            Self::Whole => {}
            Self::Groups { groups, .. } if groups.is_empty() => sql.push_str(" AND 1 = 0"),
            Self::Groups { groups, .. } => {
                let places = vec!["?"; groups.len()].join(", ");
                // Writing to a string does not fail.
                let _ = write!(sql, " AND {column} IN ({places})");
                values.extend(self.values());
            }
        }
    }

    /// Adds the condition to a statement on `feedback AS f` with its `device AS d`, which members give without one.
    pub(crate) fn narrow_said(&self, sql: &mut String, values: &mut Vec<Value>) {
        if self.is_whole() {
            return;
        }
        sql.push_str(" AND (f.device_id IS NULL OR 1 = 1");
        self.narrow(sql, values, "d.group_id");
        sql.push(')');
    }

    /// How a list of what hangs on the devices inside is to be put in order: by walking an index until enough of it are
    /// inside, or, where the devices are few, by sorting all that they have. Neither database can know which is quicker.
    pub(crate) fn sorting(
        &self,
        db: &Connection,
        scope: TenantScope,
    ) -> Result<Sorting, StoreError> {
        if self.is_whole() {
            return Ok(Sorting::Walk);
        }
        let inside = self.condition("d.group_id", 2);
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 FROM device AS d
                 WHERE d.tenant_id = ?1 AND {inside} LIMIT {MOST_SORTED} + 1) AS inside"
        );
        let mut values = vec![Value::from(scope.id())];
        values.extend(self.values());
        let devices: i64 = db.prepare_cached(&sql)?.query_row(values, |row| row.get(0))?;
        Ok(if devices <= MOST_SORTED { Sorting::Sort } else { Sorting::Walk })
    }

    /// Reads a page of what hangs on the devices inside: by walking, up to what `until` returns, and where that does not
    /// fill it, and there is more, by sorting.
    pub(crate) fn page<T>(
        &self,
        db: &Connection,
        scope: TenantScope,
        limit: u32,
        page: impl Fn(Sorting, Option<i64>) -> Result<Vec<T>, StoreError>,
        until: impl FnOnce() -> Result<Option<i64>, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        match self.sorting(db, scope)? {
            Sorting::Sort => page(Sorting::Sort, None),
            Sorting::Walk => {
                let until = until()?;
                let rows = page(Sorting::Walk, until)?;
                let is_full = usize::try_from(limit).is_ok_and(|limit| limit <= rows.len());
                if is_full || until.is_none() { Ok(rows) } else { page(Sorting::Sort, None) }
            }
        }
    }

    /// Whether a group's devices are among them.
    pub(crate) fn has(&self, group: Option<[u8; 16]>) -> bool {
        match self {
            Self::Whole => true,
            Self::Groups { groups, .. } => group.is_some_and(|group| groups.contains(&group)),
        }
    }

    /// Refuses a device outside.
    pub(crate) fn device(
        &self,
        db: &Connection,
        scope: TenantScope,
        device: DeviceId,
    ) -> Result<(), StoreError> {
        let Self::Groups { .. } = self else { return Ok(()) };
        let row = db
            .prepare_cached("SELECT group_id FROM device WHERE tenant_id = ?1 AND device_id = ?2")?
            .query_row(params![scope.id(), device.0.to_be_bytes()], |row| row.get(0));
        self.refuse_other(found(row, "device")?, "device")
    }

    /// Refuses an alert of a device outside.
    pub(crate) fn alert(
        &self,
        db: &Connection,
        scope: TenantScope,
        key: AlertKey,
    ) -> Result<(), StoreError> {
        let Self::Groups { .. } = self else { return Ok(()) };
        let row = db
            .prepare_cached(
                "SELECT d.group_id FROM alert AS a
                 JOIN device AS d ON d.tenant_id = a.tenant_id AND d.device_id = a.device_id
                 WHERE a.tenant_id = ?1 AND a.alert_id = ?2",
            )?
            .query_row(params![scope.id(), key.0.to_be_bytes()], |row| row.get(0));
        self.refuse_other(found(row, "alert")?, "alert")
    }

    /// Refuses an incident without an alert inside.
    pub(crate) fn incident(
        &self,
        db: &Connection,
        scope: TenantScope,
        id: IncidentId,
    ) -> Result<(), StoreError> {
        if self.alerts_of(db, scope, id)?.is_some_and(|(inside, _)| inside == 0) {
            return Err(StoreError::NotFound { what: "incident" });
        }
        Ok(())
    }

    /// Reads the incident that another was merged into, and refuses what that one refuses.
    pub(crate) fn merged(
        &self,
        db: &Connection,
        scope: TenantScope,
        (id, into): (IncidentId, Option<IncidentId>),
    ) -> Result<Option<IncidentId>, StoreError> {
        self.incident(db, scope, into.unwrap_or(id))?;
        Ok(into)
    }

    /// Refuses to change an incident as a whole to who sees a part of it: as one that is not there, where that is none.
    pub(crate) fn whole_incident(
        &self,
        db: &Connection,
        scope: TenantScope,
        id: IncidentId,
    ) -> Result<(), StoreError> {
        match self.alerts_of(db, scope, id)? {
            Some((0, _)) => Err(StoreError::NotFound { what: "incident" }),
            Some((_, outside)) if outside != 0 => Err(PARTLY_SEEN),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses a change of many alerts that another asked for.
    pub(crate) fn job(&self, job: &AlertJobRow) -> Result<(), StoreError> {
        match self {
            Self::Whole => Ok(()),
            Self::Groups { of, .. } if *of == Some(job.created_by) => Ok(()),
            Self::Groups { .. } => Err(StoreError::NotFound { what: "change of alerts" }),
        }
    }

    /// Counts an incident's alerts inside and outside; nothing for who sees everything.
    fn alerts_of(
        &self,
        db: &Connection,
        scope: TenantScope,
        id: IncidentId,
    ) -> Result<Option<(u64, u64)>, StoreError> {
        let Self::Groups { .. } = self else { return Ok(None) };
        let rows = db
            .prepare_cached(
                "SELECT d.group_id, count(*) FROM alert AS a
                 JOIN device AS d ON d.tenant_id = a.tenant_id AND d.device_id = a.device_id
                 WHERE a.tenant_id = ?1 AND a.incident_id = ?2 GROUP BY d.group_id",
            )?
            .query_map(params![scope.id(), id.0.to_be_bytes()], |row| {
                Ok((row.get::<Option<[u8; 16]>>(0)?, crate::column::count(row.get(1)?)))
            })?;
        let (mut inside, mut outside) = (0_u64, 0_u64);
        for row in rows {
            let (group, alerts) = row?;
            let side = if self.has(group) { &mut inside } else { &mut outside };
            *side = side.saturating_add(alerts);
        }
        Ok(Some((inside, outside)))
    }

    /// Returns those of some devices that are inside; everything for who sees everything.
    pub(crate) fn devices(
        &self,
        db: &Connection,
        scope: TenantScope,
        devices: BTreeSet<DeviceId>,
    ) -> Result<BTreeSet<DeviceId>, StoreError> {
        let Self::Groups { .. } = self else { return Ok(devices) };
        let keys: Vec<Vec<Value>> = devices
            .into_iter()
            .map(|device| vec![scope.id().into(), device.0.to_be_bytes().into()])
            .collect();
        let mut groups = BTreeMap::new();
        query_many(
            db,
            "WITH k (tenant_id, device_id) AS (",
            &keys,
            ") SELECT d.device_id, d.group_id FROM k JOIN device AS d
               ON d.tenant_id = k.tenant_id AND d.device_id = k.device_id",
            &[],
            |rows| {
                while let Some(row) = rows.next()? {
                    let device = DeviceId(u128::from_be_bytes(row.get(0)?));
                    groups.insert(device, row.get::<Option<[u8; 16]>>(1)?);
                }
                Ok(())
            },
        )?;
        groups.retain(|_, group| self.has(*group));
        Ok(groups.into_keys().collect())
    }

    fn refuse_other(&self, group: Option<[u8; 16]>, what: &'static str) -> Result<(), StoreError> {
        if self.has(group) { Ok(()) } else { Err(StoreError::NotFound { what }) }
    }
}

/// Reads the groups that a member's roles with a permission are limited to.
///
/// As many as the next power of two, the last one repeated: statements differ by their number.
fn groups(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
    permission: Permission,
) -> Result<Vec<[u8; 16]>, StoreError> {
    let rows = db
        .prepare_cached(
            "SELECT r.permissions, r.device_groups FROM member_role AS m
             JOIN role AS r ON r.tenant_id = m.tenant_id AND r.role_id = m.role_id
             WHERE m.tenant_id = ?1 AND m.member_id = ?2 AND r.device_groups IS NOT NULL",
        )?
        .query_map(params![scope.id(), member.column()], |row| {
            Ok((row.get::<String>(0)?, row.get::<String>(1)?))
        })?;
    let mut all = BTreeSet::new();
    for row in rows {
        let (words, groups) = row?;
        if Permissions::of_words(&words).has(permission) {
            let ids = groups.split_whitespace().filter_map(|id| id.parse::<GroupId>().ok());
            all.extend(ids.map(GroupId::octets));
        }
    }
    let mut all: Vec<[u8; 16]> = all.into_iter().collect();
    if let Some(last) = all.last().copied() {
        all.resize(all.len().next_power_of_two(), last);
    }
    Ok(all)
}

/// What a member may do, by all of their roles.
pub(crate) fn allowed(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
) -> Result<Allowed, StoreError> {
    let statement = db.prepare_cached(
        "SELECT m.role_id, coalesce(r.permissions, ''), CASE WHEN r.device_groups IS NULL THEN 1 ELSE 0 END
         FROM member_role AS m
         LEFT JOIN role AS r ON r.tenant_id = m.tenant_id AND r.role_id = m.role_id
         WHERE m.tenant_id = ?1 AND m.member_id = ?2",
    )?;
    let mut allowed = Allowed::default();
    for row in statement.query_map(params![scope.id(), member.column()], |row| {
        Ok((row.get::<String>(0)?, row.get::<String>(1)?, row.get::<bool>(2)?))
    })? {
        let (id, words, is_whole) = row?;
        let role = BuiltIn::of_id(&id).map(BuiltIn::permissions);
        let role = role.unwrap_or_else(|| Permissions::of_words(&words));
        allowed.any = allowed.any.union(role);
        if is_whole {
            allowed.whole = allowed.whole.union(role);
        }
    }
    Ok(allowed)
}

/// What the member who asked for something may see of it, as their roles are by now.
pub(crate) fn of_member(
    db: &Connection,
    scope: TenantScope,
    member: MemberId,
    permission: Permission,
) -> Result<Within, StoreError> {
    let mut allowed = allowed(db, scope, member)?;
    // An operator who is in has no role but that of the visit, which is over when its session is.
    let visits = db.prepare_cached(
        "SELECT operator_role FROM session
         WHERE tenant_id = ?1 AND member_id = ?2 AND operator_role IS NOT NULL",
    )?;
    for role in
        visits.query_map(params![scope.id(), member.column()], |row| row.get::<String>(0))?
    {
        if let Some(role) = BuiltIn::of_id(&role?) {
            allowed.whole = allowed.whole.union(role.permissions());
        }
    }
    let (_, within) = Sight::of_member(scope, member, permission, allowed.whole).open(db)?;
    Ok(within)
}
