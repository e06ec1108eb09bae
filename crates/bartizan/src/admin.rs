//! `bartizan admin`: what an administrator does at the portal's data folder. The portal may be running.

mod backup;
mod certificate;
mod doctor;
mod support_bundle;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bartizan_model::TenantId;
use bartizan_portal::{Clock, DatabaseUrl, Portal, PortalConfig};

use crate::audit_admin::{self, AuditCommand};
use crate::config::Config;
use crate::feeds::{Listed, Sources};
use crate::operator_admin::{self, OperatorCommand};
use crate::out;
use crate::policy_admin::{self, PolicyArgs};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum AdminCommand {
    /// Make a token that lets one device enroll, once
    EnrollmentToken {
        #[command(flatten)]
        at: At,
        /// Days until it expires
        #[arg(long, value_name = "DAYS", default_value_t = 7)]
        valid_days: u16,
    },
    /// Make an administrator, or give one a new one-time password
    Password {
        #[command(flatten)]
        at: At,
        /// The administrator's address
        email: String,
    },
    /// List feeds and publish the result to the tenant's devices
    Publish {
        #[command(flatten)]
        at: At,
        /// A file or an https:// address, after `malware=` or `spyware=` where it does not list phishing
        /// sites (repeatable)
        #[arg(long, value_name = "FILE_OR_URL", required = true)]
        feed: Vec<String>,
        /// Popular names that no feed may block, beside the built-in ones (repeatable)
        #[arg(long, value_name = "FILE_OR_URL")]
        allow: Vec<String>,
        /// A host name of the organization's own that no feed may block (repeatable)
        #[arg(long, value_name = "NAME")]
        own: Vec<String>,
    },
    /// Accounts of those who run the installation
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// Prove an exported audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show what is decided for the devices, and change what is named
    Policy(PolicyArgs),
    /// Write the database and the files that it names into one archive, and read it back; the portal may run
    Backup {
        #[command(flatten)]
        place: Place,
        /// Archive to write; it must not be there yet
        file: PathBuf,
    },
    /// Make a data folder of a backup
    Restore {
        #[command(flatten)]
        place: Place,
        /// Archive to read
        file: PathBuf,
    },
    /// Bring the database's schema up to date, as `bartizan portal` does when it starts
    Migrate {
        #[command(flatten)]
        place: Place,
        /// Say what would be done; of a file, do it to a copy
        #[arg(long)]
        dry_run: bool,
    },
    /// Look at what the portal stands on, and say what to do about what is wrong
    Doctor {
        #[command(flatten)]
        place: Place,
    },
    /// Write what somebody who helps needs to know into an archive, without secrets and personal data
    SupportBundle {
        #[command(flatten)]
        place: Place,
        /// Archive to write; it must not be there yet
        file: PathBuf,
    },
}

/// Which portal and tenant.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct At {
    #[command(flatten)]
    place: Place,
    /// Name of the organization, where there are several
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

