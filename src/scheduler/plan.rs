//! What the requests of one device come to: one scan, its comment and the rules that it is for.

use super::Scheduler;
use super::comment;
use super::state::Request;
use crate::event::ScanType;

impl Scheduler {
    /// One scan for these requests; `None` if none of them is open.
    pub(super) fn plan(&self, requests: &[String], marker: Option<&str>) -> Option<Plan> {
        let mut asked: Vec<&Request> = requests.iter().filter_map(|id| self.state.requests.get(id)).collect();
        // The highest priority speaks; ties go to the first rule id, then to the alert that was raised first.
        asked.sort_by_cached_key(|request| {
            let asked = &request.asked;
            let raised = asked.alert_created_at.unwrap_or(request.requested_at);
            let alert = asked.alerts.first().map(|alert| alert.id.clone());
            (u8::MAX - self.state.wanted_by(request).1, asked.rule_ids.first().cloned(), raised, alert)
        });
        let winner = asked.first()?;
        let mut rule_ids: Vec<String> = Vec::new();
        let mut add = |rule: &String| {
            if !rule_ids.contains(rule) {
                rule_ids.push(rule.clone());
            }
        };
        for request in &asked {
            match marker {
                // Without a call the record says what would have been done, and every rule that matched.
                None => request.asked.rule_ids.iter().chain(&request.wants.reached).for_each(&mut add),
                Some(_) => self.asking_rules(request).for_each(&mut add),
            }
        }
        let alerts: Vec<_> = asked.iter().flat_map(|request| request.asked.alerts.iter().cloned()).collect();
        let alert_ids: Vec<&str> = alerts.iter().map(|alert| alert.id.as_str()).collect();
        let marker = marker.filter(|_| self.settings.comment_marker);
        Some(Plan {
            comment: comment::build(&winner.asked.comment, &alert_ids, marker, self.settings.comment_max_chars),
            scan_type: asked.iter().map(|request| self.state.wanted_by(request).0).max().unwrap_or(ScanType::Quick),
            priority: self.state.wanted_by(winner).1,
            rule_ids,
            alerts,
        })
    }
}

/// What several requests of one device come to.
pub(super) struct Plan {
    pub(super) comment: String,
    pub(super) scan_type: ScanType,
    pub(super) priority: u8,
    pub(super) rule_ids: Vec<String>,
    pub(super) alerts: Vec<crate::event::AlertRef>,
}
