//! Random histories of a whole tenant: owners that crash, stop and come back, a log that answers late, an API that
//! fails in every way it can, clocks that jump, operators, and other people. A history follows from its plan alone.
//!
//! The program `examples/simulation` plays as many as one wants; `scheduler/tests/simulation.rs` plays some in each
//! `cargo test`. Both include this folder; it names the crate nowhere itself.
//!
//! Where things are: `world` is time, the log and what carries between workers and API; `input` makes requests, `fault`
//! lists what goes wrong, `hardness` how often; `checks` says what must hold; `ledger`, `orders` and `counts` are the
//! reader outside that it uses; `coverage` lists what must come up.

use super::{alert, event, scheduler};

mod api;
mod broken;
mod chance;
mod checks;
mod counts;
mod coverage;
mod dice;
pub(crate) mod fault;
mod hardness;
pub(crate) mod input;
mod ledger;
mod order;
mod orders;
mod outage;
mod owner;
mod plan;
mod replay;
mod world;

pub(crate) use broken::Broken;
pub(crate) use coverage::Coverage;
pub(crate) use plan::Plan;

/// How a history went.
#[derive(Debug)]
pub(crate) struct Played {
    /// The promise that it broke.
    pub(crate) broken: Option<Broken>,
    /// Steps, until the end or until then.
    pub(crate) steps: u32,
    pub(crate) faults: u64,
    pub(crate) coverage: Coverage,
    /// What happened, line by line, where that was asked for.
    pub(crate) story: Vec<String>,
}

/// Plays one history.
pub(crate) fn play(plan: &Plan, tell: bool) -> Played {
    let mut world = world::World::new(plan.clone(), tell);
    let broken = world.run().err();
    let chance = world.chance;
    Played {
        broken,
        steps: world.step,
        faults: chance.faults,
        coverage: chance.coverage,
        story: chance.story.unwrap_or_default(),
    }
}
