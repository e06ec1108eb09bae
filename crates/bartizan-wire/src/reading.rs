//! What the prefix of a stream says so far.

/// The outcome of reading a message from the octets of a stream that have come so far.
///
/// A reader is a pure function of that prefix: call it again with a longer one on [`Reading::More`].
/// [`Reading::Done`] and [`Reading::Not`] are final, whatever comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// Fine so far, but not whole.
    More,
    /// Here it is.
    Done(T),
    /// Not this protocol, broken, or longer than [`MAX_HELLO_LEN`].
    Not,
}

/// The most of a stream that is held and read for a name. Post-quantum hellos take 1.8 KB, and servers
/// refuse HTTP heads beyond 8 to 16 KiB.
pub const MAX_HELLO_LEN: usize = 16 * 1024;
