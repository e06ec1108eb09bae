//! The applications: each has a connection of `smoltcp`, writes and reads at its own pace, and checks what it reads.

use std::collections::VecDeque;
use std::rc::Rc;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{RecvError, Socket, SocketBuffer, State};
use smoltcp::time::{Duration as Span, Instant as Stamp};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, Ipv4Address, Ipv6Address};

use super::Micros;
use super::scenario::{ClientEnds, Plan, Scenario};

pub(crate) struct Clients {
    scenario: Rc<Scenario>,
    interface: Interface,
    device: Tunnel,
    sockets: SocketSet<'static>,
    pub(crate) all: Vec<Client>,
    pub(crate) progress: u64,
}

#[derive(Default)]
pub(crate) struct Client {
    handle: Option<SocketHandle>,
    opened_at: Option<Micros>,
    pub(crate) established: bool,
    pub(crate) written: usize,
    pub(crate) read: usize,
    writes_at: Micros,
    reads_at: Micros,
    /// It has closed its side, or reset the connection, or has given up waiting for it.
    pub(crate) closed: bool,
    pub(crate) aborted: bool,
    pub(crate) gave_up: bool,
    /// How it saw the other side end.
    pub(crate) saw: Option<Saw>,
    /// When all was over, and when its port was free again.
    pub(crate) done_at: Option<Micros>,
    gone_at: Option<Micros>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saw {
    End,
    Reset,
}

impl Clients {
    pub(crate) fn new(scenario: Rc<Scenario>) -> Self {
        let mut device = Tunnel { mtu: scenario.client_mtu.into(), ..Tunnel::default() };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = scenario.seed;
        let mut interface = Interface::new(config, &mut device, Stamp::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(IpAddress::v4(192, 0, 2, 1), 24)).unwrap();
            addresses
                .push(IpCidr::new(IpAddress::v6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 64))
                .unwrap();
        });
        let (v4, v6) = (
            Ipv4Address::new(192, 0, 2, 254),
            Ipv6Address::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe),
        );
        interface.routes_mut().add_default_ipv4_route(v4).unwrap();
        interface.routes_mut().add_default_ipv6_route(v6).unwrap();
        let all = scenario.plans.iter().map(|_| Client::default()).collect();
        Self { scenario, interface, device, sockets: SocketSet::new(Vec::new()), all, progress: 0 }
    }

    /// Takes in a packet from the tunnel.
    pub(crate) fn receive(&mut self, packet: Vec<u8>) {
        self.device.received.push_back(packet);
    }

    /// Lets all do what they do now; returns the packets for the tunnel.
    pub(crate) fn act(&mut self, now: Micros) -> Vec<Vec<u8>> {
        let scenario = Rc::clone(&self.scenario);
        self.poll(now);
        for (index, plan) in scenario.plans.iter().enumerate() {
            let before = plan.after.map(|before| self.all[before].gone_at);
            let opens_at = before.map_or(Some(plan.opens), |gone| Some(gone? + plan.opens));
            let client = &mut self.all[index];
            if client.opened_at.is_none() && opens_at.is_some_and(|at| at <= now) {
                client.opened_at = Some(now);
                let mut socket = socket(plan, scenario.is_faithful());
                socket.connect(self.interface.context(), plan.server, plan.client).unwrap();
                client.handle = Some(self.sockets.add(socket));
            }
            if let Some(handle) = client.handle {
                client.act(plan, self.sockets.get_mut(handle), now, &mut self.progress);
            }
        }
        self.poll(now);
        for client in &mut self.all {
            let Some(handle) = client.handle else { continue };
            let state = self.sockets.get::<Socket<'_>>(handle).state();
            if client.done_at.is_some() && state == State::Closed {
                self.sockets.remove(handle);
                client.handle = None;
                client.gone_at = Some(now);
            }
        }
        std::mem::take(&mut self.device.sent)
    }

    fn poll(&mut self, now: Micros) {
        self.interface.poll(stamp(now), &mut self.device, &mut self.sockets);
    }

    /// Returns when [`Clients::act`] has something to do.
    pub(crate) fn next(&mut self, now: Micros) -> Option<Micros> {
        let interface = self.interface.poll_at(stamp(now), &self.sockets);
        let interface = interface.map(|at| u64::try_from(at.total_micros()).unwrap());
        let mut next = interface;
        let mut sooner = |at: Micros| next = Some(next.map_or(at, |next| next.min(at)));
        for (client, plan) in self.all.iter().zip(&self.scenario.plans) {
            if client.opened_at.is_none() {
                match plan.after {
                    None => sooner(plan.opens),
                    Some(before) => {
                        self.all[before].gone_at.into_iter().for_each(|at| sooner(at + plan.opens))
                    }
                }
            }
            let (Some(handle), None) = (client.handle, client.done_at) else { continue };
            let socket = self.sockets.get::<Socket<'_>>(handle);
            if socket.can_recv() {
                sooner(client.reads_at);
            }
            if socket.can_send() && client.written < plan.up.len() {
                sooner(client.writes_at);
            }
            if let (ClientEnds::ByReset(after), Some(opened_at)) =
                (plan.client_ends, client.opened_at)
            {
                sooner(opened_at + after);
            }
            if let (false, Some(opened_at)) = (client.established, client.opened_at) {
                sooner(opened_at + PATIENCE);
            }
        }
        next
    }

    pub(crate) fn are_gone(&self) -> bool {
        self.all.iter().all(|client| client.gone_at.is_some())
    }

    /// Says how each stands, for whoever reads a failure.
    pub(crate) fn describe(&self) -> String {
        let states = self.all.iter().zip(&self.scenario.plans).map(|(client, plan)| {
            let state = client.handle.map(|handle| {
                let socket = self.sockets.get::<Socket<'_>>(handle);
                (socket.state(), socket.send_queue(), socket.recv_queue())
            });
            format!(
                "{} to {}: written {} of {}, read {} of {}, closed {}, saw {:?}, {state:?}\n",
                plan.client,
                plan.server,
                client.written,
                plan.up.len(),
                client.read,
                plan.down.len(),
                client.closed,
                client.saw,
            )
        });
        states.collect()
    }
}

