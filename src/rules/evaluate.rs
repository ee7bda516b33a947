//! What a rule set says about one alert and one device, and the tests that rules carry.

use jiff::Timestamp;
use serde::Serialize;

use super::decision::{Decision, RuleMatch};
use super::document::Rule;
use super::engine::Scratch;
use super::facts::Facts;
use super::filter::FilteredMatch;
use super::response::Response;
use super::rule_info::RuleInfo;
use super::rule_set::RuleSet;
use super::rule_test::Expectation;
use crate::alert::{Alert, Device};

/// The answer of a rule set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// What follows.
    pub decision: Decision,
    /// Every rule that matched, in the order of ids. Building blocks and expired rules never match.
    pub matches: Vec<RuleMatch>,
    /// Every match that a filter took back, in the order of ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filtered: Vec<FilteredMatch>,
}

/// How one test of a rule went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestResult {
    /// The rule.
    pub rule_id: String,
    /// The test's name.
    pub test: String,
    /// The file it stands in.
    pub file: String,
    /// The line it starts on.
    pub line: u32,
    /// What the test expects.
    pub expect: Expectation,
    /// Whether the rule did so.
    pub passed: bool,
    /// What went wrong beside the match, for example a comment that could not be rendered.
    pub problem: Option<String>,
}

impl RuleSet {
    /// Decides about one alert and one of its devices. Pure: the same arguments always give the same answer; `now` only
    /// tells which rules have expired and which are active.
    #[must_use]
    pub fn evaluate(&self, alert: &Alert, device: &Device, now: Timestamp) -> Evaluation {
        let mut scratch = self.spare_scratch();
        let evaluation = self.evaluate_with(&mut scratch, alert, device, now);
        self.keep_scratch(scratch);
        evaluation
    }

    /// The same as [`Self::evaluate`], in buffers of the caller's.
    #[must_use]
    pub fn evaluate_with(&self, scratch: &mut Scratch, alert: &Alert, device: &Device, now: Timestamp) -> Evaluation {
        let filtered = self.match_indexed(scratch, alert, device, now);
        let holding = scratch.matched.as_slice();
        let matched: Vec<(&Rule, &Response)> = holding
            .iter()
            .filter_map(|index| self.rules.get(*index as usize))
            .filter_map(|rule| Some((rule, rule.response_at(now)?)))
            .collect();
        let matches = matched
            .iter()
            .map(|(rule, response)| RuleMatch {
                rule_id: rule.id.clone(),
                title: rule.title.clone(),
                mode: response.mode,
            })
            .collect();
        let counted = self.counted(holding, &Facts::of(&scratch.facts), now);
        let decision = match self.decide(matched, counted, alert, device, now) {
            Decision::NoRule if !filtered.is_empty() => Decision::Filtered,
            decision => decision,
        };
        Evaluation { decision, matches, filtered }
    }

    /// Whether a match of this rule has any consequence: it answers itself, or a correlation counts it.
    pub(super) fn matters(&self, rule: &Rule, now: Timestamp) -> bool {
        match &rule.response {
            Some(response) => !response.is_expired(now),
            None => rule.counted_by.iter().any(|index| self.rules[*index].response_at(now).is_some()),
        }
    }

    /// Which rules match, in the order of ids, without deciding what follows.
    pub fn matching<'s>(
        &'s self,
        scratch: &'s mut Scratch,
        alert: &Alert,
        device: &Device,
        now: Timestamp,
    ) -> impl Iterator<Item = &'s RuleInfo> {
        let _taken_back = self.match_indexed(scratch, alert, device, now);
        scratch.matched.iter().filter_map(move |index| self.answering(*index, now))
    }

    /// The same as [`Self::matching`], found by testing every rule: slow, and what the index must agree with.
    pub fn matching_linear(&self, alert: &Alert, device: &Device, now: Timestamp) -> impl Iterator<Item = &RuleInfo> {
        let facts = Facts::gather(&self.fields, alert, device);
        let each = (0_u32..).zip(&self.rules);
        let mut holding: Vec<u32> =
            each.filter(|(_, rule)| self.matters(rule, now) && rule.holds(&facts)).map(|(index, _)| index).collect();
        let _taken_back = self.take_back(&mut holding, &facts, now);
        holding.into_iter().filter_map(move |index| self.answering(index, now))
    }

    /// What is known of a rule that may still answer by itself.
    fn answering(&self, index: u32, now: Timestamp) -> Option<&RuleInfo> {
        self.rules.get(index as usize)?.response_at(now)?;
        self.rules().get(index as usize)
    }

    /// Leaves in the scratch the rules that hold, those that are only counted included, and says which matches filters took
    /// back. Where filters or counts may concern a rule that holds all fields have been read: they look at fields of their own.
    fn match_indexed(
        &self,
        scratch: &mut Scratch,
        alert: &Alert,
        device: &Device,
        now: Timestamp,
    ) -> Vec<FilteredMatch> {
        scratch.begin(self.fields.len());
        self.index.find(&self.fields, alert, device, scratch);
        let rule = |index: u32| &self.rules[index as usize];
        scratch.keep_matching(
            |facts| facts.read_all(&self.fields, alert, device),
            |index| self.matters(rule(index), now),
            |index, facts| rule(index).holds(facts),
        );
        let Scratch { facts, matched, .. } = scratch;
        let is_counted = |index: &u32| !rule(*index).counted_by.is_empty();
        if matched.is_empty() || self.filters.is_empty() && !matched.iter().any(is_counted) {
            return Vec::new();
        }
        facts.read_all(&self.fields, alert, device);
        self.take_back(matched, &Facts::of(facts), now)
    }

    /// Runs the tests that rules carry, in the order of rules. A test looks at its own rule alone, whatever the rule's
    /// mode and expiry: a rule set must not begin to fail on a certain day.
    #[must_use]
    pub fn run_tests(&self) -> Vec<TestResult> {
        self.rules.iter().flat_map(|rule| rule.tests.iter().map(|test| self.run_test(rule, test))).collect()
    }

    fn run_test(&self, rule: &Rule, test: &super::rule_test::RuleTest) -> TestResult {
        let matching =
            test.alert.devices.iter().find(|device| rule.holds(&Facts::gather(&self.fields, &test.alert, device)));
        let problem = match matching {
            Some(device) if rule.response.is_some() => self.comment(rule, &test.alert, device).err(),
            _ => None,
        };
        TestResult {
            rule_id: rule.id.clone(),
            test: test.name.clone(),
            file: rule.file.clone(),
            line: test.line,
            expect: test.expect,
            passed: matching.is_some() == (test.expect == Expectation::Scan) && problem.is_none(),
            problem,
        }
    }
}
