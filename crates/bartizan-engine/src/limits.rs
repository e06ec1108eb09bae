//! Every bound of the engine, and the proof that they add up.
//!
//! The budget is that of an iOS packet tunnel: 15 MiB of dirty memory in all (the platform's limit is
//! 50 MiB). Indicator files are mapped and not written, so they are not dirty memory, whatever their size; what
//! applying a delta takes for a moment is counted.

use std::time::Duration;

/// Questions that wait for a resolver. The oldest goes when one more comes; its client asks again.
pub const QUESTIONS: usize = 256;
/// Octets of a query; a larger one is dropped as malformed. Real ones have 30 to 200.
pub const QUERY_OCTETS: usize = 1_024;
/// How long a question waits. Stub resolvers ask again after 1 to 5 s.
pub const QUESTION_LIFETIME: Duration = Duration::from_secs(5);
/// How long a datagram is waited for before the question goes out once more, and twice as long after that.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often a question is put to somebody, the first time included.
pub const QUESTION_ASKED: u8 = 3;
/// Failures in a row after which somebody else is asked.
pub const UPSTREAM_FAILURES: u8 = 2;
/// How long somebody else is asked, until it is tried again.
pub const UPSTREAM_REST: Duration = Duration::from_secs(30);

/// How long a probe of the network may take: a lookup and a page of a server far away.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(10);
/// How long after a probe the next one goes out; up to twice as long, by chance.
pub const PROBE_PAUSE: Duration = Duration::from_secs(5);
/// How often this doubles as time goes by: probes come each 40 to 80 s in the end.
pub const PROBE_DOUBLINGS: u32 = 3;
/// Probes in a row without an answer after which nothing is known of the network.
pub const PROBES_UNANSWERED: u32 = 4;
/// How long a network may pretend to be captive and have lookups in plain for it: a long time to sign in.
pub const CAPTIVE_LASTS: Duration = Duration::from_secs(3_600);
/// How long the resolver of the policy is left alone on a captive network; the probe tells sooner when it is open.
pub const CAPTIVE_REST: Duration = Duration::from_secs(120);
/// Seconds that a client may keep an answer that may be the network's invention.
pub const DOUBTFUL_TTL_S: u32 = 10;

/// Answers that are kept. Those that were not asked for longest go when one more comes.
pub const CACHE_ENTRIES: usize = 1_024;
/// Octets of these with their keys and [`CACHE_BOOKKEEPING`] each: room for a thousand usual ones of 300.
pub const CACHE_OCTETS: usize = 480 << 10;
/// What an answer takes beside its octets: times, pointers, its share of a node, and what allocations round up.
pub const CACHE_BOOKKEEPING: usize = 144;
/// A larger answer is not kept: few have more than a datagram's 1,232.
pub const CACHED_ANSWER_OCTETS: usize = 4_096;
/// The longest that an answer is kept, whatever it says of itself.
pub const CACHE_FOR: Duration = Duration::from_secs(3_600);
/// How long after its time an answer is there for when nobody answers. RFC 8767 §5 would allow days; an hour
/// spans a restart of a router.
pub const STALE_FOR: Duration = Duration::from_secs(3_600);
/// How long an answer is waited for before one past its time is handed out (RFC 8767 §5).
pub const STALE_AFTER: Duration = Duration::from_millis(1_800);
/// Seconds that a client may keep such an answer (RFC 8767 §5).
pub const STALE_TTL_S: u32 = 30;

/// Pairs of address and name that a connection may be judged by.
pub const BINDINGS: usize = 512;
/// How long a name stays bound to an address at least: connections outlive answers.
pub const BOUND_AT_LEAST: Duration = Duration::from_secs(300);
/// How long at most.
pub const BOUND_AT_MOST: Duration = Duration::from_secs(3_600);
/// Names of one address that are told.
pub const NAMES_OF_AN_ADDRESS: usize = 4;

