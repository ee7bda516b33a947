//! The kafka room.
