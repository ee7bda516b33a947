//! Tests that cross rooms: one module per promise or room, one binary for all.

mod kafka;
mod support;
