//! What the public functions do with input from outside.

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod slow;
