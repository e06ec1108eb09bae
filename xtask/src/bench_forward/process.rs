//! What the system says of a process: processor time, and the most memory over a while.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Returns the processor time that a process has used, its own and the kernel's for it, in seconds.
pub(super) fn cpu_seconds(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name comes first, in parentheses, and may hold anything.
    let mut fields = text.rsplit(')').next()?.split_whitespace();
    let (own, kernel) = (fields.nth(11)?, fields.next()?);
    Some((own.parse::<f64>().ok()? + kernel.parse::<f64>().ok()?) / TICKS)
}

/// The most that a process had in memory, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peak {
    pub(super) dirty: f64,
    pub(super) resident: f64,
}

/// A process that is being watched.
pub(super) struct Watched {
    over: Arc<AtomicBool>,
    watcher: JoinHandle<Peak>,
}

impl Watched {
    pub(super) fn start(pid: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let watcher = thread::spawn(move || {
            let mut peak = Peak::default();
            while !told.load(Ordering::Relaxed) {
                if let Some(now) = memory(pid) {
                    peak.dirty = peak.dirty.max(now.dirty);
                    peak.resident = peak.resident.max(now.resident);
                }
                pause();
            }
            peak
        });
        Self { over, watcher }
    }

    pub(super) fn stop(self) -> Peak {
        self.over.store(true, Ordering::Relaxed);
        self.watcher.join().unwrap_or_default()
    }
}

fn memory(pid: u32) -> Option<Peak> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let mib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? / 1024.0)
    };
    Some(Peak { dirty: mib("Private_Dirty:")?, resident: mib("Rss:")? })
}

#[expect(
    clippy::disallowed_methods,
    reason = "what another process does gives no event to wait for"
)]
pub(super) fn pause() {
    thread::sleep(Duration::from_millis(100));
}

/// Ticks of the clock in a second, in what Linux shows of processes.
const TICKS: f64 = 100.0;
