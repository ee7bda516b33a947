//! Random histories of a whole tenant. The model is that of the program `examples/simulation`, which plays as many as one
//! wants, replays one and makes a failing one short; a part of them is played here.

use crate::{alert, event, scheduler};

#[path = "../../../examples/simulation/model/mod.rs"]
#[allow(dead_code, reason = "the program shrinks histories and counts what they saw")]
mod model;

use model::{Plan, play};

/// Histories of a plain `cargo test`; `ALERT_RESPONDER_LONG` multiplies them.
const HISTORIES: u64 = 100;

#[test]
fn random_histories_keep_every_promise() {
    let long = std::env::var("ALERT_RESPONDER_LONG").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in 0..HISTORIES * long {
        let played = play(&Plan::whole(seed), false);
        if let Some(broken) = played.broken {
            // The fold remembers less here than in the program (`LATEST_REQUESTS`), so the story is told at once.
            let story = play(&Plan::whole(seed), true).story;
            let last = story.iter().skip(story.len().saturating_sub(60)).cloned().collect::<Vec<_>>().join("\n");
            let how = "cargo run --release --example simulation -- --shrink --replay";
            panic!("{last}\n{} in step {}: {}\n{how} {seed}", broken.promise, played.steps, broken.detail);
        }
    }
}

#[test]
fn a_history_follows_from_its_seed() {
    let told = |seed| play(&Plan::whole(seed), true).story;
    for seed in 0..3 {
        assert_eq!(told(seed), told(seed));
    }
    assert_ne!(told(7), told(8));
}
