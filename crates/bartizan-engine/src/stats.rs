//! Plain counters of what happened; the host turns them into metrics and check-ins.

/// What happened since the engine started. Nothing in here tells who asked for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Queries read from UDP, repeated ones included.
    pub queries_udp: u64,
    /// Queries read from TCP.
    pub queries_tcp: u64,
    /// Queries that were answered with a block, at once or when a listed alias came back.
    pub blocked: u64,
    /// Of these, by an alias in the resolver's answer.
    pub blocked_by_alias: u64,
    /// Of these, by an address in the resolver's answer.
    pub blocked_by_address: u64,
    /// Queries for names that do not exist by policy.
    pub refused_by_policy: u64,
    /// Queries that were let through although listed, with an alert.
    pub audited: u64,
    /// Pages that were shown in place of a site.
    pub pages: u64,
    /// Times that an indicator file turned out to be damaged and was given up.
    pub indicators_damaged: u64,
    /// Queries sent on to a resolver.
    pub forwarded: u64,
    /// Times that a query was sent on once more, since no answer came or nobody could be reached.
    pub forwarded_again: u64,
    /// Times that a query went to the system's resolver although policy names another, which cannot be reached.
    pub upstream_fallback: u64,
    /// Times that the network was found to hold traffic back until a person signs in.
    pub captive_portals: u64,
    /// Repeated queries that were held back, the first one being under way.
    pub repeats_ignored: u64,
    /// Resolver's answers handed to the client.
    pub answered: u64,
    /// Of these, cut to an empty answer that sends the client to TCP.
    pub answered_truncated: u64,
    /// Queries answered with what was kept.
    pub answered_from_cache: u64,
    /// Queries answered with what was kept and is past its time, nobody else answering.
    pub answered_stale: u64,
    /// Answers from which parameters of Encrypted ClientHello were taken.
    pub ech_stripped: u64,
    /// Times that the host could not put a question to a resolver.
    pub upstream_failed: u64,
    /// Questions that nobody answered in time.
    pub upstream_timeout: u64,
    /// Answers that nothing waits for, or to another question than was asked.
    pub unexpected_answer: u64,
    /// Alerts raised, follow-ups included.
    pub alerts: u64,
    /// Alerts that were not raised because there were too many ([`crate::limits::ALERT_BURST`]).
    pub alerts_suppressed: u64,
    /// Packets and messages that contradict their format.
    pub dropped_malformed: u64,
    /// Fragments of packets, which are put together.
    pub fragments: u64,
    /// Questions given up for a younger one.
    pub dropped_table_full: u64,
    /// Packets and answers that came before the host had taken what was to be done.
    pub dropped_not_drained: u64,
}

impl Stats {
    /// Returns how many queries were read.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.queries_udp + self.queries_tcp
    }

    /// Returns how many packets and messages were dropped, for whatever reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped_malformed + self.dropped_table_full + self.dropped_not_drained
    }
}

/// What happened in the tunnel to all that is not DNS. Nothing in here tells who talked to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TunnelStats {
    /// TCP connections that applications asked for.
    pub tcp_opened: u64,
    /// Of these, those that the other end refused.
    pub tcp_refused: u64,
    /// Of these, those to whose other end there was no way.
    pub tcp_unreachable: u64,
    /// TCP connections that were refused or reset by a verdict.
    pub tcp_stopped: u64,
    /// TCP connections that left the table for younger ones.
    pub tcp_evicted: u64,
    /// TCP connections whose application did not answer any more.
    pub tcp_vanished: u64,
    /// Resets that were sent to applications.
    pub tcp_resets: u64,
    /// Times that octets had to be sent to an application again.
    pub tcp_resent: u64,
    /// Octets of TCP from applications.
    pub octets_up: u64,
    /// Octets of TCP to applications.
    pub octets_down: u64,
    /// Connections whose first octets had to be held until there were enough of them to judge.
    pub held: u64,
    /// Of these, those that were judged without, since there were too many or it took too long.
    pub held_too_long: u64,
    /// Attempts to connect that were not answered since there were too many.
    pub dropped_syn: u64,
    /// Times that octets were dropped for want of memory; they are sent again.
    pub dropped_no_chunk: u64,
    /// Connections that the host had no socket for.
    pub dropped_no_socket: u64,
    /// Packets that contradict their format.
    pub dropped_malformed: u64,
    /// Datagrams and echoes from applications that were sent on.
    pub datagrams_up: u64,
    /// Datagrams and echoes to applications.
    pub datagrams_down: u64,
    /// Datagrams that were stopped by a verdict.
    pub datagrams_stopped: u64,
    /// Sockets of applications that lost theirs of the host to younger ones.
    pub mappings_evicted: u64,
    /// Errors that applications were told about what they had sent.
    pub icmp_errors: u64,
    /// Datagrams that the host's socket had no room for.
    pub dropped_full: u64,
    /// Packets of a protocol that is not forwarded.
    pub dropped_protocol: u64,
}
