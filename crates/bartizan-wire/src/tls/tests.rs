//! Hellos, whole and cut.
