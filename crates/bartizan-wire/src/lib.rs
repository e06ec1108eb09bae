//! Octets to meaning: one IP packet, one UDP datagram or TCP segment, one DNS message, one hello.
//!
//! Pure functions and views that borrow what they read; nothing here knows a policy or a clock. Read
//! [`ip`] first, then [`udp`] and [`tcp`], then [`dns`]: that is the way of a packet. What names a host at the
//! beginning of a connection is read by [`tls`], [`http`] and [`quic`], from what has come of it: a [`Reading`].
//!
//! # Invariants
//! - No input panics, and no work is more than linear in the input times a fixed bound (`fuzz/`).
//! - A value exists only if the octets were whole and consistent: nothing downstream checks again.

#![forbid(unsafe_code)]

pub mod checksum;
mod cursor;
pub mod dns;
mod error;
pub mod fragment;
mod fuzz;
mod header;
pub mod http;
pub mod icmp;
pub mod ip;
pub mod quic;
mod reading;
mod split;
pub mod tcp;
pub mod tls;
pub mod udp;

pub use error::ParseError;
pub use fuzz::{fuzz_answer, fuzz_packet, fuzz_query};
pub use fuzz::{fuzz_fragments, fuzz_hello, fuzz_initial, fuzz_request};
pub use reading::{MAX_HELLO_LEN, Reading};
pub use split::split;
