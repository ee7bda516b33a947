//! The cli room.

pub mod decode;
pub mod schemas;
