//! `rules check`: is this rule set sound, and do its own tests pass?

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{rules_effective, rules_test};
use crate::rules::{Diagnostic, DiagnosticLevel, Expectation, LoadOptions, RuleInfo, RuleSet, TestCase, TestResult};

/// Arguments of `rules check`.
#[derive(Debug, Clone, clap::Args)]
pub struct RulesCheckArgs {
    /// Folder of rule files (*.yml, *.yaml), or one file.
    #[arg(value_name = "DIR", default_value = "rules")]
    pub dir: PathBuf,
    /// Treat warnings as errors.
    #[arg(long)]
    pub deny_warnings: bool,
    /// Show each rule's response with all defaults filled in, and where each part comes from.
    #[arg(long)]
    pub effective: bool,
    /// Which fields rules may ask about: those of alerts, or any, to try rules that were written for other events. A field
    /// that alerts do not have is then looked for in the original JSON.
    #[arg(long, value_name = "WHICH", default_value = "known")]
    pub fields: Fields,
}

/// Which fields rules may ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Fields {
    /// The fields of alerts.
    #[default]
    Known,
    /// Any.
    Any,
}

/// What the check found.
#[derive(Debug, Clone, Serialize)]
pub struct RulesCheckReport {
    /// Whether the set can be deployed: no errors, all tests passed, and no warnings where they are denied.
    pub ok: bool,
    /// The hash that names the set; `None` where it is refused.
    pub ruleset: Option<String>,
    /// Rules in the set, building blocks included.
    pub rules: usize,
    /// Rules with a response.
    pub responding_rules: usize,
    /// Rules that respond and carry no test.
    pub untested: Vec<String>,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// How each test went.
    pub tests: Vec<TestResult>,
    /// The rules with their responses, all defaults filled in; only where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub effective: Vec<RuleInfo>,
}

impl RulesCheckReport {
    /// 0 fine, 3 the set is refused, 5 a test failed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.ok, self.tests.iter().any(|test| !test.passed)) {
            (true, _) => 0,
            (false, true) => 5,
            (false, false) => 3,
        }
    }
}

/// Checks a folder. `now` only tells which rules have expired.
#[must_use]
pub fn run(args: &RulesCheckArgs, now: Timestamp) -> RulesCheckReport {
    let rules = match RuleSet::load_dir_with(&args.dir, LoadOptions { any_field: args.fields == Fields::Any }) {
        Ok(rules) => Arc::new(rules),
        Err(errors) => {
            return RulesCheckReport {
                ok: false,
                ruleset: None,
                rules: 0,
                responding_rules: 0,
                untested: Vec::new(),
                diagnostics: errors.diagnostics,
                tests: Vec::new(),
                effective: Vec::new(),
            };
        }
    };
    let mut tests = rules.run_tests();
    tests.extend(rules.scenarios().iter().map(|case| with_steps(&rules, case)));
    let responding: Vec<_> = rules.rules().iter().filter_map(|rule| Some((rule, rule.response.as_ref()?))).collect();
    let diagnostics = rules.warnings_at(now);
    RulesCheckReport {
        ok: tests.iter().all(|test| test.passed) && (diagnostics.is_empty() || !args.deny_warnings),
        ruleset: Some(rules.hash().to_owned()),
        rules: rules.rules().len(),
        responding_rules: responding.len(),
        untested: responding
            .iter()
            .filter(|(rule, _)| rule.tests == 0 && rule.counts.is_none())
            .map(|(rule, _)| rule.title.clone())
            .collect(),
        diagnostics,
        tests,
        effective: if args.effective { rules.rules().to_vec() } else { Vec::new() },
    }
}

/// A test with steps, in the form of the others.
fn with_steps(rules: &Arc<RuleSet>, case: &TestCase) -> TestResult {
    let outcome = rules_test::run_case(rules, case);
    let messages = outcome.failures.into_iter().map(|failure| failure.message).collect::<Vec<_>>().join("; ");
    TestResult {
        rule_id: outcome.rule_id.unwrap_or_default(),
        test: outcome.test,
        file: outcome.file,
        line: outcome.line,
        expect: Expectation::Scan,
        passed: outcome.passed,
        problem: (!outcome.passed).then_some(messages),
    }
}

/// The report for people.
#[must_use]
pub fn render_text(report: &RulesCheckReport) -> String {
    let mut text = rules_effective::render_text(&report.effective);
    // Writing to a string cannot fail: the results are dropped by name.
    for finding in &report.diagnostics {
        let _ignored = writeln!(text, "{finding}\n");
    }
    for test in report.tests.iter().filter(|test| !test.passed) {
        let _ignored =
            writeln!(text, "test failed: {}\n  --> {}:{}\n  {}\n", test.test, test.file, test.line, failure(test));
    }
    for rule in &report.untested {
        let _ignored = writeln!(text, "note: this rule has no tests: {rule}");
    }
    let failed = report.tests.iter().filter(|test| !test.passed).count();
    let _ignored = match &report.ruleset {
        None => {
            let errors = report.diagnostics.iter().filter(|finding| finding.level == DiagnosticLevel::Error).count();
            writeln!(text, "refused: {errors} error{}", if errors == 1 { "" } else { "s" })
        }
        Some(hash) => writeln!(
            text,
            "{}: rule set {hash}, rules {}, with a response {}, tests passed {} of {}, warnings {}",
            if report.ok { "ok" } else { "not ok" },
            report.rules,
            report.responding_rules,
            report.tests.len() - failed,
            report.tests.len(),
            report.diagnostics.len()
        ),
    };
    text
}

fn failure(test: &TestResult) -> String {
    match (&test.problem, test.expect) {
        (Some(problem), _) => problem.clone(),
        (None, Expectation::Scan) => "expected a scan, and the rule does not match".to_owned(),
        (None, Expectation::None) => "expected no scan, and the rule matches".to_owned(),
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
