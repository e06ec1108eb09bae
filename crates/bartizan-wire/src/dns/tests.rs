//! Tables and properties of the DNS messages.

use domain::base::opt::exterr::ExtendedError;
use domain::base::{Record, ToName};
use domain::rdata::AllRecordData;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn a_query_says_what_is_asked() {
    check_name(&query("Login.Evil.TEST", 1, None), Some("login.evil.test"));
    check_name(&query("_dns.resolver.arpa", 64, None), Some("_dns.resolver.arpa"));
    let octets = query("a.test", 28, Some(1_400));
    let parsed = DnsQuery::parse(&octets).unwrap();
    assert_eq!((parsed.id(), parsed.qtype(), parsed.qclass()), (0xabcd, 28, 1));
    assert_eq!((parsed.edns_udp_size(), parsed.max_answer_len()), (Some(1_400), 1_400));
    assert!(parsed.is_standard());
}

#[test]
fn an_odd_label_leaves_the_parent_beyond_it_and_never_another_name() {
    check_name(&raw_query(b"\0"), None);
    check_name(&raw_query(b"\x03a b\x04test\0"), Some("test"));
    check_name(&raw_query(b"\x09evil.test\0"), None);
    check_name(&raw_query(b"\x01a\x09evil.test\0"), None);
    check_name(&raw_query(b"\x01a\x02\xc3\xbc\x01b\x04test\0"), Some("b.test"));
}

#[test]
fn a_size_below_512_means_512() {
    for (edns, expected) in [(None, 512), (Some(0), 512), (Some(511), 512), (Some(513), 513)] {
        let octets = query("a.test", 1, edns);
        assert_eq!(DnsQuery::parse(&octets).unwrap().max_answer_len(), expected);
    }
}

#[test]
fn what_is_no_query_is_malformed() {
    let mut response = query("a.test", 1, None);
    response[2] |= 0x80;
    check_malformed(&response, "QR");
    for questions in [0, 2] {
        let mut other = query("a.test", 1, None);
        other[5] = questions;
        check_malformed(&other, "Question");
    }
    check_malformed(&query("a.test", 1, None)[..11], "header");
    check_malformed(&query("a.test", 1, None)[..20], "Question");
    // Pointers: to itself, forwards, into the header that is no name.
    check_malformed(&raw_query(b"\xc0\x0c"), "Question");
    check_malformed(&raw_query(b"\xc0\x20"), "Question");
    check_malformed(&raw_query(b"\x01a\xc0\x0c"), "Question");
    check_malformed(&raw_query(b"\x40"), "Question");
}

#[test]
fn a_name_that_points_into_the_header_is_malformed() {
    // The id and the flags as a label "a" and the root, or the root alone.
    let mut octets = raw_query(b"\xc0\x00");
    octets[..3].copy_from_slice(b"\x01a\0");
    check_malformed(&octets, "QNAME");
    octets[13] = 3;
    check_malformed(&octets, "QNAME");
    octets[2] = 0x80;
    assert_eq!(DnsAnswer::parse(&octets).err(), Some(ParseError::malformed("QNAME")));
    let mut partly = raw_query(b"\x01b\xc0\x00");
    partly[..3].copy_from_slice(b"\x01a\0");
    check_malformed(&partly, "QNAME");
}

#[test]
fn a_blocked_address_is_the_unspecified_one() {
    check_block(1, "0.0.0.0");
    check_block(28, "::");
}

#[test]
fn any_other_blocked_type_is_no_data_that_may_be_cached_shortly() {
    for qtype in [2, 5, 6, 15, 16, 33, 64, 65, 255] {
        let octets = query("evil.test", qtype, None);
        let block = DnsQuery::parse(&octets).unwrap().block_answer(10, "why").unwrap();
        let message = Message::from_slice(&block).unwrap();
        let counts = message.header_counts();
        assert_eq!((counts.ancount(), counts.nscount(), counts.arcount()), (0, 1, 0), "{qtype}");
        assert_eq!(message.header().rcode(), Rcode::NOERROR);
        let mut authority = message.authority().unwrap().limit_to::<Soa<_>>();
        let soa = authority.next().unwrap().unwrap();
        assert_eq!(soa.owner().to_string(), "evil.test");
        assert_eq!((soa.ttl().as_secs(), soa.data().minimum().as_secs()), (10, 10));
    }
}

