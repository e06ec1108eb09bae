//! The one place that reads the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bartizan_model::UnixMillis;

/// The wall clock, or one that stands still until it is set. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Clock {
    set_to: Option<Arc<AtomicU64>>,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { set_to: None }
    }

    /// A clock that shows `now` until [`Clock::set`] is called.
    #[must_use]
    pub fn fixed(now: UnixMillis) -> Self {
        Self { set_to: Some(Arc::new(AtomicU64::new(now.0))) }
    }

    /// Sets a fixed clock; the machine's is not ours to set.
    pub fn set(&self, now: UnixMillis) {
        if let Some(set_to) = &self.set_to {
            set_to.store(now.0, Ordering::Relaxed);
        }
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        match &self.set_to {
            Some(set_to) => UnixMillis(set_to.load(Ordering::Relaxed)),
            None => system_now(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the portal's clock.rs")]
fn system_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
