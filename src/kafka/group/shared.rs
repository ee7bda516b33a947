//! What a member's thread and its async side both know.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::GroupOptions;

/// How far an assigned partition has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its committed offset and watermarks are still to be asked for.
    LookUp,
    /// Announced; waits to be told where to start.
    Announced,
    /// Told where to start; the thread has to move there.
    StartAt(i64),
    /// Records flow; the next one has at least this offset.
    Reading { next: i64 },
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) epoch: u64,
    pub(super) stage: Stage,
    /// Being taken away: records are no longer handed out, commits still are.
    leaving: bool,
    released: bool,
    commits: usize,
}

#[derive(Debug, Default)]
struct State {
    closing: bool,
    last_epoch: u64,
    slots: BTreeMap<i32, Slot>,
    queued_records: usize,
    queued_bytes: usize,
    paused: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    most_records: usize,
    most_bytes: usize,
}

impl Shared {
    pub(super) fn new(options: &GroupOptions) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            most_records: options.queue_records,
            most_bytes: options.queue_bytes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; were it so, the counts would still be sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close(&self) {
        self.state().closing = true;
        self.changed.notify_all();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state().closing
    }

    pub(super) fn epoch(&self, partition: i32) -> Option<u64> {
        self.state().slots.get(&partition).map(|slot| slot.epoch)
    }

    /// Whether records of that assignment are still to be handed out.
    pub(super) fn is_reading(&self, partition: i32, epoch: u64) -> bool {
        self.state().slots.get(&partition).is_some_and(|slot| slot.epoch == epoch && !slot.leaving)
    }

    // The gate.

    pub(super) fn queued(&self, bytes: usize) {
        let mut state = self.state();
        state.queued_records += 1;
        state.queued_bytes += bytes;
    }

    pub(super) fn took(&self, bytes: usize) {
        let mut state = self.state();
        state.queued_records = state.queued_records.saturating_sub(1);
        state.queued_bytes = state.queued_bytes.saturating_sub(bytes);
        let is_low = self.is_low(&state);
        drop(state);
        if is_low {
            self.changed.notify_all();
        }
    }

    fn is_low(&self, state: &State) -> bool {
        state.queued_records <= self.most_records / 2 && state.queued_bytes <= self.most_bytes / 2
    }

    fn is_full(&self, state: &State) -> bool {
        state.queued_records >= self.most_records || state.queued_bytes >= self.most_bytes
    }

    /// Waits while the channel is full. Whether there is room again.
    pub(super) fn wait_for_room(&self, at_most: Duration) -> bool {
        let state = self.state();
        if !self.is_full(&state) {
            return true;
        }
        let (state, _) = self
            .changed
            .wait_timeout_while(state, at_most, |state| !state.closing && !self.is_low(state))
            .unwrap_or_else(PoisonError::into_inner);
        self.is_low(&state)
    }

    pub(super) fn set_paused(&self, paused: bool) {
        self.state().paused = paused;
    }

    #[cfg(test)]
    pub(super) fn is_paused(&self) -> bool {
        self.state().paused
    }

    #[cfg(test)]
    pub(super) fn queued_records(&self) -> usize {
        self.state().queued_records
    }

    pub(super) fn has_room(&self) -> bool {
        let state = self.state();
        self.is_low(&state)
    }

    // Partitions.

    pub(super) fn assign(&self, partitions: impl IntoIterator<Item = i32>) {
        let mut state = self.state();
        for partition in partitions {
            state.last_epoch += 1;
            let epoch = state.last_epoch;
            let slot = Slot { epoch, stage: Stage::LookUp, leaving: false, released: false, commits: 0 };
            state.slots.insert(partition, slot);
        }
    }

    /// Every partition in a stage that the caller cares about.
    pub(super) fn partitions(&self, wanted: impl Fn(Stage) -> bool) -> Vec<(i32, u64, Stage)> {
        let state = self.state();
        let slots = state.slots.iter().filter(|(_, slot)| wanted(slot.stage));
        slots.map(|(partition, slot)| (*partition, slot.epoch, slot.stage)).collect()
    }

    pub(super) fn set_stage(&self, partition: i32, stage: Stage) {
        if let Some(slot) = self.state().slots.get_mut(&partition) {
            slot.stage = stage;
        }
    }

    pub(super) fn request_start(&self, partition: i32, offset: i64) -> bool {
        match self.state().slots.get_mut(&partition) {
            Some(slot) if slot.stage != Stage::LookUp && !slot.leaving => {
                slot.stage = Stage::StartAt(offset);
                true
            }
            _ => false,
        }
    }

    /// Takes note of a record; its epoch, unless it is none that was asked for.
    pub(super) fn read(&self, partition: i32, offset: i64) -> Option<u64> {
        let mut state = self.state();
        let slot = state.slots.get_mut(&partition)?;
        match &mut slot.stage {
            Stage::Reading { next } if offset >= *next => {
                *next = offset + 1;
                Some(slot.epoch)
            }
            _ => None,
        }
    }

    /// Marks partitions as being taken away; those that had been announced.
    pub(super) fn leave(&self, partitions: &[i32]) -> Vec<i32> {
        let mut state = self.state();
        let mut announced = Vec::new();
        for partition in partitions {
            if let Some(slot) = state.slots.get_mut(partition) {
                slot.leaving = true;
                if slot.stage == Stage::LookUp {
                    slot.released = true;
                } else {
                    announced.push(*partition);
                }
            }
        }
        announced
    }

    pub(super) fn release(&self, partition: i32) {
        if let Some(slot) = self.state().slots.get_mut(&partition)
            && slot.leaving
        {
            slot.released = true;
        }
        self.changed.notify_all();
    }

    /// Waits until the partitions are released and no commit of them is under way, then forgets them. Whether that came
    /// within the budget.
    pub(super) fn forget(&self, partitions: &[i32], budget: Duration, needs_release: bool) -> bool {
        let deadline = Instant::now() + budget;
        let mut state = self.state();
        let mut in_time = true;
        loop {
            // A member that is being closed has nobody left who would release.
            let waits = needs_release && !state.closing;
            let busy = |slot: &Slot| (waits && !slot.released) || slot.commits > 0;
            let left = deadline.saturating_duration_since(Instant::now());
            if !partitions.iter().any(|partition| state.slots.get(partition).is_some_and(busy)) {
                break;
            }
            if left.is_zero() {
                in_time = false;
                break;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        for partition in partitions {
            state.slots.remove(partition);
        }
        in_time
    }

    pub(super) fn begin_commit(shared: &Arc<Self>, partition: i32) -> Option<CommitGuard> {
        let mut state = shared.state();
        let slot = state.slots.get_mut(&partition)?;
        slot.commits += 1;
        let epoch = slot.epoch;
        drop(state);
        Some(CommitGuard { shared: Arc::clone(shared), partition, epoch })
    }
}

/// A commit under way.
#[derive(Debug)]
pub(super) struct CommitGuard {
    shared: Arc<Shared>,
    partition: i32,
    epoch: u64,
}

impl Drop for CommitGuard {
    fn drop(&mut self) {
        if let Some(slot) = self.shared.state().slots.get_mut(&self.partition)
            && slot.epoch == self.epoch
        {
            slot.commits = slot.commits.saturating_sub(1);
        }
        self.shared.changed.notify_all();
    }
}
