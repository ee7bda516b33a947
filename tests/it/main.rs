//! Tests that cross rooms: one module per promise or room, one binary for all.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may give up like the tests themselves")]

mod kafka;
mod support;
