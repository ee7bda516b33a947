//! Tests with time in them: alerts at certain times, and what becomes of each. This room reads them; whoever has a
//! scheduler at hand plays them.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::diagnostic::{DiagnosticCode as Code, DiagnosticLevel, Report, RuleErrors};
use super::rule_set::RuleSet;
use super::rule_test::{Expectation, read_alert};
use super::source::{self, SourceFile};
use super::yaml::{self, Node, Scalar, Value};
use super::{decision::ScanType, read};
use crate::alert::Alert;

/// When a scenario begins unless it says so itself: a Monday morning, long before any rule expires.
const DEFAULT_START: &str = "2026-01-05T09:00:00Z";
/// How long a scan takes unless the scenario says so.
const DEFAULT_SCAN_TAKES: Duration = Duration::from_secs(600);
/// Most steps of one scenario.
const MAX_STEPS: usize = 1_000;

/// A test that is not of one rule and one alert alone.
#[derive(Debug, Clone, PartialEq)]
pub struct TestCase {
    /// Its name.
    pub name: String,
    /// The rule it stands in, or that a test file names: id, or title where it has none.
    pub rule_id: Option<String>,
    /// The file it stands in.
    pub file: String,
    /// The line it starts on.
    pub line: u32,
    /// What it does.
    pub body: TestBody,
}

/// What a test does.
#[derive(Debug, Clone, PartialEq)]
pub enum TestBody {
    /// One alert, decided by the whole set, or by the named rule alone.
    Decision {
        /// The alert.
        alert: Box<Alert>,
        /// What is expected.
        expect: Expectation,
    },
    /// Alerts at certain times, played through the decision and the scheduler.
    Steps(Scenario),
}

/// Alerts at certain times.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Time of the fake clock at `0s`.
    pub starts_at: Timestamp,
    /// How long a scan takes from its acceptance to its end.
    pub scan_takes: Duration,
    /// In the order of their times.
    pub steps: Vec<Step>,
}

/// One alert of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Since the scenario's start.
    pub at: Duration,
    /// The alert.
    pub alert: Alert,
    /// What must become of it, for each of its devices.
    pub expect: ExpectedOutcome,
    /// The line it starts on.
    pub line: u32,
}

/// What a step expects, in the ledger's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExpectedOutcome {
    /// `scan`, `joined`, `shadowed`, `suppressed`, `skipped`, `failed`, or `none`: anything that starts no scan.
    pub outcome: &'static str,
    /// The reason, or the scan's type; `None` where any will do.
    pub detail: Option<String>,
}

/// Outcomes that a step may expect, and whether a reason can follow.
const OUTCOMES: [(&str, bool); 7] = [
    ("scan", true),
    ("joined", false),
    ("shadowed", false),
    ("suppressed", true),
    ("skipped", true),
    ("failed", true),
    ("none", false),
];

impl fmt::Display for ExpectedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.outcome),
            None => f.write_str(self.outcome),
        }
    }
}

impl RuleSet {
    /// The tests with time in them that rules carry, in the order of files.
    #[must_use]
    pub fn scenarios(&self) -> &[TestCase] {
        &self.scenarios
    }

    /// Reads every `*.test.yml` and `*.test.yaml` below a folder, or one such file.
    ///
    /// # Errors
    /// Every error of those files at once.
    pub fn load_tests(&self, root: &Path) -> Result<Vec<TestCase>, RuleErrors> {
        let (sources, mut findings) = source::read_tests(root);
        let mut cases = Vec::new();
        for source in &sources {
            let mut report = Report::new(source);
            let documents = yaml::load(&mut report);
            for document in &documents {
                self.read_test_document(document, source, &mut report, &mut cases);
            }
            findings.append(&mut report.diagnostics);
        }
        if findings.iter().any(|finding| finding.level == DiagnosticLevel::Error) {
            return Err(RuleErrors { diagnostics: findings });
        }
        Ok(cases)
    }

