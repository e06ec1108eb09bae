//! `bartizan admin`: what an administrator does at the portal's data folder. The portal may be running.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bartizan_model::TenantId;
use bartizan_portal::{Portal, PortalConfig};

use crate::audit_admin::{self, AuditCommand};
use crate::feeds::{Listed, Sources};
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
    /// Prove an exported audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show what is decided for the devices, and change what is named
    Policy(PolicyArgs),
}

/// Which portal and tenant.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct At {
    /// The portal's data folder
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bartizan-portal")]
    data: PathBuf,
    /// Name of the organization, where there are several
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

pub(crate) fn run(command: AdminCommand) -> anyhow::Result<ExitCode> {
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
            AdminCommand::Audit(command) => return audit_admin::run(&command),
            AdminCommand::Policy(args) => return policy_admin::run(args).await,
        }
        Ok(ExitCode::SUCCESS)
    })
}

impl At {
    /// Opens the portal's data folder.
    pub(crate) async fn open(self) -> anyhow::Result<(Portal, TenantId)> {
        anyhow::ensure!(
            self.data.join("portal.db").exists(),
            "{} is not a portal's data folder; start `bartizan portal` with it first",
            self.data.display()
        );
        let portal =
            Portal::open(PortalConfig { data_dir: self.data, secure_cookies: true }).await?;
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
