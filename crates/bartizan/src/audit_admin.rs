//! `bartizan admin audit`: proves an exported audit log, on any machine; needs no portal.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bartizan_portal::audit;

use crate::out;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that nothing in an exported log is missing, changed or reordered
    Verify {
        /// What the console exported
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A head that was kept from earlier, which the log must continue
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
    },
}

pub(crate) fn run(command: &AuditCommand) -> anyhow::Result<ExitCode> {
    let AuditCommand::Verify { file, head } = command;
    let cannot_read = |path: &PathBuf| format!("cannot read {}", path.display());
    let older =
        head.as_ref().map(|path| fs::read_to_string(path).with_context(|| cannot_read(path)));
    let older = older.transpose()?;
    let opened = File::open(file).with_context(|| cannot_read(file))?;
    let report = audit::verify(BufReader::new(opened), older.as_deref())?;
    let kept = if report.entries == report.size {
        format!("all {} entries are there, unchanged and in order", report.size)
    } else {
        format!(
            "{} of {} entries are there and unchanged; the others are not in this file",
            report.entries, report.size
        )
    };
    out::line(&format!("{}: {kept}", report.origin));
    out::line(&format!("Signed by the key {}", report.key));
    if 0 < report.erased {
        out::line(&format!(
            "Of people erased, {} details are gone; the proof stands",
            report.erased
        ));
    }
    if let Some(older) = report.continues {
        out::line(&format!("It continues the older head of {older} entries"));
    }
    Ok(ExitCode::SUCCESS)
}