fn socket(plan: &Plan, faithful: bool) -> Socket<'static> {
    let receive = SocketBuffer::new(vec![0; plan.receive_buffer]);
    let mut socket = Socket::new(receive, SocketBuffer::new(vec![0; plan.send_buffer]));
    socket.set_nagle_enabled(plan.nagle);
    // A lost reset is noticed only by whoever asks.
    socket.set_keep_alive((!faithful).then_some(Span::from_secs(30)));
    socket
}

impl Client {
    pub(crate) fn has_opened(&self) -> bool {
        self.opened_at.is_some()
    }

    fn act(&mut self, plan: &Plan, socket: &mut Socket<'_>, now: Micros, progress: &mut u64) {
        if self.done_at.is_some() {
            return;
        }
        let open_for = now - self.opened_at.unwrap_or(now);
        self.established |= !matches!(socket.state(), State::SynSent | State::Closed);
        let aborts = plan.client_ends
            == ClientEnds::ByReset(open_for.min(match plan.client_ends {
                ClientEnds::ByReset(after) => after,
                ClientEnds::AfterSending | ClientEnds::AfterServer => 0,
            }));
        self.gave_up = !self.established && PATIENCE <= open_for;
        if (aborts || self.gave_up) && self.saw != Some(Saw::Reset) {
            socket.abort();
            *progress += 1;
            self.aborted = aborts;
            self.done_at = Some(now);
            return;
        }
        while self.established
            && socket.can_send()
            && self.written < plan.up.len()
            && self.writes_at <= now
        {
            let from = self.written;
            let part = &plan.up[from..];
            let part = &part[..part.len().min(plan.writes.octets)];
            self.written += socket.send_slice(part).unwrap();
            self.writes_at = now + plan.writes.pause(from, self.written);
            *progress += 1;
        }
        // All has come; `smoltcp` drops what is not read by the end of this state.
        let last_chance = socket.state() == State::TimeWait;
        while socket.can_recv() && (self.reads_at <= now || last_chance) {
            let from = self.read;
            let count = socket.recv(|octets| {
                let count = octets.len().min(plan.reads.octets);
                assert!(from + count <= plan.down.len(), "more comes than was sent");
                assert!(
                    octets[..count] == plan.down[from..from + count],
                    "other octets come than were sent"
                );
                (count, count)
            });
            self.read += count.unwrap();
            self.reads_at = now + plan.reads.pause(from, self.read);
            *progress += 1;
        }
        if !socket.can_recv() && self.saw.is_none() && socket.state() != State::SynSent {
            self.saw = match socket.recv(|_| (0, ())) {
                Err(RecvError::Finished) => Some(Saw::End),
                Err(RecvError::InvalidState) if socket.state() == State::Closed => Some(Saw::Reset),
                Err(RecvError::InvalidState) | Ok(()) => None,
            };
            *progress += u64::from(self.saw.is_some());
        }
        if self.saw == Some(Saw::End) && socket.state() == State::Closed && !self.closed {
            // A reset after the other side's end.
            self.saw = Some(Saw::Reset);
        }
        let finishes = plan.client_ends != ClientEnds::AfterServer || self.saw == Some(Saw::End);
        if self.established && self.written == plan.up.len() && finishes && !self.closed {
            socket.close();
            self.closed = true;
            *progress += 1;
        }
        let over = match self.saw {
            Some(Saw::Reset) => true,
            Some(Saw::End) => matches!(socket.state(), State::Closed | State::TimeWait),
            None => false,
        };
        if over {
            self.done_at = Some(now);
            *progress += 1;
        }
    }
}

fn stamp(now: Micros) -> Stamp {
    Stamp::from_micros(i64::try_from(now).unwrap())
}

/// How long an application waits for a connection.
pub(crate) const PATIENCE: Micros = 100_000_000;

/// The application's end of the tunnel.
#[derive(Default)]
struct Tunnel {
    mtu: usize,
    received: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

impl Device for Tunnel {
    type RxToken<'a> = Packet;
    type TxToken<'a> = Place<'a>;

    fn receive(&mut self, _: Stamp) -> Option<(Packet, Place<'_>)> {
        let packet = self.received.pop_front()?;
        Some((Packet(packet), Place(&mut self.sent)))
    }

    fn transmit(&mut self, _: Stamp) -> Option<Place<'_>> {
        Some(Place(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

struct Packet(Vec<u8>);

impl RxToken for Packet {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Place<'a>(&'a mut Vec<Vec<u8>>);

impl TxToken for Place<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let result = write(&mut packet);
        self.0.push(packet);
        result
    }
}
