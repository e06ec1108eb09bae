//! Hellos whole, cut, split, broken, and one that rustls wrote.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[test]
fn the_server_name_is_read_in_one_form() {
    check(&record(&hello(&[sni("Bank.Example.test")])), Some("bank.example.test"));
    check(&record(&hello(&[(0x0a0a, vec![]), sni("a.test"), sni("b.test")])), Some("a.test"));
    check(&record(&hello(&[sni("192.0.2.1")])), Some("192.0.2.1"));
    check(&record(&hello(&[sni("server4:443")])), None);
    check(&record(&hello(&[])), None);
    let other_kind = vec![0, 10, 1, 0, 1, b'x', 0, 0, 3, b'a', b'.', b'b'];
    check(&record(&hello(&[(SERVER_NAME, other_kind)])), Some("a.b"));
}

#[test]
fn what_is_no_host_name_is_shown_as_it_is() {
    let Reading::Done(hello) = read_client_hello(&record(&hello(&[sni("server4:443")]))) else {
        panic!("it is a hello")
    };
    assert_eq!(hello.server_name_octets(), b"server4:443");
}

#[test]
fn protocols_and_ech_are_told() {
    let alpn = (ALPN, b"\0\x0c\x02h2\x08http/1.1".to_vec());
    let octets = record(&hello(&[alpn, sni("outer.test"), (ENCRYPTED_CLIENT_HELLO, vec![0; 9])]));
    let Reading::Done(hello) = read_client_hello(&octets) else { panic!("it is a hello") };
    assert_eq!(hello.protocols().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
    assert!(hello.has_ech());
    assert_eq!(hello.server_name().unwrap().as_str(), "outer.test");
}

#[test]
fn a_hello_in_many_records_is_one_hello() {
    let message = hello(&[sni("example.test"), (21, vec![0; 1_600])]);
    for size in [1, 4, 100, message.len() - 1] {
        let octets: Vec<u8> = message.chunks(size).flat_map(record).collect();
        if octets.len() < MAX_HELLO_LEN {
            check(&octets, Some("example.test"));
        }
    }
}

#[test]
fn reading_takes_nothing_of_the_heap() {
    let message = hello(&[sni("example.test"), (ALPN, b"\0\x03\x02h2".to_vec())]);
    let split: Vec<u8> = message.chunks(9).flat_map(record).collect();
    for octets in [record(&message), split] {
        let taken = allocation_counter::measure(|| {
            let Reading::Done(hello) = read_client_hello(&octets) else { panic!("it is a hello") };
            assert!(hello.server_name().is_some() && hello.protocols().count() == 1);
        });
        assert_eq!(taken.count_total, 0, "{taken:?}");
    }
}

#[test]
fn what_is_broken_behind_the_name_leaves_the_name() {
    let mut octets = hello(&[sni("example.test"), (ALPN, vec![0xff; 7])]);
    check(&record(&octets), Some("example.test"));
    // The extensions claim more than there is.
    octets.extend([0xff; 3]);
    let len = u32::try_from(octets.len() - 4).unwrap().to_be_bytes();
    octets[1..4].copy_from_slice(&len[1..]);
    check(&record(&octets), Some("example.test"));
    // The cipher suites do.
    octets[39..41].copy_from_slice(&[0xff, 0xff]);
    check(&record(&octets), None);
}

#[test]
fn what_is_no_hello_is_known_at_once() {
    for octets in [
        &b"GET / HTTP/1.1"[..],
        b"\x16\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x05\x02",
        b"\x16\x03\x01\x40\x01",
        b"\x17\x03\x03\x00\x10\x01",
        // A message of 64 KiB.
        b"\x16\x03\x01\x00\x04\x01\x01\x00\x00",
    ] {
        assert_eq!(read_client_hello(octets), Reading::Not, "{}", octets.escape_ascii());
    }
    assert_eq!(read_client_hello(b""), Reading::More);
    assert_eq!(read_client_hello(b"\x16\x03\x01"), Reading::More);
    let mut endless = record(&[1, 0, 0x3f, 0xff]);
    endless.extend(vec![0x16, 3, 3, 0x40, 0]);
    endless.resize(MAX_HELLO_LEN, 0);
    assert_eq!(read_client_hello(&endless), Reading::Not);
}

proptest! {
    #[test]
    fn every_cut_of_a_hello_asks_for_more(
        label in "[a-z]{1,40}", padding in 0_usize..2_000, size in 1_usize..600, cut in any::<Index>(),
    ) {
        let name = format!("{label}.test");
        let message = hello(&[sni(&name), (21, vec![0; padding])]);
        let whole: Vec<u8> = message.chunks(size).flat_map(record).collect();
        prop_assume!(whole.len() < MAX_HELLO_LEN);
        prop_assert_eq!(read_client_hello(&whole[..cut.index(whole.len())]), Reading::More);
        let Reading::Done(hello) = read_client_hello(&whole) else { panic!("{name}") };
        prop_assert_eq!(hello.server_name(), DomainName::parse(name.as_bytes()).ok());
    }

    /// What rustls takes for the name, as a server, is the name.
    #[test]
    fn agrees_with_rustls(label in "[a-z]{1,40}", has_alpn in any::<bool>()) {
        let name = format!("{label}.test");
        let octets = rustls_hello(&name, has_alpn);
        let mut acceptor = rustls::server::Acceptor::default();
        acceptor.read_tls(&mut &octets[..]).unwrap();
        let accepted = acceptor.accept().unwrap().unwrap();
        let theirs = accepted.client_hello();
        let Reading::Done(ours) = read_client_hello(&octets) else { panic!("it is a hello") };
        prop_assert_eq!(ours.server_name().unwrap().to_string(), theirs.server_name().unwrap());
        let alpn: Vec<_> = theirs.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
        prop_assert_eq!(ours.protocols().map(<[u8]>::to_vec).collect::<Vec<_>>(), alpn);
    }
}

#[track_caller]
fn check(stream: &[u8], expected: Option<&str>) {
    let Reading::Done(hello) = read_client_hello(stream) else { panic!("it is a hello") };
    assert_eq!(hello.server_name().as_ref().map(DomainName::as_str), expected);
}

pub(crate) fn hello(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    let mut list = Vec::new();
    for (kind, data) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        list.extend(data);
    }
    body.extend(u16::try_from(list.len()).unwrap().to_be_bytes());
    body.extend(list);
    let len = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut message = vec![1, len[1], len[2], len[3]];
    message.extend(body);
    message
}

pub(crate) fn sni(name: &str) -> (u16, Vec<u8>) {
    let len = u16::try_from(name.len()).unwrap();
    let mut data = (len + 3).to_be_bytes().to_vec();
    data.push(0);
    data.extend(len.to_be_bytes());
    data.extend(name.as_bytes());
    (SERVER_NAME, data)
}

fn record(fragment: &[u8]) -> Vec<u8> {
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(fragment.len()).unwrap().to_be_bytes());
    record.extend(fragment);
    record
}

fn rustls_hello(name: &str, has_alpn: bool) -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    if has_alpn {
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    let server = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), server).unwrap();
    let mut octets = Vec::new();
    client.write_tls(&mut octets).unwrap();
    octets
}
