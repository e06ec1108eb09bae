//! Time and memory.
//!
//! Heap is counted by the allocator, so a program that uses this has [`peak_alloc::PeakAlloc`] as its allocator. It counts a block
//! that grows and its copy both, so a peak is an upper bound.

use std::fs;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;

/// Does something, and says how long it took.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

/// What some work left on the heap, and the most that it had there.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    /// Octets that are still there.
    pub kept: usize,
    /// The most octets at a time, those included that are still there.
    pub peak: usize,
}

/// Does something, and says what it took of the heap.
pub fn heap<T>(work: impl FnOnce() -> T) -> (T, Heap) {
    let before = PeakAlloc.current_usage();
    PeakAlloc.reset_peak_usage();
    let done = work();
    let since = |octets: usize| octets.saturating_sub(before);
    (done, Heap { kept: since(PeakAlloc.current_usage()), peak: since(PeakAlloc.peak_usage()) })
}

/// Returns how much of the process is in memory, in octets; 0 where the system does not say.
#[must_use]
pub fn resident() -> usize {
    // The other files under /proc add up what each thread has put by, and are up to 256 KiB wrong.
    let text = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap_or(0) * 1024
}

/// Returns the middle of several measurements.
#[must_use]
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Returns a time in milliseconds.
#[must_use]
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Returns octets in MiB.
#[must_use]
pub fn mib(octets: usize) -> f64 {
    octets as f64 / f64::from(1 << 20)
}
