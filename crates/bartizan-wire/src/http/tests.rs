//! Heads of requests, whole and cut.
