//! Where two rule sets decide differently about one record.

use super::report::Difference;
use crate::event::{EventBody, Requested, ScanEvent};
use crate::worker::RecordDecision;

/// Differences shown in full.
const EXAMPLES: usize = 10;

impl Difference {
    /// Compares what two sets said of the same record. Request ids name observations, whatever the rules are.
    pub(crate) fn record(&mut self, one: &RecordDecision, other: &RecordDecision) {
        let asked =
            |decision: &RecordDecision| decision.requested.iter().filter_map(requested).cloned().collect::<Vec<_>>();
        let (ours, mut theirs) = (asked(one), asked(other));
        for mine in &ours {
            let position = theirs.iter().position(|body| body.request_ids == mine.request_ids);
            match position.map(|position| theirs.swap_remove(position)) {
                None => {
                    self.only_first += 1;
                    self.example(mine, "only the first asks for it");
                }
                Some(body) if is_same(mine, &body) => self.same += 1,
                Some(body) => {
                    self.otherwise += 1;
                    self.example(mine, &format!("was {}", words(&body)));
                }
            }
        }
        for body in &theirs {
            self.only_second += 1;
            self.example(body, "only the second asks for it");
        }
    }

    fn example(&mut self, body: &Requested, what: &str) {
        if self.examples.len() < EXAMPLES {
            let alert = body.alerts.first().map_or("", |alert| alert.id.as_str());
            let device = body.device.name.as_deref().unwrap_or(&body.device.id);
            self.examples.push(format!("alert {alert} on {device}: {}; {what}", words(body)));
        }
    }
}

fn requested(event: &ScanEvent) -> Option<&Requested> {
    match &event.body {
        EventBody::Requested(body) => Some(body),
        _ => None,
    }
}

fn is_same(one: &Requested, other: &Requested) -> bool {
    one.scan_type == other.scan_type
        && one.mode == other.mode
        && one.priority == other.priority
        && one.comment == other.comment
        && one.cooldown_seconds == other.cooldown_seconds
        && one.expires_at == other.expires_at
        && one.limits == other.limits
        && one.terms == other.terms
}

fn words(body: &Requested) -> String {
    let mode = body.mode.as_str();
    format!("{} scan, {mode}, priority {}, cooldown {}s", body.scan_type, body.priority, body.cooldown_seconds)
}
