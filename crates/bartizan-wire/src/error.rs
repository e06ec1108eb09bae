//! Why octets are not the message they claim to be.

/// Why octets could not be read as the message they claim to be.
///
/// A datagram is all there is, so nothing here means "more to come".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Contradicts its format. `field` is in the RFC's spelling.
    #[error("{field} is malformed")]
    Malformed {
        /// The first field that is wrong.
        field: &'static str,
    },
    /// Well formed, but only a part of an IP packet; reassembly is not done here.
    #[error("packet is a fragment")]
    Fragment,
}

impl ParseError {
    pub(crate) const fn malformed(field: &'static str) -> Self {
        Self::Malformed { field }
    }
}
