//! Tables and properties of the DNS messages.

use domain::base::iana::exterr::ExtendedErrorCode;
use domain::base::iana::{Class, Rcode};
use domain::base::opt::exterr::ExtendedError;
use domain::base::{MessageBuilder, Name, Record, Rtype, StaticCompressor, ToName};
use domain::rdata::{A as Address, AllRecordData, Cname, Soa};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn a_question_of_our_own_is_read_as_one() {
    let name = DomainName::parse(b"a.long-name.test").unwrap();
    let octets = write_question(&name, 28, 7);
    let parsed = DnsQuery::parse(&octets).unwrap();
    assert_eq!((parsed.id(), parsed.qtype(), parsed.qclass()), (7, 28, 1));
    assert_eq!(parsed.judged_name(), Some(&name));
    assert!(parsed.is_shareable());
}

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
        let block = block(&octets);
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
    let block = block(&octets);
    assert_eq!(block[..2], octets[..2]);
    assert_eq!(block[2..4], [0x81, 0x90], "QR, RD; RA, CD");
    assert_eq!(block[12..octets.len()], octets[12..]);
}

#[test]
fn the_reason_for_a_block_is_told_to_who_speaks_edns() {
    let octets = query("evil.test", 65, Some(1_232));
    let block = block(&octets);
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
        let block = block(&octets);
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
fn aliases_come_in_order_and_are_bounded() {
    let octets = answer("shop.test", 1, &["cdn.test", "Tracker.Example"]);
    let parsed = DnsAnswer::parse(&octets).unwrap();
    let targets: Vec<_> = parsed.aliases().map(|name| name.to_string()).collect();
    assert_eq!(targets, ["cdn.test", "tracker.example"]);
    assert_eq!((parsed.id(), parsed.rcode(), parsed.is_truncated()), (0xabcd, 0, false));

    let long = answer("shop.test", 1, &["cdn.test"; 40]);
    assert_eq!(DnsAnswer::parse(&long).unwrap().aliases().count(), MAX_ALIASES);
    // A broken record ends the walk; what came before it counts.
    let cut = &octets[..octets.len() - 3];
    assert_eq!(DnsAnswer::parse(cut).unwrap().aliases().count(), 1);
}

#[test]
fn a_truncated_answer_sends_the_client_to_tcp() {
    let octets = query("Shop.test", 1, Some(600));
    let asked = DnsQuery::parse(&octets).unwrap();
    let whole = answer("shop.test", 1, &["cdn.test"; 100]);
    let mut cut = Vec::new();
    asked.write_truncated(&DnsAnswer::parse(&whole).unwrap(), &mut cut);
    let parsed = DnsAnswer::parse(&cut).unwrap();
    assert!(parsed.is_truncated() && parsed.answers(&asked) && parsed.id() == asked.id());
    let counts = parsed.message.header_counts();
    assert_eq!((counts.ancount(), counts.nscount(), counts.arcount()), (0, 0, 1));
    assert_eq!(cut[12..27], octets[12..27], "spelled as the client spelled it");
}

#[test]
fn a_name_that_does_not_exist_has_no_data_of_any_type() {
    for (qtype, refusal, rcode) in [
        (1, Refusal::NoSuchName, Rcode::NXDOMAIN),
        (65, Refusal::NoSuchName, Rcode::NXDOMAIN),
        (1, Refusal::NoData, Rcode::NOERROR),
        (64, Refusal::NoData, Rcode::NOERROR),
    ] {
        let refusal = refuse(&query("mask.test", qtype, Some(1_232)), refusal);
        let message = Message::from_slice(&refusal).unwrap();
        let counts = message.header_counts();
        assert_eq!((counts.ancount(), counts.nscount(), counts.arcount()), (0, 1, 1), "{qtype}");
        assert_eq!(message.header().rcode(), rcode);
        assert_eq!(DnsAnswer::parse(&refusal).unwrap().lifetime_s(), Some(10));
    }
}

#[test]
fn a_kept_answer_becomes_one_to_whoever_asks_again() {
    let mut kept = answer("shop.test", 1, &["cdn.test"]);
    count_down(&mut kept, 20);
    let asked = query("SHOP.test", 1, Some(1_400));
    let asked = DnsQuery::parse(&asked).unwrap();
    asked.adopt(&mut kept, Some(Explanation { code: Explanation::STALE_ANSWER, text: "old" }));
    let parsed = DnsAnswer::parse(&kept).unwrap();
    assert!(parsed.answers(&asked) && parsed.id() == asked.id());
    assert_eq!(parsed.question.qname().to_string(), "SHOP.test");
    let opt = parsed.message.opt().unwrap();
    let error: ExtendedError<_> = opt.opt().first().unwrap();
    assert_eq!(
        (error.code(), error.text_slice()),
        (ExtendedErrorCode::STALE_ANSWER, Some(b"old".as_slice()))
    );
    assert_eq!(records_of(&kept), ["shop.test. 40 IN CNAME cdn.test."]);
    // What is kept for others has none of it.
    remove_opt(&mut kept).unwrap();
    assert!(DnsAnswer::parse(&kept).unwrap().message.opt().is_none());
}

#[test]
fn an_answer_is_kept_until_the_first_of_its_records_ends() {
    check_lifetime(|_| {}, Some(60));
    check_lifetime(|octets| set_ttls(octets, 0), None);
    check_lifetime(|octets| limit_ttls(octets, 7), Some(7));
    check_lifetime(|octets| set_ttls(octets, 90_000), Some(90_000));
    // RFC 2181 §8.
    check_lifetime(|octets| set_ttls(octets, 0x8000_0001), None);
    check_lifetime(|octets| octets[2] |= 2, None); // TC
    check_lifetime(|octets| octets[3] |= 2, None); // SERVFAIL
    check_lifetime(|octets| octets[7] += 1, None); // one record is missing
    let chain = answer("shop.test", 5, &["cdn.test", "end.test"]);
    assert_eq!(DnsAnswer::parse(&chain).unwrap().lifetime_s(), Some(60));
}

#[test]
fn what_is_not_there_is_kept_as_long_as_the_zone_says() {
    for (rcode, ttl, minimum, expected) in [
        (Rcode::NXDOMAIN, 900, 300, Some(300)),
        (Rcode::NXDOMAIN, 100, 300, Some(100)),
        (Rcode::NOERROR, 900, 300, Some(300)),
        (Rcode::NOERROR, 900, 0, None),
        (Rcode::SERVFAIL, 900, 300, None),
    ] {
        let octets = negative(rcode, Some((ttl, minimum)));
        assert_eq!(DnsAnswer::parse(&octets).unwrap().lifetime_s(), expected, "{rcode}");
        assert_eq!(DnsAnswer::parse(&negative(rcode, None)).unwrap().lifetime_s(), None);
    }
}

#[test]
fn only_a_plain_question_shares_its_answer() {
    let plain = query("a.test", 1, Some(1_232));
    check_shareable(&plain, true);
    check_shareable(&query("a.test", 65, None), true);
    check_shareable(&query("a.test", 252, None), false);
    let mut no_recursion = plain.clone();
    no_recursion[2] = 0;
    check_shareable(&no_recursion, false);
    let mut update = plain.clone();
    update[2] |= 5 << 3;
    check_shareable(&update, false);
    let mut subnet = plain.clone();
    let len = subnet.len();
    subnet[len - 1] = 8;
    subnet.extend([0, 8, 0, 4, 0, 1, 0, 0]);
    check_shareable(&subnet, false);
    let mut cookie = plain;
    cookie[len - 1] = 12;
    cookie.extend([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    check_shareable(&cookie, true);
}

#[test]
fn encrypted_hello_is_taken_out_and_all_else_stays() {
    let whole = https_answer(&[ALPN, HINTS_V4, ECH, HINTS_V6], &[ALPN, ECH]);
    let mut stripped = whole.clone();
    assert_eq!(strip_ech(&mut stripped), Ok(true));
    let expected: Vec<_> = records_of(&whole)
        .into_iter()
        .filter(|record| !record.contains("RRSIG\tHTTPS") && !record.contains("RRSIG HTTPS"))
        .map(|record| record.replace(" ech=AAECAwQFBgc=", ""))
        .collect();
    assert_eq!(records_of(&stripped), expected);
    assert_eq!(whole[3] & 0x20, 0x20, "authentic");
    assert_eq!(stripped[3] & 0x20, 0, "not what was signed");
    assert!(records_of(&stripped).iter().any(|record| record.contains("RRSIG")), "of the alias");
    assert_eq!(strip_ech(&mut stripped), Ok(false));
    let parsed = DnsAnswer::parse(&stripped).unwrap();
    let hints: Vec<_> = parsed.addresses().map(|(address, _)| address.to_string()).collect();
    assert_eq!(hints, ["192.0.2.7", "192.0.2.8", "2001:db8::7"]);
}

#[test]
fn a_record_that_is_useless_without_encrypted_hello_goes_as_a_whole() {
    let mut octets = https_answer(&[&[0, 0, 0, 2, 0, 5], ALPN, ECH], &[ALPN]);
    assert_eq!(strip_ech(&mut octets), Ok(true));
    let left = records_of(&octets);
    assert_eq!(left.iter().filter(|record| record.contains("HTTPS 1 ")).count(), 0, "{left:?}");
    assert_eq!(left.iter().filter(|record| record.contains("HTTPS 2 ")).count(), 1, "{left:?}");
}

#[test]
fn an_answer_without_encrypted_hello_stays_as_it_is() {
    let whole = https_answer(&[ALPN, HINTS_V4], &[ALPN]);
    let mut octets = whole.clone();
    assert_eq!(strip_ech(&mut octets), Ok(false));
    assert_eq!(octets, whole);
    octets.pop();
    assert_eq!(strip_ech(&mut octets), Err(ParseError::malformed("RR")));
}

#[test]
fn where_https_records_point_to_is_an_alias() {
    let octets = https_answer(&[ALPN], &[]);
    let aliases: Vec<_> =
        DnsAnswer::parse(&octets).unwrap().aliases().map(|name| name.to_string()).collect();
    assert_eq!(aliases, ["cdn.test", "svc.test", "pool.test"]);
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
    let block = block(&octets);
    let message = Message::from_slice(&block).unwrap();
    assert!(!message.header().aa() && message.header().ra() && message.header().rd());
    let mut records = message.answer().unwrap().limit_to::<AllRecordData<_, _>>();
    let record: Record<_, _> = records.next().unwrap().unwrap();
    assert_eq!((record.owner().to_string(), record.ttl().as_secs()), ("evil.test".into(), 10));
    assert_eq!(record.data().to_string(), expected);
    let counts = message.header_counts();
    assert_eq!((counts.ancount(), counts.nscount(), counts.arcount()), (1, 0, 0));
}

#[track_caller]
fn check_lifetime(spoil: fn(&mut Vec<u8>), expected: Option<u32>) {
    let octets = query("shop.test", 1, None);
    let query = Message::from_octets(&octets).unwrap();
    let mut answer = MessageBuilder::new_vec().start_answer(&query, Rcode::NOERROR).unwrap();
    let name: Name<Vec<u8>> = "shop.test".parse().unwrap();
    answer.push((&name, Class::IN, 90, Address::from_octets(192, 0, 2, 7))).unwrap();
    answer.push((&name, Class::IN, 60, Address::from_octets(192, 0, 2, 8))).unwrap();
    let mut octets = answer.finish();
    spoil(&mut octets);
    assert_eq!(DnsAnswer::parse(&octets).unwrap().lifetime_s(), expected);
}

#[track_caller]
fn check_shareable(octets: &[u8], expected: bool) {
    assert_eq!(DnsQuery::parse(octets).unwrap().is_shareable(), expected);
}

/// No data behind an alias; with a SOA record's time to live and minimum, if there is one.
fn negative(rcode: Rcode, soa: Option<(u32, u32)>) -> Vec<u8> {
    let octets = query("shop.test", 1, None);
    let query = Message::from_octets(&octets).unwrap();
    let target = StaticCompressor::new(Vec::new());
    let mut answer =
        MessageBuilder::from_target(target).unwrap().start_answer(&query, rcode).unwrap();
    let name: Name<Vec<u8>> = "shop.test".parse().unwrap();
    let alias: Name<Vec<u8>> = "gone.shop.test".parse().unwrap();
    answer.push((&name, Class::IN, 3_600, Cname::new(&alias))).unwrap();
    let mut authority = answer.authority();
    if let Some((ttl, minimum)) = soa {
        let [refresh, retry, expire, minimum] =
            [7_200, 900, 86_400, minimum].map(domain::base::Ttl::from_secs);
        let soa = Soa::new(&name, &alias, 1.into(), refresh, retry, expire, minimum);
        authority.push((&name, Class::IN, ttl, soa)).unwrap();
    }
    authority.finish().into_target()
}

/// An alias, its signature, two HTTPS records with these parameters, their signature, a name server that
/// is a pointer beyond all that, and its address.
fn https_answer(first: &[&[u8]], second: &[&[u8]]) -> Vec<u8> {
    let mut octets = query("shop.test", 65, None);
    octets[2..4].copy_from_slice(&[0x81, 0xa0]);
    octets[6..12].copy_from_slice(&[0, 5, 0, 1, 0, 2]);
    let mut push = |owner: &[u8], rtype: u8, rdata: &[u8]| {
        octets.extend(owner);
        octets.extend([0, rtype, 0, 1, 0, 0, 0, 60]);
        octets.extend(u16::try_from(rdata.len()).unwrap().to_be_bytes());
        let at = octets.len();
        octets.extend(rdata);
        u16::try_from(at).unwrap()
    };
    let signature = |covered: u8| {
        [
            &[0, covered, 13, 2, 0, 0, 0, 60, 0, 0, 0, 2, 0, 0, 0, 1, 0, 7],
            name_octets("test").as_slice(),
            &[9; 64],
        ]
        .concat()
    };
    let point = |at: u16| (0xc000 | at).to_be_bytes();
    let cdn = push(&point(12), 5, &name_octets("cdn.test"));
    push(&point(12), 46, &signature(5));
    let service = |priority: u8, name: &str, params: &[&[u8]]| {
        [&[0, priority], name_octets(name).as_slice(), &params.concat()].concat()
    };
    push(&point(cdn), 65, &service(1, "svc.test", first));
    let pool = push(&point(cdn), 65, &service(2, "pool.test", second)) + 2;
    push(&point(cdn), 46, &signature(65));
    // A name server below the second target: the pointers lie beyond what is cut, and into what moves.
    let server = push(&point(pool), 2, &[b"\x02ns".as_slice(), &point(pool)].concat());
    push(&point(server), 1, &[192, 0, 2, 53]);
    push(&[0], 41, &[]);
    octets
}

const ALPN: &[u8] = &[0, 1, 0, 3, 2, b'h', b'2'];
const HINTS_V4: &[u8] = &[0, 4, 0, 8, 192, 0, 2, 7, 192, 0, 2, 8];
const ECH: &[u8] = &[0, 5, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7];
const HINTS_V6: &[u8] = &[0, 6, 0, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

/// All records but OPT, as `domain` reads and prints them.
fn records_of(message: &[u8]) -> Vec<String> {
    let message = Message::from_octets(message).unwrap();
    let mut records = Vec::new();
    for section in
        [message.answer().unwrap(), message.authority().unwrap(), message.additional().unwrap()]
    {
        for record in section {
            let record = record.unwrap();
            if record.rtype() == Rtype::OPT {
                continue;
            }
            let record = record.to_record::<AllRecordData<_, _>>().unwrap().unwrap();
            records.push(format!(
                "{}. {} {} {} {}",
                record.owner(),
                record.ttl().as_secs(),
                record.class(),
                record.rtype(),
                record.data()
            ));
        }
    }
    records
}

fn block(octets: &[u8]) -> Vec<u8> {
    refuse(octets, Refusal::Sinkhole)
}

fn refuse(octets: &[u8], refusal: Refusal) -> Vec<u8> {
    let error = Explanation { code: Explanation::BLOCKED, text: "why" };
    let mut answer = Vec::new();
    DnsQuery::parse(octets).unwrap().write_refusal(refusal, 10, error, &mut answer);
    answer
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
