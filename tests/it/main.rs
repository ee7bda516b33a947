//! Tests that cross rooms.

mod defender_reads;
mod defender_scan;
