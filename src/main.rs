//! The `alert-responder` program.

fn main() {}
