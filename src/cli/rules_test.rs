//! `rules test`: the tests that stand in rule files and beside them, each told with what was expected and what came.

mod junit;
mod play;
mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::rules::{Decision, Diagnostic, Expectation, RuleErrors, RuleSet, TestBody, TestCase, TestResult};

pub use junit::render_junit;
pub use text::render_text;

/// Arguments of `rules test`.
#[derive(Debug, Clone, clap::Args)]
pub struct RulesTestArgs {
    /// Folders of rules with the tests in and beside them, rule files, or test files (*.test.yml).
    #[arg(value_name = "PATH", default_value = "rules")]
    pub paths: Vec<PathBuf>,
    /// The rules that test files speak of, where they are not in the same folder.
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// Only tests whose name or rule contains this, in any letter case.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Also write the results as JUnit XML, which GitLab and Jenkins read; `-` writes them to standard output instead of
    /// the usual report.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// How one test went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestOutcome {
    /// The test's name.
    pub test: String,
    /// The rule it is about, where it is about one.
    pub rule_id: Option<String>,
    /// The file it stands in.
    pub file: String,
    /// The line it starts on.
    pub line: u32,
    /// Whether all was as expected.
    pub passed: bool,
    /// What was not.
    pub failures: Vec<TestFailure>,
}

/// One thing that was not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestFailure {
    /// The line of the step, or of the test.
    pub line: u32,
    /// Expected and got.
    pub message: String,
    /// What the rules saw.
    pub explanation: String,
}

/// How all tests went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct RulesTestReport {
    /// Every test that was run, in the order of files.
    pub tests: Vec<TestOutcome>,
    /// Why rules or test files are refused; then none of theirs was run.
    pub diagnostics: Vec<Diagnostic>,
}

impl RulesTestReport {
    /// 0 fine, 3 rules or test files are refused, 5 a test failed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.diagnostics.is_empty(), self.failed()) {
            (false, _) => 3,
            (true, 0) => 0,
            (true, _) => 5,
        }
    }

    /// Tests that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.tests.iter().filter(|test| !test.passed).count()
    }
}

/// Runs the tests.
#[must_use]
pub fn run(args: &RulesTestArgs) -> RulesTestReport {
    let mut report = RulesTestReport::default();
    for path in &args.paths {
        match run_path(path, args.rules.as_deref()) {
            Ok(tests) => report.tests.extend(tests),
            Err(errors) => report.diagnostics.extend(errors.diagnostics),
        }
    }
    if let Some(filter) = &args.filter {
        let filter = filter.to_lowercase();
        let holds = |text: &str| text.to_lowercase().contains(&filter);
        report.tests.retain(|test| holds(&test.test) || test.rule_id.as_deref().is_some_and(holds));
    }
    report
}

fn run_path(path: &Path, rules: Option<&Path>) -> Result<Vec<TestOutcome>, RuleErrors> {
    let is_tests = path.is_file() && path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with(".test"));
    if !is_tests {
        let set = Arc::new(RuleSet::load_dir(path)?);
        let mut tests = run_set(&set);
        if path.is_dir() {
            tests.extend(set.load_tests(path)?.iter().map(|case| run_case(&set, case)));
        }
        return Ok(tests);
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let set = Arc::new(RuleSet::load_dir(rules.unwrap_or(folder))?);
    Ok(set.load_tests(path)?.iter().map(|case| run_case(&set, case)).collect())
}

/// Every test that the rules themselves carry.
#[must_use]
pub fn run_set(set: &Arc<RuleSet>) -> Vec<TestOutcome> {
    let own = set.run_tests().into_iter().map(|result| of_result(set, result));
    own.chain(set.scenarios().iter().map(|case| run_case(set, case))).collect()
}

fn of_result(set: &RuleSet, result: TestResult) -> TestOutcome {
    let mut failures = Vec::new();
    if !result.passed {
        let explained = set.explain_test(&result, Timestamp::UNIX_EPOCH);
        let explanation = explained.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        failures.push(TestFailure { line: result.line, message: message(&result), explanation });
    }
    TestOutcome {
        test: result.test,
        rule_id: Some(result.rule_id),
        file: result.file,
        line: result.line,
        passed: failures.is_empty(),
        failures,
    }
}

fn message(result: &TestResult) -> String {
    match (&result.problem, result.expect) {
        (Some(problem), _) => problem.clone(),
        (None, Expectation::Scan) => "expected a scan; got none: the rule does not match".to_owned(),
        (None, Expectation::None) => "expected no scan; got one: the rule matches".to_owned(),
    }
}

/// Runs a test with steps, or one of a test file.
#[must_use]
pub fn run_case(set: &Arc<RuleSet>, case: &TestCase) -> TestOutcome {
    let failures = match &case.body {
        TestBody::Steps(scenario) => play::play(set, scenario),
        TestBody::Decision { alert, expect } => decide(set, case, alert, *expect),
    };
    TestOutcome {
        test: case.name.clone(),
        rule_id: case.rule_id.clone(),
        file: case.file.clone(),
        line: case.line,
        passed: failures.is_empty(),
        failures,
    }
}

/// One alert: a scan where any of its devices gets one, by the named rule alone or by the set.
fn decide(set: &RuleSet, case: &TestCase, alert: &crate::alert::Alert, expect: Expectation) -> Vec<TestFailure> {
    let explained: Vec<_> =
        alert.devices.iter().map(|device| set.explain(alert, device, Timestamp::UNIX_EPOCH)).collect();
    let got = explained.iter().any(|explanation| match &case.rule_id {
        Some(rule) => explanation.rules.iter().any(|seen| seen.rule_id == *rule && seen.matched),
        None => matches!(explanation.evaluation.decision, Decision::Scan(_)),
    });
    let message = match (expect, got) {
        (Expectation::Scan, false) => "expected a scan; got none",
        (Expectation::None, true) => "expected no scan; got one",
        _ => return Vec::new(),
    };
    let relevant = explained.into_iter().map(|mut explanation| {
        explanation.rules.retain(|rule| match &case.rule_id {
            Some(named) => rule.rule_id == *named,
            None => rule.matched || !got,
        });
        explanation.to_string()
    });
    let explanation = relevant.collect::<Vec<_>>().join("\n");
    vec![TestFailure { line: case.line, message: message.to_owned(), explanation }]
}

#[cfg(test)]
mod tests;
