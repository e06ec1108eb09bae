//! The portal as its callers see it, each test on a data folder of its own.

#[cfg(test)]
mod api;
#[cfg(test)]
mod applications;
#[cfg(test)]
mod asvs;
#[cfg(test)]
mod attesting;
#[cfg(test)]
mod bulk;
#[cfg(test)]
mod console;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod enrolling;
#[cfg(test)]
mod feedback;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod fetching;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod hardening;
#[cfg(test)]
mod indicators;
#[cfg(test)]
mod intake;
#[cfg(test)]
mod listening;
#[cfg(test)]
mod logging;
#[cfg(test)]
mod offered;
#[cfg(test)]
mod operators;
#[cfg(test)]
mod overview;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod people;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod reach;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod scim;
#[cfg(test)]
mod screening;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod sinks;
#[cfg(test)]
mod site;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod tenancy;
#[cfg(test)]
mod world;
