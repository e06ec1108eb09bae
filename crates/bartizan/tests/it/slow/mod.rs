//! What drives the real thing: namespaces with a TUN, a browser, feeds and captures of real size.

#[cfg(test)]
mod accessible;
#[cfg(test)]
mod applications;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod captures;
#[cfg(test)]
#[path = "../../../../../xtask/src/postgres.rs"]
mod cluster;
#[cfg(test)]
mod console_forms;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod forward;
#[cfg(test)]
mod full_server;
#[cfg(test)]
mod netns;
#[cfg(test)]
mod oidc;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod postgres_portal;
#[cfg(test)]
mod postgres_tls;
#[cfg(test)]
mod schemathesis;
#[cfg(test)]
mod scim;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod webdriver;
