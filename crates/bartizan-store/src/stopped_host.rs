//! The hosts that devices were stopped from reaching most often of late.
//!
//! Nobody keeps counts for it: the newest alerts are looked at, [`LOOKED_AT`] of them, by the index on when alerts were last
//! seen. So it costs the same however many there are, and says how far back it looked.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use bartizan_model::UnixMillis;

use crate::column::{count, ms, time};
use crate::db::{Value, params};
use crate::{IncidentId, Sight, Store, StoreError};

/// The hosts that were stopped most often, and what was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoppedHosts {
    /// Most often first.
    pub hosts: Vec<StoppedHost>,
    /// Where there were more alerts than are looked at: when the oldest of these was last seen.
    pub since: Option<UnixMillis>,
}

/// A host that devices were stopped from reaching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoppedHost {
    /// Its name.
    pub host: String,
    /// How often, by the alerts that were looked at.
    pub times: u64,
    /// How many devices.
    pub devices: u64,
    /// The incident of the newest of these alerts.
    pub incident: Option<IncidentId>,
}

impl Store {
    /// Returns the hosts that were stopped most often since a time, of the devices that are seen, at most `limit`.
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn stopped_hosts(
        &self,
        sight: Sight,
        since: UnixMillis,
        limit: usize,
    ) -> Result<StoppedHosts, StoreError> {
        self.db
            .read(sight, move |db| {
                let (scope, within) = sight.open(db)?;
                let oldest: Option<i64> = db
                    .prepare_cached(
                        "SELECT min(n.last_seen_at_ms) FROM (
                             SELECT a.last_seen_at_ms FROM alert AS a
                             WHERE a.tenant_id = ?1 AND ?2 <= a.last_seen_at_ms
                             ORDER BY a.last_seen_at_ms DESC, a.alert_id DESC LIMIT 1 OFFSET ?3
                         ) AS n",
                    )?
                    .query_row(params![scope.id(), ms(since), LOOKED_AT], |row| row.get(0))?;
                let mut values = vec![
                    Value::from(scope.id()),
                    ms(since).into(),
                    Value::from(i64::from(LOOKED_AT)),
                ];
                // Narrowed after the limit: who sees a few devices does not have all alerts read for them.
                let inside = if within.is_whole() {
                    String::new()
                } else {
                    let inside = within.condition("d.group_id", values.len().saturating_add(1));
                    format!(
                        " AND EXISTS (SELECT 1 FROM device AS d WHERE d.tenant_id = n.tenant_id
                             AND d.device_id = n.device_id AND {inside})"
                    )
                };
                values.extend(within.values());
                let sql = format!(
                    "SELECT n.host, n.count, n.device_id, n.incident_id FROM (
                         SELECT a.tenant_id, a.host, a.count, a.device_id, a.incident_id, a.action,
                                a.last_seen_at_ms, a.alert_id
                         FROM alert AS a WHERE a.tenant_id = ?1 AND ?2 <= a.last_seen_at_ms
                         ORDER BY a.last_seen_at_ms DESC, a.alert_id DESC LIMIT ?3
                     ) AS n
                     WHERE n.host IS NOT NULL AND n.action IN ('block', 'warn'){inside}
                     ORDER BY n.last_seen_at_ms DESC, n.alert_id DESC"
                );
                let mut rows = db.prepare_cached(&sql)?.query(values)?;
                let mut found: BTreeMap<String, Stops> = BTreeMap::new();
                while let Some(row) = rows.next()? {
                    let times = count(row.get(1)?);
                    let device: [u8; 16] = row.get(2)?;
                    let stops = match found.entry(row.get(0)?) {
                        Entry::Occupied(stops) => stops.into_mut(),
                        Entry::Vacant(place) => {
                            let incident: Option<[u8; 16]> = row.get(3)?;
                            let incident = incident.map(|id| IncidentId(u128::from_be_bytes(id)));
                            place.insert(Stops { incident, ..Stops::default() })
                        }
                    };
                    stops.times = stops.times.saturating_add(times);
                    stops.devices.insert(device);
                }
                let mut hosts: Vec<StoppedHost> = found.into_iter().map(Stops::of).collect();
                // Of those as often the first by name.
                hosts.sort_by_key(|host| std::cmp::Reverse(host.times));
                hosts.truncate(limit);
                Ok(StoppedHosts { hosts, since: oldest.map(time) })
            })
            .await
    }
}

#[derive(Default)]
struct Stops {
    times: u64,
    devices: BTreeSet<[u8; 16]>,
    incident: Option<IncidentId>,
}

impl Stops {
    fn of((host, stops): (String, Self)) -> StoppedHost {
        let devices = u64::try_from(stops.devices.len()).unwrap_or(u64::MAX);
        StoppedHost { host, times: stops.times, devices, incident: stops.incident }
    }
}

/// Newest alerts that are looked at: some ten milliseconds.
pub const LOOKED_AT: u32 = 5_000;
