//! The whole engine through its public face, in a world whose time and network are ours.

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod captive;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod dns;
#[cfg(test)]
mod filter;
#[cfg(test)]
mod judging;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod passes;
#[cfg(test)]
mod purity;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod splice;
#[cfg(test)]
mod tcp;
#[cfg(test)]
mod udp;
#[cfg(test)]
mod world;
