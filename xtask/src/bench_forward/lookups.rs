//! Answers for blocked names: ours through the TUN, and beside it two resolvers on loopback that hold the same names.
//!
//! Whoever asks runs where the TUN is, as applications on a device do, and as those who ask the resolvers; and once more beyond
//! a cable, from which the kernel forwards each question and answer.
//!
//! The resolvers hold one feed, ours a file of three, a million entries. The names that are asked are listed in all of them.
//! Without `BARTIZAN_TEST_DATA` names are made up, as many.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::measure::{MOST_SECONDS, load};
use super::peers::{Peer, SERVER, program};
use super::process::Watched;
use super::stage::{Place, Stage, Way};
use crate::{Done, packages, run, target, test};

/// What one of them did.
pub(crate) struct Lookups {
    pub(crate) name: &'static str,
    pub(crate) figures: Result<Answers, String>,
}

#[derive(Clone, Copy)]
pub(crate) struct Answers {
    pub(crate) per_second: f64,
    pub(crate) dirty: f64,
    pub(crate) resident: f64,
}

/// The names, in files.
pub(crate) struct Lists {
    /// The indicator file.
    pub(crate) indicators: String,
    /// What the resolvers hold.
    held: BTreeSet<String>,
    /// What dnsperf asks.
    questions: PathBuf,
    folder: PathBuf,
}

impl Lists {
    /// Compiles them with our program, which must be built.
    pub(crate) fn build() -> Result<Self, String> {
        packages::need(&[("zstd", "zstd")])?;
        let folder = target().join("bench-forward");
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let indicators = folder.join("indicators");
        let (held, inputs) = match test::feeds() {
            Some(data) => real(&data.join("dev"))?,
            None => made_up(&folder)?,
        };
        let mut compile = Command::new(program());
        compile.args(["feed", "compile", "--out"]).arg(&indicators).stdout(Stdio::null());
        for input in inputs {
            compile.args(["--input", &input]);
        }
        run(&mut compile)?;
        let questions = folder.join("questions");
        let step = (held.len() / QUESTIONS).max(1);
        let asked: Vec<&str> = held.iter().step_by(step).map(String::as_str).collect();
        let listed = listed(&indicators, &asked)?;
        let mut text = String::new();
        for name in &listed {
            let _ = writeln!(text, "{name} A");
        }
        write(&questions, &text)?;
        let indicators = indicators.display().to_string();
        Ok(Self { indicators, held, questions, folder })
    }

    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }
}

/// Measures them one after the other.
pub(crate) fn measure(lists: &Lists, ours: bool, seconds: u64) -> Result<Vec<Lookups>, String> {
    packages::need(&[("dnsperf", "dnsperf"), ("dnsmasq", "dnsmasq-base"), ("unbound", "unbound")])?;
    let mut all = Vec::new();
    if ours {
        for (name, place, resolver) in
            [("bartizan", Place::Engine, BEYOND_TUN), ("beyond cable", Place::App, SERVER)]
        {
            let figures = through_the_tun(lists, place, resolver, seconds);
            all.push(Lookups { name, figures });
        }
    }
    for (name, config, line) in [
        ("dnsmasq", DNSMASQ, dnsmasq_line as fn(&str) -> String),
        ("unbound", UNBOUND, unbound_line),
    ] {
        all.push(Lookups { name, figures: on_loopback(lists, name, config, line, seconds) });
    }
    Ok(all)
}

fn through_the_tun(
    lists: &Lists,
    place: Place,
    resolver: &str,
    seconds: u64,
) -> Result<Answers, String> {
    let stage = Stage::build(Way::Tun)?;
    let mut server = load(&stage, Place::Server, &["serve"])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start: {error}"))?;
    let forwarder = Peer::Bartizan.start(&stage, &lists.indicators)?;
    let figures = ask(&stage, place, resolver, "53", lists, forwarder.as_ref(), seconds);
    drop(stage);
    let _ = server.wait();
    figures
}

fn on_loopback(
    lists: &Lists,
    name: &str,
    config: &str,
    line: fn(&str) -> String,
    seconds: u64,
) -> Result<Answers, String> {
    let stage = Stage::build(Way::None)?;
    let path = lists.folder.join(name);
    let mut text = config.to_owned();
    lists.held.iter().for_each(|held| text.push_str(&line(held)));
    write(&path, &text)?;
    let mut command = stage.command(Place::Server, name);
    if name == "dnsmasq" {
        command.arg("--keep-in-foreground").arg(format!("--conf-file={}", path.display()));
    } else {
        command.arg("-d").arg("-c").arg(&path);
    }
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start {name}: {error}"))?;
    ask(&stage, Place::Server, "127.0.0.1", PORT, lists, Some(&child), seconds)
}

