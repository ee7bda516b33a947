//! Which of several rules that match shapes the response, and in what.

use serde::Serialize;

use crate::rules::{Decision, Explanation, Mode, ResponseInfo};

/// What one rule that matches contributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contribution {
    /// The rule's id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// Its mode.
    pub mode: Mode,
    /// Its priority.
    pub priority: u8,
    /// Parts of the response that are as this rule says; empty where others outweigh it.
    pub gives: Vec<&'static str>,
    /// Why it shapes nothing, where that is so.
    pub outweighed: Option<&'static str>,
}

/// Every rule that matches, in the order in which they speak: live before shadow, then by priority, then by id.
#[must_use]
pub fn rank(explanation: &Explanation) -> Vec<Contribution> {
    let Decision::Scan(scan) = &explanation.evaluation.decision else { return Vec::new() };
    let mut ranked: Vec<Contribution> = explanation
        .rules
        .iter()
        .filter(|rule| rule.matched)
        .filter_map(|rule| {
            let response = rule.response.as_ref()?;
            let inactive = rule.outside_active_time && scan.terms.outside_active_time.is_none();
            let speaks = response.mode == scan.mode && !inactive;
            let wins = scan.rule_ids.first() == Some(&rule.rule_id);
            let gives = if speaks { parts(response, scan, wins) } else { Vec::new() };
            let outweighed = match (speaks, gives.is_empty()) {
                (false, _) if inactive => Some("it is outside of its active time"),
                (false, _) => Some("a rule in shadow shapes nothing where a live one matches"),
                (true, true) => Some("others ask for more"),
                (true, false) => None,
            };
            Some(Contribution {
                rule_id: rule.rule_id.clone(),
                title: rule.title.clone(),
                mode: response.mode,
                priority: response.priority,
                gives,
                outweighed,
            })
        })
        .collect();
    ranked.sort_by(|one, other| {
        let key = |rule: &Contribution| (rule.mode != Mode::Live, u8::MAX - rule.priority, rule.rule_id.clone());
        key(one).cmp(&key(other))
    });
    ranked
}

fn parts(response: &ResponseInfo, scan: &crate::rules::ScanDecision, wins: bool) -> Vec<&'static str> {
    let parts = [
        ("scan", response.scan == scan.scan_type),
        ("priority", wins),
        ("comment", wins),
        ("cooldown", response.cooldown == scan.cooldown),
        ("max_alert_age", response.max_alert_age == scan.max_alert_age),
        ("limit", response.limit_devices.is_some()),
        ("escalate", response.escalate.is_some()),
        (
            "merge_window",
            response.merge_window.is_some_and(|window| scan.terms.merge_window_seconds == Some(window.as_secs())),
        ),
    ];
    parts.into_iter().filter(|(_, gives)| *gives).map(|(part, _)| part).collect()
}
