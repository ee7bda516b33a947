//! Plays random histories of a whole tenant against the scheduler and checks from outside that every promise holds.
//!
//! `cargo run --release --example simulation -- --histories 100000 --seed 0 --output json`
//!
//! Ends with 1 if a promise was broken, or if a thousand histories or more never saw something that they should.

mod arguments;
mod model;
mod report;
mod run;
mod shrink;

use std::process::ExitCode;

use alert_responder::{alert, event, scheduler};
use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    match arguments.replay {
        Some(seed) => report::replay(&arguments, seed),
        None => report::histories(&arguments),
    }
}
