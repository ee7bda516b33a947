//! The cli room.

pub mod produce;
