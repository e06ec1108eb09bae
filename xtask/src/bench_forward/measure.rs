//! One round of measurements of one peer.
//!
//! A measurement that fails says why and the round goes on: that a peer cannot do a thing is a result.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::peers::{Peer, SERVER};
use super::process::{Watched, cpu_seconds};
use super::stage::{Place, Stage};

/// What is measured, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    Up,
    Down,
    EightUp,
    EightDown,
    CpuUp,
    CpuDown,
    PingMedian,
    PingP99,
    ConnectFew,
    ConnectMany,
    DirtyIdleAndBusy,
    Dirty,
    Resident,
}

impl Metric {
    pub(crate) const ALL: [Self; 13] = [
        Self::Up,
        Self::Down,
        Self::EightUp,
        Self::EightDown,
        Self::CpuUp,
        Self::CpuDown,
        Self::PingMedian,
        Self::PingP99,
        Self::ConnectFew,
        Self::ConnectMany,
        Self::DirtyIdleAndBusy,
        Self::Dirty,
        Self::Resident,
    ];

    /// Returns its name for machines and for people, with the unit.
    pub(crate) const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Up => ("up", "one flow up, Gbit/s"),
            Self::Down => ("down", "one flow down, Gbit/s"),
            Self::EightUp => ("eight_up", "eight flows up, Gbit/s"),
            Self::EightDown => ("eight_down", "eight flows down, Gbit/s"),
            Self::CpuUp => ("cpu_up", "its CPU up, s/GB"),
            Self::CpuDown => ("cpu_down", "its CPU down, s/GB"),
            Self::PingMedian => ("ping_p50", "round trip of 64 B, p50, us"),
            Self::PingP99 => ("ping_p99", "round trip of 64 B, p99, us"),
            Self::ConnectFew => ("connect_10", "connections/s, 10 flows live"),
            Self::ConnectMany => ("connect_10000", "connections/s, 10,000 live"),
            Self::DirtyIdleAndBusy => ("dirty_idle_busy", "dirty, 1,000 idle + 64 busy, MiB"),
            Self::Dirty => ("dirty", "dirty, most of all, MiB"),
            Self::Resident => ("resident", "resident, most of all, MiB"),
        }
    }
}

/// The figures of a round, or why there is none.
pub(crate) type Figures = BTreeMap<Metric, Result<f64, String>>;

/// Builds the namespaces, starts the peer in them, and measures all but lookups.
pub(crate) fn round(peer: Peer, seconds: u64, indicators: &str) -> Result<Figures, String> {
    let stage = Stage::build(peer.way())?;
    let mut round = Round { stage: &stage, pid: None, seconds, figures: Figures::new() };
    let mut server = round.start(Place::Server, &["serve"])?;
    let mut iperf = stage.command(Place::Server, "iperf3").arg("-s").stdout(Stdio::null()).spawn();
    let forwarder = peer.start(&stage, indicators)?;
    round.pid = forwarder.as_ref().map(Child::id);
    round.wait_for_iperf()?;
    round.idle_and_busy();
    let watched = round.pid.map(Watched::start);
    round.flows(Metric::Up, Some(Metric::CpuUp), &[]);
    round.flows(Metric::Down, Some(Metric::CpuDown), &["-R"]);
    round.flows(Metric::EightUp, None, &["-P", "8"]);
    round.flows(Metric::EightDown, None, &["-P", "8", "-R"]);
    round.ping();
    round.connect(Metric::ConnectFew, "10");
    round.connect(Metric::ConnectMany, "10000");
    if let Some(peak) = watched.map(Watched::stop) {
        round.figures.insert(Metric::Dirty, Ok(peak.dirty));
        round.figures.insert(Metric::Resident, Ok(peak.resident));
    }
    let figures = round.figures;
    let ended = forwarder.and_then(|mut child| child.try_wait().ok().flatten());
    // Its namespaces' end ends whatever runs in them.
    drop(stage);
    let _ = server.wait();
    let _ = iperf.as_mut().map(Child::wait);
    match ended {
        None => Ok(figures),
        Some(status) => Err(format!("it ended by itself with {status}")),
    }
}

struct Round<'a> {
    stage: &'a Stage,
    /// The forwarder; none where the kernel is.
    pid: Option<u32>,
    seconds: u64,
    figures: Figures,
}

