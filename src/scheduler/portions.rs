//! How many requests one record speaks of, and one scan covers: a device that raises thousands of alerts must not make a
//! record that the ledger's topic refuses.
//!
//! A broker takes records of 1 MiB by default. Bounded are the requests, with the references to their alerts; what else a
//! record says is one device and its rules.

use super::Scheduler;
use super::state::{Request, Scan};
use crate::event::AlertRef;

/// Most requests that one record speaks of.
const MOST_IN_RECORD: usize = 500;
/// Most requests that one scan covers; its `finished` speaks of them all.
const MOST_IN_SCAN: usize = 1000;
/// Most bytes of them in one record.
const MOST_BYTES_IN_RECORD: usize = 192 << 10;
/// Most bytes of them in one scan.
const MOST_BYTES_IN_SCAN: usize = 384 << 10;
/// A request id and what surrounds it in JSON.
const REQUEST_BYTES: usize = 40;
/// What surrounds the texts of an alert reference in JSON, with its numbers.
const ALERT_BYTES: usize = 120;

impl Scheduler {
    /// Requests in portions that fit into a record each, in their order; none is empty.
    pub(super) fn portions(&self, ids: &[String]) -> Vec<Vec<String>> {
        let mut portions: Vec<Vec<String>> = Vec::new();
        let mut bytes = 0;
        for id in ids {
            let size = self.size_of(id);
            match portions.last_mut() {
                Some(last) if last.len() < MOST_IN_RECORD && bytes + size <= MOST_BYTES_IN_RECORD => {
                    last.push(id.clone());
                    bytes += size;
                }
                _ => {
                    portions.push(vec![id.clone()]);
                    bytes = size;
                }
            }
        }
        portions
    }

    /// The requests that a scan is started for: all of them, or as many as fit into a record. Those that want most come
    /// first, the older before the younger; the others join the scan, or have one of their own.
    pub(super) fn first_portion(&self, mut ids: Vec<String>) -> Vec<String> {
        if self.portions(&ids).len() > 1 {
            ids.sort_by_cached_key(|id| {
                let request = self.state.requests.get(id);
                let wants = request.map(|request| self.state.wanted_by(request));
                (std::cmp::Reverse(wants), request.map(|request| request.requested_at), id.clone())
            });
            ids = self.portions(&ids).into_iter().next().unwrap_or_default();
        }
        ids
    }

    /// Those of the requests, from the first on, that a scan still has room for.
    pub(super) fn that_fit(&self, scan: &Scan, ids: Vec<String>) -> Vec<String> {
        let (mut taken, mut bytes) = (scan.requests.len() + scan.joined.len(), self.bytes_of(scan));
        let mut fitting = Vec::new();
        for id in ids {
            if is_full(taken, bytes) {
                break;
            }
            taken += 1;
            bytes += self.size_of(&id);
            fitting.push(id);
        }
        fitting
    }

    /// Whether a scan takes any more requests.
    pub(super) fn has_room(&self, scan: &Scan) -> bool {
        !is_full(scan.requests.len() + scan.joined.len(), self.bytes_of(scan))
    }

    fn bytes_of(&self, scan: &Scan) -> usize {
        scan.requests.iter().chain(&scan.joined).map(|id| self.size_of(id)).sum()
    }

    fn size_of(&self, id: &str) -> usize {
        REQUEST_BYTES + self.state.requests.get(id).map_or(0, |request| request.size())
    }
}

/// Whether a scan of so many requests, of so many bytes, takes no more of them.
const fn is_full(requests: usize, bytes: usize) -> bool {
    requests >= MOST_IN_SCAN || bytes >= MOST_BYTES_IN_SCAN
}

impl Request {
    /// Bytes of its alert references in a record, roughly and rather too many.
    fn size(&self) -> usize {
        let size = |alert: &AlertRef| {
            let title = alert.title.as_deref().unwrap_or_default();
            ALERT_BYTES + [alert.id.as_str(), title, &alert.topic].map(escaped).iter().sum::<usize>()
        };
        self.asked.alerts.iter().map(size).sum()
    }
}

/// Bytes of a text in JSON.
fn escaped(text: &str) -> usize {
    let size = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_measured_as_json_writes_them() {
        for text in ["", "plain", "a \"quote\" and a \\", "tab\tnul\0esc\u{1b}", "naïve → 日本"] {
            let written = serde_json::to_string(text).unwrap();
            assert!(escaped(text) + 2 >= written.len(), "{written}");
        }
    }
}
