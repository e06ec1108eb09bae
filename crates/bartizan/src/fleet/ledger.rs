//! What was acknowledged, on disk, so that it outlives the portal, the load and the test.
//!
//! A line each: the device's id, a space, the alert's id. Written by a thread of its own; a line that a
//! crash cut short is not counted.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use bartizan_model::{AlertId, DeviceId};

/// The writer's end.
pub(crate) struct Ledger {
    lines: mpsc::Sender<String>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Ledger {
    pub(crate) fn append(path: &Path) -> anyhow::Result<Self> {
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let (lines, coming) = mpsc::channel::<String>();
        let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || {
            while let Ok(mut text) = coming.recv() {
                text.extend(coming.try_iter());
                file.write_all(text.as_bytes())?;
                file.sync_data()?;
            }
            Ok(())
        })?;
        Ok(Self { lines, thread })
    }

    pub(crate) fn note(&self, device: DeviceId, ids: &[AlertId]) {
        let text = ids.iter().map(|id| format!("{device} {id}\n")).collect();
        // A writer that failed says so at the end.
        let _ = self.lines.send(text);
    }

    pub(crate) fn close(self) -> anyhow::Result<()> {
        drop(self.lines);
        let outcome = self.thread.join().map_err(|_| anyhow::anyhow!("the ledger's thread failed"));
        outcome?.context("cannot write the ledger")
    }
}

/// Reads a ledger back.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<(DeviceId, AlertId)>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    let mut uploads = Vec::new();
    for line in whole.lines() {
        let parsed = line
            .split_once(' ')
            .and_then(|(device, alert)| Some((device.parse().ok()?, alert.parse().ok()?)));
        uploads.push(parsed.with_context(|| format!("not a line of a ledger: {line}"))?);
    }
    Ok(uploads)
}