    fn read_test_document(
        &self,
        document: &Node,
        source: &SourceFile,
        report: &mut Report<'_>,
        cases: &mut Vec<TestCase>,
    ) {
        read::entries(document, "a test file", &["title", "description", "tests"], &[], report);
        let Some(tests) = document.get("tests") else {
            report.error(Code::MissingKey, document.span, "a test file needs a list of `tests`");
            return;
        };
        let Value::List(items) = &tests.value else {
            report.error(Code::InvalidValue, tests.span, format!("tests must be a list, not {}", tests.describe()));
            return;
        };
        for item in items {
            let rule_id =
                item.get("rule").and_then(|node| Some((node.span, read::text(node, "rule", report)?.to_owned())));
            if let Some((span, rule)) = &rule_id
                && !self.rules().iter().any(|info| info.id == *rule)
            {
                let finding = report.error(Code::InvalidValue, *span, format!("no rule has the id `{rule}`"));
                finding.suggest(rule, self.rules().iter().map(|info| info.id.as_str()));
            }
            let rule_id = rule_id.map(|(_, rule)| rule);
            let case = if item.get("steps").is_some() {
                read_scenario(item, rule_id, true, self.needs_raw(), report)
            } else {
                read_decision(item, rule_id, self.needs_raw(), source, report)
            };
            cases.extend(case);
        }
    }
}

/// The tests with `steps` among those of a rule's document.
pub(super) fn read_of_document(document: &Node, free_keys: bool, report: &mut Report<'_>) -> Vec<TestCase> {
    let Some(Value::List(items)) = document.get("tests").map(|tests| &tests.value) else { return Vec::new() };
    let name = document.get("id").or_else(|| document.get("title")).and_then(Node::as_text).map(str::to_owned);
    items
        .iter()
        .filter(|item| item.get("steps").is_some())
        .filter_map(|item| read_scenario(item, name.clone(), false, free_keys, report))
        .collect()
}

fn read_decision(
    node: &Node,
    rule_id: Option<String>,
    free_keys: bool,
    source: &SourceFile,
    report: &mut Report<'_>,
) -> Option<TestCase> {
    read::entries(node, "a test", &["name", "rule", "alert", "expect", "steps"], &[], report);
    node.as_map()?;
    let name = wanted(node, "name", "a test", report).and_then(|value| read::text(value, "name", report));
    let expect = wanted(node, "expect", "a test", report).and_then(|value| {
        read::word(value, "expect", &[("scan", Expectation::Scan), ("none", Expectation::None)], report)
    });
    let alert = wanted(node, "alert", "a test", report).and_then(|value| read_alert(value, free_keys, report));
    Some(TestCase {
        name: name?.to_owned(),
        rule_id,
        file: source.shown.clone(),
        line: report.line_of(node.span),
        body: TestBody::Decision { alert: Box::new(alert?), expect: expect? },
    })
}

fn read_scenario(
    node: &Node,
    rule_id: Option<String>,
    in_test_file: bool,
    free_keys: bool,
    report: &mut Report<'_>,
) -> Option<TestCase> {
    let known: &[&str] = if in_test_file {
        &["name", "rule", "steps", "starts_at", "scan_takes"]
    } else {
        &["name", "steps", "starts_at", "scan_takes"]
    };
    read::entries(node, "a test with steps", known, &[], report);
    let errors = report.error_count();
    let name = wanted(node, "name", "a test", report).and_then(|value| read::text(value, "name", report));
    let mut starts_at: Option<Timestamp> = DEFAULT_START.parse().ok();
    if let Some(value) = node.get("starts_at") {
        starts_at = value.as_text().and_then(|text| text.parse().ok());
        if starts_at.is_none() {
            report.error(Code::InvalidValue, value.span, "starts_at is a time such as `2026-05-01T10:00:00Z`");
        }
    }
    let scan_takes = match node.get("scan_takes") {
        Some(value) => read::duration(value, "scan_takes", report).unwrap_or_default(),
        None => DEFAULT_SCAN_TAKES,
    };
    let steps = node.get("steps")?;
    let Value::List(items) = &steps.value else {
        report.error(Code::InvalidValue, steps.span, format!("steps must be a list, not {}", steps.describe()));
        return None;
    };
    if items.is_empty() || items.len() > MAX_STEPS {
        report.error(Code::InvalidValue, steps.span, format!("steps must be a list of 1 to {MAX_STEPS}"));
    }
    let mut read_steps: Vec<Step> = Vec::new();
    for item in items {
        let Some(step) = read_step(item, free_keys, report) else { continue };
        if read_steps.last().is_some_and(|before| before.at > step.at) {
            report.error(Code::InvalidValue, item.span, "a step may not come before the one above it");
        }
        read_steps.push(step);
    }
    if report.error_count() > errors {
        return None;
    }
    Some(TestCase {
        name: name?.to_owned(),
        rule_id,
        file: report.source.shown.clone(),
        line: report.line_of(node.span),
        body: TestBody::Steps(Scenario { starts_at: starts_at?, scan_takes, steps: read_steps }),
    })
}

