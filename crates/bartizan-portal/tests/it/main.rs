//! The portal as its callers see it, each test on a data folder of its own.

#[cfg(test)]
mod console;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod feeds;
#[cfg(test)]
mod fetching;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod indicators;
#[cfg(test)]
mod listening;
#[cfg(test)]
mod logging;
#[cfg(test)]
mod people;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod site;
#[cfg(test)]
mod tenancy;
#[cfg(test)]
mod world;
