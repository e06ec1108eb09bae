//! The contract as the other side sees it.

#[cfg(test)]
mod wire;
