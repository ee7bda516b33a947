//! The report of `rules diff` for people.

use std::fmt::Write as _;

use super::{RulesDiffReport, named};

/// The report for people.
#[must_use]
pub fn render_text(report: &RulesDiffReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail: the results are dropped by name.
    let _ignored = writeln!(text, "rule set {} -> {}", report.old, report.new);
    for document in &report.removed {
        let _ignored = writeln!(text, "\nremoved: {document}");
    }
    for document in &report.added {
        let _ignored = writeln!(text, "\nadded: {document}");
    }
    for changed in &report.changed {
        let _ignored = writeln!(text, "\nchanged: {}", named(changed.kind, &changed.id, &changed.title));
        for value in &changed.values {
            let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            let _ignored = writeln!(text, "  {}: {} -> {}", value.key, word(&value.old), word(&value.new));
        }
        for (sign, lines, what) in [
            ('-', &changed.detection_removed, "detection"),
            ('+', &changed.detection_added, "detection"),
            ('-', &changed.tests_removed, "test"),
            ('+', &changed.tests_added, "test"),
        ] {
            for line in lines {
                let _ignored = writeln!(text, "  {sign} {what} {line}");
            }
        }
    }
    if report.added.is_empty() && report.removed.is_empty() && report.changed.is_empty() {
        let same = report.old == report.new;
        text.push_str(if same { "\nthe same files\n" } else { "\nno rule or filter differs; the files do\n" });
    }
    if let Some(decisions) = &report.decisions {
        let _ignored = writeln!(
            text,
            "\nalerts and devices that both ask for in the same words {}, in other words {}, only the new rules {}, only the \
             old rules {}",
            decisions.same, decisions.otherwise, decisions.only_first, decisions.only_second
        );
        for example in &decisions.examples {
            let example = example.replace("only the first asks", "only the new rules ask");
            let _ignored = writeln!(text, "  {}", example.replace("only the second asks", "only the old rules ask"));
        }
    }
    text
}
