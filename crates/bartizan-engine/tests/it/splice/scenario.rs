//! What a seed says: how bad the way is, who connects to whom, and what both ends do.

use std::net::SocketAddr;

use bartizan_engine::limits;
use bartizan_engine::net::ConnectError;

use super::Micros;
use super::clients::PATIENCE;
use super::link::Quality;
use super::random::Random;

pub(crate) struct Scenario {
    pub(crate) seed: u64,
    /// From the application to the engine, and back.
    pub(crate) up: Quality,
    pub(crate) down: Quality,
    /// Of the tunnel, as the engine and as the application knows it.
    pub(crate) engine_mtu: u16,
    pub(crate) client_mtu: u16,
    pub(crate) offload: bool,
    /// Whether the tunnel hands over segments of one connection as one.
    pub(crate) merges: bool,
    /// Whether sockets are said to be ready without reason.
    pub(crate) false_alarms: bool,
    pub(crate) plans: Vec<Plan>,
}

/// One connection.
pub(crate) struct Plan {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    /// It begins at this time, or so long after this other one has gone.
    pub(crate) opens: Micros,
    pub(crate) after: Option<usize>,
    /// What the application sends, and what the server does.
    pub(crate) up: Vec<u8>,
    pub(crate) down: Vec<u8>,
    /// Where the application's numbers begin.
    pub(crate) first_number: Option<u32>,
    pub(crate) writes: Pace,
    pub(crate) reads: Pace,
    pub(crate) receive_buffer: usize,
    pub(crate) send_buffer: usize,
    pub(crate) nagle: bool,
    pub(crate) client_ends: ClientEnds,
    pub(crate) connect: Connect,
    pub(crate) server_reads: Pace,
    pub(crate) server_begins: Begins,
    /// What the server sends is what it has read.
    pub(crate) echoes: bool,
    pub(crate) server_ends: ServerEnds,
    /// What the host's socket takes and holds.
    pub(crate) send_room: usize,
    pub(crate) receive_room: usize,
    /// Whether the socket gives less than it has, at times.
    pub(crate) gives_less: bool,
    /// Whether a reset of the server drops what it has sent before.
    pub(crate) reset_drops: bool,
}

/// So many octets at once, then a pause; one long pause on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) octets: usize,
    pub(crate) every: Micros,
    pub(crate) stops_at: usize,
    pub(crate) stops_for: Micros,
}

impl Pace {
    /// Returns how long to wait after octets have moved from one place of the stream to another.
    pub(crate) fn pause(&self, from: usize, to: usize) -> Micros {
        let stops = from < self.stops_at && self.stops_at <= to;
        if stops { self.stops_for } else { self.every }
    }

