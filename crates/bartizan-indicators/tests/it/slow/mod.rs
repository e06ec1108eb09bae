//! What takes long, or needs feeds of real size.

mod feeds;
mod lines;
