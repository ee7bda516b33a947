//! Warnings about rules that are sound and do nothing. What is warned of is certain; not everything is found.

use std::collections::HashMap;

use jiff::Timestamp;

use super::contradiction::{Budget, is_contradictory};
use super::coverage;
use super::diagnostic::{Diagnostic, DiagnosticCode as Code, Report};
use super::document::{Document, Rule};
use super::field::Field;
use super::filter::Filter;
use super::normal_form;
use super::source::SourceFile;

/// Comparisons that are spent on one rule set: some tens of milliseconds.
const BUDGET: u64 = 4_000_000;

/// The warning that a rule or filter will have once its last day has passed, and from when on.
pub(super) fn expiry(document: &Document, source: &SourceFile) -> Option<(Timestamp, Diagnostic)> {
    let (code, span, (date, end), what) = match document {
        Document::Rule(rule) => {
            let response = rule.response.as_ref()?;
            let what = format!("the rule \"{}\" matches nothing", rule.title);
            (Code::ExpiredRule, response.expires_span, response.expires?, what)
        }
        Document::Filter(filter) => {
            let what = format!("the filter \"{}\" takes nothing back", filter.title);
            (Code::ExpiredFilter, filter.expires_span, filter.expires?, what)
        }
    };
    let mut report = Report::new(source);
    let message = format!("{what} any more: it expired after {date}");
    report.warning(code, span, message).help("remove it, or move `expires` on");
    report.diagnostics.pop().map(|finding| (end, finding))
}

/// Looks at the rules of a set together.
pub(super) fn look(rules: &[Rule], filters: &[Filter], fields: &[Field], sources: &[SourceFile]) -> Vec<Diagnostic> {
    let by_name: HashMap<&str, &SourceFile> = sources.iter().map(|source| (source.shown.as_str(), source)).collect();
    let mut budget = Budget(BUDGET);
    let mut findings = Vec::new();
    let mut alternatives: Vec<_> = rules.iter().map(normal_form::of_rule).collect();
    for (rule, alternatives) in rules.iter().zip(&mut alternatives) {
        let Some(source) = by_name.get(rule.file.as_str()) else { continue };
        let mut report = Report::new(source);
        if let Some(alternatives) = alternatives {
            alternatives.retain(|alternative| !is_contradictory(alternative, fields, &mut budget));
        }
        if !rule.selections.is_empty() && alternatives.as_ref().is_some_and(Vec::is_empty) {
            let message = "no alert can match this rule: its tests contradict each other";
            report
                .warning(Code::NeverMatches, rule.condition_span, message)
                .help("`rules explain` shows what each test wants");
        } else {
            warn_of_selections(rule, fields, &mut budget, &mut report);
        }
        findings.append(&mut report.diagnostics);
    }
    for (one, other) in coverage::covered(rules, filters, &alternatives, &mut budget) {
        let (rule, by) = (&rules[one], &rules[other]);
        let Some(source) = by_name.get(rule.file.as_str()) else { continue };
        let mut report = Report::new(source);
        let message = format!(
            "this rule changes nothing: whatever it matches, the rule \"{}\" ({}:{}) matches too and asks for at least \
             as much",
            by.title, by.file, by.line
        );
        report.warning(Code::ShadowedRule, rule.id_span, message).help("remove one of the two, or tell them apart");
        findings.append(&mut report.diagnostics);
    }
    findings
}

fn warn_of_selections(rule: &Rule, fields: &[Field], budget: &mut Budget, report: &mut Report<'_>) {
    for selection in &rule.selections {
        let never = normal_form::of_selection(selection)
            .is_some_and(|parts| parts.iter().all(|alternative| is_contradictory(alternative, fields, budget)));
        if never {
            let message =
                format!("no alert can match the selection `{}`: its tests contradict each other", selection.name);
            report.warning(Code::NeverMatches, selection.span, message);
        }
    }
}