    fn draw(random: &mut Random, total: usize) -> Self {
        let octets =
            if random.per_mille(300) { usize::MAX } else { random.size(total / 40 + 1, total + 1) };
        let every = random.pick(&[0, 200, 2_000, 20_000]);
        let stops = random.per_mille(200);
        let stops_at = if stops { random.size(1, total.max(1)) } else { usize::MAX };
        let stops_for = random.pick(&[300_000, 2_000_000, 10_000_000, 70_000_000]);
        Self { octets, every, stops_at, stops_for }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientEnds {
    /// As soon as all is sent.
    AfterSending,
    /// When the server has.
    AfterServer,
    /// By a reset, so long after it began.
    ByReset(Micros),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerEnds {
    /// As soon as all is sent.
    AfterSending,
    /// When the application has.
    AfterClient,
    /// By a reset, so long after it was connected to.
    ByReset(Micros),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begins {
    AtOnce,
    AfterFirst,
    AfterEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connect {
    Accepts(Micros),
    Fails(Micros, ConnectError),
    FailsAtOnce(ConnectError),
}

impl Scenario {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let random = &mut random;
        let faithful = random.per_mille(350);
        let client_mtu = random.pick(&[1_500, 1_500, 1_500, 1_280, 576, 200, 9_000]);
        let engine_mtu = random.pick(&[1_500, 1_500, 1_280, 9_000]);
        let offload = random.per_mille(400);
        let flows = random.pick(&[1, 1, 1, 2, 2, 3, 8]);
        let mut scenario = Self {
            seed,
            up: quality(random, faithful),
            down: quality(random, faithful),
            engine_mtu,
            client_mtu,
            offload,
            merges: offload && random.per_mille(600),
            false_alarms: random.per_mille(200),
            plans: Vec::new(),
        };
        for index in 0..flows {
            let again = 0 < index && random.per_mille(200);
            let segment = usize::from(client_mtu.min(engine_mtu)) - 60;
            let mut plan = Plan::draw(random, index, flows, segment);
            if again {
                let before = &scenario.plans[usize::from(index) - 1];
                (plan.client, plan.server) = (before.client, before.server);
                plan.after = Some(usize::from(index) - 1);
            }
            scenario.plans.push(plan);
        }
        scenario
    }

    /// Nothing is lost, doubled or overtaken, so nobody has to send anything again.
    pub(crate) fn is_faithful(&self) -> bool {
        self.up.is_faithful() && self.down.is_faithful()
    }

    /// Returns how long it may take until something moves that is not at its end. Where nothing is lost, it is no
    /// timer that helps on.
    pub(crate) fn longest_pause(&self) -> Micros {
        if !self.is_faithful() {
            return 3_000_000_000;
        }
        let longest = self.plans.iter().map(Plan::longest_pause).max().unwrap_or(0);
        let turn = [self.up, self.down].map(|way| way.delay + way.jitter);
        // A turn for an acknowledgment that is delayed by 10 ms, and one for what it lets go.
        longest + 3 * (turn[0] + turn[1]) + 30_000
    }
}

fn quality(random: &mut Random, faithful: bool) -> Quality {
    let delay = random.pick(&[0, 50, 1_000, 10_000, 40_000]);
    let jitter = random.pick(&[0, 0, 500, 10_000]);
    if faithful {
        return Quality { delay, jitter, ..Quality::default() };
    }
    let mut share = |most: u64| if random.per_mille(500) { random.between(0, most) } else { 0 };
    Quality { delay, jitter, lost: share(200), twice: share(150), late: share(200) }
}

impl Plan {
    fn longest_pause(&self) -> Micros {
        let paces = [self.writes, self.reads, self.server_reads];
        let paces =
            paces.map(|pace| if pace.stops_at == usize::MAX { pace.every } else { pace.stops_for });
        let connect = match self.connect {
            Connect::Accepts(after) => after,
            Connect::Fails(..) | Connect::FailsAtOnce(_) => PATIENCE,
        };
        let client = match self.client_ends {
            ClientEnds::ByReset(after) => after,
            ClientEnds::AfterSending | ClientEnds::AfterServer => 0,
        };
        let server = match self.server_ends {
            ServerEnds::ByReset(after) => after,
            ServerEnds::AfterSending | ServerEnds::AfterClient => 0,
        };
        // The ports of the one before are free when its TIME-WAIT of ten seconds is over.
        let before = self.after.map_or(0, |_| 10_000_000);
        let begins = self.opens + before + connect;
        // First octets that a name may be read from are held, and the application may not send more.
        let is_read =
            self.up.first().is_some_and(|first| *first == 0x16 || first.is_ascii_graphic());
        let held = if is_read { limits::HELD_FOR * 1_000 } else { 0 };
        held + paces.into_iter().chain([client, server, begins]).max().unwrap_or(0)
    }

    fn draw(random: &mut Random, index: u16, flows: u16, segment: usize) -> Self {
        let v6 = random.per_mille(400);
        let (client, server) = if v6 {
            (
                format!("[2001:db8::1]:{}", 50_000 + index),
                format!("[2001:db8:1::9]:{}", 1_000 + index),
            )
        } else {
            (format!("192.0.2.1:{}", 50_000 + index), format!("198.51.100.9:{}", 1_000 + index))
        };
        let receive_buffer = random.pick(&[200, 1_000, 4_096, 20_000, 65_535, 65_535, 300_000]);
        let most = 300_000 / usize::from(flows);
        let mut octets = |step: usize| {
            let most = most.min(step * 200);
            match random.between(0, 9) {
                0 => 0,
                1..=3 => random.size(1, most.min(2_000)),
                4..=8 => random.size(1, most.min(30_000)),
                _ => random.size(1, most),
            }
        };
        let (up, down) = (octets(segment), octets(segment.min(receive_buffer)));
        let echoes = random.per_mille(200);
        let up = first_octets(random, up);
        let down = if echoes { up.clone() } else { random.octets(down) };
        let mut client_ends = match random.between(0, 9) {
            0..=5 => ClientEnds::AfterSending,
            6..=8 => ClientEnds::AfterServer,
            _ => ClientEnds::ByReset(random.between(0, 500_000)),
        };
        let mut server_begins =
            random.pick(&[Begins::AtOnce, Begins::AtOnce, Begins::AfterFirst, Begins::AfterEnd]);
        if up.is_empty() && server_begins == Begins::AfterFirst {
            server_begins = Begins::AtOnce;
        }
        let server_ends = match random.between(0, 9) {
            0..=5 => ServerEnds::AfterSending,
            6..=8 => ServerEnds::AfterClient,
            _ => ServerEnds::ByReset(random.between(0, 500_000)),
        };
        // Or both would wait for each other.
        let waits = server_ends == ServerEnds::AfterClient || server_begins == Begins::AfterEnd;
        if client_ends == ClientEnds::AfterServer && waits {
            client_ends = ClientEnds::AfterSending;
        }
        let error = random.pick(&[
            ConnectError::Refused,
            ConnectError::Unreachable,
            ConnectError::TimedOut,
            ConnectError::NoRoom,
        ]);
        let connect = match random.between(0, 19) {
            0 => Connect::Fails(random.between(0, 300_000), error),
            1 => Connect::FailsAtOnce(error),
            2 => Connect::Accepts(random.between(0, 4_000_000)),
            _ => Connect::Accepts(random.pick(&[0, 500, 30_000])),
        };
        Self {
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
            opens: random.pick(&[0, 0, 10_000, 400_000]),
            after: None,
            first_number: random
                .per_mille(300)
                .then(|| 0_u32.wrapping_sub(u32::try_from(random.between(0, 20_000)).unwrap())),
            writes: Pace::draw(random, up.len()),
            reads: Pace::draw(random, down.len()),
            receive_buffer,
            send_buffer: random.pick(&[500, 4_096, 65_535, 200_000]),
            nagle: random.per_mille(500),
            client_ends,
            connect,
            server_reads: Pace::draw(random, up.len()),
            server_begins,
            echoes,
            server_ends,
            send_room: random.pick(&[1, 700, 5_000, 65_536, 1 << 20]).max(up.len() / 200),
            receive_room: random.pick(&[1, 700, 5_000, 65_536, 1 << 20]).max(down.len() / 200),
            gives_less: random.per_mille(200),
            reset_drops: random.per_mille(500),
            up,
            down,
        }
    }
}

/// What an application sends: octets that mean nothing, or that begin like a protocol whose names are read.
fn first_octets(random: &mut Random, count: usize) -> Vec<u8> {
    let mut octets = random.octets(count);
    let beginnings: &[&[u8]] = &[
        b"",
        b"",
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: good.test\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: ",
    ];
    let beginning = random.pick(beginnings);
    let count = beginning.len().min(octets.len());
    octets[..count].copy_from_slice(&beginning[..count]);
    octets
}