/// Asks until the first answer, which a large list delays, and then measures.
fn ask(
    stage: &Stage,
    place: Place,
    server: &str,
    port: &str,
    lists: &Lists,
    answering: Option<&Child>,
    seconds: u64,
) -> Result<Answers, String> {
    let dnsperf = |seconds: &str| {
        let output = stage
            .command(place, "timeout")
            .args(["-k", "1", MOST_SECONDS, "dnsperf", "-s", server, "-p", port, "-d"])
            .arg(&lists.questions)
            .args(["-l", seconds, "-c", "4", "-T", "1", "-t", "1"])
            .output()
            .map_err(|error| format!("cannot start dnsperf: {error}"))?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for _ in 0..WARM_UPS {
        let warm = dnsperf("1")?;
        if figure(&warm, "Queries completed:").is_some_and(|completed| 0.0 < completed) {
            break;
        }
    }
    let watched = answering.map(|child| Watched::start(child.id()));
    let said = dnsperf(&seconds.to_string())?;
    let peak = watched.map(Watched::stop).unwrap_or_default();
    let per_second = figure(&said, "Queries per second:");
    let lost = figure(&said, "Queries lost:");
    match (per_second, lost) {
        (Some(per_second), Some(0.0)) if said.contains("NOERROR") && !said.contains("NXDOMAIN") => {
            Ok(Answers { per_second, dirty: peak.dirty, resident: peak.resident })
        }
        _ => Err(format!("not all was answered as blocked: {}", said.trim())),
    }
}

/// Reads a number off dnsperf's summary.
fn figure(said: &str, name: &str) -> Option<f64> {
    said.split(name).nth(1)?.split_whitespace().next()?.parse().ok()
}

fn real(folder: &Path) -> Result<(BTreeSet<String>, Vec<String>), String> {
    let feed = folder.join("phishing-domains.tsv.zst");
    let output = Command::new("zstd")
        .arg("-dc")
        .arg(&feed)
        .output()
        .map_err(|error| format!("cannot start zstd: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let held = text.lines().skip(1).filter_map(|line| line.split('\t').next());
    let held = held.filter(|name| name.is_ascii()).map(str::to_owned).collect();
    let malware = ["malware-domains-mobile.tsv.zst", "malware-domains-other.tsv.zst"];
    let mut inputs = vec![feed.display().to_string()];
    inputs.extend(malware.map(|name| format!("malware={}", folder.join(name).display())));
    Ok((held, inputs))
}

fn made_up(folder: &Path) -> Result<(BTreeSet<String>, Vec<String>), String> {
    let names = |range: std::ops::Range<usize>| range.map(|n| format!("listed-{n}.example"));
    let feed = folder.join("names.txt");
    let mut text = String::new();
    for name in names(0..1_000_000) {
        let _ = writeln!(text, "{name}");
    }
    write(&feed, &text)?;
    Ok((names(0..650_000).collect(), vec![feed.display().to_string()]))
}

/// Returns which of the names our file blocks: the guard holds some back.
fn listed(indicators: &Path, names: &[&str]) -> Result<Vec<String>, String> {
    let asked = indicators.with_extension("asked");
    write(&asked, &names.join("\n"))?;
    let output = Command::new(program())
        .args(["feed", "lookup"])
        .arg(indicators)
        .arg("--names")
        .arg(&asked)
        .output()
        .map_err(|error| format!("cannot look names up: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let blocked = said.lines().filter(|line| line.split('\t').nth(1) == Some("block"));
    Ok(blocked.filter_map(|line| line.split('\t').next()).map(str::to_owned).collect())
}

fn write(path: &Path, text: &str) -> Done {
    let written = fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

fn dnsmasq_line(name: &str) -> String {
    format!("address=/{name}/0.0.0.0\n")
}

fn unbound_line(name: &str) -> String {
    format!("  local-zone: \"{name}\" always_null\n")
}

/// Of the TUN's network in `topology.sh`, so that what asks in the same namespace gets there without a route of its own.
const BEYOND_TUN: &str = "198.18.0.2";
const PORT: &str = "5300";
const DNSMASQ: &str = "\
port=5300
listen-address=127.0.0.1
bind-interfaces
user=root
no-resolv
no-hosts
";
const UNBOUND: &str = r#"server:
  interface: 127.0.0.1@5300
  do-daemonize: no
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 0
  num-threads: 1
  module-config: "iterator"
"#;
const QUESTIONS: usize = 100_000;
/// dnsperf waits a second for an answer that does not come, each time.
const WARM_UPS: usize = 15;