#[test]
fn a_block_keeps_the_spelling_and_flags_of_the_question() {
    let mut octets = query("eViL.tEsT", 1, None);
    octets[3] |= 0x10; // CD
    let block = DnsQuery::parse(&octets).unwrap().block_answer(10, "why").unwrap();
    assert_eq!(block[..2], octets[..2]);
    assert_eq!(block[2..4], [0x81, 0x90], "QR, RD; RA, CD");
    assert_eq!(block[12..octets.len()], octets[12..]);
}

#[test]
fn the_reason_for_a_block_is_told_to_who_speaks_edns() {
    let octets = query("evil.test", 65, Some(1_232));
    let block = DnsQuery::parse(&octets).unwrap().block_answer(10, "why").unwrap();
    let opt = Message::from_slice(&block).unwrap().opt().unwrap();
    let error: ExtendedError<_> = opt.opt().first().unwrap();
    assert_eq!(error.code(), ExtendedErrorCode::BLOCKED);
    assert_eq!(error.text_slice(), Some(b"why".as_slice()));
    assert_eq!(block.windows(3).filter(|window| window == b"why").count(), 1);
}

#[test]
fn the_longest_name_is_blocked_within_512_octets() {
    let label = "a".repeat(63);
    let name = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    for qtype in [1, 28, 65] {
        let octets = query(&name, qtype, None);
        let block = DnsQuery::parse(&octets).unwrap().block_answer(10, "why").unwrap();
        assert!(block.len() <= 512, "{qtype}: {}", block.len());
    }
}

#[test]
fn an_answer_is_matched_by_name_type_and_class() {
    let octets = query("a.test", 1, None);
    let asked = DnsQuery::parse(&octets).unwrap();
    for (name, qtype, expected) in
        [("a.test", 1, true), ("A.TEST", 1, true), ("b.test", 1, false), ("a.test", 28, false)]
    {
        let octets = answer(name, qtype, &[]);
        assert_eq!(DnsAnswer::parse(&octets).unwrap().answers(&asked), expected, "{name} {qtype}");
    }
    let mut chaos = answer("a.test", 1, &[]);
    let class = chaos.len() - 1;
    chaos[class] = 3;
    assert!(!DnsAnswer::parse(&chaos).unwrap().answers(&asked));
    assert_eq!(DnsAnswer::parse(&octets).err(), Some(ParseError::malformed("QR")));
}

#[test]
fn cname_targets_come_in_order_and_are_bounded() {
    let octets = answer("shop.test", 1, &["cdn.test", "Tracker.Example"]);
    let parsed = DnsAnswer::parse(&octets).unwrap();
    let targets: Vec<_> = parsed.cname_targets().map(|name| name.to_string()).collect();
    assert_eq!(targets, ["cdn.test", "tracker.example"]);
    assert_eq!((parsed.id(), parsed.rcode(), parsed.is_truncated()), (0xabcd, 0, false));

    let long = answer("shop.test", 1, &["cdn.test"; 40]);
    assert_eq!(DnsAnswer::parse(&long).unwrap().cname_targets().count(), MAX_CNAMES);
    // A broken record ends the walk; what came before it counts.
    let cut = &octets[..octets.len() - 3];
    assert_eq!(DnsAnswer::parse(cut).unwrap().cname_targets().count(), 1);
}

#[test]
fn a_truncated_answer_sends_the_client_to_tcp() {
    let octets = query("Shop.test", 1, Some(600));
    let asked = DnsQuery::parse(&octets).unwrap();
    let whole = answer("shop.test", 1, &["cdn.test"; 100]);
    let cut = asked.truncated_answer(&DnsAnswer::parse(&whole).unwrap()).unwrap();
    let parsed = DnsAnswer::parse(&cut).unwrap();
    assert!(parsed.is_truncated() && parsed.answers(&asked) && parsed.id() == asked.id());
    let counts = parsed.message.header_counts();
    assert_eq!((counts.ancount(), counts.nscount(), counts.arcount()), (0, 0, 1));
    assert_eq!(cut[12..27], octets[12..27], "spelled as the client spelled it");
}

