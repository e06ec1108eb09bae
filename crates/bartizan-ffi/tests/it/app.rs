//! The device through the functions that an app calls, over a socket pair in place of a utun.

#![expect(unsafe_code, reason = "calls what Swift calls, as Swift calls it")]

use std::ffi::c_void;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bartizan_contract::attestation::client_data_hash;
use bartizan_contract::enroll::EnrollRequest;
use bartizan_ffi::c::{
    AttestFunction, HttpFunction, Octets, Room, bartizan_attested, bartizan_reply, bartizan_start,
    bartizan_status, bartizan_stop,
};
use bartizan_ffi::device::Running;
use bartizan_ffi::http::Reply;
use bartizan_host::Attested;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr};
use smoltcp::wire::{TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};

/// An app: its end of the utun, what its HTTP function was asked, and the device it started.
struct App {
    system: UnixDatagram,
    asked: Receiver<String>,
    /// Read by the device's thread until it has stopped.
    _context: Box<Sender<String>>,
    device: *mut Running,
    problem: String,
}

impl App {
    fn start(start: &str) -> Self {
        let (ours, system) = UnixDatagram::pair().unwrap();
        system.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let ours = OwnedFd::from(ours);
        let (sender, asked) = channel();
        let mut context = Box::new(sender);
        let mut problem = [0xff; 32];
        let room = Room { start: problem.as_mut_ptr(), length: problem.len() };
        let context_pointer: *mut Sender<String> = &raw mut *context;
        // SAFETY: everything that is lent outlives the call, and the context the device.
        let device = unsafe {
            bartizan_start(
                ours.as_raw_fd(),
                lend(start),
                HTTP,
                Some(ATTEST),
                context_pointer.cast(),
                room,
            )
        };
        let problem = problem.split(|octet| *octet == 0).next().unwrap_or_default();
        let problem = String::from_utf8(problem.to_vec()).unwrap();
        Self { system, asked, _context: context, device, problem }
    }

    fn status(&self, room: usize) -> (usize, String) {
        let mut octets = vec![0; room];
        let room = Room { start: octets.as_mut_ptr(), length: room };
        // SAFETY: the device runs, and the room outlives the call.
        let length = unsafe { bartizan_status(self.device, room) };
        octets.truncate(length);
        (length, String::from_utf8(octets).unwrap())
    }

    fn stop(self) -> bool {
        // SAFETY: the device runs and is used no more.
        unsafe { bartizan_stop(self.device) }
    }
}

const HTTP: HttpFunction = http;
const ATTEST: AttestFunction = attest;
const CHALLENGE: &str = "a-challenge";
const KEY_ID: &[u8] = &[7; 32];

/// Gives a challenge; else tells what was asked and answers that the portal is busy.
extern "C" fn http(
    context: *mut c_void,
    head: Octets,
    body: Octets,
    reply: *mut Reply<'_>,
) -> bool {
    // SAFETY: head and body are lent for this call, the context outlives the device, and the reply is that of this call.
    unsafe {
        let [head, body] = [head, body].map(|octets| {
            String::from_utf8_lossy(std::slice::from_raw_parts(octets.start, octets.length))
        });
        if head.contains("/attestation/challenge") {
            let challenge = format!(
                r#"{{"challenge":"{CHALLENGE}","expires_in":300,"server_time_ms":1700000000000}}"#
            );
            return bartizan_reply(reply, 200, 0, lend(&challenge));
        }
        let sender = &*context.cast::<Sender<String>>();
        sender.send(format!("{head}\n{body}")).unwrap();
        bartizan_reply(reply, 503, 60, lend("{}"))
    }
}

/// Vouches for anything, with the hash in the object's place.
extern "C" fn attest(_: *mut c_void, hash: Octets, attested: *mut Attested) -> bool {
    let key_id = Octets { start: KEY_ID.as_ptr(), length: KEY_ID.len() };
    // SAFETY: this is the call that lends both.
    unsafe { bartizan_attested(attested, key_id, hash) };
    true
}

fn lend(text: &str) -> Octets {
    Octets { start: text.as_ptr(), length: text.len() }
}

