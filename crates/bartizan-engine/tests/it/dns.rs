//! What the engine knows about names: answers that are kept, whom questions go to, what policy takes out, and
//! which names addresses were handed out for.

use std::net::IpAddr;

use bartizan_engine::{Transport, limits};
use bartizan_model::{DnsPolicy, DomainName, IndicatorCategory, Mode, Policy};
use bartizan_wire::dns::DnsAnswer;
use domain::base::iana::exterr::ExtendedErrorCode;
use domain::base::iana::{Class, Rcode};
use domain::base::opt::exterr::ExtendedError;
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder, Name, Rtype, Serial, Ttl};
use domain::rdata::{A, Soa};

use crate::world::*;

#[test]
fn what_was_answered_once_is_answered_from_memory() {
    let mut world = World::new();
    look_up(&mut world, &query(1, "good.test", Rtype::A, None), &[("192.0.2.7", 60)]);
    world.packets.clear();
    world.pass(s(10));
    for (client, id, size) in [(CLIENT, 2, None), ("192.0.2.9:4000", 3, Some(1_400))] {
        let asked = query(id, "GOOD.test", Rtype::A, size);
        world.send(client, RESOLVER, &asked);
        assert_eq!(world.asks.len(), 0);
        let (from, to, reply) = world.receive().unwrap();
        assert_eq!((from.as_str(), to.as_str()), (RESOLVER, client));
        let message = Message::from_octets(&reply).unwrap();
        assert_eq!(message.header().id(), id);
        assert_eq!(message.opt().is_some(), size.is_some());
        assert_eq!(reply[12..25], asked[12..25], "spelled as it was asked");
        assert_eq!(records(&reply), ["good.test 50 A 192.0.2.7"]);
    }
    // The other resolver may say something else, and so may this one once the time is over.
    world.send(CLIENT_V6, RESOLVER_V6, &query(4, "good.test", Rtype::A, None));
    world.pass(s(49));
    world.asks.clear();
    world.send(CLIENT, RESOLVER, &query(5, "good.test", Rtype::A, None));
    assert_eq!((world.asks.len(), world.packets.len()), (0, 1));
    world.pass(s(1));
    world.send(CLIENT, RESOLVER, &query(6, "good.test", Rtype::A, None));
    assert_eq!((world.asks.len(), world.packets.len()), (1, 1));
    assert_eq!(world.engine.stats().answered_from_cache, 3);
}

#[test]
fn that_there_is_nothing_is_kept_as_long_as_the_zone_says() {
    for (rcode, minimum, kept) in
        [(Rcode::NXDOMAIN, 20, true), (Rcode::NOERROR, 20, true), (Rcode::NXDOMAIN, 5, false)]
    {
        let mut world = World::new();
        world.send(CLIENT, RESOLVER, &query(1, "gone.test", Rtype::A, None));
        let ask = world.ask();
        world.answer(ask.id, &nothing(&ask.query, rcode, minimum));
        world.pass(s(10));
        world.send(CLIENT, RESOLVER, &query(2, "gone.test", Rtype::A, None));
        assert_eq!(world.asks.is_empty(), kept, "{rcode} {minimum}");
        if kept {
            let reply = world.packets.len();
            assert_eq!(reply, 2);
        }
    }
}

#[test]
fn what_is_for_one_client_or_wrong_is_not_kept() {
    let plain = query(1, "good.test", Rtype::A, None);
    let mut no_recursion = plain.clone();
    no_recursion[2] = 0;
    check_not_kept(&no_recursion, |_| {});
    check_not_kept(&plain, |answer| answer[2] |= 2);
    check_not_kept(&plain, |answer| answer[3] |= 2);
    check_not_kept(&plain, |answer| dns_set_ttl(answer, 0));
}

#[test]
fn a_large_answer_is_kept_for_tcp_and_cut_for_datagrams() {
    let mut world = World::new();
    world.send(CLIENT, RESOLVER, &query(1, "good.test", Rtype::TXT, Some(4_096)));
    let ask = world.ask();
    world.answer(ask.id, &answer(&ask.query, &[], 1_300));
    world.packets.clear();
    world.send(CLIENT, RESOLVER, &query(2, "good.test", Rtype::TXT, Some(1_232)));
    let reply = world.receive().unwrap().2;
    assert!(DnsAnswer::parse(&reply).unwrap().is_truncated());
    world.send(CLIENT, RESOLVER, &query(3, "good.test", Rtype::TXT, Some(4_096)));
    let reply = world.receive().unwrap().2;
    assert!(!DnsAnswer::parse(&reply).unwrap().is_truncated());
    assert_eq!(world.asks.len(), 0);
}

