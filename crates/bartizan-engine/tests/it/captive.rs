//! A network that wants a person to sign in, and a policy that wants lookups encrypted.

use bartizan_engine::{NetworkState, Probed, Transport, limits};
use bartizan_model::{DnsPolicy, Policy, ProtectionState};
use domain::base::{Message, Rtype};
use domain::rdata::Txt;

use crate::world::{CLIENT, RESOLVER, World, answer, query};

#[test]
fn a_captive_network_may_be_asked_in_plain_until_it_lets_traffic_through() {
    let mut world = strict();
    world.send(CLIENT, RESOLVER, &query(1, "good.test", Rtype::TXT, None));
    let ask = world.ask();
    assert_eq!((ask.transport, world.probes), (Transport::Secure, 1));

    world.probed(Probed::Captive);
    assert_eq!(world.engine.network(), NetworkState::Captive);
    assert_eq!(world.engine.protection(), ProtectionState::Degraded);
    let again = world.ask();
    assert_eq!((again.id, again.transport), (ask.id, Transport::Udp), "what waited is asked");
    world.answer(again.id, &answer(&again.query, &[], 10));
    let reply = world.receive().unwrap().2;
    let reply = Message::from_octets(&reply).unwrap();
    let record = reply.answer().unwrap().limit_to::<Txt<_>>().next().unwrap().unwrap();
    assert_eq!(record.ttl().as_secs(), limits::DOUBTFUL_TTL_S, "it may be an invention");

    world.send(CLIENT, RESOLVER, &query(2, "evil.test", Rtype::TXT, None));
    assert_eq!((world.asks.len(), world.engine.stats().blocked), (0, 1), "what is listed stays so");

    world.pass(limits::PROBE_PAUSE * 2);
    assert_eq!(world.probes, 2);
    world.probed(Probed::Open);
    assert_eq!(world.engine.protection(), ProtectionState::On);
    world.send(CLIENT, RESOLVER, &query(3, "good.test", Rtype::TXT, None));
    assert_eq!(world.ask().transport, Transport::Secure, "nothing of the network's is kept");
    assert_eq!(world.engine.stats().captive_portals, 1);
    world.pass(limits::CAPTIVE_LASTS);
    assert_eq!(world.probes, 2, "an open network is left alone");
}

#[test]
fn without_an_answer_of_somebody_else_nothing_goes_out_in_plain() {
    for outcome in [Probed::Open, Probed::Unanswered] {
        let mut world = strict();
        for id in 0..6 {
            world.probed(outcome);
            world.send(CLIENT, RESOLVER, &query(id, "good.test", Rtype::TXT, None));
            let ask = world.ask();
            for _ in 0..limits::QUESTION_ASKED {
                assert_eq!(ask.transport, Transport::Secure);
                world.fail(ask.id);
            }
            world.asks.clear();
            world.pass(limits::PROBE_PAUSE * 16);
        }
        assert_eq!(world.engine.stats().upstream_fallback, 0);
        assert!(1 < world.probes, "failing lookups are a reason to look again");
    }
}

#[test]
fn a_network_that_pretends_for_too_long_loses_the_leave() {
    let mut world = strict();
    world.probed(Probed::Captive);
    for _ in 0..1_000 {
        let probes = world.probes;
        world.pass(limits::PROBE_PAUSE);
        if probes < world.probes {
            world.probed(Probed::Captive);
        }
    }
    world.send(CLIENT, RESOLVER, &query(1, "good.test", Rtype::TXT, None));
    assert_eq!(world.ask().transport, Transport::Secure);
    world.engine.handle_network_change(world.now);
    world.drain();
    world.probed(Probed::Captive);
    assert!(world.asks.iter().all(|ask| ask.transport == Transport::Udp), "another network");
}

/// A device that can probe, with a policy that wants one resolver and no other.
fn strict() -> World {
    let mut world = World::new();
    let upstream = "tls://dns.example?ip=192.0.2.99".parse().unwrap();
    let dns = DnsPolicy { upstream, upstream_fallback: false, ..DnsPolicy::default() };
    world.policy(Policy { dns, ..Policy::default() });
    world.engine.handle_can_probe(world.now);
    world.drain();
    world
}
