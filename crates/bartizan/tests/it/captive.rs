//! A network that wants a person to sign in, on loopback: its resolver and its gateway answer everything themselves, and a
//! resolver over TLS cannot be reached until then.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bartizan_agent::SecureDns;
use bartizan_host::Probe;
use bartizan_host::tunnel::Network;

use crate::support::{RESOLVER, SITE, TestDevice, World, bartizan, wait_for};

#[test]
fn a_person_signs_in_on_a_captive_network_and_lookups_are_encrypted_again() {
    let world = World::new();
    let portal = world.portal();
    let network = Arc::new(Captive::default());
    let (authority, tls) = certificate(&world);
    let resolver = network.resolve();
    let (gateway, encrypted) = (network.answer_requests(), network.answer_over_tls(tls));
    let upstream = format!("tls://dns.example:{}?ip=127.0.0.1", encrypted.port());
    let data = world.data();
    let words = ["--dns-upstream", &upstream, "--dns-fallback", "off"];
    let output =
        bartizan(&[&["admin", "policy", "--data", data.to_str().unwrap()], &words[..]].concat());
    assert!(output.status.success(), "{output:?}");

    let token = portal.enrollment_token();
    let device = TestDevice::start_changed(&world.state(), &portal.url, Some(&token), |setup| {
        setup.route.resolvers = [(RESOLVER.ip(), resolver)].into();
        setup.secure_dns = Some(Box::new(SecureDns::new(&authority, None).unwrap()));
        let url = format!("http://probe.example:{}/", gateway.port());
        setup.probe = Some(Probe::at(&url).unwrap());
    });
    let status = device.wait_until("the network is found to be captive", |status| {
        status.tunnel.network == "captive portal" && status.policy_version == 2
    });
    let problem = status.problem.unwrap_or_default();
    assert!(problem.contains("sign in"), "{problem}");
    device.wait_until("it holds its indicators", |status| status.protection == "degraded");
    assert_eq!(device.resolve("shop.example"), GATEWAY, "the page to sign in on opens");
    assert_eq!(device.resolve("evil.test"), Ipv4Addr::UNSPECIFIED, "what is listed stays so");

    network.signed_in.store(true, Ordering::SeqCst);
    device.wait_until("the network is found to be open", |status| {
        status.tunnel.network == "open" && status.protection == "on"
    });
    let asked = network.asked.load(Ordering::SeqCst);
    assert_eq!(device.resolve("shop.example"), SITE, "over TLS, and not as the network had it");
    assert_eq!(network.asked.load(Ordering::SeqCst), asked, "nothing in plain");
    let status = device.wait_until("it is counted", |status| 0 < status.tunnel.plain_lookups);
    assert_eq!(status.tunnel.captive_portals, 1);
}

#[test]
fn another_network_is_looked_at_and_knows_nothing_of_the_one_before() {
    let world = World::new();
    let portal = world.portal();
    let network = Arc::new(Captive::default());
    let looked = Arc::new(AtomicBool::new(false));
    let token = portal.enrollment_token();
    let device = TestDevice::start_changed(&world.state(), &portal.url, Some(&token), |setup| {
        setup.route.resolvers = [(RESOLVER.ip(), network.resolve())].into();
        let looked = Arc::clone(&looked);
        setup.look = Box::new(move || {
            looked.store(true, Ordering::SeqCst);
            Some(Network { resolvers: vec![RESOLVER.ip()], uplink: None })
        });
    });
    device.wait_until("protected", |status| status.protection == "on");
    assert_eq!(device.resolve("shop.example"), GATEWAY);
    let first = network.asked.load(Ordering::SeqCst);
    assert_eq!(device.resolve("shop.example"), GATEWAY);
    assert_eq!(network.asked.load(Ordering::SeqCst), first, "it is kept");
    device.device().handle_network_change();
    wait_for("what was kept is forgotten", || {
        device.resolve("shop.example");
        (first < network.asked.load(Ordering::SeqCst)).then_some(())
    });
    assert!(looked.load(Ordering::SeqCst));
}

/// The network.
#[derive(Default)]
struct Captive {
    signed_in: AtomicBool,
    /// Questions in plain.
    asked: AtomicU32,
}

impl Captive {
    /// Answers every question with the gateway.
    fn resolve(self: &Arc<Self>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (at, network) = (socket.local_addr().unwrap(), Arc::clone(self));
        std::thread::spawn(move || {
            let mut query = [0; 1_024];
            while let Ok((len, client)) = socket.recv_from(&mut query) {
                network.asked.fetch_add(1, Ordering::SeqCst);
                let _ = socket.send_to(&answer(&query[..len], GATEWAY), client);
            }
        });
        at
    }

    /// Leads every request to a page, and lets probes through once somebody has signed in.
    fn answer_requests(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, network) = (listener.local_addr().unwrap(), Arc::clone(self));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let head = if network.signed_in.load(Ordering::SeqCst) {
                    "HTTP/1.1 204 No Content\r\n\r\n"
                } else {
                    "HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n"
                };
                let _ = stream.write_all(head.as_bytes());
            }
        });
        at
    }

    /// Answers over TLS where every name really is, once somebody has signed in.
    fn answer_over_tls(self: &Arc<Self>, config: Arc<rustls::ServerConfig>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, network) = (listener.local_addr().unwrap(), Arc::clone(self));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if !network.signed_in.load(Ordering::SeqCst) {
                    continue;
                }
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                std::thread::spawn(move || {
                    let mut stream = rustls::StreamOwned::new(connection, stream);
                    let mut len = [0; 2];
                    while stream.read_exact(&mut len).is_ok() {
                        let mut query = vec![0; usize::from(u16::from_be_bytes(len))];
                        stream.read_exact(&mut query).unwrap();
                        let answer = answer(&query, SITE);
                        let len = u16::try_from(answer.len()).unwrap();
                        stream.write_all(&[&len.to_be_bytes()[..], &answer].concat()).unwrap();
                    }
                });
            }
        });
        at
    }
}

/// An answer with one address, without what follows the question.
fn answer(query: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let name = query[12..].iter().position(|octet| *octet == 0).unwrap();
    let mut answer = query[..12 + name + 5].to_vec();
    answer[2] |= 0x80; // a response
    answer[7] = 1; // with one answer
    answer[11] = 0; // and no OPT
    answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    answer.extend(address.octets());
    answer
}

fn certificate(world: &World) -> (std::path::PathBuf, Arc<rustls::ServerConfig>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["dns.example".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let path = world.file("dns.pem", &certificate.pem());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (path.into(), Arc::new(config))
}

const GATEWAY: Ipv4Addr = Ipv4Addr::LOCALHOST;
