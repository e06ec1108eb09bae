//! Our values as columns, and back. What does not fit 63 bits saturates: such a number is a lie anyway.

use bartizan_model::UnixMillis;
use uuid::Builder;

use crate::{StoreError, db};

pub(crate) fn ms(time: UnixMillis) -> i64 {
    int(time.0)
}

pub(crate) fn time(column: i64) -> UnixMillis {
    UnixMillis(count(column))
}

pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn count(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// A `UUIDv7` of this time.
pub(crate) fn fresh_id(now: UnixMillis) -> Result<[u8; 16], StoreError> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    Ok(Builder::from_unix_timestamp_millis(now.0, &random).into_uuid().into_bytes())
}

/// A word of ours, read back.
pub(crate) fn word<T>(
    column: &'static str,
    text: &str,
    from_word: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    from_word(text).ok_or(StoreError::Damaged { column })
}

/// The one row of a query that may find nothing.
pub(crate) fn found<T>(row: db::Result<T>, what: &'static str) -> Result<T, StoreError> {
    row.map_err(|error| match error {
        db::Error::NoRow => StoreError::NotFound { what },
        error => error.into(),
    })
}

/// A row that could not be stored because it is there already.
pub(crate) fn stored(result: db::Result<usize>, what: &'static str) -> Result<(), StoreError> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.is_conflict() => Err(StoreError::Conflict { what }),
        Err(error) => Err(error.into()),
    }
}
