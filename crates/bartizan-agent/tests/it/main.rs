//! What the agent does beside a real server.

#[cfg(test)]
mod secure_dns;
