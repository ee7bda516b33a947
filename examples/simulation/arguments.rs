//! The command line.

use std::ops::RangeInclusive;

use clap::{Parser, ValueEnum};

use crate::model::Plan;
use crate::model::fault::{Fault, Faults};
use crate::model::input::DEVICES;

/// Plays random histories of a whole tenant and checks every promise from outside.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// How many histories.
    #[arg(long, default_value_t = 1000)]
    pub(crate) histories: u64,
    /// Seed of the first; the others follow it one by one.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Threads; as many as there are processors where it is not given.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Stop when so many have failed.
    #[arg(long, default_value_t = 5)]
    pub(crate) failures: u64,
    /// How the result is told.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// Play one history and tell all that happens.
    #[arg(long, value_name = "SEED")]
    pub(crate) replay: Option<u64>,
    /// Make a failing history as short as possible, and tell that one.
    #[arg(long)]
    pub(crate) shrink: bool,
    /// Random steps of a history.
    #[arg(long, default_value_t = Plan::STEPS)]
    pub(crate) steps: u32,
    /// With --replay: steps left out, such as 1-20,34.
    #[arg(long, value_name = "STEPS", value_parser = numbers)]
    pub(crate) skip_steps: Option<Numbers>,
    /// Faults left out.
    #[arg(long, value_name = "FAULTS", value_delimiter = ',', value_parser = fault)]
    pub(crate) without: Vec<Fault>,
    /// With --replay: devices left out, such as 0-3,7.
    #[arg(long, value_name = "DEVICES", value_parser = numbers)]
    pub(crate) no_devices: Option<Numbers>,
}

/// Numbers in order.
#[derive(Debug, Clone)]
pub(crate) struct Numbers(Vec<u32>);

/// How the result is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

impl Arguments {
    /// The plan of one seed.
    pub(crate) fn plan(&self, seed: u64) -> Plan {
        let numbers = |numbers: &Option<Numbers>| numbers.as_ref().map(|numbers| numbers.0.clone()).unwrap_or_default();
        let devices = numbers(&self.no_devices).into_iter().filter_map(|device| usize::try_from(device).ok());
        Plan {
            seed,
            steps: self.steps,
            skipped: numbers(&self.skip_steps),
            without: self.without.iter().fold(Faults::default(), |all, fault| all.with(*fault)),
            no_devices: devices.filter(|device| *device < DEVICES).collect(),
        }
    }
}

fn fault(word: &str) -> Result<Fault, String> {
    let found = Fault::ALL.iter().copied().find(|fault| fault.word() == word);
    let all = || Fault::ALL.iter().map(|fault| fault.word()).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("there is no such fault; there are {}", all()))
}

fn numbers(text: &str) -> Result<Numbers, String> {
    let number = |text: &str| text.trim().parse::<u32>().map_err(|error| format!("`{text}`: {error}"));
    let mut all = Vec::new();
    for part in text.split(',') {
        let range: RangeInclusive<u32> = match part.split_once('-') {
            Some((first, last)) => number(first)?..=number(last)?,
            None => number(part)?..=number(part)?,
        };
        all.extend(range.take(100_000));
    }
    all.sort_unstable();
    all.dedup();
    Ok(Numbers(all))
}
