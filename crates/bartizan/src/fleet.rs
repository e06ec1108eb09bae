//! `bartizan fleet`: many devices with real keys against a portal, and what came of it.
//!
//! A closed loop: each connection sends its next request when the last was answered. Afterwards every
//! alert that was acknowledged is asked for.
//!
//! # What it does not do
//! - Fetch indicators and policy: that is what caches in front of a portal are for.
//! - Wait as a refused device would: it goes on with the next device.

mod client;
mod device;
mod figures;
mod ledger;
mod load;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use bartizan_contract::alerts::MAX_BATCH;
use bartizan_model::{AlertId, DeviceId};
use bartizan_portal::Clock;
use serde::Deserialize;
use serde_json::json;

use crate::out;
use crate::portal::asked_to_stop;
use crate::stopwatch::Stopwatch;
use client::{Client, Target};
use device::Device;
use figures::{Durations, Figures};
use ledger::Ledger;
use load::{Load, Worker, ask};

/// What load to make.
#[derive(Debug, clap::Args)]
pub(crate) struct FleetArgs {
    /// Address of a portal that was started with --demo-admin
    #[arg(long, value_name = "URL")]
    portal: String,
    /// How many devices
    #[arg(long, value_name = "N", default_value_t = 100)]
    devices: u64,
    /// How long
    #[arg(long, value_name = "S", default_value_t = 10)]
    seconds: u64,
    /// How many alerts to send in a second, at most; what time is left goes to check-ins
    #[arg(long, value_name = "R", default_value_t = 0)]
    alerts_per_second: u64,
    /// How many alerts go in one request
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MAX_BATCH as u64))]
    alert_batch: u64,
    /// How many connections, each of which plays many devices in turn
    #[arg(long, value_name = "C", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    connections: u64,
    /// Open a connection for every request, as after an outage
    #[arg(long)]
    new_connections: bool,
    /// Resume TLS sessions
    #[arg(long)]
    resume: bool,
    /// Certificate to trust, as PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Measure the disk in this folder, which should be the portal's
    #[arg(long, value_name = "DIR", default_value = ".")]
    data: PathBuf,
    /// Note on disk what was acknowledged
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Make no load; ask for everything that a ledger notes
    #[arg(long, value_name = "FILE", conflicts_with = "ledger")]
    check: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: FleetArgs) -> anyhow::Result<ExitCode> {
    // One thread: the portal needs the other processors more.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::task::LocalSet::new().run_until(play(args)))
}

async fn play(args: FleetArgs) -> anyhow::Result<ExitCode> {
    let target = Target::new(&args.portal, args.ca.as_deref(), args.resume).await?;
    let target = Rc::new(target);
    let figures = match &args.check {
        Some(path) => {
            let uploads = ledger::read(path)?;
            let lost = count_lost(&target, &uploads).await?;
            json!({ "acknowledged": uploads.len(), "lost": lost })
        }
        None => make(&args, &target).await?,
    };
    if args.json {
        out::line(&figures.to_string());
    } else {
        for (name, value) in figures.as_object().into_iter().flatten() {
            out::line(&format!("{name:<22} {value}"));
        }
    }
    let is_whole = figures.get("lost").is_some_and(|lost| *lost == 0);
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn make(args: &FleetArgs, target: &Rc<Target>) -> anyhow::Result<serde_json::Value> {
    let disk = measure_disk(&args.data)?;
    let mut load = Load {
        target: Rc::clone(target),
        clock: Clock::system(),
        figures: RefCell::default(),
        acknowledged: RefCell::default(),
        ledger: args.ledger.as_deref().map(Ledger::append).transpose()?,
        stop: Cell::new(false),
        alerts_per_second: args.alerts_per_second,
        alert_batch: args.alert_batch,
        alerts_begun: Cell::new(0),
        running: Stopwatch::start(),
    };
    let enrolling = Stopwatch::start();
    let workers = enroll(args, &load).await?;
    let enroll_seconds = enrolling.elapsed().as_secs_f64();

    load.figures = RefCell::default();
    load.running = Stopwatch::start();
    let load = Rc::new(load);
    let mut running = tokio::task::JoinSet::new();
    for mut worker in workers {
        let load = Rc::clone(&load);
        running.spawn_local(async move { worker.run(&load).await });
    }
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(args.seconds)) => {}
        () = asked_to_stop() => {}
    }
    load.stop.set(true);
    let seconds = load.running.elapsed().as_secs_f64();
    while running.join_next().await.is_some() {}

    let load = Rc::into_inner(load).context("a worker still runs")?;
    let acknowledged = load.acknowledged.into_inner();
    if let Some(ledger) = load.ledger {
        ledger.close()?;
    }
    let lost = count_lost(target, &acknowledged).await?;
    let figures = load.figures.into_inner();
    Ok(report(args, &figures, &disk, Outcome { seconds, enroll_seconds, lost }))
}

