//! `bartizan admin operator`: accounts of those who run an installation.

use anyhow::Context as _;
use bartizan_portal::Portal;

use crate::admin::Place;
use crate::out;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum OperatorCommand {
    /// Add an operator, and print the password that lets them in once, at /operator
    Add {
        #[command(flatten)]
        place: Place,
        /// A word or an e-mail address
        name: String,
        /// Only enters organizations that somebody lets them into
        #[arg(long)]
        analyst: bool,
    },
    /// List operators
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Give an operator a one-time password, and take their second factor and passkeys away
    Reset {
        #[command(flatten)]
        place: Place,
        /// As it was added
        name: String,
    },
    /// Remove an operator; their sessions end
    Remove {
        #[command(flatten)]
        place: Place,
        /// As it was added
        name: String,
    },
}

pub(crate) async fn run(command: OperatorCommand) -> anyhow::Result<()> {
    match command {
        OperatorCommand::Add { place, name, analyst } => {
            let portal = open(place).await?;
            let password = portal.add_operator(&name, !analyst).await?;
            out::line(&password.to_string());
        }
        OperatorCommand::List { place } => {
            for (name, what) in open(place).await?.operators().await? {
                out::line(&format!("{name}  {what}"));
            }
        }
        OperatorCommand::Reset { place, name } => {
            let password = open(place).await?.reset_operator(&name).await?;
            out::line(&password.to_string());
        }
        OperatorCommand::Remove { place, name } => {
            open(place).await?.remove_operator(&name).await?;
            out::line(&format!("{name} is no operator any more"));
        }
    }
    Ok(())
}

async fn open(place: Place) -> anyhow::Result<Portal> {
    place.open().await.context("cannot open the portal")
}
