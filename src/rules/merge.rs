//! One response from all rules that matched.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::decision::{
    CooldownGrowth, Decision, Mode, ResponseTerms, RuleAsk, RuleLimit, ScanDecision, ScanType, Threshold,
};
use super::document::Rule;
use super::response::Response;
use super::rule_set::RuleSet;
use super::template;
use crate::alert::{Alert, Device};

type Match<'r> = (&'r Rule, &'r Response);

impl RuleSet {
    /// Rules outside of their active time are as good as not matched, unless all of them are: then they say what would have
    /// been done, and why it is not.
    ///
    /// Of the rest the live matches shape the response; only where there is none do the shadow matches shape a shadow
    /// response. The scan is the strongest that is asked for; the comment and the priority are those of the rule with the
    /// highest priority, among equals of the lowest id; the cooldown is the longest, and grows as that one does; the age
    /// limit and the merge window are the shortest; each rule keeps its own device cap.
    pub(super) fn merge(&self, matched: &[Match<'_>], alert: &Alert, device: &Device, now: Timestamp) -> Decision {
        let active: Vec<Match<'_>> = matched.iter().copied().filter(|(_, response)| response.is_active(now)).collect();
        let concerned = if active.is_empty() { matched } else { active.as_slice() };
        let mode = concerned.iter().map(|(_, response)| response.mode).max().unwrap_or(Mode::Shadow);
        let shaping: Vec<Match<'_>> = concerned.iter().copied().filter(|(_, response)| response.mode == mode).collect();
        let winner = shaping.iter().max_by_key(|(rule, response)| (response.priority, Reverse(&rule.id)));
        let Some((winner, winning)) = winner.copied() else { return Decision::NoRule };
        let comment = match self.comment(winner, alert, device) {
            Ok(comment) => comment,
            Err(problem) => {
                return Decision::EvaluationError {
                    rule_ids: vec![winner.id.clone()],
                    detail: format!("the comment of rule {} cannot be rendered: {problem}", winner.id),
                };
            }
        };
        let others = matched.iter().filter(|(rule, _)| rule.id != winner.id).map(|(rule, _)| rule.id.clone());
        let (cooldown, growth) = longest_rest(&shaping);
        Decision::Scan(ScanDecision {
            scan_type: shaping.iter().map(|(_, response)| response.scan).max().unwrap_or(ScanType::Quick),
            comment,
            priority: winning.priority,
            cooldown,
            max_alert_age: shaping.iter().map(|(_, response)| response.max_alert_age).min().unwrap_or(Duration::ZERO),
            mode,
            rule_ids: std::iter::once(winner.id.clone()).chain(others).collect(),
            limits: shaping.iter().filter_map(|matched| limit(*matched)).collect(),
            terms: ResponseTerms {
                shadow_rule_ids: matched
                    .iter()
                    .filter(|(_, response)| response.mode == Mode::Shadow)
                    .map(|(rule, _)| rule.id.clone())
                    .collect(),
                asks: if mode == Mode::Live {
                    shaping.iter().map(|(rule, response)| ask(rule, response)).collect()
                } else {
                    Vec::new()
                },
                thresholds: active.iter().filter_map(|(rule, response)| escalation(rule, response)).collect(),
                awaits_threshold: false,
                merge_window_seconds: shaping
                    .iter()
                    .filter_map(|(_, response)| response.merge_window)
                    .min()
                    .map(|window| window.as_secs()),
                outside_active_time: active.is_empty().then(|| interval_names(&shaping)),
                cooldown_growth: growth,
            },
        })
    }

    pub(super) fn comment(&self, rule: &Rule, alert: &Alert, device: &Device) -> Result<String, String> {
        let template = self.comments.get_template(&rule.id).map_err(|error| error.to_string())?;
        template::render(&template, alert, device, rule.facts())
    }
}

fn ask(rule: &Rule, response: &Response) -> RuleAsk {
    RuleAsk { rule_id: rule.id.clone(), scan_type: response.scan, priority: response.priority }
}

pub(super) fn limit((rule, response): Match<'_>) -> Option<RuleLimit> {
    let (devices, per_seconds) = response.limit?;
    Some(RuleLimit { rule_id: rule.id.clone(), devices, per_seconds })
}

/// The longest cooldown and how it grows. Among equals the one that grows to the longest, then the fastest.
fn longest_rest(shaping: &[Match<'_>]) -> (Duration, Option<CooldownGrowth>) {
    let rests = shaping.iter().map(|(_, response)| (response.cooldown, response.cooldown_growth));
    let grown = |growth: Option<CooldownGrowth>| growth.map(|growth| (growth.longest_seconds, growth.factor));
    rests.max_by_key(|(cooldown, growth)| (*cooldown, grown(*growth))).unwrap_or_default()
}

/// Alerts of one device are counted under the rule's id. A rule in shadow counts too, so that it can be judged by what it
/// would have done; an inactive one does not: it asked for nothing.
fn escalation(rule: &Rule, response: &Response) -> Option<Threshold> {
    let escalation = response.escalate?;
    Some(Threshold {
        rule_id: rule.id.clone(),
        value: None,
        at_least: escalation.after.saturating_add(1),
        within_seconds: escalation.within_seconds,
        scan_type: escalation.to,
        priority: response.priority,
        mode: response.mode,
    })
}

fn interval_names(inactive: &[Match<'_>]) -> String {
    let names: BTreeSet<&str> =
        inactive.iter().flat_map(|(_, response)| &response.active_names).map(String::as_str).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}
