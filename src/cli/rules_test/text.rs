//! The report of `rules test` for people.

use std::fmt::Write as _;

use super::RulesTestReport;

/// The report for people: failures in full, then one line.
#[must_use]
pub fn render_text(report: &RulesTestReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail: the results are dropped by name.
    for finding in &report.diagnostics {
        let _ignored = writeln!(text, "{finding}\n");
    }
    for test in report.tests.iter().filter(|test| !test.passed) {
        let _ignored = writeln!(text, "test failed: {}", test.test);
        for failure in &test.failures {
            let _ignored = writeln!(text, "  --> {}:{}\n  {}\n", test.file, failure.line, failure.message);
            for line in failure.explanation.lines() {
                let _ignored = writeln!(text, "{}", format!("    {line}").trim_end());
            }
            text.push('\n');
        }
    }
    let failed = report.failed();
    let _ignored = if report.diagnostics.is_empty() {
        let verdict = if failed == 0 { "ok" } else { "not ok" };
        writeln!(text, "{verdict}: tests passed {} of {}", report.tests.len() - failed, report.tests.len())
    } else {
        writeln!(text, "refused: {} findings; nothing of what they concern was run", report.diagnostics.len())
    };
    text
}
