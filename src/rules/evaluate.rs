//! What a rule set says about one alert and one device, and the tests that rules carry.

use jiff::Timestamp;
use serde::Serialize;

use super::decision::{Decision, RuleMatch};
use super::document::Rule;
use super::engine::Scratch;
use super::facts::Facts;
use super::response::Response;
use super::rule_set::{RuleInfo, RuleSet};
use super::rule_test::Expectation;
use crate::alert::{Alert, Device};

/// The answer of a rule set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// What follows.
    pub decision: Decision,
    /// Every rule that matched, in the order of ids. Building blocks and expired rules never match.
    pub matches: Vec<RuleMatch>,
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
    /// tells which rules have expired.
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
        self.match_indexed(scratch, alert, device, now);
        let matched: Vec<(&Rule, &Response)> = scratch
            .matched
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
        Evaluation { decision: self.merge(&matched, alert, device), matches }
    }

    /// Which rules match, in the order of ids, without deciding what follows.
    pub fn matching<'s>(
        &'s self,
        scratch: &'s mut Scratch,
        alert: &Alert,
        device: &Device,
        now: Timestamp,
    ) -> impl Iterator<Item = &'s RuleInfo> {
        self.match_indexed(scratch, alert, device, now);
        scratch.matched.iter().filter_map(|index| self.rules().get(*index as usize))
    }

    /// The same as [`Self::matching`], found by testing every rule: slow, and what the index must agree with.
    pub fn matching_linear(&self, alert: &Alert, device: &Device, now: Timestamp) -> impl Iterator<Item = &RuleInfo> {
        let facts = Facts::gather(&self.fields, alert, device);
        let each = self.rules.iter().zip(self.rules());
        each.filter(move |(rule, _)| rule.response_at(now).is_some() && rule.holds(&facts)).map(|(_, info)| info)
    }

    fn match_indexed(&self, scratch: &mut Scratch, alert: &Alert, device: &Device, now: Timestamp) {
        scratch.begin(self.fields.len());
        self.index.find(&self.fields, alert, device, scratch);
        let rule = |index: u32| &self.rules[index as usize];
        scratch.keep_matching(
            |facts| facts.read_all(&self.fields, alert, device),
            |index| rule(index).response_at(now).is_some(),
            |index, facts| rule(index).holds(facts),
        );
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
