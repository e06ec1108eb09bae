//! The one command of Bartizan.
//!
//! Reads the command line, sets up the log and calls the part that is asked for; decides nothing else.

#[cfg(feature = "portal")]
mod admin;
#[cfg(feature = "agent")]
mod agent;
#[cfg(feature = "portal")]
mod audit_admin;
#[cfg(feature = "portal")]
mod config;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "portal")]
mod feed;
#[cfg(feature = "portal")]
mod feed_admin;
#[cfg(feature = "portal")]
mod feeds;
#[cfg(feature = "fleet")]
mod fleet;
#[cfg(feature = "inspect")]
mod inspect;
#[cfg(feature = "portal")]
mod operator_admin;
mod out;
#[cfg(feature = "portal")]
mod policy_admin;
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
    Agent(agent::AgentCommand),
    /// Print the names that the messages in a capture carry
    #[cfg(feature = "inspect")]
    Inspect(inspect::InspectArgs),
    /// Load a portal as many devices would, and measure it
    #[cfg(feature = "fleet")]
    Fleet(fleet::FleetArgs),
    /// Show the whole line once: feed, device, block, alert, console
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        #[cfg(feature = "portal")]
        Command::Portal(args) => portal::run(args),
        #[cfg(feature = "portal")]
        Command::Admin(command) => admin::run(command),
        #[cfg(feature = "portal")]
        Command::Feed(command) => feed::run(command),
        #[cfg(feature = "agent")]
        Command::Agent(command) => agent::run(command),
        #[cfg(feature = "inspect")]
        Command::Inspect(args) => inspect::run(&args),
        #[cfg(feature = "fleet")]
        Command::Fleet(args) => fleet::run(args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => demo::run(args),
    };
    outcome.unwrap_or_else(|error| {
        out::error(&error);
        ExitCode::FAILURE
    })
}
