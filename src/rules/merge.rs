//! One response from all rules that matched.

use std::cmp::Reverse;
use std::time::Duration;

use super::decision::{Decision, Mode, ResponseTerms, RuleLimit, ScanDecision, ScanType};
use super::document::Rule;
use super::response::Response;
use super::rule_set::RuleSet;
use super::template;
use crate::alert::{Alert, Device};

impl RuleSet {
    /// Live matches shape the response; only where there is none do the shadow matches shape a shadow response.
    pub(super) fn merge(&self, matched: &[(&Rule, &Response)], alert: &Alert, device: &Device) -> Decision {
        let mode = matched.iter().map(|(_, response)| response.mode).max().unwrap_or(Mode::Shadow);
        let shaping: Vec<(&Rule, &Response)> =
            matched.iter().copied().filter(|(_, response)| response.mode == mode).collect();
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
        Decision::Scan(ScanDecision {
            scan_type: shaping.iter().map(|(_, response)| response.scan).max().unwrap_or(ScanType::Quick),
            comment,
            priority: winning.priority,
            cooldown: shaping.iter().map(|(_, response)| response.cooldown).max().unwrap_or(Duration::ZERO),
            max_alert_age: shaping.iter().map(|(_, response)| response.max_alert_age).min().unwrap_or(Duration::ZERO),
            mode,
            rule_ids: std::iter::once(winner.id.clone()).chain(others).collect(),
            limits: shaping.iter().filter_map(|(rule, response)| limit(rule, response)).collect(),
            terms: ResponseTerms {
                shadow_rule_ids: matched
                    .iter()
                    .filter(|(_, response)| response.mode == Mode::Shadow)
                    .map(|(rule, _)| rule.id.clone())
                    .collect(),
                ..ResponseTerms::default()
            },
        })
    }

    pub(super) fn comment(&self, rule: &Rule, alert: &Alert, device: &Device) -> Result<String, String> {
        let template = self.comments.get_template(&rule.id).map_err(|error| error.to_string())?;
        template::render(&template, alert, device, rule.facts())
    }
}

fn limit(rule: &Rule, response: &Response) -> Option<RuleLimit> {
    let (devices, per_seconds) = response.limit?;
    Some(RuleLimit { rule_id: rule.id.clone(), devices, per_seconds })
}
