//! Which device the form of a suppression rule means: chosen before, found by its name, or named by its id.

use bartizan_model::DeviceId;
use bartizan_store::{DeviceFilter, DeviceRow, Sight, Store, StoreError};

use crate::console::{SuppressionForm, visible};

/// What was found for what stands in the form.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The device, if it is one.
    pub(super) device: Option<DeviceRow>,
    /// Those that it may be, if they are several.
    pub(super) choices: Vec<DeviceRow>,
    /// What is to be done about the field.
    pub(super) problem: Option<&'static str>,
}

/// Finds it among the devices of a sight.
pub(super) async fn find(
    store: &Store,
    sight: Sight,
    form: &SuppressionForm,
) -> Result<Found, StoreError> {
    let text = form.device.as_str();
    // What was chosen stays chosen until something else is written.
    if let Some(row) = named(store, sight, &form.device_id).await?
        && (text.is_empty() || text == visible(&row.device_name))
    {
        return Ok(of(row));
    }
    if text.is_empty() {
        return Ok(refused("Write a part of the device’s name, and find it."));
    }
    if let Some(row) = named(store, sight, text).await? {
        return Ok(of(row));
    }
    let filter = DeviceFilter { name_contains: text.to_owned(), ..DeviceFilter::default() };
    let mut rows = store.devices(sight, filter, None, MOST).await?;
    rows.retain(|row| row.offboarded_at.is_none());
    let mut exact = rows.iter().filter(|row| row.device_name == text);
    if let (Some(row), None) = (exact.next(), exact.next()) {
        return Ok(of(row.clone()));
    }
    match rows.len() {
        0 => Ok(refused("No device has this in its name.")),
        1 => Ok(rows.pop().map(of).unwrap_or_default()),
        _ => Ok(Found {
            choices: rows,
            ..refused("Several devices have this in their names: choose one below.")
        }),
    }
}

async fn named(store: &Store, sight: Sight, id: &str) -> Result<Option<DeviceRow>, StoreError> {
    let Ok(id) = id.parse::<DeviceId>() else { return Ok(None) };
    match store.device(sight, id).await {
        Ok(row) => Ok(Some(row)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn of(device: DeviceRow) -> Found {
    Found { device: Some(device), ..Found::default() }
}

fn refused(problem: &'static str) -> Found {
    Found { problem: Some(problem), ..Found::default() }
}

/// As many as anybody chooses from.
const MOST: u32 = 20;
