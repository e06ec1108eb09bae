//! `cargo xtask bench forward`: the tunnel beside plain forwarding and beside other programs, in network namespaces.
//!
//! Every peer is measured in each of several rounds, in turn, so that a machine that slows down slows all of them. What is
//! shown is the median of the rounds. Figures go to `target/bench-forward.json` too. What a peer cannot do is shown as such.

pub(crate) mod load;
mod lookups;
mod measure;
mod peers;
mod process;
mod report;
mod stage;

use std::collections::BTreeMap;

use self::lookups::Lists;
use self::measure::{Figures, Metric};
use self::peers::Peer;
use crate::{Done, packages, say};

pub(crate) fn run(arguments: &[String]) -> Done {
    let options = Options::read(arguments)?;
    packages::namespaces()?;
    packages::need(&[
        ("cc", "build-essential"),
        ("ip", "iproute2"),
        ("iperf3", "iperf3"),
        ("setsid", "util-linux"),
        ("sysctl", "procps"),
    ])?;
    let mut left_out = Vec::new();
    let mut peers = Vec::new();
    for peer in options.peers {
        match peer.prepare() {
            Ok(()) => peers.push(peer),
            Err(reason) => left_out.push((peer.name(), reason)),
        }
    }
    for (name, reason) in &left_out {
        say(&format!("left out: {name}, because {reason}"));
    }
    let ours = peers.contains(&Peer::Bartizan);
    let lists = if ours || options.lookups { Some(Lists::build()?) } else { None };
    let indicators = lists.as_ref().map_or("", |lists| &lists.indicators);

    let mut rounds: BTreeMap<Peer, Vec<Figures>> = BTreeMap::new();
    for number in 1..=options.rounds {
        for peer in &peers {
            say(&format!("round {number} of {}: {}", options.rounds, peer.name()));
            match measure::round(*peer, options.seconds, indicators) {
                Ok(figures) => rounds.entry(*peer).or_default().push(figures),
                Err(reason) => say(&format!("{}: {reason}", peer.name())),
            }
        }
    }
    let medians: BTreeMap<Peer, Figures> =
        rounds.into_iter().map(|(peer, rounds)| (peer, median(&rounds))).collect();
    let lookups = match &lists {
        Some(lists) if options.lookups => {
            say(&format!("lookups, {} names held", lists.held()));
            lookups::measure(lists, ours, options.seconds)?
        }
        Some(_) | None => Vec::new(),
    };
    report::print(&medians, &lookups);
    report::write(&medians, &lookups)
}

/// What the command line asks for.
struct Options {
    peers: Vec<Peer>,
    /// How long each flow lasts.
    seconds: u64,
    rounds: u32,
    lookups: bool,
}

impl Options {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { peers: Peer::ALL.to_vec(), seconds: 3, rounds: 3, lookups: true };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let value = words.next().ok_or(USAGE)?;
            match word.as_str() {
                "--seconds" => options.seconds = between(value, 1, 15)?,
                "--rounds" => options.rounds = between(value, 1, 99)?,
                "--only" => {
                    let named = |name: &str| Peer::ALL.into_iter().find(|peer| peer.name() == name);
                    options.lookups = false;
                    options.peers.clear();
                    for name in value.split(',') {
                        match name {
                            "lookups" => options.lookups = true,
                            _ => options.peers.push(named(name).ok_or(USAGE)?),
                        }
                    }
                }
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(options)
    }
}

fn between<T: std::str::FromStr + PartialOrd>(word: &str, least: T, most: T) -> Result<T, String> {
    let number: T = word.parse().map_err(|_| USAGE)?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(USAGE.to_owned()) }
}

/// Returns the middle of what succeeded, measurement by measurement; a failure only where nothing did.
fn median(rounds: &[Figures]) -> Figures {
    let mut medians = Figures::new();
    for metric in Metric::ALL {
        let results: Vec<_> = rounds.iter().filter_map(|round| round.get(&metric)).collect();
        let mut figures: Vec<f64> =
            results.iter().filter_map(|result| result.as_ref().ok().copied()).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.get(figures.len() / 2).copied();
        if let Some(result) = middle.map(Ok).or_else(|| results.first().map(|one| (*one).clone())) {
            medians.insert(metric, result);
        }
    }
    medians
}

const USAGE: &str = "options of bench forward are: --seconds 1..15, --rounds 1..99, --only with some of \
                     kernel,bartizan,tun2proxy,pasta,slirp4netns,lookups";
