//! Connections through the whole engine: applications with a TCP of their own, a way that loses, doubles and
//! reorders, and servers in memory. Time is simulated, so a scenario is the same each time.
//!
//! A failing scenario says its seed; `BARTIZAN_SEED` replays it alone.

mod clients;
mod corners;
mod datagrams;
mod link;
mod memory;
mod packets;
mod random;
mod scenario;
mod servers;
mod simulation;

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};

use self::random::Random;
use self::scenario::Scenario;
use self::simulation::{Outcome, Simulation};

/// Enough to see what they have in common.
const MOST_FAILURES: usize = 20;

/// Simulated time since the beginning.
pub(crate) type Micros = u64;

#[test]
fn what_is_sent_arrives_in_hundreds_of_scenarios() {
    match seed_to_replay() {
        Some(seed) => {
            play(seed);
        }
        None => play_all(0..600),
    }
}

/// Plays scenarios on all processors.
pub(crate) fn play_all(seeds: std::ops::Range<u64>) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let (mut sum, mut failed) = (Outcome::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seeds.end <= seed || MOST_FAILURES <= failed.len() {
                return (sum, failed);
            }
            match catch_unwind(|| play(seed)) {
                Ok(outcome) => sum = sum.and(outcome),
                Err(_) => failed.push(seed),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (sums, failed): (Vec<_>, Vec<_>) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).unzip()
    });
    let failed = failed.concat();
    if let Some(seed) = failed.first() {
        panic!(
            "scenarios {failed:?} fail; BARTIZAN_SEED={seed} cargo test -p bartizan-engine --test it splice::what"
        );
    }
    let Outcome { whole, octets, vanished, .. } =
        sums.into_iter().fold(Outcome::default(), Outcome::and);
    // Or the scenarios have stopped saying what they are to say.
    let count = seeds.end - seeds.start;
    assert!(count < whole && count * 10_000 < octets, "{whole} whole, {octets} octets");
    assert!(vanished * 100 < count, "{vanished} of {count} gave up");
}

fn play(seed: u64) -> Outcome {
    let octets = Random::new(seed ^ 5).octets(16);
    Simulation::new(Scenario::draw(seed), octets.try_into().unwrap()).run()
}

#[expect(clippy::disallowed_methods, reason = "whoever looks into a failing seed names it")]
fn seed_to_replay() -> Option<u64> {
    std::env::var("BARTIZAN_SEED").ok()?.parse().ok()
}
