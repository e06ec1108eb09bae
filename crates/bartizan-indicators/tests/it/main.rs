//! What the public functions do with input from outside.

#[cfg(test)]
mod corpus;
