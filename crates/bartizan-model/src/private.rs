//! What people do is hidden by type.

use std::fmt;

/// A value that logs do not show: a name somebody visited, an address, a token.
///
/// `{}` and `{:?}` print a fixed word; `{:#}` shows the value and is for DEBUG and TRACE only, which
/// release builds compile out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Private<T>(pub T);

impl<T: fmt::Display> fmt::Display for Private<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if out.alternate() { write!(out, "{}", self.0) } else { out.write_str("<private>") }
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("<private>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_value_hides_unless_asked() {
        let name = Private("bank.example");
        assert_eq!(format!("{name} {name:?}"), "<private> <private>");
        assert_eq!(format!("{name:#}"), "bank.example");
    }
}