#[test]
fn a_kept_answer_is_judged_by_the_indicators_of_the_day() {
    let mut world = World::without_indicators();
    world.send(CLIENT, RESOLVER, &query(1, "shop.test", Rtype::TXT, None));
    let ask = world.ask();
    world.answer(ask.id, &answer(&ask.query, &["x.c2.test"], 10));
    world.packets.clear();
    world.engine.handle_indicators(indicators(6, LISTED));
    world.send(CLIENT, RESOLVER, &query(2, "shop.test", Rtype::TXT, None));
    let reply = world.receive().unwrap().2;
    assert_eq!(Message::from_octets(&reply).unwrap().header_counts().ancount(), 0);
    assert_eq!((world.alerts.len(), world.engine.stats().blocked_by_alias), (1, 1));
    world.engine.handle_indicators(indicators(7, &[]));
    world.send(CLIENT, RESOLVER, &query(3, "shop.test", Rtype::TXT, None));
    assert_eq!((world.asks.len(), world.packets.len()), (0, 1));
}

#[test]
fn another_network_or_policy_knows_nothing_of_what_was_kept() {
    let mut world = World::new();
    let asked = query(1, "good.test", Rtype::A, None);
    look_up(&mut world, &asked, &[("192.0.2.7", 60)]);
    world.engine.handle_network_change(world.now);
    assert_eq!(names_of(&world, "192.0.2.7"), Vec::<String>::new());
    look_up(&mut world, &asked, &[("192.0.2.7", 60)]);
    let policy = Policy { version: 7, ..Policy::default() };
    world.policy(policy);
    world.send(CLIENT, RESOLVER, &asked);
    assert_eq!((world.asks.len(), world.packets.len()), (0, 3), "nothing about lookups changed");
    world.policy(with_dns(DnsPolicy { strip_ech: true, ..DnsPolicy::default() }));
    world.send(CLIENT, RESOLVER, &asked);
    assert_eq!((world.asks.len(), world.packets.len()), (1, 3));
}

#[test]
fn when_nobody_answers_what_is_past_its_time_has_to_do() {
    for outage in [false, true] {
        let mut world = World::new();
        let asked = query(1, "good.test", Rtype::A, Some(1_232));
        look_up(&mut world, &asked, &[("192.0.2.7", 60)]);
        world.packets.clear();
        world.pass(s(600));
        world.send(CLIENT, RESOLVER, &asked);
        let ask = world.ask();
        if outage {
            (0..limits::QUESTION_ASKED).for_each(|_| world.fail(ask.id));
        } else {
            world.pass(limits::STALE_AFTER - ms(1));
            assert_eq!(world.packets.len(), 0);
            world.pass(ms(1));
        }
        let reply = world.receive().unwrap().2;
        assert_eq!(records(&reply), ["good.test 30 A 192.0.2.7"]);
        let opt = Message::from_octets(&reply).unwrap().opt().unwrap();
        let error = opt.opt().first::<ExtendedError<_>>().unwrap();
        assert_eq!(error.code(), ExtendedErrorCode::STALE_ANSWER);
        assert_eq!(world.forgotten.last(), Some(&ask.id));
        assert_eq!(world.engine.stats().answered_stale, 1);

        world.pass(limits::STALE_FOR);
        world.packets.clear();
        world.send(CLIENT, RESOLVER, &asked);
        world.pass(limits::QUESTION_LIFETIME);
        assert_eq!(world.packets.len(), 0, "too old");
    }
}

#[test]
fn a_resolver_that_is_dead_is_passed_over() {
    let mut world = World::new();
    for id in 0..2 {
        world.send(CLIENT, RESOLVER, &query(id, "good.test", Rtype::A, None));
        world.pass(s(1));
        let again = world.asks.pop_back().unwrap();
        assert_eq!(again.resolver, addr(RESOLVER_V6).ip());
        world.answer(again.id, &answer(&again.query, &[], 10));
    }
    world.asks.clear();
    world.send(CLIENT, RESOLVER, &query(3, "other.test", Rtype::A, None));
    let ask = world.ask();
    assert_eq!((ask.resolver, ask.transport), (addr(RESOLVER_V6).ip(), Transport::Udp));
    world.answer(ask.id, &answer(&ask.query, &[], 10));
    let from = std::iter::from_fn(|| world.receive()).last().unwrap().0;
    assert_eq!(from, RESOLVER, "in its place");
}

