//! The defender room.
