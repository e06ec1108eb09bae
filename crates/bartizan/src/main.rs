//! The one command of Bartizan.
//!
//! Reads the command line, sets up the log and calls the part that is asked for; decides nothing else.

#[cfg(feature = "portal")]
mod admin;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "portal")]
mod feed;
#[cfg(feature = "portal")]
mod feed_admin;
#[cfg(feature = "portal")]
mod feeds;
mod out;
#[cfg(feature = "portal")]
mod portal;
#[cfg(feature = "portal")]
mod stopwatch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Open, self-hosted mobile threat defense
#[derive(Debug, Parser)]
#[command(name = "bartizan", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the portal: the devices' API and the console
    #[cfg(feature = "portal")]
    Portal(portal::PortalArgs),
    /// Manage a portal's data folder
    #[cfg(feature = "portal")]
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Manage a portal's feeds; make indicator files of feeds, and look into them
    #[cfg(feature = "portal")]
    #[command(subcommand)]
    Feed(feed::FeedCommand),
    /// Run this machine as a protected device
    #[cfg(feature = "agent")]
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Show the whole line once: feed, device, block, alert, console
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
}

#[cfg(feature = "agent")]
#[derive(Debug, Subcommand)]
enum AgentCommand {
    /// Protect this machine until SIGINT or SIGTERM
    Run(bartizan_agent::RunArgs),
    /// Show how the device is
    Status {
        /// Folder of the device's files
        #[arg(long, value_name = "DIR", default_value = "/var/lib/bartizan")]
        state: std::path::PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        #[cfg(feature = "portal")]
        Command::Portal(args) => {
            out::log_to_stderr();
            portal::run(args)
        }
        #[cfg(feature = "portal")]
        Command::Admin(command) => admin::run(command),
        #[cfg(feature = "portal")]
        Command::Feed(command) => feed::run(command),
        #[cfg(feature = "agent")]
        Command::Agent(AgentCommand::Run(args)) => {
            out::log_to_stderr();
            bartizan_agent::run(args).map(|()| ExitCode::SUCCESS)
        }
        #[cfg(feature = "agent")]
        Command::Agent(AgentCommand::Status { state, json }) => agent_status(&state, json),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args),
    };
    outcome.unwrap_or_else(|error| {
        out::error(&error);
        ExitCode::FAILURE
    })
}

#[cfg(feature = "agent")]
fn agent_status(state: &std::path::Path, json: bool) -> anyhow::Result<ExitCode> {
    let status = bartizan_agent::status(state)?;
    if json {
        out::line(&serde_json::to_string_pretty(&status)?);
        return Ok(ExitCode::SUCCESS);
    }
    let listed = match status.indicator_epoch {
        Some(epoch) => format!("epoch {epoch}, {} names", status.indicator_entries),
        None => "none yet".to_owned(),
    };
    for (what, value) in [
        ("Protection", status.protection),
        ("Organization", status.tenant.unwrap_or_else(|| "not enrolled".to_owned())),
        ("Device", status.device_id.unwrap_or_else(|| "-".to_owned())),
        ("Policy", format!("version {}", status.policy_version)),
        ("Indicators", listed),
        (
            "Questions",
            format!("{}, of which {} blocked", status.counters.queries, status.counters.blocked),
        ),
        ("Alerts to send", status.alerts_waiting.to_string()),
        ("Problem", status.problem.unwrap_or_else(|| "none".to_owned())),
    ] {
        out::line(&format!("{what:<16}{value}"));
    }
    Ok(ExitCode::SUCCESS)
}
