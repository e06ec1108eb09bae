//! `bartizan agent`: this machine as a protected device.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use bartizan_agent::{EnrollArgs, FeedbackArgs, ForwardArgs, PassArgs, ReportArgs, RunArgs};
use bartizan_indicators::IndicatorFile;

use crate::out;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum AgentCommand {
    /// Turn a code or a link into an enrollment token
    Enroll(EnrollArgs),
    /// Protect this machine until SIGINT or SIGTERM
    Run(RunArgs),
    /// Forward what comes by an interface, without a portal: for measuring, and for embedding elsewhere
    Forward(ForwardArgs),
    /// Show how the device is
    Status {
        /// Folder of the device's files
        #[arg(long, value_name = "DIR", default_value = "/var/lib/bartizan")]
        state: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell the organization that a site is blocked by mistake, or unsafe and not blocked
    Report(ReportArgs),
    /// Tell the organization something, or see what became of it
    Feedback(FeedbackArgs),
    /// Go on to a site that this device warns of; the organization is told
    Pass(PassArgs),
}

pub(crate) fn run(command: AgentCommand) -> anyhow::Result<ExitCode> {
    match command {
        AgentCommand::Enroll(args) => {
            let (portal, file) = (bartizan_agent::enroll(&args)?, args.token_file.display());
            out::line(&format!(
                "Done. Now: bartizan agent run --portal {portal} --token-file {file}"
            ));
        }
        AgentCommand::Run(args) => {
            out::log_to_stderr();
            bartizan_agent::run(args)?;
        }
        AgentCommand::Forward(args) => {
            out::log_to_stderr();
            forward(args)?;
        }
        AgentCommand::Status { state, json } => status(&state, json)?,
        AgentCommand::Report(args) => report(&args)?,
        AgentCommand::Feedback(args) => feedback(&args)?,
        AgentCommand::Pass(args) => pass(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn forward(args: ForwardArgs) -> anyhow::Result<()> {
    let indicators = match &args.indicators {
        Some(path) => {
            let octets = bartizan_indicators::mapping::map(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let file = IndicatorFile::inspect(octets)
                .with_context(|| format!("{} is no indicator file", path.display()))?;
            Some(file)
        }
        None => None,
    };
    bartizan_agent::forward(args, indicators, |status| match serde_json::to_string(status) {
        Ok(json) => out::line(&json),
        Err(error) => out::note(&format!("cannot show the counters: {error}")),
    })
}

fn status(state: &Path, json: bool) -> anyhow::Result<()> {
    let status = bartizan_agent::status(state)?;
    if json {
        out::line(&serde_json::to_string_pretty(&status)?);
        return Ok(());
    }
    let listed = match status.indicator_epoch {
        Some(epoch) => format!("epoch {epoch}, {} names", status.indicator_entries),
        None => "none yet".to_owned(),
    };
    let own = match status.tenant_epoch {
        Some(epoch) => format!("epoch {epoch}, {} entries", status.tenant_entries),
        None => "none".to_owned(),
    };
    show([
        ("Protection", status.protection),
        ("Organization", status.tenant.unwrap_or_else(|| "not enrolled".to_owned())),
        ("Device", status.device_id.unwrap_or_else(|| "-".to_owned())),
        ("Policy", format!("version {}", status.policy_version)),
        ("Indicators", listed),
        ("Own indicators", own),
        (
            "Questions",
            format!("{}, of which {} blocked", status.counters.queries, status.counters.blocked),
        ),
        ("Mode", status.mode),
        (
            "Network",
            match status.tunnel.captive_portals {
                0 => status.tunnel.network,
                times => format!("{}; captive {times} times so far", status.tunnel.network),
            },
        ),
        (
            "Connections",
            format!(
                "{} open of {} so far, {} B up, {} B down",
                status.tunnel.tcp_flows,
                status.tunnel.tcp_opened,
                status.tunnel.octets_up,
                status.tunnel.octets_down
            ),
        ),
        (
            "Datagrams",
            format!("{} up, {} down", status.tunnel.datagrams_up, status.tunnel.datagrams_down),
        ),
        ("Stopped", listed_counts(&status.tunnel.stopped)),
        ("Dropped", listed_counts(&status.tunnel.dropped)),
        ("Alerts to send", status.alerts_waiting.to_string()),
        ("System", status.system.unwrap_or_else(|| "supported".to_owned())),
        ("Problem", status.problem.unwrap_or_else(|| "none".to_owned())),
    ]);
    Ok(())
}

fn report(args: &ReportArgs) -> anyhow::Result<()> {
    let sent = bartizan_agent::report(args)?;
    let said = if args.is_unsafe { "unsafe, and not blocked" } else { "blocked by mistake" };
    let listed = match (sent.report.matched, sent.report.source.as_deref()) {
        (Some(entry), None | Some("")) => format!("{entry}, by the organization itself"),
        (Some(entry), Some(feed)) => format!("{entry}, by the feed {feed}"),
        (None, _) => "nowhere that this device knows of".to_owned(),
    };
    let file = sent.report.indicator_epoch;
    show([
        ("Sent to", sent.tenant_name),
        ("Site", sent.report.host),
        ("Reported as", said.to_owned()),
        ("Listed", listed),
        ("Indicators", file.map_or_else(|| "none".to_owned(), |epoch| format!("epoch {epoch}"))),
        (
            "Comment",
            if sent.report.comment.is_empty() { "none".into() } else { sent.report.comment },
        ),
    ]);
    Ok(())
}

fn feedback(args: &FeedbackArgs) -> anyhow::Result<()> {
    if let Some(text) = &args.text {
        let tenant = bartizan_agent::feedback(args, text)?;
        show([("Sent to", tenant), ("Text", text.clone())]);
        return Ok(());
    }
    let told = bartizan_agent::feedback_list(args)?.feedback;
    if told.is_empty() {
        out::note("This device has said nothing yet");
    }
    for said in told {
        let reply = said.reply.unwrap_or_else(|| "none yet".to_owned());
        show([("Said", plain(&said.text)), ("Status", said.status), ("Reply", plain(&reply))]);
    }
    Ok(())
}

/// What a terminal shows of text that others wrote, in its lines.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.chars().map(shown).collect()
}

fn pass(args: &PassArgs) -> anyhow::Result<()> {
    let passed = bartizan_agent::pass(args)?;
    let by = match passed.feed {
        Some(feed) => format!("{}, by the feed {feed}", passed.entry),
        None => format!("{}, by the organization itself", passed.entry),
    };
    let hours = match passed.hours {
        1 => "1 hour".to_owned(),
        hours => format!("{hours} hours"),
    };
    show([("Site", passed.host), ("Listed", by), ("Passed for", hours)]);
    out::note("The organization is told that this warning was passed");
    Ok(())
}

fn listed_counts(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "nothing".to_owned();
    }
    let each: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    each.join(", ")
}

fn show<const N: usize>(facts: [(&str, String); N]) {
    for (what, value) in facts {
        out::line(&format!("{what:<16}{value}"));
    }
}
