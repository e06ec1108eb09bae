//! Queries in datagrams: blocked, forwarded, repeated, given up.

use bartizan_engine::{NoNet, Transport, UpstreamId, limits};
use bartizan_model::{IndicatorCategory, Mode, Policy, ProtectionState, WebProtection};
use bartizan_wire::dns::{DnsAnswer, DnsQuery};
use bartizan_wire::tcp::Checksum;
use bartizan_wire::udp::encode_udp;
use domain::base::iana::exterr::ExtendedErrorCode;
use domain::base::opt::exterr::ExtendedError;
use domain::base::{Message, Rtype};
use domain::rdata::AllRecordData;

use crate::world::*;

#[test]
fn a_listed_name_is_answered_by_the_engine_itself() {
    for (client, resolver) in [(CLIENT, RESOLVER), (CLIENT_V6, RESOLVER_V6)] {
        for (rtype, expected) in [
            (Rtype::A, Some("0.0.0.0")),
            (Rtype::AAAA, Some("::")),
            (Rtype::HTTPS, None),
            (Rtype::TXT, None),
        ] {
            let mut world = World::new();
            world.send(client, resolver, &query(0xabcd, "Login.eViL.test", rtype, Some(1_232)));
            let (from, to, block) = world.receive().unwrap();
            assert_eq!((from.as_str(), to.as_str()), (resolver, client));
            assert_eq!(Message::from_octets(&block).unwrap().header().id(), 0xabcd);
            assert_eq!(addresses(&block), Vec::from_iter(expected), "{rtype}");
            let opt = Message::from_octets(&block).unwrap().opt().unwrap();
            let error = opt.opt().first::<ExtendedError<_>>().unwrap();
            assert_eq!(error.code(), ExtendedErrorCode::BLOCKED);
            assert_eq!((world.asks.len(), world.packets.len(), world.alerts.len()), (0, 0, 1));
            assert_eq!((world.engine.stats().blocked, world.engine.stats().queries_udp), (1, 1));
        }
    }
}

#[test]
fn any_other_name_is_forwarded_and_its_answer_comes_back_as_asked() {
    for (client, resolver) in [(CLIENT, RESOLVER), (CLIENT_V6, RESOLVER_V6)] {
        let mut world = World::new();
        let asked = query(0xabcd, "Good.test", Rtype::A, Some(1_232));
        world.send(client, resolver, &asked);
        let ask = world.ask();
        assert_eq!((ask.resolver, ask.transport), (addr(resolver).ip(), Transport::Udp));
        assert_ne!(ask.query[..2], asked[..2], "the resolver sees another id");
        assert_eq!(ask.query[2..], asked[2..]);

        world.answer(ask.id, &answer(&ask.query, &["cdn.test"], 40));
        let (from, to, relayed) = world.receive().unwrap();
        assert_eq!((from.as_str(), to.as_str()), (resolver, client));
        assert_eq!(relayed, answer(&asked, &["cdn.test"], 40));
        assert_eq!(world.forgotten, [ask.id]);
        assert_eq!(world.deadline, None);
        assert!(world.alerts.is_empty());
    }
}

#[test]
fn ids_towards_the_resolver_do_not_repeat_a_pattern() {
    let mut world = World::new();
    for id in 0..100 {
        world.send(CLIENT, RESOLVER, &query(id, "good.test", Rtype::A, None));
    }
    let ids: Vec<u16> =
        world.asks.iter().map(|ask| DnsQuery::parse(&ask.query).unwrap().id()).collect();
    let mut steps: Vec<u16> = ids.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    steps.sort_unstable();
    steps.dedup();
    assert!(90 < steps.len(), "{} different steps among 99", steps.len());
}

#[test]
fn an_answer_to_something_else_is_ignored_and_the_right_one_still_counts() {
    let mut world = World::new();
    world.send(CLIENT, RESOLVER, &query(1, "good.test", Rtype::A, None));
    let ask = world.ask();
    let right = answer(&ask.query, &[], 10);
    let mut wrong_id = right.clone();
    wrong_id[0] ^= 1;
    let sent_id = u16::from_be_bytes([ask.query[0], ask.query[1]]);
    for wrong in [
        wrong_id,
        answer(&query(sent_id, "other.test", Rtype::A, None), &[], 10),
        answer(&query(sent_id, "good.test", Rtype::AAAA, None), &[], 10),
        ask.query.clone(),
        right[..11].to_vec(),
        Vec::new(),
    ] {
        world.answer(ask.id, &wrong);
        assert_eq!((world.packets.len(), world.forgotten.len()), (0, 0), "{wrong:02x?}");
    }
    world.answer(UpstreamId(ask.id.0 + 1), &right);
    assert_eq!(world.engine.stats().unexpected_answer, 7);

    world.answer(ask.id, &right);
    assert_eq!((world.packets.len(), world.engine.stats().answered), (1, 1));
    world.answer(ask.id, &right);
    assert_eq!((world.packets.len(), world.engine.stats().unexpected_answer), (1, 8));
}

