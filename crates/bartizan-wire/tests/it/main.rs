//! What takes files of the repository.

#[cfg(test)]
mod corpus;