/// Pairs of detector and host whose further blocks are being counted. The oldest is reported early
/// when one more comes.
pub const SIGHTINGS: usize = 256;
/// How long further blocks of one host are counted before they are reported.
pub const SIGHTING_WINDOW: Duration = Duration::from_secs(60);

/// Warnings that a person has passed. The oldest is given again when one more is passed.
pub const PASSES: usize = 64;
/// Pages on show whose choices can still be made. The oldest ends when one more is shown.
pub const OFFERS: usize = 32;
/// How long the choices of a page can be made: long enough to read it and to ask somebody.
pub const OFFER_LIFETIME: Duration = Duration::from_secs(600);
/// Octets of a path that a page leads on to; from a longer one it leads to the start of the site.
pub const OFFER_PATH_OCTETS: usize = 2_048;
/// Octets of an entry, as it is written, whose warning can be passed; one with a longer path stops like a block.
pub const PASS_ENTRY_OCTETS: usize = 1_024;

/// Alerts that a device may raise at once, a page with as many listed hosts being hard to imagine.
pub const ALERT_BURST: usize = 256;
/// How long until it may raise one more.
pub const ALERT_EVERY: Duration = Duration::from_secs(2);

/// Alerts that wait for the portal. The oldest goes when one more comes.
pub const ALERT_QUEUE: usize = 1_000;
/// Alerts in one upload, as the contract allows.
pub const ALERT_BATCH: usize = 50;

/// TCP connections at a time; one more is reset.
pub const TCP_CONNECTIONS: usize = 8;
/// A query and its two octets of length, as a power of two for the window.
pub const TCP_RX_OCTETS: usize = 4_096;
/// Most answers at once; larger ones follow as the client takes them.
pub const TCP_TX_OCTETS: usize = 16_384;
/// How long a connection may be silent (RFC 7766 §6.2.3 leaves it to the server).
pub const TCP_IDLE: Duration = Duration::from_secs(10);
/// Packets that the TCP stack may produce in one go.
pub const TCP_BURST: usize = 16;

/// Connections of the tunnel; the one that was silent longest goes when one more comes. A phone has hundreds.
pub const TCP_FLOWS: usize = 10_240;
/// Of these, attempts that have not come about; one more is not answered, and the client tries again.
pub const HALF_OPEN: usize = 2_560;
/// Connections that may begin at once.
pub const SYN_BURST: u32 = 8_192;
/// Connections that may begin each second.
pub const SYNS_A_SECOND: u32 = 20_000;
/// Octets of a chunk of what is in flight.
pub const CHUNK_OCTETS: usize = 16_384;
/// Chunks that all connections share: 2.1 MiB.
pub const CHUNKS: usize = 132;
/// Octets that an application may send beyond what its socket took.
pub const UP_WINDOW: u32 = 1 << 20;
/// First octets of a connection that are held to be judged: the largest ClientHello that servers take.
pub const HELD_OCTETS: usize = CHUNK_OCTETS;
/// How long, in milliseconds.
pub const HELD_FOR: u64 = 3_000;
/// State of a connection: the entry, its place in the index and among the deadlines.
pub const TCP_FLOW_OCTETS: usize = 256;

/// QUIC connections whose hello is being gathered. The oldest passes unjudged when one more comes.
pub const HELLOS: usize = 16;
/// QUIC connections that were stopped and are kept in mind.
pub const STOPPED_HELLOS: usize = 64;
/// For how long; a client that falls back does so at once.
pub const STOPPED_FOR: Duration = Duration::from_secs(30);
/// What a hello is gathered in.
pub const HELLO_OCTETS: usize = 20_480;

