//! `bartizan feed`: threat feeds, at a portal's data folder.

use std::process::ExitCode;

use crate::feed_admin::{self, Add, List, Remove, Rollback, Update};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum FeedCommand {
    /// Add a feed to a portal
    Add(Add),
    /// List a portal's feeds
    List(List),
    /// Look at feeds now, and publish what they list
    Update(Update),
    /// Remove a feed, and publish what is left
    Remove(Remove),
    /// Go back to an earlier version of a feed, and publish it
    Rollback(Rollback),
}

pub(crate) fn run(command: FeedCommand) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    match command {
        FeedCommand::Add(add) => runtime.block_on(feed_admin::add(add)),
        FeedCommand::List(list) => runtime.block_on(feed_admin::list(list)),
        FeedCommand::Update(update) => runtime.block_on(feed_admin::update(update)),
        FeedCommand::Remove(remove) => runtime.block_on(feed_admin::remove(remove)),
        FeedCommand::Rollback(rollback) => runtime.block_on(feed_admin::rollback(rollback)),
    }
}
