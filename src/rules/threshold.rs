//! Correlations that an alert adds to, and the decision that follows where no rule asks for a scan by itself.

use jiff::Timestamp;
use serde::Serialize;

use super::correlation::Correlation;
use super::decision::{Decision, Mode, Threshold};
use super::document::Rule;
use super::facts::Facts;
use super::merge;
use super::response::Response;
use super::rule_set::RuleSet;
use crate::alert::{Alert, Device};

/// Longest counted value, in characters: it goes into the ledger.
const MAX_VALUE: usize = 256;

/// A correlation that one alert adds to.
pub(super) struct Counted<'a> {
    rule: &'a Rule,
    response: &'a Response,
    threshold: Threshold,
}

/// What a correlation counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CountInfo {
    /// Ids of the rules whose matches are counted.
    pub rules: Vec<String>,
    /// The field whose distinct values are counted; `None` where alerts are.
    pub field: Option<String>,
    /// Reached when at least so many were seen for one device.
    pub at_least: u32,
    /// Length of the window, in seconds, up to and including the last alert.
    pub within_seconds: u64,
}

impl Decision {
    /// Whether the alert adds to the count of this correlation.
    pub(super) fn counts_for(&self, correlation: &str) -> bool {
        matches!(self, Self::Scan(scan) if scan.terms.thresholds.iter().any(|each| each.rule_id == correlation))
    }
}

impl RuleSet {
    /// The correlations that an alert adds to, given the rules that hold for it. Outside of its active time a correlation asks
    /// for nothing, so that nothing is counted for it.
    pub(super) fn counted(&self, holding: &[u32], facts: &Facts<'_>, now: Timestamp) -> Vec<Counted<'_>> {
        let mut indexes: Vec<usize> =
            holding.iter().flat_map(|index| self.rules[*index as usize].counted_by.iter().copied()).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes.into_iter().filter_map(|index| self.count(&self.rules[index], facts, now)).collect()
    }

    fn count<'a>(&'a self, rule: &'a Rule, facts: &Facts<'_>, now: Timestamp) -> Option<Counted<'a>> {
        let (correlation, response) = (rule.correlation.as_ref()?, rule.response_at(now)?);
        if !response.is_active(now) {
            return None;
        }
        let value = match &correlation.value {
            None => None,
            // An alert that does not say adds no value.
            Some(field) => {
                let first = facts.slot(field.slot).values().first()?;
                Some(first.folded.chars().take(MAX_VALUE).collect())
            }
        };
        let threshold = Threshold {
            rule_id: rule.id.clone(),
            value,
            at_least: correlation.at_least,
            within_seconds: correlation.within_seconds,
            scan_type: response.scan,
            priority: response.priority,
            mode: response.mode,
        };
        Some(Counted { rule, response, threshold })
    }

    /// One decision from the rules that matched and the correlations that were added to.
    ///
    /// A rule that asks by itself shapes the decision, and the counts ride along. Where none does, the correlations shape
    /// it as if they were reached, and it waits until one is. A rule in shadow does not hold back a live correlation, and a
    /// rule outside of its active time holds back none.
    pub(super) fn decide(
        &self,
        matched: Vec<(&Rule, &Response)>,
        counted: Vec<Counted<'_>>,
        alert: &Alert,
        device: &Device,
        now: Timestamp,
    ) -> Decision {
        let live = |response: &Response| response.mode == Mode::Live;
        let mut active =
            matched.iter().map(|(_, response)| *response).filter(|response| response.is_active(now)).peekable();
        let none_is_active = active.peek().is_none();
        let asks = active.any(live);
        let counts_live = counted.iter().any(|each| live(each.response));
        let awaits = !counted.is_empty() && !asks && (none_is_active || counts_live);
        let mut shaping = matched;
        if awaits {
            shaping.extend(counted.iter().map(|each| (each.rule, each.response)));
            shaping.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
        }
        let mut decision = self.merge(&shaping, alert, device, now);
        if let Decision::Scan(scan) = &mut decision {
            if awaits {
                // A count asks once it is reached.
                scan.terms.asks.clear();
            } else {
                // One that is reached scans beside the rule, within its own cap.
                let riding = counted.iter().filter(|each| live(each.response));
                scan.limits.extend(riding.filter_map(|each| merge::limit((each.rule, each.response))));
            }
            scan.terms.thresholds.extend(counted.into_iter().map(|each| each.threshold));
            scan.terms.awaits_threshold = awaits;
        }
        decision
    }

    /// What a correlation counts, for people.
    pub(super) fn count_info(rules: &[Rule], correlation: &Correlation) -> CountInfo {
        CountInfo {
            rules: correlation.rules.iter().map(|index| rules[*index].id.clone()).collect(),
            field: correlation.value.as_ref().map(|field| field.name.clone()),
            at_least: correlation.at_least,
            within_seconds: correlation.within_seconds,
        }
    }
}