fn start(state: &tempfile::TempDir) -> String {
    let token = format!("bze1.{}.{}", "A".repeat(43), "A".repeat(22));
    format!(
        r#"{{"state_dir":{:?},"portal_url":"https://portal.test","enrollment_token":"{token}","platform":{{"os":"iOS",
        "os_version":"18.1","model":"iPhone17,3","device_name":"","app_version":"1"}},"resolvers":["192.0.2.53"]}}"#,
        state.path()
    )
}

/// The first packet of a connection to the resolver, which the engine itself accepts.
fn connection_request() -> Vec<u8> {
    let (src, dst) = (Ipv4Address::new(198, 18, 0, 1), Ipv4Address::new(192, 0, 2, 53));
    let tcp = TcpRepr {
        src_port: 50_000,
        dst_port: 53,
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(1),
        ack_number: None,
        window_len: 1_024,
        window_scale: None,
        max_seg_size: Some(1_220),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let ip = Ipv4Repr {
        src_addr: src,
        dst_addr: dst,
        next_header: IpProtocol::Tcp,
        payload_len: tcp.buffer_len(),
        hop_limit: 64,
    };
    let checksums = ChecksumCapabilities::default();
    let mut octets = vec![0; ip.buffer_len() + tcp.buffer_len()];
    let mut packet = Ipv4Packet::new_unchecked(&mut octets[..]);
    ip.emit(&mut packet, &checksums);
    let mut segment = TcpPacket::new_unchecked(packet.payload_mut());
    tcp.emit(&mut segment, &src.into(), &dst.into(), &checksums);
    octets
}

#[test]
fn a_device_answers_by_its_utun_and_asks_by_the_app() {
    let state = tempfile::tempdir().unwrap();
    let app = App::start(&start(&state));
    assert_eq!(app.problem, "");

    let asked = app.asked.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(asked.contains(r#""method":"POST","url":"https://portal.test/"#), "{asked}");

    // What is no packet first: it must not end anything.
    app.system.send(&[0, 0]).unwrap();
    app.system.send(&[&[0, 0, 0, 2], &connection_request()[..]].concat()).unwrap();
    let mut buffer = [0; 2_048];
    let length = app.system.recv(&mut buffer).unwrap();
    let (family, packet) = buffer[..length].split_at(4);
    assert_eq!(family, [0, 0, 0, 2]);
    let packet = Ipv4Packet::new_checked(packet).unwrap();
    let segment = TcpPacket::new_checked(packet.payload()).unwrap();
    assert!(segment.syn() && segment.ack());

    let (length, cut) = app.status(10);
    let (whole_length, whole) = app.status(4_096);
    assert!(whole_length == whole.len() && whole.starts_with(&cut) && 10 < length, "{whole}");
    assert!(whole.contains(r#""protection""#), "{whole}");
    assert!(app.stop());
}

#[test]
fn what_the_app_has_vouched_for_goes_with_the_enrollment() {
    let state = tempfile::tempdir().unwrap();
    let app = App::start(&start(&state));
    let asked = app.asked.recv_timeout(Duration::from_secs(5)).unwrap();
    let (head, body) = asked.split_once('\n').unwrap();
    assert!(head.contains("/enroll"), "{head}");
    let request: EnrollRequest = serde_json::from_str(body).unwrap();
    let hash = client_data_hash(CHALLENGE, &request.device_key, &[0; 16]);
    let attestation = request.attestation.unwrap();
    assert_eq!(attestation.challenge, CHALLENGE);
    assert_eq!(attestation.key_id, URL_SAFE_NO_PAD.encode(KEY_ID));
    assert_eq!(attestation.object, URL_SAFE_NO_PAD.encode(hash));
    assert!(app.stop());
}

#[test]
fn a_device_that_cannot_start_says_why() {
    let state = tempfile::tempdir().unwrap();
    let app = App::start(&start(&state).replace("bze1", "bze0"));
    assert!(app.device.is_null());
    // Cut at the room there was, which ends with a zero.
    assert_eq!(app.problem, "not an enrollment token: it sta");
    let app = App::start("{}");
    assert!(app.device.is_null());
    assert_eq!(app.problem, "this starts no device: missing ");
}
