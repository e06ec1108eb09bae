//! Our values as columns, and back. What does not fit 63 bits saturates: such a number is a lie anyway.

use std::sync::atomic::{AtomicU32, Ordering};

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

/// A `UUIDv7` of this time; of the same time, ids of this process stand in the order in which they were made.
pub(crate) fn fresh_id(now: UnixMillis) -> Result<[u8; 16], StoreError> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
    // 18 bits that count (RFC 9562, 6.2, method 1), around those that say version and variant.
    let [_, high, middle, low] = (MADE.fetch_add(1, Ordering::Relaxed) << 2).to_be_bytes();
    let [first, second, third, ..] = &mut random;
    (*first, *second, *third) = (high, middle, low >> 2);
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
    row.map_err(|error| {
        if matches!(error, db::Error::NoRow) { StoreError::NotFound { what } } else { error.into() }
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

#[cfg(test)]
mod tests {
    use bartizan_model::UnixMillis;

    use super::fresh_id;

    #[test]
    fn ids_of_the_same_time_stand_in_their_order() {
        let ids: Vec<_> = (0..10_000).map(|_| fresh_id(UnixMillis(7)).unwrap()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
    }
}