#[test]
fn an_alias_of_a_listed_name_is_blocked() {
    let mut world = World::new();
    world.send(CLIENT, RESOLVER, &query(1, "shop.test", Rtype::A, None));
    let ask = world.ask();
    world.answer(ask.id, &answer(&ask.query, &["cdn.test", "x.c2.test", "end.test"], 10));
    assert_eq!(addresses(&world.receive().unwrap().2), ["0.0.0.0"]);
    assert_eq!(world.forgotten, [ask.id]);
    let alert = world.alerts.pop().unwrap();
    assert_eq!((alert.host, alert.matched), (Some(name("shop.test")), entry("c2.test")));
    assert_eq!(alert.detector.id(), "web.malware.blocked");
    let stats = world.engine.stats();
    assert_eq!((stats.blocked, stats.blocked_by_alias, stats.answered), (1, 1, 0));
}

#[test]
fn a_name_that_is_listed_while_its_answer_is_under_way_is_blocked() {
    let mut world = World::without_indicators();
    world.send(CLIENT, RESOLVER, &query(1, "evil.test", Rtype::A, None));
    let ask = world.ask();
    world.engine.handle_indicators(indicators(6, LISTED));
    world.answer(ask.id, &answer(&ask.query, &[], 10));
    assert_eq!(addresses(&world.receive().unwrap().2), ["0.0.0.0"]);
    assert_eq!(world.alerts[0].indicator_epoch, 6);
}

#[test]
fn an_answer_that_the_client_or_the_tunnel_cannot_take_sends_it_to_tcp() {
    for (udp_size, text_octets, truncated) in [
        (None, 300, false),
        (None, 600, true),
        (Some(1_232), 600, false),
        (Some(1_232), 1_300, true),
        (Some(4_096), 1_300, false),
        (Some(4_096), 1_600, true), // more than the tunnel's MTU
    ] {
        let mut world = World::new();
        world.send(CLIENT, RESOLVER, &query(7, "good.test", Rtype::TXT, udp_size));
        let ask = world.ask();
        world.answer(ask.id, &answer(&ask.query, &[], text_octets));
        let (_, _, reply) = world.receive().unwrap();
        let reply = DnsAnswer::parse(&reply).unwrap();
        assert_eq!(reply.is_truncated(), truncated, "{udp_size:?} {text_octets}");
        assert_eq!(reply.id(), 7);
        assert_eq!(world.engine.stats().answered_truncated, u64::from(truncated));
    }
}

#[test]
fn a_question_goes_out_three_times_and_a_repetition_changes_nothing() {
    let mut world = World::new();
    let asked = query(1, "good.test", Rtype::A, None);
    world.send(CLIENT, RESOLVER, &asked);
    let first = world.ask();
    world.send(CLIENT, RESOLVER, &asked);
    assert_eq!((world.asks.len(), world.engine.stats().repeats_ignored), (0, 1));
    // The next one goes to the other resolver, which is as good, and the one after that to the first.
    for (after, resolver) in [(1, RESOLVER_V6), (2, RESOLVER)] {
        world.pass(s(after) - ms(1));
        assert_eq!(world.asks.len(), 0);
        world.pass(ms(1));
        let again = world.ask();
        assert_eq!((again.id, &again.query), (first.id, &first.query), "the same question");
        assert_eq!(again.resolver, addr(resolver).ip());
    }
    world.pass(limits::QUESTION_LIFETIME - s(3));
    assert_eq!((world.asks.len(), world.engine.stats().forwarded_again), (0, 2));
    assert_eq!(world.forgotten, [first.id]);

    // Another socket, id, type or resolver is another question.
    world.send(CLIENT, RESOLVER, &asked);
    world.send("192.0.2.1:50001", RESOLVER, &asked);
    world.send(CLIENT, RESOLVER, &query(2, "good.test", Rtype::A, None));
    world.send(CLIENT, RESOLVER, &query(1, "good.test", Rtype::AAAA, None));
    world.send(CLIENT_V6, RESOLVER_V6, &asked);
    assert_eq!((world.asks.len(), world.engine.stats().forwarded), (5, 6));
}

