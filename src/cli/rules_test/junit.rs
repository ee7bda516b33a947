//! The report of `rules test` as JUnit XML: one suite per file, as GitLab and Jenkins read it.

use std::fmt::Write as _;

use super::{RulesTestReport, TestOutcome};

/// The report as a JUnit document. Findings that refuse a file are errors of a test case of their own.
#[must_use]
pub fn render_junit(report: &RulesTestReport) -> String {
    let (failed, errors) = (report.failed(), report.diagnostics.len());
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail: the results are dropped by name.
    let _ignored = writeln!(
        xml,
        "<testsuites name=\"alert-responder rules\" tests=\"{}\" failures=\"{failed}\" errors=\"{errors}\" time=\"0\">",
        report.tests.len() + errors
    );
    let mut files: Vec<&str> = report.tests.iter().map(|test| test.file.as_str()).collect();
    files.dedup();
    files.sort_unstable();
    files.dedup();
    for file in files {
        let tests: Vec<&TestOutcome> = report.tests.iter().filter(|test| test.file == file).collect();
        let failed = tests.iter().filter(|test| !test.passed).count();
        let _ignored = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"0\">",
            escaped(file),
            tests.len()
        );
        for test in tests {
            write_case(&mut xml, test);
        }
        xml.push_str("  </testsuite>\n");
    }
    if errors > 0 {
        let _ignored = writeln!(
            xml,
            "  <testsuite name=\"rules\" tests=\"{errors}\" failures=\"0\" errors=\"{errors}\" skipped=\"0\" time=\"0\">"
        );
        for finding in &report.diagnostics {
            let place = escaped(&format!("{}:{}", finding.file, finding.line));
            let _ignored = writeln!(
                xml,
                "    <testcase name=\"{place}\" classname=\"rules\" file=\"{}\" time=\"0\">\n      <error type=\"{}\" \
                 message=\"{}\">{}</error>\n    </testcase>",
                escaped(&finding.file),
                finding.code.as_str(),
                escaped(&finding.message),
                escaped(&finding.to_string())
            );
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn write_case(xml: &mut String, test: &TestOutcome) {
    let class = test.rule_id.as_deref().unwrap_or("rule set");
    let _ignored = write!(
        xml,
        "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{}\" time=\"0\"",
        escaped(&test.test),
        escaped(class),
        escaped(&test.file),
        test.line
    );
    if test.failures.is_empty() {
        xml.push_str("/>\n");
        return;
    }
    xml.push_str(">\n");
    // One element: readers of JUnit take the first.
    let messages = test.failures.iter().map(|failure| failure.message.as_str()).collect::<Vec<_>>().join("; ");
    let texts = test
        .failures
        .iter()
        .map(|failure| format!("{}:{}\n{}\n\n{}", test.file, failure.line, failure.message, failure.explanation));
    let _ignored = writeln!(
        xml,
        "      <failure type=\"failure\" message=\"{}\">{}</failure>\n    </testcase>",
        escaped(&messages),
        escaped(&texts.collect::<Vec<_>>().join("\n"))
    );
}

/// For text and attributes alike. What XML 1.0 cannot hold at all becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
