//! How long something took: a figure for people, on which nothing depends.

use std::time::{Duration, Instant};

/// Runs until it is asked.
pub(crate) struct Stopwatch {
    started: Instant,
}

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a figure for people, on which nothing depends")]
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