#[test]
fn a_question_that_nobody_answers_is_forgotten_silently() {
    let mut world = World::new();
    world.send(CLIENT, RESOLVER, &query(1, "good.test", Rtype::A, None));
    let ask = world.ask();
    assert_eq!(world.deadline, Some(world.start + limits::ASK_AGAIN_AFTER));
    world.pass(limits::QUESTION_LIFETIME - s(1));
    assert_eq!(world.forgotten, []);
    world.pass(s(1));
    assert_eq!(world.forgotten, [ask.id]);
    world.answer(ask.id, &answer(&ask.query, &[], 10));
    assert_eq!((world.packets.len(), world.deadline), (0, None));
    let stats = world.engine.stats();
    assert_eq!((stats.upstream_timeout, stats.unexpected_answer), (1, 1));
}

#[test]
fn a_question_that_the_host_cannot_put_goes_elsewhere_and_is_forgotten_silently() {
    let mut world = World::new();
    world.send(CLIENT, RESOLVER, &query(1, "good.test", Rtype::A, None));
    let first = world.ask();
    for resolver in [RESOLVER_V6, RESOLVER] {
        world.fail(first.id);
        let again = world.ask();
        assert_eq!((again.id, again.resolver), (first.id, addr(resolver).ip()));
    }
    world.fail(first.id);
    assert_eq!((world.packets.len(), world.forgotten.as_slice()), (0, [first.id].as_slice()));
    assert_eq!((world.asks.len(), world.engine.stats().upstream_failed), (0, 3));
    // The client asks again, and this time it is put.
    world.send(CLIENT, RESOLVER, &query(1, "good.test", Rtype::A, None));
    let ask = world.ask();
    assert_ne!(ask.id, first.id);
    world.answer(ask.id, &answer(&ask.query, &[], 10));
    assert_eq!(world.packets.len(), 1);
}

#[test]
fn in_a_full_table_the_oldest_question_goes() {
    let mut world = World::new();
    for id in 0..=limits::QUESTIONS {
        let id = u16::try_from(id).unwrap();
        world.send(CLIENT, RESOLVER, &query(id, "good.test", Rtype::A, None));
    }
    let oldest = world.asks.pop_front().unwrap();
    assert_eq!(world.forgotten, [oldest.id]);
    assert_eq!(world.engine.stats().dropped_table_full, 1);
    world.answer(oldest.id, &answer(&oldest.query, &[], 10));
    assert_eq!(world.packets.len(), 0);
    while let Some(ask) = world.asks.pop_front() {
        world.answer(ask.id, &answer(&ask.query, &[], 10));
    }
    assert_eq!(world.packets.len(), limits::QUESTIONS);
}

#[test]
fn without_a_file_names_stay_resolvable() {
    let mut world = World::without_indicators();
    assert_eq!(world.engine.protection(), ProtectionState::Degraded);
    assert_eq!(world.engine.indicator_epoch(), None);
    world.send(CLIENT, RESOLVER, &query(1, "evil.test", Rtype::A, None));
    let ask = world.ask();
    world.answer(ask.id, &answer(&ask.query, &["c2.test"], 10));
    assert_eq!((world.packets.len(), world.alerts.len()), (1, 0));
}

#[test]
fn where_policy_has_protection_off_names_stay_resolvable() {
    let off = Policy { version: 3, web_protection: WebProtection::Off, ..Policy::default() };
    for policy in [off, Policy { version: 3, mode: Mode::Off, ..Policy::default() }] {
        let mut world = World::new();
        assert_eq!(world.engine.protection(), ProtectionState::On);
        world.policy(policy);
        assert_eq!(world.engine.protection(), ProtectionState::Off);
        assert_eq!((world.engine.policy_version(), world.engine.indicator_epoch()), (3, Some(5)));
        world.send(CLIENT, RESOLVER, &query(1, "evil.test", Rtype::A, None));
        let ask = world.ask();
        world.answer(ask.id, &answer(&ask.query, &["c2.test"], 10));
        assert_eq!((world.packets.len(), world.alerts.len()), (1, 0));

        world.policy(Policy::default());
        world.send(CLIENT, RESOLVER, &query(2, "evil.test", Rtype::A, None));
        assert_eq!((world.asks.len(), world.packets.len()), (0, 2), "and is back at once");
    }
}

