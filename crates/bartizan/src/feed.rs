//! `bartizan feed`: indicator files as files, made and looked into on the command line.

mod compile;
mod inspect;

use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum FeedCommand {
    /// Make an indicator file of feeds
    Compile(compile::CompileArgs),
    /// Look names, URLs and addresses up in an indicator file
    Lookup(inspect::LookupArgs),
    /// Say why an indicator file blocks something, or does not
    Explain(inspect::ExplainArgs),
    /// Say what differs between two indicator files
    Diff(inspect::DiffArgs),
}

pub(crate) fn run(command: FeedCommand) -> anyhow::Result<ExitCode> {
    match command {
        FeedCommand::Compile(args) => compile::run(&args),
        FeedCommand::Lookup(args) => inspect::lookup(&args),
        FeedCommand::Explain(args) => inspect::explain(&args),
        FeedCommand::Diff(args) => inspect::diff(&args),
    }
}
