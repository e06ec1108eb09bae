//! Records that may be of one device: what enrolling again did not link, because the hardware was not known then, or the
//! person.
//!
//! Two records in service are alike if they say the same hardware, or if they are the same person's and of the same model
//! or name. That is a guess, for people to look at: somebody may have two phones of one model.

use std::fmt::Write as _;

use bartizan_model::DeviceId;

use crate::db::{Connection, Value};
use crate::sight::Within;
use crate::{DeviceRow, Sight, Store, StoreError, TenantScope, device};

/// Why two records may be of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// They say that they are the same hardware.
    Hardware,
    /// They are the same person's, and of the same model or name.
    Person,
}

impl Store {
    /// Returns records in service that may be of the same device as one that is, the surest first; at most ten.
    ///
    /// # Errors
    /// The tenant has no such device.
    pub async fn likely_duplicates(
        &self,
        sight: Sight,
        device: DeviceId,
    ) -> Result<Vec<(DeviceRow, Likeness)>, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                within.device(db, scope, device)?;
                let mut found: Vec<(DeviceRow, Likeness)> = Vec::new();
                for (alike, likeness) in ALIKE {
                    for id in like(db, scope, (&within, alike), device)? {
                        if MOST <= found.len() || found.iter().any(|(row, _)| row.id == id) {
                            continue;
                        }
                        found.push((device::one(db, scope, id)?, likeness));
                    }
                }
                Ok(found)
            })
            .await
    }
}

/// Adds to a statement on `device AS d` and `device_status AS s`, with places without numbers, that it is in service with another like it within
/// the same sight.
///
/// What several records have in common is looked for first, in the order of an index and once for the whole statement: there
/// are few such records, and asking of each device whether there is one like it takes as long as there are devices.
pub(crate) fn narrow(
    (scope, within): (TenantScope, &Within),
    sql: &mut String,
    values: &mut Vec<Value>,
) {
    sql.push_str(" AND d.offboarded_at_ms IS NULL AND s.device_id IN (");
    let mut union = "";
    for (key, by) in COMMON {
        // Writing to a string does not fail.
        let _ = write!(
            sql,
            "{union}SELECT x.device_id FROM device AS x JOIN (
                 SELECT o.tenant_id AS tenant_id, o.{key} AS a, o.{by} AS b FROM device AS o
                 WHERE o.tenant_id = ? AND o.{by} <> '' AND o.offboarded_at_ms IS NULL
                     AND o.forgotten_at_ms IS NULL AND o.{key} IN (
                         SELECT m.{key} FROM device AS m WHERE m.tenant_id = ? AND '' < m.{key}
                         GROUP BY m.{key} HAVING 1 < count(*))"
        );
        values.extend([scope.id().into(), scope.id().into()]);
        within.narrow(sql, values, "o.group_id");
        let _ = write!(
            sql,
            " GROUP BY o.tenant_id, o.{key}, o.{by} HAVING 1 < count(*)
             ) AS k ON x.tenant_id = k.tenant_id AND x.{key} = k.a AND x.{by} = k.b"
        );
        union = " UNION ";
    }
    sql.push(')');
}

fn like(
    db: &Connection,
    scope: TenantScope,
    (within, alike): (&Within, &str),
    device: DeviceId,
) -> Result<Vec<DeviceId>, StoreError> {
    let mut sql =
        "SELECT o.device_id FROM device AS d JOIN device AS o ON o.tenant_id = d.tenant_id
         WHERE d.tenant_id = ? AND d.device_id = ? AND d.offboarded_at_ms IS NULL"
            .to_owned();
    let mut values = vec![Value::from(scope.id()), device.0.to_be_bytes().into()];
    sql.push_str(alike);
    within.narrow(&mut sql, &mut values, "o.group_id");
    sql.push_str(" ORDER BY o.enrolled_at_ms DESC, o.device_id LIMIT 10");
    let statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map(values, |row| Ok(DeviceId(u128::from_be_bytes(row.get(0)?))))?;
    Ok(rows.collect::<crate::db::Result<_>>()?)
}

/// What records that are alike have in common: a column with an index, and another.
const COMMON: [(&str, &str); 3] =
    [("hardware_id", "hardware_id"), ("owner", "model"), ("owner", "device_name")];

/// Of a record `o` and a record `d`; each of the two is found by an index.
const ALIKE: [(&str, Likeness); 2] = [
    (
        " AND o.hardware_id = d.hardware_id AND d.hardware_id <> '' AND o.device_id <> d.device_id
          AND o.offboarded_at_ms IS NULL AND o.forgotten_at_ms IS NULL",
        Likeness::Hardware,
    ),
    (
        " AND o.owner = d.owner AND d.owner <> '' AND o.device_id <> d.device_id
          AND (o.model = d.model AND d.model <> '' OR o.device_name = d.device_name AND d.device_name <> '')
          AND o.offboarded_at_ms IS NULL AND o.forgotten_at_ms IS NULL",
        Likeness::Person,
    ),
];

/// As many as a page can show.
const MOST: usize = 10;
