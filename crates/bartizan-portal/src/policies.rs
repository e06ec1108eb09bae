//! Policies between the store, which keeps documents as text, and [`crate::policy`], which knows what they mean.
//!
//! # What it does not do
//! - Speak HTTP: handlers do.

use bartizan_model::{DeviceId, Policy, UnixMillis};
use bartizan_store::{
    DevicePolicyRow, GroupId, NewPolicyVersion, PolicyLayerRow, PolicyVersionRow, Sight,
    StoreError, TenantScope,
};

use crate::policy::effective::{Audience, Effective, Layer, Version, resolve};
use crate::policy::engine;
use crate::policy::rollout::{Percent, PolicyId};
use crate::policy::schema::Key;
use crate::policy::settings::Settings;
use crate::policy::value::Value;
use crate::state::AppState;

/// What holds for a device, and the version of it.
pub(crate) async fn effective(
    state: &AppState,
    sight: Sight,
    device: DeviceId,
) -> Result<(Effective, u64), StoreError> {
    let row = state.store.device_policy(sight, device).await?;
    Ok((resolve(device, &layers(&row)?), row.version))
}

/// What a device is to be given. Has the device carry the tag that it says.
pub(crate) async fn give(
    state: &AppState,
    sight: Sight,
    device: DeviceId,
) -> Result<Policy, StoreError> {
    let row = state.store.device_policy(sight, device).await?;
    let effective = resolve(device, &layers(&row)?);
    let tag = match effective.get(Key::DeviceTag) {
        Some(Value::Text(tag)) => Some(tag.to_string()),
        Some(Value::Flag(_) | Value::Number(_) | Value::Mode(_) | Value::Resolver(_)) | None => {
            None
        }
    };
    if tag != row.tag {
        state.store.set_policy_tag(sight, device, tag).await?;
    }
    Ok(effective.policy(row.version))
}

/// The document that a new version of the tenant's policy would follow, with its number.
pub(crate) async fn latest(
    state: &AppState,
    scope: TenantScope,
    group: Option<GroupId>,
) -> Result<(u64, Settings), StoreError> {
    let layer = state.store.policy_layer(scope, group).await?;
    match layer.rolling_out.or(layer.in_force) {
        Some(row) => Ok((row.number, read(&row)?)),
        None => Ok((0, Settings::default())),
    }
}

/// What the tenant's document decides of what the engine goes by, under the tenant's epoch.
pub(crate) async fn of_tenant(state: &AppState, scope: TenantScope) -> Result<Policy, StoreError> {
    let (_, settings) = latest(state, scope, None).await?;
    Ok(engine::read(&settings, state.store.policy_epoch(scope).await?))
}

/// Decides something else there, for all devices at once, and returns the new epoch.
pub(crate) async fn set_of_tenant(
    state: &AppState,
    scope: TenantScope,
    policy: &Policy,
    (actor, note): (&str, &str),
    now: UnixMillis,
) -> Result<u64, StoreError> {
    let (_, mut settings) = latest(state, scope, None).await?;
    engine::write(&mut settings, policy);
    let new = NewPolicyVersion {
        settings: settings.to_json(),
        note: note.into(),
        changed_by: actor.into(),
        percent: Percent::ALL.get(),
    };
    state.store.add_policy_version(scope, None, new, now).await?;
    state.store.policy_epoch(scope).await
}

/// Reads a document that was checked when it was written.
pub(crate) fn read(row: &PolicyVersionRow) -> Result<Settings, StoreError> {
    Settings::from_stored(&row.settings).map_err(|_| StoreError::Damaged { column: "settings" })
}

fn layers(row: &DevicePolicyRow) -> Result<Vec<Layer>, StoreError> {
    row.layers.iter().map(layer).collect()
}

fn layer(row: &PolicyLayerRow) -> Result<Layer, StoreError> {
    let version = |row: &PolicyVersionRow| -> Result<Version, StoreError> {
        Ok(Version { number: row.number, settings: read(row)? })
    };
    let rolling_out = row.rolling_out.as_ref().map(|row| -> Result<_, StoreError> {
        let percent = Percent::new(row.percent).ok_or(StoreError::Damaged { column: "percent" })?;
        Ok((version(row)?, percent))
    });
    Ok(Layer {
        policy: PolicyId(row.group.as_ref().map_or(0, |(id, _, _)| id.0)),
        audience: row.group.as_ref().map_or(Audience::Tenant, |(_, name, rank)| Audience::Group {
            name: name.clone(),
            rank: *rank,
        }),
        in_force: row.in_force.as_ref().map(version).transpose()?,
        rolling_out: rolling_out.transpose()?,
    })
}