#[test]
fn an_id_is_written_where_there_is_room() {
    let mut octets = query("a.test", 1, None);
    assert!(set_id(&mut octets, 0x0102));
    assert_eq!(DnsQuery::parse(&octets).unwrap().id(), 0x0102);
    assert!(!set_id(&mut [0], 1));
}

proptest! {
    #[test]
    fn every_cut_of_a_query_is_refused(name in "[a-z]{1,20}(\\.[a-z]{1,20}){0,3}", cut in any::<prop::sample::Index>()) {
        let whole = query(&name, 1, None);
        prop_assert!(DnsQuery::parse(&whole[..cut.index(whole.len())]).is_err());
    }

    #[test]
    fn no_octets_panic(octets in vec(any::<u8>(), 0..200), flip in any::<prop::sample::Index>()) {
        crate::fuzz_query(&octets);
        crate::fuzz_answer(&octets);
        crate::fuzz_packet(&octets);
        let mut near = answer("shop.test", 1, &["cdn.test", "tracker.example"]);
        let at = flip.index(near.len());
        near[at] = octets.first().copied().unwrap_or(0);
        crate::fuzz_answer(&near);
        crate::fuzz_query(&near);
    }
}

#[track_caller]
fn check_name(octets: &[u8], expected: Option<&str>) {
    let query = DnsQuery::parse(octets).unwrap();
    assert_eq!(query.name().map(DomainName::as_str), expected);
}

#[track_caller]
fn check_malformed(octets: &[u8], field: &'static str) {
    assert_eq!(DnsQuery::parse(octets).err(), Some(ParseError::Malformed { field }));
}

#[track_caller]
fn check_block(qtype: u16, expected: &str) {
    let octets = query("evil.test", qtype, None);
    let block = DnsQuery::parse(&octets).unwrap().block_answer(10, "why").unwrap();
    let message = Message::from_slice(&block).unwrap();
    assert!(!message.header().aa() && message.header().ra() && message.header().rd());
    let mut records = message.answer().unwrap().limit_to::<AllRecordData<_, _>>();
    let record: Record<_, _> = records.next().unwrap().unwrap();
    assert_eq!((record.owner().to_string(), record.ttl().as_secs()), ("evil.test".into(), 10));
    assert_eq!(record.data().to_string(), expected);
    let counts = message.header_counts();
    assert_eq!((counts.ancount(), counts.nscount(), counts.arcount()), (1, 0, 0));
}

fn query(name: &str, qtype: u16, edns: Option<u16>) -> Vec<u8> {
    let mut octets = raw_query(&name_octets(name));
    let at = octets.len() - 4;
    octets[at..at + 2].copy_from_slice(&qtype.to_be_bytes());
    if let Some(size) = edns {
        octets[11] = 1;
        octets.extend([0, 0, 41]);
        octets.extend(size.to_be_bytes());
        octets.extend([0; 6]);
    }
    octets
}

/// A query for A with recursion, and this name as it stands.
fn raw_query(name: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xab, 0xcd, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    octets.extend(name);
    octets.extend([0, 1, 0, 1]);
    octets
}

/// An answer in which the name points to the first target, that to the second, and so on.
fn answer(name: &str, qtype: u16, targets: &[&str]) -> Vec<u8> {
    let mut octets = query(name, qtype, None);
    octets[2] |= 0x80;
    octets[6..8].copy_from_slice(&u16::try_from(targets.len()).unwrap().to_be_bytes());
    let mut owner = name;
    for target in targets {
        octets.extend(name_octets(owner));
        octets.extend([0, 5, 0, 1, 0, 0, 0, 60]);
        let target_octets = name_octets(target);
        octets.extend(u16::try_from(target_octets.len()).unwrap().to_be_bytes());
        octets.extend(target_octets);
        owner = target;
    }
    octets
}

fn name_octets(name: &str) -> Vec<u8> {
    let name: Name<Vec<u8>> = name.parse().unwrap();
    name.to_vec().into_octets()
}