#[test]
fn a_replaced_file_decides_from_then_on() {
    let mut world = World::new();
    world.engine.handle_indicators(indicators(8, &[("new.test", IndicatorCategory::Phishing)]));
    assert_eq!(world.engine.indicator_epoch(), Some(8));
    world.send(CLIENT, RESOLVER, &query(1, "evil.test", Rtype::A, None));
    world.send(CLIENT, RESOLVER, &query(2, "new.test", Rtype::A, None));
    assert_eq!((world.asks.len(), world.packets.len()), (1, 1));
}

#[test]
fn what_is_no_plain_question_is_forwarded_unjudged() {
    let mut update = query(1, "evil.test", Rtype::SOA, None);
    update[2] |= 5 << 3; // opcode UPDATE
    let mut world = World::new();
    world.send(CLIENT, RESOLVER, &update);
    assert_eq!((world.asks.len(), world.alerts.len()), (1, 0));
}

#[test]
fn an_odd_label_under_a_listed_name_does_not_escape() {
    for octet in [b'!', b'.', b' ', 0] {
        let mut odd = query(2, "aab.evil.test", Rtype::A, None);
        odd[14] = octet;
        let mut world = World::new();
        world.send(CLIENT, RESOLVER, &odd);
        assert_eq!((world.asks.len(), world.alerts.len()), (0, 1), "{octet:#x}");
    }
}

#[test]
fn what_is_dropped_is_counted_by_reason() {
    let plain = query(1, "good.test", Rtype::A, None);
    let good = encode_udp(addr(CLIENT), addr(RESOLVER), &plain).unwrap();
    let to =
        |resolver: &str, payload: &[u8]| encode_udp(addr(CLIENT), addr(resolver), payload).unwrap();
    let mut fragment = good.clone();
    fragment[6] |= 0x20;
    let checksum = u16::from_be_bytes([fragment[10], fragment[11]]) - 0x2000;
    fragment[10..12].copy_from_slice(&checksum.to_be_bytes());
    let mut spoiled = good.clone();
    spoiled[30] ^= 1;
    let mut response = plain.clone();
    response[2] |= 0x80;

    check_dropped("fragment", &fragment);
    check_dropped("malformed", &spoiled);
    check_dropped("malformed", &good[..good.len() - 1]);
    check_dropped("malformed", &to(RESOLVER, &response));
    check_dropped("malformed", &to(RESOLVER, b"hello"));
    check_dropped("malformed", &[]);
    // Other traffic, for which there is no socket here.
    check_dropped("none", &to("192.0.2.53:443", &plain));
    check_dropped("none", &to("192.0.2.54:53", &plain));
}

#[test]
fn a_host_that_does_not_drain_the_engine_loses_packets_and_no_memory() {
    let mut world = World::new();
    let blocked =
        encode_udp(addr(CLIENT), addr(RESOLVER), &query(1, "evil.test", Rtype::A, None)).unwrap();
    for _ in 0..1_000 {
        let (wall, now) = (world.wall(), world.now);
        world.engine.handle_packet(&blocked, Checksum::Verify, &mut NoNet, wall, now);
    }
    world.drain();
    assert!(world.packets.len() + world.alerts.len() <= limits::OUTPUTS + 2);
    let stats = world.engine.stats();
    assert_eq!(stats.queries_udp + stats.dropped_not_drained, 1_000);
}

#[track_caller]
fn check_dropped(reason: &str, packet: &[u8]) {
    let mut world = World::new();
    world.deliver(packet);
    let stats = world.engine.stats();
    let counted = [("fragment", stats.fragments), ("malformed", stats.dropped_malformed)];
    for (counter, count) in counted {
        assert_eq!(count, u64::from(counter == reason), "{counter}");
    }
    assert_eq!((world.packets.len(), world.asks.len(), stats.queries_udp), (0, 0, 0));
}

/// The records of an answer section, as text.
fn addresses(message: &[u8]) -> Vec<String> {
    let message = Message::from_octets(message).unwrap();
    let records = message.answer().unwrap().limit_to::<AllRecordData<_, _>>();
    records.map(|record| record.unwrap().data().to_string()).collect()
}