/// Enrolls all devices, shared out among the workers.
async fn enroll(args: &FleetArgs, load: &Load) -> anyhow::Result<Vec<Worker>> {
    #[derive(Deserialize)]
    struct Tokens {
        tokens: Vec<String>,
    }
    let mut tokens = Vec::new();
    let mut left = args.devices;
    while 0 < left {
        let count = left.min(ASKED_AT_ONCE);
        let more: Tokens =
            ask(&load.target, "/demo/v1/enrollment-tokens", &json!({ "count": count }), 1).await?;
        tokens.extend(more.tokens);
        left -= count;
    }
    // The first token is as good a seed as any: it is new with every run.
    let seed = tokens.first().context("at least one device is needed")?.clone();
    let connections = args.connections.min(args.devices);
    let mut workers = Vec::new();
    for first in 0..connections {
        let client = Client::new(Rc::clone(&load.target), args.new_connections);
        let mine = (first..args.devices).step_by(usize::try_from(connections)?);
        let devices = mine.map(|number| Device::new(seed.as_bytes(), number));
        workers.push(Worker { client, devices: devices.collect::<anyhow::Result<_>>()? });
    }
    let mut tokens = tokens.into_iter();
    let enrolling = workers.iter_mut().map(|worker| {
        let tokens = tokens.by_ref().take(worker.devices.len()).collect();
        worker.enroll(load, tokens)
    });
    futures_util::future::try_join_all(enrolling).await?;
    Ok(workers)
}

/// Counts those that the portal does not hold.
async fn count_lost(target: &Rc<Target>, uploads: &[(DeviceId, AlertId)]) -> anyhow::Result<usize> {
    #[derive(Deserialize)]
    struct Held {
        held: Vec<bool>,
    }
    let mut lost = 0;
    for some in uploads.chunks(usize::try_from(ASKED_AT_ONCE)?) {
        let ids: Vec<_> =
            some.iter().map(|(device, alert)| (device.to_string(), alert.to_string())).collect();
        let answer: Held = ask(target, "/demo/v1/held", &json!({ "uploads": ids }), TRIES).await?;
        anyhow::ensure!(answer.held.len() == some.len(), "the portal did not answer for all");
        lost += answer.held.iter().filter(|held| !**held).count();
    }
    Ok(lost)
}

/// Times `fdatasync` after small writes, because every rate depends on it.
fn measure_disk(folder: &Path) -> anyhow::Result<Durations> {
    let mut file = tempfile::tempfile_in(folder)
        .with_context(|| format!("cannot write in {}", folder.display()))?;
    measure(&mut file).context("cannot measure the disk")
}

fn measure(file: &mut File) -> std::io::Result<Durations> {
    let mut took = Durations::default();
    for _ in 0..DISK_TRIES {
        file.rewind()?;
        file.write_all(&[0x42; 4096])?;
        let one = Stopwatch::start();
        file.sync_data()?;
        took.add(one.elapsed());
    }
    Ok(took)
}

struct Outcome {
    seconds: f64,
    enroll_seconds: f64,
    lost: usize,
}

fn report(
    args: &FleetArgs,
    figures: &Figures,
    disk: &Durations,
    outcome: Outcome,
) -> serde_json::Value {
    let rate = |count: u64| (per_second(count, outcome.seconds) * 10.0).round() / 10.0;
    // Where no device checked in, the alerts' requests are what was measured.
    let main = if figures.checked_in == 0 { &figures.alert_requests } else { &figures.checkins };
    json!({
        "checkins_per_second": rate(figures.checked_in),
        "alerts_per_second": rate(figures.alerts),
        "p50_ms": main.quantile(50),
        "p99_ms": main.quantile(99),
        "errors": figures.errors,
        "lost": outcome.lost,
        "alerts_p50_ms": figures.alert_requests.quantile(50),
        "alerts_p99_ms": figures.alert_requests.quantile(99),
        "acknowledged": figures.alerts,
        "broken_connections": figures.broken,
        "refused": figures.refused,
        "retry_after_s": figures.retry_after_s,
        "devices": args.devices,
        "connections": args.connections.min(args.devices),
        "seconds": outcome.seconds,
        "enroll_seconds": outcome.enroll_seconds,
        "fdatasync_p50_ms": disk.quantile(50),
        "fdatasync_p99_ms": disk.quantile(99),
    })
}

fn per_second(count: u64, seconds: f64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds.max(0.001)
}

/// A minute: the portal may have been killed under the load.
const TRIES: u32 = 120;
/// What the portal takes in one request.
const ASKED_AT_ONCE: u64 = 1_000;
const DISK_TRIES: u32 = 200;
