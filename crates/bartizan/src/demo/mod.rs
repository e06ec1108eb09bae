//! `bartizan demo`: the whole line once, on real traffic.
//!
//! feed -> indicator file -> portal -> device -> block -> alert -> console. A scenario is played on a
//! [`Stage`]: network namespaces with a real TUN where there is the right to make them, else this process
//! with a device whose client is a user-space TCP/IP stack. Everything the stage made is taken down when
//! it is dropped: at the end, on Ctrl-C, on an error, on a panic.

mod internet;
mod netns;
mod scenario;
mod simulated;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bartizan_model::Mode;

use crate::demo::scenario::{Report, Scenario};
use crate::demo::stage::{Kind, Stage};
use crate::out;

/// How to run the demo.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Threat feed: a file or an https:// address (repeatable); a small built-in one where none is given
    #[arg(long, value_name = "FILE_OR_URL")]
    pub(crate) feed: Vec<String>,
    /// Popular names that no feed may block, beside the built-in ones (repeatable)
    #[arg(long, value_name = "FILE_OR_URL")]
    pub(crate) allow: Vec<String>,
    /// Stop after the scenario; exit code 0 only if every expectation held
    #[arg(long)]
    once: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// What to play on; by default the best there is the right for
    #[arg(long, value_enum)]
    device: Option<Kind>,
    /// How much of the traffic is judged: tunnel or dns
    #[arg(long, value_name = "WORD", default_value = "dns", value_parser = crate::policy_admin::mode)]
    pub(crate) mode: Mode,
    /// Keep the portal's data in this folder instead of a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(crate) fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = play(&args) => outcome,
            // Dropping the scenario takes its stage down.
            () = crate::portal::asked_to_stop() => {
                out::note("Stopped.");
                Ok(ExitCode::from(130))
            }
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    outcome
}

async fn play(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let temporary = tempfile::Builder::new()
        .prefix("bartizan-demo-")
        .tempdir()
        .context("cannot make a folder")?;
    let folder = temporary.path();
    out::log_to_file(&folder.join("log.json"))?;

    let kind = match args.device {
        Some(kind) => kind,
        None => Kind::best(),
    };
    out::note(match kind {
        Kind::Netns => "Device: network namespaces with a real TUN",
        Kind::Simulated => "Device: simulated in this process (run as root for a real TUN)",
    });
    let stage = Stage::build(kind, folder)?;
    let mut scenario = Scenario::new(args, stage, folder);
    let report = match scenario.play().await {
        Ok(report) => report,
        Err(error) => {
            let log = std::fs::read_to_string(folder.join("log.json")).unwrap_or_default();
            for line in log.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev() {
                out::note(&format!("  log: {line}"));
            }
            return Err(error);
        }
    };
    show(args, &report)?;
    if !args.once {
        if args.json {
            out::note(&report.sign_in());
        }
        out::note("Running until Ctrl-C.");
        scenario.stay().await?;
    }
    Ok(if report.as_expected() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(args: &DemoArgs, report: &Report) -> anyhow::Result<()> {
    if args.json {
        out::line(&serde_json::to_string(report)?);
    } else {
        out::line(&report.table());
    }
    Ok(())
}
