//! When the offsets of new partitions are asked for. Each question blocks the thread that also polls for records, and a
//! partition without a leader answers none: so a partition that does not answer waits, the others go first, and no more than
//! half of the time is spent on repeated questions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a first question may take.
const FIRST: Duration = Duration::from_secs(1);
/// And a later one: brokers may be that slow.
const LONGEST: Duration = Duration::from_secs(4);

/// A partition under one assignment: its number and epoch.
pub(super) type Asked = (i32, u64);

#[derive(Debug, Clone, Copy)]
struct Waiting {
    again: Instant,
    /// How long the next question may take.
    patience: Duration,
}

/// Partitions whose offsets could not be had.
#[derive(Debug, Default)]
pub(super) struct LookUps {
    waiting: BTreeMap<Asked, Waiting>,
    /// Nothing is asked a second time before then.
    again: Option<Instant>,
}

impl LookUps {
    /// Those of the new partitions that are asked for now: first those that have not been yet. What is no longer new is
    /// forgotten.
    pub(super) fn due(&mut self, new: &[Asked], now: Instant) -> Vec<Asked> {
        self.waiting.retain(|asked, _| new.contains(asked));
        let (mut due, failed): (Vec<Asked>, Vec<Asked>) =
            new.iter().partition(|asked| !self.waiting.contains_key(*asked));
        if self.again.is_none_or(|again| again <= now) {
            due.extend(
                failed.into_iter().filter(|asked| self.waiting.get(asked).is_some_and(|wait| wait.again <= now)),
            );
        }
        due
    }

    /// How long a question about the partition may take.
    pub(super) fn patience(&self, asked: Asked) -> Duration {
        self.waiting.get(&asked).map_or(FIRST, |wait| wait.patience)
    }

    /// It was not answered.
    pub(super) fn failed(&mut self, asked: Asked, now: Instant) {
        let patience = self.patience(asked);
        let again = now + patience;
        self.waiting.insert(asked, Waiting { again, patience: (patience * 2).min(LONGEST) });
        self.again = self.again.max(Some(again));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_failed_waits_longer_and_longer_and_holds_nobody_up() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut look_ups = LookUps::default();
        let new = [(0, 1), (1, 2), (2, 3)];
        assert_eq!(look_ups.due(&new, at(0)), new);
        look_ups.failed(new[0], at(0));
        assert_eq!(look_ups.due(&new, at(0)), [new[1], new[2]]);
        assert_eq!(look_ups.due(&new, at(1)), [new[1], new[2], new[0]], "who never had a turn goes first");
        look_ups.failed(new[0], at(1));
        assert_eq!(look_ups.due(&new[..1], at(2)), []);
        assert_eq!(look_ups.due(&new[..1], at(3)), [new[0]]);
        for second in [3, 7, 11] {
            look_ups.failed(new[0], at(second));
        }
        assert_eq!(look_ups.patience(new[0]), LONGEST);
        assert_eq!(look_ups.due(&new[..1], at(14)), []);
        assert_eq!(look_ups.due(&new[..1], at(15)), [new[0]]);
        // Assigned anew, it is asked for at once.
        assert_eq!(look_ups.due(&[(0, 4)], at(11)), [(0, 4)]);
        assert_eq!(look_ups.patience((0, 4)), FIRST);
    }
}
