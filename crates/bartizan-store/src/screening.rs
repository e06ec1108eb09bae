//! What becomes of an alert as it comes in: raised, hidden by a rule, logged, or dropped.
//!
//! # What it does not do
//! - Cost an upload more than one small query where nobody decided on modes or rules.

use std::collections::BTreeMap;

use bartizan_model::{Alert, DeviceId, DomainName, UnixMillis};

use crate::column::ms;
use crate::db::{Connection, Value, params, query_many};
use crate::detector_mode::{self, DetectorMode};
use crate::suppression_match::{Facts, Rules};
use crate::{GroupId, StoreError, SuppressionId, TenantScope};

/// What is decided about the uploads of a job.
#[derive(Debug, Default)]
pub(crate) struct Screening {
    modes: BTreeMap<(Option<GroupId>, &'static str), DetectorMode>,
    rules: Rules,
    devices: BTreeMap<DeviceId, (Option<GroupId>, String)>,
}

/// What becomes of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Raise,
    Hide(SuppressionId),
    Log,
    Drop,
}

impl Screening {
    /// Reads what holds for some devices now.
    pub(crate) fn load(
        db: &Connection,
        scope: TenantScope,
        devices: impl Iterator<Item = DeviceId>,
        now: UnixMillis,
    ) -> Result<Self, StoreError> {
        let decided = db
            .prepare_cached(
                "SELECT 1 WHERE EXISTS (SELECT 1 FROM detector_mode WHERE tenant_id = ?1)
                 OR EXISTS (SELECT 1 FROM suppression WHERE tenant_id = ?1 AND ended_at_ms IS NULL
                     AND (expires_at_ms IS NULL OR ?2 < expires_at_ms))",
            )?
            .exists(params![scope.id(), ms(now)])?;
        if !decided {
            return Ok(Self::default());
        }
        let mut screening = Self {
            modes: detector_mode::modes(db, scope)?,
            rules: Rules::load(db, scope, now)?,
            devices: BTreeMap::new(),
        };
        let mut keys: Vec<DeviceId> = devices.collect();
        keys.sort_unstable();
        keys.dedup();
        let keys: Vec<Vec<Value>> = keys
            .into_iter()
            .map(|device| vec![scope.id().into(), device.0.to_be_bytes().into()])
            .collect();
        query_many(
            db,
            "WITH k (tenant_id, device_id) AS (",
            &keys,
            ") SELECT d.device_id, d.group_id, d.owner FROM k
               JOIN device AS d ON d.tenant_id = k.tenant_id AND d.device_id = k.device_id",
            &[],
            |rows| {
                while let Some(row) = rows.next()? {
                    let group = row.get::<Option<[u8; 16]>>(1)?.map(GroupId::of);
                    let owner = row.get::<String>(2)?.to_lowercase();
                    let device = DeviceId(u128::from_be_bytes(row.get(0)?));
                    screening.devices.insert(device, (group, owner));
                }
                Ok(())
            },
        )?;
        Ok(screening)
    }

    /// Whether any alert may be hidden.
    pub(crate) fn may_hide(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Decides about an alert.
    pub(crate) fn decide(&self, device: DeviceId, alert: &Alert) -> Decision {
        let Some((group, owner)) = self.devices.get(&device) else { return Decision::Raise };
        let id = alert.detector.id();
        let of_group = group.and_then(|group| self.modes.get(&(Some(group), id)));
        match of_group.or_else(|| self.modes.get(&(None, id))).copied().unwrap_or_default() {
            DetectorMode::Active => {}
            DetectorMode::LogOnly => return Decision::Log,
            DetectorMode::Off => return Decision::Drop,
        }
        let facts = Facts {
            device,
            group: *group,
            owner,
            detector: id,
            host: alert.host.as_ref().map(DomainName::as_str),
        };
        self.rules.matching(&facts).map_or(Decision::Raise, Decision::Hide)
    }

    /// Returns why a rule hides.
    pub(crate) fn reason(&self, rule: SuppressionId) -> &str {
        self.rules.reason(rule)
    }
}
