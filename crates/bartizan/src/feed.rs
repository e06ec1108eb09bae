//! `bartizan feed`: feeds of a portal, and indicator files as files, made and looked into on the command line.

mod compile;
mod inspect;

use std::process::ExitCode;

use crate::feed_admin::{self, Add, List, Remove, Rollback, Update};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum FeedCommand {
    /// Add a feed to a portal
    Add(Add),
    /// List a portal's feeds
    List(List),
    /// Look at a portal's feeds now, and publish what they list
    Update(Update),
    /// Remove a feed from a portal, and publish what is left
    Remove(Remove),
    /// Go back to an earlier version of a portal's feed, and publish it
    Rollback(Rollback),
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
        FeedCommand::Add(args) => at_a_portal(feed_admin::add(args)),
        FeedCommand::List(args) => at_a_portal(feed_admin::list(args)),
        FeedCommand::Update(args) => at_a_portal(feed_admin::update(args)),
        FeedCommand::Remove(args) => at_a_portal(feed_admin::remove(args)),
        FeedCommand::Rollback(args) => at_a_portal(feed_admin::rollback(args)),
        FeedCommand::Compile(args) => compile::run(&args),
        FeedCommand::Lookup(args) => inspect::lookup(&args),
        FeedCommand::Explain(args) => inspect::explain(&args),
        FeedCommand::Diff(args) => inspect::diff(&args),
    }
}

fn at_a_portal(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new()?.block_on(work)
}
