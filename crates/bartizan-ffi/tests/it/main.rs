//! The device as an app has it.

#[cfg(test)]
mod app;