impl Round<'_> {
    /// Measures TCP by iperf3, and what the forwarder's processor time was meanwhile.
    fn flows(&mut self, metric: Metric, cpu: Option<Metric>, more: &[&str]) {
        let before = self.pid.and_then(cpu_seconds);
        let seconds = self.seconds.to_string();
        let measured = self.iperf(&[&["-t", &seconds], more].concat());
        let after = self.pid.and_then(cpu_seconds);
        if let (Some(cpu), Ok(sum), Some(before), Some(after)) = (cpu, &measured, before, after) {
            self.figures.insert(cpu, Ok((after - before) / (sum.octets / 1e9)));
        }
        self.figures.insert(metric, measured.map(|sum| sum.bits_per_second / 1e9));
    }

    /// Its server cannot say when it listens.
    fn wait_for_iperf(&self) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..50 {
            match self.iperf(&["-n", "8M"]) {
                Ok(_) => return Ok(()),
                Err(reason) => last = reason,
            }
            super::process::pause();
        }
        Err(format!("iperf3: {last}"))
    }

    fn iperf(&self, more: &[&str]) -> Result<Sum, String> {
        let mut arguments = vec!["iperf3", "-J", "-c", SERVER];
        arguments.extend(more);
        let said = bounded(self.stage, &arguments)?;
        Sum::read(&said).ok_or_else(|| {
            let error = said.split("\"error\":").nth(1).unwrap_or("iperf3 said nothing");
            error.lines().next().unwrap_or_default().trim().trim_matches('"').to_owned()
        })
    }

    fn ping(&mut self) {
        let measured = self.load(&["ping", SERVER, PINGS]).and_then(|said| {
            let mut figures = said.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
            Ok((figures.next().ok_or("no figure")?, figures.next().ok_or("no figure")?))
        });
        let [median, p99] = match measured {
            Ok((median, p99)) => [Ok(median / 1e3), Ok(p99 / 1e3)],
            Err(reason) => [Err(reason.clone()), Err(reason)],
        };
        self.figures.insert(Metric::PingMedian, median);
        self.figures.insert(Metric::PingP99, p99);
    }

    fn connect(&mut self, metric: Metric, live: &str) {
        let said = self.load(&["connect", SERVER, live, &self.seconds.to_string()]);
        let rate = said.and_then(|said| said.trim().parse().map_err(|_| "no figure".to_owned()));
        self.figures.insert(metric, rate);
    }

    /// What is dirty while 1,000 flows idle and 64 are busy, in a process that did nothing else before.
    fn idle_and_busy(&mut self) {
        let Some(pid) = self.pid else { return };
        let measured = self.start(Place::App, &["hold", SERVER, "1000"]).and_then(|mut idle| {
            let mut line = String::new();
            if let Some(output) = idle.stdout.take() {
                let _ = BufReader::new(output).read_line(&mut line);
            }
            if line.trim() != "1000" {
                let _ = idle.wait();
                return Err("1,000 flows do not stay".to_owned());
            }
            let watched = Watched::start(pid);
            let seconds = self.seconds.to_string();
            let busy = ["-t", &seconds, "-P", "64"];
            let moved = [self.iperf(&busy), self.iperf(&[&busy[..], &["-R"]].concat())];
            let peak = watched.stop();
            let _ = idle.wait();
            moved.into_iter().collect::<Result<Vec<_>, _>>()?;
            Ok(peak.dirty)
        });
        self.figures.insert(Metric::DirtyIdleAndBusy, measured);
    }

    fn load(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = load(self.stage, Place::App, arguments);
        let output = command.output().map_err(|error| format!("cannot start: {error}"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim().trim_start_matches("xtask: ").to_owned();
        Err(if said.is_empty() { "it took too long".to_owned() } else { said })
    }

    /// Starts a load that lasts until its input is closed.
    fn start(&self, place: Place, arguments: &[&str]) -> Result<Child, String> {
        load(self.stage, place, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start: {error}"))
    }
}

/// Runs a client in the application's namespace, bounded in time, and returns what it prints.
pub(super) fn bounded(stage: &Stage, arguments: &[&str]) -> Result<String, String> {
    let output = stage
        .command(Place::App, "timeout")
        .args(["-k", "1", MOST_SECONDS])
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot start: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns this program as client or server in a namespace, bounded in time.
pub(super) fn load(stage: &Stage, place: Place, arguments: &[&str]) -> Command {
    let program = std::env::current_exe().unwrap_or_default();
    let mut command = if matches!(place, Place::App) {
        let mut command = stage.roomy(place, "timeout");
        command.args(["-k", "1", MOST_SECONDS]).arg(program);
        command
    } else {
        stage.roomy(place, program)
    };
    command.arg("load").args(arguments);
    command
}

/// What arrived, by iperf3.
struct Sum {
    octets: f64,
    bits_per_second: f64,
}

impl Sum {
    /// Reads the sum in iperf3's JSON, which is a flat object.
    fn read(json: &str) -> Option<Self> {
        let sum = json.split("\"sum_received\":").nth(1)?.split('}').next()?;
        let field = |name: &str| {
            let value = sum.split(name).nth(1)?.trim_start_matches([':', ' ', '\t']);
            value.split([',', '\n', '}']).next()?.trim().parse::<f64>().ok()
        };
        let read =
            Self { octets: field("\"bytes\"")?, bits_per_second: field("\"bits_per_second\"")? };
        (0.0 < read.octets).then_some(read)
    }
}

const PINGS: &str = "20000";
/// More than any measurement takes that goes well.
pub(super) const MOST_SECONDS: &str = "40";
