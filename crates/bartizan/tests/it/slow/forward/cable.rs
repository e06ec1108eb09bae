//! A bad cable between the forwarder and the server: it delays, loses and reorders, each packet by itself.
//!
//! Two TUN interfaces take the place of the veth pair, and this process carries packets between them. Unlike `tc netem` it needs
//! no module of the kernel, and it never treats a burst that was cut in one as one packet. Chance is seeded.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tun_rs::SyncDevice;

/// What happens to packets, each way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Badness {
    pub(crate) delay: Duration,
    /// Of a thousand packets, how many are lost.
    pub(crate) lost: u64,
    /// Of a thousand, how many take a fifth longer and are overtaken.
    pub(crate) late: u64,
}

/// Carries packets both ways until an interface is gone.
pub(crate) fn carry(one: SyncDevice, other: SyncDevice, badness: Badness) {
    let (one, other) = (Arc::new(one), Arc::new(other));
    for (seed, from, to) in [(1, &one, &other), (2, &other, &one)] {
        let line = Arc::new(Line::default());
        let (from, to, end) = (Arc::clone(from), Arc::clone(to), Arc::clone(&line));
        std::thread::spawn(move || take(&from, &line, badness, seed));
        std::thread::spawn(move || give(&to, &end));
    }
}

/// Packets under way, the next one due on top.
#[derive(Default)]
struct Line {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    packets: BinaryHeap<Reverse<(Instant, u64, Vec<u8>)>>,
    over: bool,
}

fn take(from: &SyncDevice, line: &Line, badness: Badness, seed: u64) {
    let mut chance = seed;
    let mut packet = vec![0; 65_536];
    for number in 0.. {
        let Ok(length) = from.recv(&mut packet) else { break };
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        let of_a_thousand = chance % 1_000;
        if of_a_thousand < badness.lost {
            continue;
        }
        let is_late = of_a_thousand < badness.lost + badness.late;
        let delay = if is_late { badness.delay * 6 / 5 } else { badness.delay };
        let mut state = line.state.lock().unwrap();
        if state.packets.len() < MOST_UNDER_WAY {
            state.packets.push(Reverse((now() + delay, number, packet[..length].to_vec())));
            line.news.notify_one();
        }
    }
    line.state.lock().unwrap().over = true;
    line.news.notify_one();
}

fn give(to: &SyncDevice, line: &Line) {
    let mut state = line.state.lock().unwrap();
    while !state.over {
        let due =
            state.packets.peek().map(|Reverse((due, ..))| due.saturating_duration_since(now()));
        state = match due {
            None => line.news.wait(state).unwrap(),
            Some(Duration::ZERO) => {
                let packet = state.packets.pop();
                drop(state);
                if let Some(Reverse((.., packet))) = packet {
                    let _ = to.send(&packet);
                }
                line.state.lock().unwrap()
            }
            Some(due) => line.news.wait_timeout(state, due).unwrap().0,
        };
    }
}

#[expect(clippy::disallowed_methods, reason = "a cable delays by the clock")]
fn now() -> Instant {
    Instant::now()
}

/// More than a second of a gigabit; beyond it a packet is lost, as in a router.
const MOST_UNDER_WAY: usize = 100_000;