pub(crate) fn run(command: AdminCommand) -> anyhow::Result<ExitCode> {
    match command {
        AdminCommand::Audit(command) => return audit_admin::run(&command),
        AdminCommand::Backup { place, file } => backup::backup(&place.config()?, &file)?,
        AdminCommand::Restore { place, file } => backup::restore(&place.config()?, &file)?,
        AdminCommand::Migrate { place, dry_run } => migrate(&place.config()?, dry_run)?,
        AdminCommand::Doctor { place } => {
            let findings = doctor::examine(&place.config()?);
            out::line(doctor::text(&findings).trim_end());
            if findings.iter().any(|finding| finding.state == doctor::State::Fail) {
                return Ok(ExitCode::FAILURE);
            }
        }
        AdminCommand::SupportBundle { place, file } => {
            support_bundle::write(&place.config()?, &file)?;
        }
        AdminCommand::EnrollmentToken { .. }
        | AdminCommand::Password { .. }
        | AdminCommand::Publish { .. }
        | AdminCommand::Operator(_)
        | AdminCommand::Policy(_) => return at_a_portal(command),
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes the schema's steps, or says which.
fn migrate(config: &Config, dry_run: bool) -> anyhow::Result<()> {
    let database = config.portal().database();
    let steps = database.pending_steps()?;
    if steps.is_empty() {
        out::line("The schema is up to date");
        return Ok(());
    }
    let (named, now) = (steps.join(", "), Clock::system().now());
    if !dry_run {
        database.migrate(now)?;
        out::line(&format!("Done: {named}"));
        return Ok(());
    }
    if let DatabaseUrl::File(file) = &database
        && file.exists()
    {
        let folder = tempfile::tempdir_in(&config.data)?;
        let copy = folder.path().join("portal.db");
        database.copy_to(&copy)?;
        DatabaseUrl::File(copy).migrate(now).context("a copy could not be brought up to date")?;
        out::line(&format!("To be done, and done to a copy without fault: {named}"));
    } else {
        out::line(&format!("To be done: {named}"));
    }
    Ok(())
}

fn at_a_portal(command: AdminCommand) -> anyhow::Result<ExitCode> {
    tokio::runtime::Runtime::new()?.block_on(async {
        match command {
            AdminCommand::EnrollmentToken { at, valid_days } => {
                let (portal, tenant) = at.open().await?;
                let valid_for = Duration::from_secs(u64::from(valid_days) * 86_400);
                out::line(&portal.create_enrollment_token(tenant, valid_for).await?.to_string());
            }
            AdminCommand::Password { at, email } => {
                let (portal, tenant) = at.open().await?;
                out::line(&portal.create_administrator(tenant, &email).await?.to_string());
            }
            AdminCommand::Publish { at, feed, allow, own } => {
                let (portal, tenant) = at.open().await?;
                let listed = Listed::read(&Sources {
                    hash_key: Some(portal.hash_key(tenant).await?),
                    ..Sources::new(&feed, &allow, &own)
                })?;
                let report = listed.report();
                let published = portal
                    .publish_indicators(tenant, listed.compiler.finish(), report.clone())
                    .await?;
                out::line(&report);
                out::note(&format!(
                    "Published as epoch {}; devices fetch it at their next check-in",
                    published.epoch
                ));
            }
            AdminCommand::Operator(command) => operator_admin::run(command).await?,
            AdminCommand::Policy(args) => return policy_admin::run(args).await,
            AdminCommand::Audit(_)
            | AdminCommand::Backup { .. }
            | AdminCommand::Restore { .. }
            | AdminCommand::Migrate { .. }
            | AdminCommand::Doctor { .. }
            | AdminCommand::SupportBundle { .. } => return run(command),
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Which portal: as `bartizan portal` is told.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Place {
    /// The portal's TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The portal's data folder [default: /var/lib/bartizan-portal]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// The portal's database, if it is not in the data folder; best by `BARTIZAN_DATABASE`
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

impl Place {
    /// Reads the portal's settings.
    pub(crate) fn config(self) -> anyhow::Result<Config> {
        let flags = [("data", self.data), ("database", self.database)];
        let flags = flags.into_iter().filter_map(|(key, value)| Some((key, vec![value?])));
        Config::read(self.config.as_deref(), flags.collect())
    }

    /// Opens the portal, which has to be there.
    pub(crate) async fn open(self) -> anyhow::Result<Portal> {
        let config = self.config()?.portal();
        if let DatabaseUrl::File(file) = config.database() {
            anyhow::ensure!(
                file.exists(),
                "there is no portal's database at {}; start `bartizan portal` with it first",
                file.display()
            );
        }
        Portal::open(PortalConfig { secure_cookies: true, ..config }).await
    }
}

impl At {
    /// Opens the portal, which has to be there.
    pub(crate) async fn open(self) -> anyhow::Result<(Portal, TenantId)> {
        let portal = self.place.open().await?;
        let tenants = portal.tenants().await?;
        let found = match &self.tenant {
            Some(name) => tenants.iter().find(|(_, known)| known == name).map(|(id, _)| *id),
            None if 1 < tenants.len() => {
                anyhow::bail!("there are {} organizations: name one with --tenant", tenants.len())
            }
            None => tenants.first().map(|(id, _)| *id),
        };
        let tenant = found.with_context(|| {
            format!("there is no organization {}", self.tenant.unwrap_or_default())
        })?;
        Ok((portal, tenant))
    }
}