fn read_step(node: &Node, free_keys: bool, report: &mut Report<'_>) -> Option<Step> {
    read::entries(node, "a step", &["at", "alert", "expect"], &[], report);
    node.as_map()?;
    let at = wanted(node, "at", "a step", report).and_then(|value| read_at(value, report));
    let alert = wanted(node, "alert", "a step", report).and_then(|value| read_alert(value, free_keys, report));
    let expect = wanted(node, "expect", "a step", report).and_then(|value| read_expected(value, report));
    Some(Step { at: at?, alert: alert?, expect: expect?, line: report.line_of(node.span) })
}

fn wanted<'n>(node: &'n Node, key: &str, what: &str, report: &mut Report<'_>) -> Option<&'n Node> {
    let found = node.get(key);
    if found.is_none() && node.as_map().is_some() {
        report.error(Code::MissingKey, node.span, format!("{what} needs `{key}`"));
    }
    found
}

/// A duration, of which `0s` is one here.
fn read_at(node: &Node, report: &mut Report<'_>) -> Option<Duration> {
    let is_zero = match &node.value {
        Value::Scalar { scalar: Scalar::Int(0), .. } => true,
        _ => matches!(node.as_text(), Some("0s" | "0m" | "0h" | "0")),
    };
    if is_zero { Some(Duration::ZERO) } else { read::duration(node, "at", report) }
}

/// `scan`, `suppressed`, or with a reason: `suppressed: cooldown` as a map of one, or the same as text.
fn read_expected(node: &Node, report: &mut Report<'_>) -> Option<ExpectedOutcome> {
    let (word, detail) = match &node.value {
        Value::Map(entries) if entries.len() == 1 => {
            (entries[0].0.text.clone(), Some(read::text(&entries[0].1, "a reason", report)?.to_owned()))
        }
        _ => {
            let text = read::text(node, "expect", report)?;
            match text.split_once(':') {
                Some((word, detail)) => (word.trim().to_owned(), Some(detail.trim().to_owned())),
                None => (text.to_owned(), None),
            }
        }
    };
    let names = || OUTCOMES.iter().map(|(name, _)| *name);
    let Some((outcome, has_detail)) = OUTCOMES.iter().find(|(name, _)| *name == word) else {
        let list = names().collect::<Vec<_>>().join(", ");
        let message = format!("expect is one of {list}, not `{word}`");
        report.error(Code::InvalidValue, node.span, message).suggest(&word, names());
        return None;
    };
    if let Some(detail) = &detail {
        if !has_detail {
            report.error(Code::InvalidValue, node.span, format!("`{outcome}` has no reason"));
            return None;
        }
        if *outcome == "scan" && !ScanType::ALL.iter().any(|scan| scan.as_str() == detail) {
            report.error(Code::InvalidValue, node.span, format!("a scan is Quick or Full, not `{detail}`"));
            return None;
        }
    }
    Some(ExpectedOutcome { outcome, detail })
}
