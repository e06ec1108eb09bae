//! Anything may come, in any order: nothing panics, nothing outgrows its limit, and the same inputs
//! give the same outputs. `fuzz_engine` itself asserts the limits after each step.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use bartizan_engine::{Output, TunnelStats, fuzz_engine};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::*;

proptest! {
    #[test]
    fn no_scenario_panics_and_the_same_one_has_the_same_outcome(
        steps in vec((any::<u8>(), vec(any::<u8>(), 0..60)), 0..60),
    ) {
        let octets = encode(&steps);
        let start = t0();
        prop_assert_eq!(play(&octets, start), play(&octets, start));
    }

    /// Mostly queries and pauses, so that the tables fill.
    #[test]
    fn no_load_outgrows_the_limits(
        steps in vec((prop::sample::select(vec![9, 9, 9, 9, 7, 4, 6]), vec(any::<u8>(), 1..5)), 0..600),
    ) {
        play(&encode(&steps), t0());
    }
}

#[test]
fn a_load_beyond_the_table_forgets_the_oldest_questions() {
    let steps: Vec<(u8, Vec<u8>)> =
        (0..300_u16).map(|id| (9, [&[0, 1], id.to_be_bytes().as_slice()].concat())).collect();
    let outputs = play(&encode(&steps), t0());
    let asks = outputs.iter().filter(|output| matches!(output, Output::Ask { .. })).count();
    let forgets = outputs.iter().filter(|output| matches!(output, Output::Forget(_))).count();
    assert_eq!((asks, forgets), (300, 44));
}

#[test]
fn the_committed_corpus_is_replayed() {
    let (mut blocked, mut answered, mut over_tcp, mut timed_out) = (0, 0, 0, 0);
    let (mut kept, mut stale, mut fell_back, mut stripped) = (0, 0, 0, 0);
    let mut tunnel = [0; 5];
    for scenario in corpus("engine") {
        let start = t0();
        let mut engine = engine(start);
        engine.handle_indicators(indicators(5, LISTED));
        fuzz_engine(&mut engine, &scenario, start);
        let stats = engine.stats();
        blocked += stats.blocked;
        answered += stats.answered;
        over_tcp += stats.queries_tcp;
        timed_out += stats.upstream_timeout;
        let TunnelStats { octets_up, octets_down, held, tcp_refused, tcp_resent, .. } =
            engine.tunnel_stats();
        for (sum, count) in
            tunnel.iter_mut().zip([octets_up, octets_down, held, tcp_refused, tcp_resent])
        {
            *sum += count;
        }
        kept += stats.answered_from_cache;
        stale += stats.answered_stale;
        fell_back += stats.upstream_fallback;
        stripped += stats.ech_stripped;
    }
    assert!(tunnel.iter().all(|count| 1 <= *count), "{tunnel:?}");
    // Or the scenarios have stopped saying what they said when they were written.
    let reached = [blocked, answered, over_tcp, timed_out, kept, stale, fell_back, stripped];
    assert!(reached.iter().all(|count| 2 <= *count), "{reached:?}");
    for file in corpus("indicator_file") {
        bartizan_indicators::fuzz_open(&file);
    }
    for file in corpus("block_page") {
        bartizan_engine::fuzz_block_page(&file);
    }
}

fn play(octets: &[u8], start: Instant) -> Vec<Output> {
    let mut engine = engine(start);
    engine.handle_indicators(indicators(5, LISTED));
    fuzz_engine(&mut engine, octets, start)
}

fn encode(steps: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (kind, argument) in steps {
        octets.extend([*kind, u8::try_from(argument.len()).unwrap()]);
        octets.extend(argument);
    }
    octets
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(8 <= files.len(), "{} has only {} files", folder.display(), files.len());
    files
}
