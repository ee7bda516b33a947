//! What of a seed's history is played: all of it, or what is left of it after shrinking.

use super::fault::{Fault, Faults};
use super::input::DEVICES;

/// One history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Random steps before everything heals.
    pub(crate) steps: u32,
    /// Steps left out.
    pub(crate) skipped: Vec<u32>,
    /// Faults left out.
    pub(crate) without: Faults,
    /// Devices left out.
    pub(crate) no_devices: Vec<usize>,
}

impl Plan {
    /// Steps of a whole history.
    pub(crate) const STEPS: u32 = 200;

    pub(crate) const fn whole(seed: u64) -> Self {
        Self { seed, steps: Self::STEPS, skipped: Vec::new(), without: Faults::with_none(), no_devices: Vec::new() }
    }

    /// The arguments that replay it.
    pub(crate) fn arguments(&self) -> String {
        let mut told = format!("--replay {}", self.seed);
        if self.steps != Self::STEPS {
            told.push_str(&format!(" --steps {}", self.steps));
        }
        if !self.skipped.is_empty() {
            told.push_str(&format!(" --skip-steps {}", ranges(&self.skipped)));
        }
        let without = self.without.words();
        if !without.is_empty() {
            told.push_str(&format!(" --without {}", without.join(",")));
        }
        if !self.no_devices.is_empty() {
            let devices: Vec<u32> = self.no_devices.iter().filter_map(|device| u32::try_from(*device).ok()).collect();
            told.push_str(&format!(" --no-devices {}", ranges(&devices)));
        }
        told
    }

    /// Random steps, faults of a kind and devices that are left: what shrinking makes small.
    pub(crate) fn size(&self) -> usize {
        let steps = self.steps as usize - self.skipped.iter().filter(|step| **step <= self.steps).count();
        steps + Fault::ALL.len() - self.without.words().len() + DEVICES - self.no_devices.len()
    }
}

/// `1-4,7,9-12`, of numbers in order.
fn ranges(numbers: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let told =
        runs.iter().map(|(first, last)| if first == last { format!("{first}") } else { format!("{first}-{last}") });
    told.collect::<Vec<_>>().join(",")
}
