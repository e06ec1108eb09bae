//! `bartizan admin policy`: shows what is decided for a tenant's devices, and changes what is named.

use std::process::ExitCode;

use bartizan_model::{
    CHECKIN_INTERVAL_S, DnsUpstream, MAX_WARN_PASS_HOURS, Mode, Policy, WebProtection,
};
use serde_json::json;

use crate::admin::At;
use crate::out;

#[derive(Debug, clap::Args)]
pub(crate) struct PolicyArgs {
    #[command(flatten)]
    at: At,
    /// How much of the traffic is judged: tunnel, dns, filter or off
    #[arg(long, value_name = "WORD", value_parser = mode)]
    mode: Option<Mode>,
    /// What happens to a listed site: block or off
    #[arg(long, value_name = "WORD", value_parser = web_protection)]
    web_protection: Option<WebProtection>,
    /// For how many hours a person may pass a warning, at most 168; 0 where warnings stop like blocks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=i64::from(MAX_WARN_PASS_HOURS)))]
    warn_pass_hours: Option<u16>,
    /// Whom lookups go to: `system`, `tls://NAME?ip=ADDRESS` or `https://NAME/PATH?ip=ADDRESS`
    #[arg(long, value_name = "RESOLVER")]
    dns_upstream: Option<DnsUpstream>,
    /// Whether the system's resolver may answer while that one does not: on or off
    #[arg(long, value_name = "ON_OR_OFF", value_parser = on_or_off)]
    dns_fallback: Option<bool>,
    /// Whether encrypted server names are taken out of HTTPS records: on or off
    #[arg(long, value_name = "ON_OR_OFF", value_parser = on_or_off)]
    strip_ech: Option<bool>,
    /// Whether public resolvers over HTTPS are stopped, so that lookups stay where they are judged: on or off
    #[arg(long, value_name = "ON_OR_OFF", value_parser = on_or_off)]
    block_encrypted_dns: Option<bool>,
    /// Whether iCloud Private Relay is told to stay off: on or off
    #[arg(long, value_name = "ON_OR_OFF", value_parser = on_or_off)]
    block_private_relay: Option<bool>,
    /// Whether alerts name the host: on or off
    #[arg(long, value_name = "ON_OR_OFF", value_parser = on_or_off)]
    report_blocked_host: Option<bool>,
    /// Seconds between check-ins, 60 to 86400
    #[arg(long, value_name = "N", value_parser = interval)]
    checkin_interval_s: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: PolicyArgs) -> anyhow::Result<ExitCode> {
    let (portal, tenant) = args.at.clone().open().await?;
    let before = portal.policy(tenant).await?;
    let mut policy = args.changed(&before);
    if policy != before {
        policy.version = portal.set_policy(tenant, policy.clone()).await?;
        out::note(&format!(
            "Saved as version {}; devices fetch it at their next check-in",
            policy.version
        ));
    }
    if args.json {
        out::line(&serde_json::to_string_pretty(&facts(&policy))?);
        return Ok(ExitCode::SUCCESS);
    }
    let on = |flag| if flag { "on" } else { "off" }.to_owned();
    for (what, value) in [
        ("Version", policy.version.to_string()),
        ("Mode", policy.mode.word().to_owned()),
        ("Web protection", policy.web_protection.word().to_owned()),
        ("Warnings passed", passed(policy.warn_pass_hours)),
        ("Resolver", policy.dns.upstream.to_string()),
        ("Resolver's fallback", on(policy.dns.upstream_fallback)),
        ("Strip ECH", on(policy.dns.strip_ech)),
        ("Block encrypted DNS", on(policy.dns.block_encrypted_dns)),
        ("Block Private Relay", on(policy.dns.block_private_relay)),
        ("Report blocked host", on(policy.report_blocked_host)),
        ("Check-in every", format!("{} s", policy.checkin_interval_s)),
    ] {
        out::line(&format!("{what:<21}{value}"));
    }
    Ok(ExitCode::SUCCESS)
}

impl PolicyArgs {
    fn changed(&self, before: &Policy) -> Policy {
        let mut policy = before.clone();
        let set = |place: &mut bool, wanted: Option<bool>| *place = wanted.unwrap_or(*place);
        if let Some(upstream) = &self.dns_upstream {
            policy.dns.upstream = upstream.clone();
        }
        set(&mut policy.dns.upstream_fallback, self.dns_fallback);
        set(&mut policy.dns.strip_ech, self.strip_ech);
        set(&mut policy.dns.block_encrypted_dns, self.block_encrypted_dns);
        set(&mut policy.dns.block_private_relay, self.block_private_relay);
        set(&mut policy.report_blocked_host, self.report_blocked_host);
        Policy {
            mode: self.mode.unwrap_or(before.mode),
            web_protection: self.web_protection.unwrap_or(before.web_protection),
            warn_pass_hours: self.warn_pass_hours.unwrap_or(before.warn_pass_hours),
            checkin_interval_s: self.checkin_interval_s.unwrap_or(before.checkin_interval_s),
            ..policy
        }
    }
}

fn facts(policy: &Policy) -> serde_json::Value {
    json!({
        "version": policy.version,
        "mode": policy.mode.word(),
        "web_protection": policy.web_protection.word(),
        "report_blocked_host": policy.report_blocked_host,
        "checkin_interval_s": policy.checkin_interval_s,
        "warn_pass_hours": policy.warn_pass_hours,
        "dns": {
            "upstream": policy.dns.upstream.to_string(),
            "upstream_fallback": policy.dns.upstream_fallback,
            "strip_ech": policy.dns.strip_ech,
            "block_encrypted_dns": policy.dns.block_encrypted_dns,
            "block_private_relay": policy.dns.block_private_relay,
        },
    })
}

fn passed(hours: u16) -> String {
    match hours {
        0 => "never".to_owned(),
        1 => "for 1 hour".to_owned(),
        hours => format!("for {hours} hours"),
    }
}

pub(crate) fn mode(word: &str) -> Result<Mode, String> {
    Mode::from_word(word).ok_or_else(|| "it is tunnel, dns, filter or off".to_owned())
}

fn web_protection(word: &str) -> Result<WebProtection, String> {
    WebProtection::from_word(word).ok_or_else(|| "it is block or off".to_owned())
}

fn on_or_off(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("it is on or off".to_owned()),
    }
}

fn interval(text: &str) -> Result<u32, String> {
    let seconds = text.parse().ok().filter(|seconds| CHECKIN_INTERVAL_S.contains(seconds));
    seconds.ok_or_else(|| bartizan_model::BadPolicy::CheckinInterval.to_string())
}