#[test]
fn where_policy_names_a_resolver_it_is_asked_and_no_other() {
    let mut world = World::new();
    world.policy(secure(false));
    for id in 0..3 {
        world.send(CLIENT, RESOLVER, &query(id, "good.test", Rtype::A, None));
        let mut ask = world.ask();
        for _ in 0..limits::QUESTION_ASKED {
            assert_eq!(ask.transport, Transport::Secure);
            world.fail(ask.id);
            ask = world.asks.pop_front().unwrap_or(ask);
        }
        assert_eq!(world.forgotten.last(), Some(&ask.id));
    }
    let stats = world.engine.stats();
    assert_eq!((stats.upstream_failed, stats.upstream_fallback, stats.answered), (9, 0, 0));
}

#[test]
fn where_policy_allows_it_the_systems_resolver_helps_out() {
    let mut world = World::new();
    world.policy(secure(true));
    world.send(CLIENT, RESOLVER, &query(1, "good.test", Rtype::A, None));
    let first = world.ask();
    assert_eq!(first.transport, Transport::Secure);
    world.fail(first.id);
    assert_eq!(world.ask().transport, Transport::Secure);
    world.fail(first.id);
    let helped = world.ask();
    assert_eq!((helped.transport, helped.id), (Transport::Udp, first.id));
    world.answer(helped.id, &answer(&helped.query, &[], 10));
    assert_eq!((world.packets.len(), world.engine.stats().upstream_fallback), (1, 1));

    // It is tried again after a while.
    world.send(CLIENT, RESOLVER, &query(2, "other.test", Rtype::A, None));
    assert_eq!(world.ask().transport, Transport::Udp);
    world.pass(limits::UPSTREAM_REST);
    world.asks.clear();
    world.send(CLIENT, RESOLVER, &query(3, "third.test", Rtype::A, None));
    let ask = world.ask();
    assert_eq!(ask.transport, Transport::Secure);
    world.answer(ask.id, &answer(&ask.query, &[], 10));
    world.send(CLIENT, RESOLVER, &query(4, "fourth.test", Rtype::A, None));
    assert_eq!(world.ask().transport, Transport::Secure);
}

#[test]
fn a_name_that_takes_long_does_not_send_lookups_out_in_plain() {
    let mut world = World::new();
    world.policy(secure(true));
    for id in 0..4 {
        world.send(CLIENT, RESOLVER, &query(id, "slow.test", Rtype::A, None));
        assert_eq!(world.ask().transport, Transport::Secure);
        world.pass(limits::QUESTION_LIFETIME);
    }
    assert_eq!(world.engine.stats().upstream_timeout, 4);
}

#[test]
fn encrypted_hello_is_taken_out_where_policy_says_so() {
    for strip_ech in [false, true] {
        let mut world = World::new();
        world.policy(with_dns(DnsPolicy { strip_ech, ..DnsPolicy::default() }));
        for id in [1, 2] {
            world.send(CLIENT, RESOLVER, &query(id, "good.test", Rtype::HTTPS, None));
            if let Some(ask) = world.asks.pop_front() {
                world.answer(ask.id, &https(&ask.query, "."));
            }
            let reply = world.receive().unwrap().2;
            let has_ech = reply.windows(ECH.len()).any(|part| part == ECH);
            assert_eq!(has_ech, !strip_ech, "{id}");
        }
        assert_eq!(world.engine.stats().ech_stripped, u64::from(strip_ech));
        assert_eq!(names_of(&world, "192.0.2.80"), ["good.test"], "by the hint");
    }
}

