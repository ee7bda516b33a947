//! The worker room.

pub mod intake;
