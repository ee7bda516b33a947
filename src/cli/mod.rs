//! The cli room.

pub mod simulator;