#[test]
fn where_an_https_record_points_to_is_judged() {
    let mut world = World::new();
    world.send(CLIENT, RESOLVER, &query(1, "good.test", Rtype::HTTPS, None));
    let ask = world.ask();
    world.answer(ask.id, &https(&ask.query, "svc.evil.test"));
    assert_eq!(records(&world.receive().unwrap().2), Vec::<String>::new());
    assert_eq!(world.engine.stats().blocked_by_alias, 1);
    assert_eq!(world.alerts[0].host, Some(name("good.test")));
    assert_eq!(names_of(&world, "192.0.2.80"), Vec::<String>::new());
}

#[test]
fn an_address_that_is_listed_is_not_handed_out() {
    let mut world = World::without_indicators();
    world.engine.handle_indicators(indicators(
        5,
        &[
            ("192.0.2.66", IndicatorCategory::Malware),
            ("198.51.100.0/24", IndicatorCategory::Phishing),
        ],
    ));
    for (id, address, listed) in [
        (1, "192.0.2.66", Some("192.0.2.66")),
        (2, "198.51.100.9", Some("198.51.100.0/24")),
        (3, "192.0.2.67", None),
    ] {
        let asked = query(id, &format!("host{id}.test"), Rtype::A, None);
        look_up(&mut world, &asked, &[("192.0.2.1", 60), (address, 60)]);
        let reply = records(&world.receive().unwrap().2);
        assert_eq!(reply.len(), if listed.is_some() { 1 } else { 2 }, "{reply:?}");
        let alert = world.alerts.pop();
        let matched = alert.and_then(|alert| alert.matched);
        assert_eq!(matched.map(|matched| matched.entry.to_string()).as_deref(), listed);
    }
    assert_eq!(world.engine.stats().blocked_by_address, 2);
    // The hint of an HTTPS record is an address, too.
    world.engine.handle_indicators(indicators(6, &[("192.0.2.80", IndicatorCategory::Malware)]));
    world.send(CLIENT, RESOLVER, &query(4, "hinted.test", Rtype::HTTPS, None));
    let ask = world.ask();
    world.answer(ask.id, &https(&ask.query, "."));
    assert_eq!(world.engine.stats().blocked_by_address, 3);
}

#[test]
fn names_that_lead_lookups_elsewhere_do_not_exist_by_policy() {
    let dns =
        DnsPolicy { block_encrypted_dns: true, block_private_relay: true, ..DnsPolicy::default() };
    let mut world = World::new();
    world.policy(with_dns(dns.clone()));
    for (name, rtype, rcode) in [
        ("use-application-dns.net", Rtype::A, Rcode::NXDOMAIN),
        ("mozilla.cloudflare-dns.com", Rtype::AAAA, Rcode::NXDOMAIN),
        ("mask.icloud.com", Rtype::HTTPS, Rcode::NXDOMAIN),
        ("_dns.resolver.arpa", Rtype::SVCB, Rcode::NOERROR),
    ] {
        world.send(CLIENT, RESOLVER, &query(1, name, rtype, Some(1_232)));
        let reply = world.receive().unwrap().2;
        let message = Message::from_octets(&reply).unwrap();
        assert_eq!(message.header().rcode(), rcode, "{name}");
        assert_eq!(message.header_counts().ancount(), 0);
        assert_eq!(DnsAnswer::parse(&reply).unwrap().lifetime_s(), Some(60), "{name}");
        let error = message.opt().unwrap();
        let error = error.opt().first::<ExtendedError<_>>().unwrap();
        assert_eq!(error.code(), ExtendedErrorCode::BLOCKED);
    }
    assert_eq!((world.asks.len(), world.alerts.len()), (0, 0), "nobody is told");
    assert_eq!(world.engine.stats().refused_by_policy, 4);
    for policy in [Policy::default(), Policy { mode: Mode::Off, ..with_dns(dns) }] {
        world.policy(policy);
        world.send(CLIENT, RESOLVER, &query(2, "mask.icloud.com", Rtype::A, None));
        world.pass(limits::QUESTION_LIFETIME);
    }
    assert_eq!(world.engine.stats().forwarded, 2);
}

#[test]
fn an_address_has_the_names_that_it_was_handed_out_for() {
    let mut world = World::new();
    look_up(&mut world, &query(1, "a.test", Rtype::A, None), &[("192.0.2.7", 60)]);
    look_up(&mut world, &query(2, "b.test", Rtype::A, None), &[("192.0.2.7", 900)]);
    assert_eq!(names_of(&world, "192.0.2.7"), ["b.test", "a.test"]);
    // Handing it out from memory counts.
    world.send(CLIENT, RESOLVER, &query(3, "a.test", Rtype::A, None));
    assert_eq!(names_of(&world, "192.0.2.7"), ["a.test", "b.test"]);
    world.pass(s(300));
    assert_eq!(names_of(&world, "192.0.2.7"), ["b.test"]);
    assert_eq!(names_of(&world, "192.0.2.8"), Vec::<String>::new());
}

