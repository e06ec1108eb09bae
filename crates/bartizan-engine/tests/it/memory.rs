//! What names take of the heap: a reply is all, however many are asked for.

use allocation_counter::measure;
use bartizan_engine::{NoNet, Output, limits};
use bartizan_wire::tcp::Checksum;
use bartizan_wire::udp::encode_udp;
use domain::base::Rtype;

use crate::world::*;

#[test]
fn a_blocked_name_takes_its_reply_and_nothing_else() {
    let mut world = World::new();
    check_one_allocation(&mut world, &query(1, "login.evil.test", Rtype::A, Some(1_232)));
    assert_eq!(world.engine.stats().blocked, 11);
}

#[test]
fn a_kept_answer_takes_its_reply_and_nothing_else() {
    let mut world = World::new();
    let asked = query(1, "good.test", Rtype::A, Some(1_232));
    world.send(CLIENT, RESOLVER, &asked);
    let ask = world.ask();
    world.answer(ask.id, &answer(&ask.query, &["cdn.test"], 40));
    let plain = query(2, "cdn.test", Rtype::CNAME, Some(1_232));
    world.send(CLIENT, RESOLVER, &plain);
    let ask = world.ask();
    world.answer(ask.id, &answer(&ask.query, &["end.test"], 40));
    check_one_allocation(&mut world, &plain);
    assert_eq!(world.engine.stats().answered_from_cache, 11);
}

#[test]
fn a_full_cache_and_table_of_names_stay_within_their_share() {
    let taken = measure(|| {
        let mut world = World::new();
        for number in 0..2 * limits::CACHE_ENTRIES {
            let id = u16::try_from(number).unwrap();
            let asked =
                query(id, &format!("host-{number}.some.zone.test"), Rtype::TXT, Some(1_232));
            world.send(CLIENT, RESOLVER, &asked);
            let ask = world.ask();
            world.answer(ask.id, &answer(&ask.query, &[], 300));
            world.packets.clear();
            world.forgotten.clear();
        }
        std::mem::forget(world);
    });
    // What is left is the engine with its buffers, and the world around it.
    let fixed = limits::TCP_CONNECTIONS * (limits::TCP_RX_OCTETS + limits::TCP_TX_OCTETS)
        + limits::TRAIN_OCTETS;
    let left = usize::try_from(taken.bytes_current).unwrap();
    assert!(left < limits::CACHE_OCTETS + fixed + (64 << 10), "{left} octets");
}

#[track_caller]
fn check_one_allocation(world: &mut World, asked: &[u8]) {
    let packet = encode_udp(addr(CLIENT), addr(RESOLVER), asked).unwrap();
    let mut handle = |times: usize| {
        let mut replies = 0;
        for _ in 0..times {
            let (wall, now) = (world.wall(), world.now);
            world.engine.handle_packet(&packet, Checksum::Verify, &mut NoNet, wall, now);
            loop {
                match world.engine.poll_output(&mut NoNet, wall, now) {
                    Output::Packet(_) => replies += 1,
                    Output::Alert(_)
                    | Output::Ask { .. }
                    | Output::Forget(_)
                    | Output::Passes(_)
                    | Output::Mistake(_)
                    | Output::Probe => {}
                    Output::Wait { .. } => break,
                }
            }
        }
        assert_eq!(replies, times);
    };
    // The first ones raise an alert, begin to count, and make the buffers.
    handle(6);
    let taken = measure(|| handle(5));
    assert_eq!(taken.count_total, 5, "{taken:?}");
}
