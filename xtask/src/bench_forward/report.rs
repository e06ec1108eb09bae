//! The figures as a table for people and as a file for machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::lookups::Lookups;
use super::measure::{Figures, Metric};
use super::peers::Peer;
use crate::{Done, say, target};

/// Shows a row for each measurement and a column for each peer, then ours as a multiple of others'.
#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
pub(super) fn print(peers: &BTreeMap<Peer, Figures>, lookups: &[Lookups]) {
    let mut table = head(peers.keys().map(|peer| peer.name()));
    let mut reasons = BTreeSet::new();
    for metric in Metric::ALL {
        let mut row = format!("{:<34}", metric.names().1);
        for (peer, figures) in peers {
            let cell = match figures.get(&metric) {
                Some(Ok(figure)) => shown(*figure),
                Some(Err(reason)) => {
                    reasons.insert(format!("{}, {}: {reason}", peer.name(), metric.names().1));
                    "failed".to_owned()
                }
                None => "-".to_owned(),
            };
            let _ = write!(row, "{cell:>12}");
        }
        table.push_str(row.trim_end());
        table.push('\n');
    }
    for other in [Peer::Kernel, Peer::Tun2proxy, Peer::Pasta, Peer::Slirp4netns] {
        table.push_str(&ratios(peers, other));
    }
    if !lookups.is_empty() {
        table.push('\n');
        table.push_str(&head(lookups.iter().map(|one| one.name)));
        for (title, figure) in LOOKUPS {
            let mut row = format!("{title:<34}");
            for one in lookups {
                let cell = one
                    .figures
                    .as_ref()
                    .map_or_else(|_| "failed".to_owned(), |all| shown(figure(all)));
                let _ = write!(row, "{cell:>12}");
            }
            table.push_str(row.trim_end());
            table.push('\n');
        }
        for one in lookups {
            if let Err(reason) = &one.figures {
                reasons.insert(format!("{}: {reason}", one.name));
            }
        }
    }
    for reason in reasons {
        let _ = writeln!(table, "failed: {reason}");
    }
    println!("\n{}", table.trim_end());
}

/// Writes `target/bench-forward.json`.
pub(super) fn write(peers: &BTreeMap<Peer, Figures>, lookups: &[Lookups]) -> Done {
    let of_peers = peers.iter().map(|(peer, figures)| {
        let fields = figures
            .iter()
            .map(|(metric, figure)| (metric.names().0, figure.as_ref().ok().copied()));
        (peer.name(), object(fields))
    });
    let of_lookups = lookups.iter().map(|one| {
        let all = one.figures.as_ref().ok();
        let fields = ["per_second", "dirty", "resident"].into_iter().zip(LOOKUPS);
        (one.name, object(fields.map(|(name, (_, figure))| (name, all.map(figure)))))
    });
    let text = format!(
        "{{\"peers\":{{{}}},\"lookups\":{{{}}}}}\n",
        members(of_peers),
        members(of_lookups)
    );
    let path = target().join("bench-forward.json");
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    say(&format!("figures are in {}", path.display()));
    Ok(())
}

fn head<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut row = format!("{:<34}", "");
    for name in names {
        let _ = write!(row, "{name:>12}");
    }
    row + "\n"
}

/// Returns one line: ours divided by another's, for what both have.
fn ratios(peers: &BTreeMap<Peer, Figures>, other: Peer) -> String {
    let of = |peer, metric| peers.get(&peer)?.get(&metric)?.as_ref().ok().copied();
    let mut parts = Vec::new();
    for metric in [Metric::Up, Metric::Down, Metric::EightUp, Metric::EightDown] {
        if let (Some(ours), Some(theirs)) = (of(Peer::Bartizan, metric), of(other, metric)) {
            parts.push(format!("{} {:.2}", metric.names().0, ours / theirs));
        }
    }
    for metric in [Metric::PingMedian, Metric::PingP99] {
        if let (Peer::Kernel, Some(ours), Some(theirs)) =
            (other, of(Peer::Bartizan, metric), of(other, metric))
        {
            parts.push(format!("{} {:+.1} us", metric.names().0, ours - theirs));
        }
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!("bartizan to {}: {}\n", other.name(), parts.join(", "))
    }
}

fn shown(figure: f64) -> String {
    match figure {
        figure if figure < 0.1 => format!("{figure:.3}"),
        figure if figure < 100.0 => format!("{figure:.2}"),
        figure => format!("{figure:.0}"),
    }
}

fn object(fields: impl Iterator<Item = (&'static str, Option<f64>)>) -> String {
    let value =
        |figure: Option<f64>| figure.map_or_else(|| "null".to_owned(), |figure| figure.to_string());
    format!("{{{}}}", members(fields.map(|(name, figure)| (name, value(figure)))))
}

fn members(fields: impl Iterator<Item = (&'static str, String)>) -> String {
    fields.map(|(name, value)| format!("\"{name}\":{value}")).collect::<Vec<_>>().join(",")
}

type Figure = fn(&super::lookups::Answers) -> f64;
const LOOKUPS: [(&str, Figure); 3] = [
    ("blocked answers/s", |all| all.per_second),
    ("dirty, most, MiB", |all| all.dirty),
    ("resident, most, MiB", |all| all.resident),
];
