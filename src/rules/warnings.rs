//! Warnings about sound rules that do nothing.
use jiff::Timestamp;

use super::diagnostic::{Diagnostic, DiagnosticCode as Code, Report};
use super::document::Rule;
use super::field::Field;
use super::response::Response;
use super::source::SourceFile;

/// The warning that a rule will have once its last day has passed, and from when on.
pub(super) fn expiry(title: &str, response: &Response, source: &SourceFile) -> Option<(Timestamp, Diagnostic)> {
    let (date, end) = response.expires?;
    let mut report = Report::new(source);
    let message = format!("the rule `{title}` no longer matches: it expired after {date}");
    report.warning(Code::ExpiredRule, response.expires_span, message).help("remove the rule, or move `expires` on");
    report.diagnostics.pop().map(|finding| (end, finding))
}

pub(super) fn look(_rules: &[Rule], _fields: &[Field], _sources: &[SourceFile]) -> Vec<Diagnostic> {
    Vec::new()
}
