//! A Defender that takes every scan.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::later;
use crate::event::{EventBody, ScanEvent, ScanType};
use crate::scheduler::{Call, DeviceFacts, ReadReply, Reply, ScanReply, SeenAction};

/// See the module.
pub(super) struct Api {
    scan_takes: [Duration; 2],
    actions: u64,
    /// Scans that run, by the time of their end and their action's number.
    running: BTreeMap<(Timestamp, u64), SeenAction>,
    pub(super) looked_up: u64,
}

impl Api {
    pub(super) const fn new(scan_takes: [Duration; 2]) -> Self {
        Self { scan_takes, actions: 0, running: BTreeMap::new(), looked_up: 0 }
    }

    /// When the first scan ends, or did.
    pub(super) fn first_end(&self) -> Option<Timestamp> {
        self.running.first_key_value().map(|((end, _), _)| *end)
    }

    /// A scan whose end is on record need not be listed any more.
    pub(super) fn seen(&mut self, event: &ScanEvent) {
        if let EventBody::Finished(finished) = &event.body
            && let Some(action) = &finished.action
            && let Some(key) = self.running.iter().find(|(_, seen)| seen.id == action.id).map(|(key, _)| *key)
        {
            self.running.remove(&key);
        }
    }

    /// The answer to a call, which comes at `now`.
    pub(super) fn answer(&mut self, call: &Call, now: Timestamp) -> Option<Reply> {
        match call {
            Call::Scan { scan_id, attempt, device_id, scan_type, comment, .. } => {
                self.actions += 1;
                let action = SeenAction {
                    id: format!("action-{}", self.actions),
                    device_id: Some(device_id.clone()),
                    status: "Pending".to_owned(),
                    scope: Some(*scan_type),
                    comment: Some(comment.clone()),
                };
                let takes = self.scan_takes[usize::from(*scan_type == ScanType::Full)];
                self.running.insert((later(now, takes), self.actions), action.clone());
                let answer = ScanReply::Action(action);
                Some(Reply::Scan { scan_id: scan_id.clone(), attempt: *attempt, answer })
            }
            Call::List { created_since } => {
                // Those that still run say nothing new and are left out.
                let ended = self.running.range(..=(now, u64::MAX));
                let ended = ended.map(|(_, action)| SeenAction { status: "Succeeded".to_owned(), ..action.clone() });
                let answer = ReadReply::Complete(ended.collect());
                Some(Reply::List { created_since: *created_since, started_at: now, answer })
            }
            Call::LookUp { device_id } => {
                self.looked_up += 1;
                // Nothing is known: in no group, without tags. The report says how often that was assumed.
                let answer = ReadReply::Complete(Some(DeviceFacts::default()));
                Some(Reply::LookUp { device_id: device_id.clone(), answer })
            }
            Call::Cancel { .. } => None,
        }
    }
}
