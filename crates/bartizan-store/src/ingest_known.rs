//! What the intake finds there already: uploads that were taken before, and alerts that others may join.

use std::collections::{BTreeMap, HashSet};

use bartizan_model::{AlertId, Detector, DeviceId};

use crate::db::{Connection, Value, query_many};
use crate::{StoreError, TenantScope};

/// What alerts are joined by.
pub(crate) type Same = (DeviceId, &'static str, String);

/// An alert that others may join.
pub(crate) struct Open {
    pub(crate) key: [u8; 16],
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) epoch: u64,
    /// How often it happened anew; 0 if nothing joined it.
    pub(crate) again: u64,
    /// Where in `fresh` it is, if it is not stored yet.
    pub(crate) row: Option<usize>,
    /// Whether a rule hides it.
    pub(crate) is_hidden: bool,
}

/// Returns which of some devices' uploads have been taken before.
pub(crate) fn known(
    db: &Connection,
    scope: TenantScope,
    uploads: impl Iterator<Item = (DeviceId, AlertId)>,
) -> Result<HashSet<(DeviceId, AlertId)>, StoreError> {
    let key = |(device, alert): (DeviceId, AlertId)| {
        vec![scope.id().into(), device.0.to_be_bytes().into(), alert.0.to_be_bytes().into()]
    };
    let keys: Vec<Vec<Value>> = uploads.map(key).collect();
    let mut known = HashSet::new();
    let mut read = |which: &str| {
        query_many(db, "WITH k (tenant_id, device_id, upload_id) AS (", &keys, which, &[], |rows| {
            while let Some(row) = rows.next()? {
                known.insert((
                    DeviceId(u128::from_be_bytes(row.get(0)?)),
                    AlertId(u128::from_be_bytes(row.get(1)?)),
                ));
            }
            Ok(())
        })
    };
    read(
        ") SELECT r.device_id, r.upload_id FROM k JOIN alert_receipt AS r
           ON r.tenant_id = k.tenant_id AND r.device_id = k.device_id AND r.upload_id = k.upload_id",
    )?;
    // In a statement of its own: in one that reads the rows twice, PostgreSQL may walk all receipts of the tenant.
    let has_quiet = db
        .prepare_cached("SELECT 1 FROM quiet_receipt WHERE tenant_id = ?1 LIMIT 1")?
        .exists([scope.id()])?;
    if has_quiet {
        read(
            ") SELECT q.device_id, q.upload_id FROM k JOIN quiet_receipt AS q
               ON q.tenant_id = k.tenant_id AND q.device_id = k.device_id AND q.upload_id = k.upload_id",
        )?;
    }
    Ok(known)
}

/// Returns the unresolved alerts that may be joined.
pub(crate) fn open(
    db: &Connection,
    scope: TenantScope,
    keys: impl Iterator<Item = Same>,
) -> Result<BTreeMap<Same, Vec<Open>>, StoreError> {
    let mut open: BTreeMap<Same, Vec<Open>> = keys.map(|key| (key, Vec::new())).collect();
    read_open(db, scope, &mut open, false)?;
    Ok(open)
}

/// Adds the alerts of the same device, detector and subject that are unresolved, or else that rules hide.
pub(crate) fn read_open(
    db: &Connection,
    scope: TenantScope,
    open: &mut BTreeMap<Same, Vec<Open>>,
    is_hidden: bool,
) -> Result<(), StoreError> {
    let keys: Vec<_> = open
        .keys()
        .map(|(device, detector, subject)| {
            vec![
                scope.id().into(),
                device.0.to_be_bytes().into(),
                (*detector).into(),
                subject.as_str().into(),
            ]
        })
        .collect();
    // An index on some rows serves only statements that say so in its words.
    let which = if is_hidden {
        joinable!("a.suppressed_by IS NOT NULL AND a.status = 'Resolved'")
    } else {
        joinable!("a.status <> 'Resolved'")
    };
    query_many(
        db,
        "WITH k (tenant_id, device_id, detector, subject) AS (",
        &keys,
        which,
        &[],
        |rows| {
            while let Some(row) = rows.next()? {
                let Some(told) = row.get::<Option<String>>(3)? else { continue };
                let detector: String = row.get(1)?;
                let Some(detector) = Detector::from_id(&detector) else { continue };
                let same = (DeviceId(u128::from_be_bytes(row.get(0)?)), detector.id(), row.get(2)?);
                let found: Option<Vec<_>> =
                    told.split(',').map(|told| told_open(told, is_hidden)).collect();
                let found = found.ok_or(crate::db::Error::Column { column: 3 })?;
                open.entry(same).or_default().extend(found);
            }
            Ok(())
        },
    )?;
    Ok(())
}

/// Reads an alert as [`joinable`] tells it.
fn told_open(told: &str, is_hidden: bool) -> Option<Open> {
    let mut words = told.split(' ');
    let key = u128::from_str_radix(words.next()?, 16).ok()?.to_be_bytes();
    let mut number = || words.next()?.parse().ok().map(crate::column::count);
    Some(Open {
        key,
        first: number()?,
        last: number()?,
        epoch: number()?,
        again: 0,
        row: None,
        is_hidden,
    })
}

/// Reads alerts that may be joined, by a condition: all of a key in one text.
///
/// So each key is looked up by an index, and its order leaves only the one that has it. In a join PostgreSQL compares
/// every key with every alert for as long as it remembers the table as a small one.
macro_rules! joinable {
    ($which:literal) => {
        concat!(
            ") SELECT k.device_id, k.detector, k.subject, (
                   SELECT string_agg(o.told, ',') FROM (
                       SELECT encode(a.alert_id, 'hex') || ' ' || a.first_seen_at_ms || ' '
                           || a.last_seen_at_ms || ' ' || a.indicator_epoch AS told
                       FROM alert AS a
                       WHERE a.tenant_id = k.tenant_id AND a.device_id = k.device_id
                           AND a.detector = k.detector AND a.subject = k.subject AND ",
            $which,
            "          ORDER BY a.last_seen_at_ms) AS o)
               FROM k"
        )
    };
}
use joinable;