#[track_caller]
fn check_not_kept(asked: &[u8], spoil: fn(&mut Vec<u8>)) {
    let mut world = World::new();
    world.send(CLIENT, RESOLVER, asked);
    let ask = world.ask();
    let mut answer = addresses(&ask.query, &[("192.0.2.7", 60)]);
    spoil(&mut answer);
    world.answer(ask.id, &answer);
    assert_eq!(world.packets.len(), 1);
    world.send(CLIENT, RESOLVER, asked);
    assert_eq!(world.asks.len(), 1);
}

/// Asks, has the resolver answer, and leaves the reply in the tunnel.
fn look_up(world: &mut World, asked: &[u8], found: &[(&str, u32)]) {
    world.send(CLIENT, RESOLVER, asked);
    let ask = world.ask();
    world.answer(ask.id, &addresses(&ask.query, found));
}

fn addresses(query: &[u8], found: &[(&str, u32)]) -> Vec<u8> {
    let query = Message::from_octets(query).unwrap();
    let mut answer = MessageBuilder::new_vec().start_answer(&query, Rcode::NOERROR).unwrap();
    let owner = query.sole_question().unwrap();
    for (address, ttl) in found {
        let address = A::new(address.parse().unwrap());
        answer.push((owner.qname(), Class::IN, *ttl, address)).unwrap();
    }
    answer.finish()
}

/// One HTTPS record with a hint and `ech`.
fn https(query: &[u8], target: &str) -> Vec<u8> {
    let query = Message::from_octets(query).unwrap();
    let mut answer = MessageBuilder::new_vec().start_answer(&query, Rcode::NOERROR).unwrap();
    let target: Name<Vec<u8>> = target.parse().unwrap();
    let rdata = [&[0, 1], target.as_slice(), &[0, 4, 0, 4, 192, 0, 2, 80], ECH].concat();
    let rdata = UnknownRecordData::from_octets(Rtype::HTTPS, rdata).unwrap();
    answer.push((query.sole_question().unwrap().qname(), Class::IN, 60, rdata)).unwrap();
    answer.finish()
}

const ECH: &[u8] = &[0, 5, 0, 4, 0xfe, 0x0d, 7, 7];

fn nothing(query: &[u8], rcode: Rcode, minimum: u32) -> Vec<u8> {
    let query = Message::from_octets(query).unwrap();
    let answer = MessageBuilder::new_vec().start_answer(&query, rcode).unwrap();
    let mut authority = answer.authority();
    let owner: Name<Vec<u8>> = "test".parse().unwrap();
    let ttl = Ttl::from_secs(minimum);
    let soa = Soa::new(owner.clone(), owner.clone(), Serial(1), ttl, ttl, ttl, ttl);
    authority.push((owner, Class::IN, 900, soa)).unwrap();
    authority.finish()
}

/// The records of an answer section, as text.
fn records(message: &[u8]) -> Vec<String> {
    let message = Message::from_octets(message).unwrap();
    let records = message.answer().unwrap().limit_to::<A>();
    records
        .map(|record| {
            let record = record.unwrap();
            format!("{} {} A {}", record.owner(), record.ttl().as_secs(), record.data())
        })
        .collect()
}

fn dns_set_ttl(answer: &mut [u8], ttl: u32) {
    bartizan_wire::dns::set_ttls(answer, ttl);
}

fn names_of(world: &World, address: &str) -> Vec<String> {
    let address: IpAddr = address.parse().unwrap();
    world.engine.names_of(address, world.now).map(DomainName::to_string).collect()
}

fn with_dns(dns: DnsPolicy) -> Policy {
    Policy { dns, ..Policy::default() }
}

fn secure(upstream_fallback: bool) -> Policy {
    let upstream = "tls://dns.example?ip=192.0.2.99".parse().unwrap();
    with_dns(DnsPolicy { upstream, upstream_fallback, ..DnsPolicy::default() })
}
