//! Real clients through the tunnel, in network namespaces: what passes arrives as it was sent, and errors come back as they
//! would without it.
//!
//! Some of it takes long at its full size. Unless `BARTIZAN_TEST_FULL` is set, which `cargo xtask test --all` does, a file
//! through a bad network has [`Size::files`] octets instead of a gigabyte, and a half-closed connection lives for seconds
//! instead of a minute.

mod cable;
mod flows;
mod narrow;
mod programs;
mod quic;
mod stage;
mod stream;
mod trains;

/// How much is done.
struct Size {
    /// Octets of a file through loss, delay and reordering, by IPv4 and by IPv6.
    files: [u64; 2],
    /// Seconds for which a half-closed connection goes on.
    half_closed: u64,
}

impl Size {
    fn get() -> Self {
        if std::env::var_os("BARTIZAN_TEST_FULL").is_some() {
            Self { files: [1_000_000_000, 8_000_000], half_closed: 60 }
        } else {
            Self { files: [8_000_000; 2], half_closed: 10 }
        }
    }
}
