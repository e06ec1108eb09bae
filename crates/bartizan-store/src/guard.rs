//! What has to hold before something is changed, looked at within the change's own transaction: what comes between looking
//! at it and changing it is not lost.

use std::fmt;

use crate::StoreError;

/// Whether something is still as whoever changes it has seen it.
pub struct Guard<T>(Option<Box<Holds<T>>>);

type Holds<T> = dyn FnOnce(&T) -> bool + Send;

impl<T> Guard<T> {
    /// Lets every change through.
    #[must_use]
    pub fn open() -> Self {
        Self(None)
    }

    /// Lets a change through if this holds of what is there.
    #[must_use]
    pub fn new(holds: impl FnOnce(&T) -> bool + Send + 'static) -> Self {
        Self(Some(Box::new(holds)))
    }

    /// Refuses with [`CHANGED_SINCE`].
    pub(crate) fn check(self, it: &T) -> Result<(), StoreError> {
        if self.0.is_none_or(|holds| holds(it)) { Ok(()) } else { Err(CHANGED) }
    }
}

impl<T> fmt::Debug for Guard<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Guard").field(&self.0.is_some()).finish()
    }
}

const CHANGED: StoreError = StoreError::Conflict { what: CHANGED_SINCE };
/// In [`StoreError::Conflict`]: something is no longer as whoever wanted to change it had seen it.
pub const CHANGED_SINCE: &str = "another state of it";