/// Applications' sockets for datagrams, each with one of the host's; the one that was silent longest goes.
pub const UDP_MAPPINGS: usize = 512;
/// How long, in milliseconds, one that is silent stays (RFC 4787 §4.3 asks for two minutes at least; few phones
/// could afford that, and applications that need a port keep it alive).
pub const UDP_IDLE: u64 = 60_000;
/// Conversations of echoes.
pub const ECHO_MAPPINGS: usize = 64;
/// The largest datagram from the network.
pub const DATAGRAM_OCTETS: usize = 65_536;
/// What datagrams of one sender are gathered in, with room for the next one.
pub const TRAIN_OCTETS: usize = 2 * DATAGRAM_OCTETS;
/// State of a mapping: the entry, its place in the index and among the deadlines.
pub const MAPPING_OCTETS: usize = 192;

/// Outputs that wait to be taken, beyond which packets and answers are dropped. It takes a host that
/// does not drain the engine to get there.
pub const OUTPUTS: usize = 32;
/// The largest packet the engine writes, whatever the host says: a jumbo frame's.
pub const MTU: usize = 9_000;
/// RFC 8200 §5: the smallest that IPv6 can live with.
pub const MIN_MTU: usize = 1_280;

/// Seconds that a client may remember a block: long enough for one page, short enough for the
/// administrator who lifts it.
pub const BLOCK_TTL_S: u32 = 10;
/// Seconds that a client may remember that a name does not exist by policy.
pub const POLICY_NAME_TTL_S: u32 = 60;

/// What the tables hold at their fullest.
pub const ENGINE_OCTETS: usize = QUESTIONS * (QUERY_OCTETS + BOOKKEEPING)
    + CACHE_OCTETS
    + BINDINGS * (bartizan_model::MAX_NAME_LEN + BINDING_BOOKKEEPING)
    + SIGHTINGS * (2 * bartizan_model::MAX_NAME_LEN + BOOKKEEPING)
    + (ALERT_QUEUE + ALERT_BATCH) * (2 * bartizan_model::MAX_NAME_LEN + BOOKKEEPING)
    + PASSES * (PASS_ENTRY_OCTETS + BOOKKEEPING)
    + OFFERS * (PASS_ENTRY_OCTETS + OFFER_PATH_OCTETS + bartizan_model::MAX_NAME_LEN + BOOKKEEPING)
    + TCP_CONNECTIONS * (TCP_RX_OCTETS + TCP_TX_OCTETS + LARGEST_MESSAGE + BOOKKEEPING)
    + TCP_FLOWS * TCP_FLOW_OCTETS
    + CHUNKS * CHUNK_OCTETS
    + (HELLOS + 1) * HELLO_OCTETS
    + TRAIN_OCTETS
    + bartizan_indicators::normal::MAX_READER
    // The packet in hand may be put together of fragments, and one more of them is read before the oldest goes.
    + bartizan_wire::fragment::MAX_OCTETS + 2 * DATAGRAM_OCTETS
    + STOPPED_HELLOS * BOOKKEEPING
    + (UDP_MAPPINGS + ECHO_MAPPINGS) * MAPPING_OCTETS
    // The answer in hand: as it came, as it goes, and as it is kept.
    + 3 * LARGEST_MESSAGE
    // One input may add a burst on top of what waits, and each output is at most a packet.
    + (OUTPUTS + 2 * TCP_BURST) * MTU;
/// What applying a delta holds: one shard, the tables to build its map, and the delta.
pub const DELTA_OCTETS: usize = 6 << 20;

/// Ids, addresses, times, and the nodes of maps.
const BOOKKEEPING: usize = 256;
/// An address, a time, a count, and the length of the name.
const BINDING_BOOKKEEPING: usize = 48;
/// A DNS message and its length over TCP.
const LARGEST_MESSAGE: usize = 65_537;
const BUDGET: usize = 15 << 20;

const _: () = assert!(ENGINE_OCTETS + DELTA_OCTETS < BUDGET, "over the budget of a packet tunnel");
const _: () = assert!(QUERY_OCTETS <= MTU, "an output is at most a packet");
const _: () = assert!(QUERY_OCTETS <= TCP_RX_OCTETS, "a query must fit into the receive buffer");
