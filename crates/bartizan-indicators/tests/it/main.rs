//! What the public functions do with input from outside.

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod delta;
#[cfg(test)]
mod format;
#[cfg(test)]
mod lookup;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod world;
