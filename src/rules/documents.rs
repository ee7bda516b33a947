//! The documents of all files together: ids that must differ, and names that must lead somewhere.

use std::collections::HashMap;

use super::diagnostic::{Diagnostic, DiagnosticCode as Code, Report, Span};
use super::document::{Document, Rule};
use super::filter::Filter;
use super::reference::Directory;
use super::source::SourceFile;

/// What was read so far, each with the index of its file.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) rules: Vec<(Rule, usize)>,
    pub(super) filters: Vec<(Filter, usize)>,
    ids: HashMap<String, (String, u32)>,
}

impl Documents {
    pub(super) fn add(&mut self, document: Document, source: usize, report: &mut Report<'_>) {
        match document {
            Document::Rule(rule) => {
                self.refuse_duplicate(&rule.id, rule.id_span, report);
                self.rules.push((*rule, source));
            }
            Document::Filter(filter) => {
                self.refuse_duplicate(&filter.id, filter.id_span, report);
                self.filters.push((*filter, source));
            }
        }
    }

    fn refuse_duplicate(&mut self, id: &str, span: Span, report: &mut Report<'_>) {
        let here = (report.source.shown.clone(), report.line_of(span));
        if let Some((file, line)) = self.ids.insert(id.to_lowercase(), here) {
            let message = format!("another rule has the id `{id}` already: {file}:{line}");
            let finding = report.error(Code::DuplicateId, span, message);
            finding.help("give each rule a new UUID; a rule without `id` goes by its title");
        }
    }

    /// Finds what filters and correlations name, and puts everything in the order of ids.
    ///
    /// Names that lead nowhere are not reported where `incomplete`: the document that is meant may be one with errors.
    pub(super) fn resolve(
        mut self,
        sources: &[SourceFile],
        incomplete: bool,
        findings: &mut Vec<Diagnostic>,
    ) -> (Vec<Rule>, Vec<Filter>) {
        self.rules.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
        self.filters.sort_by(|(one, _), (other, _)| one.id.cmp(&other.id));
        let (mut rules, files): (Vec<Rule>, Vec<usize>) = self.rules.into_iter().unzip();
        let mut correlations: Vec<(usize, super::correlation::Correlation)> = Vec::new();
        let mut said: Vec<(usize, Diagnostic)> = Vec::new();
        let mut filters = Vec::new();
        {
            let directory = Directory::new(&rules);
            let mut note = |file: usize, report: Report<'_>| {
                said.extend(report.diagnostics.into_iter().map(|finding| (file, finding)));
            };
            for (index, rule) in rules.iter().enumerate() {
                let Some(mut correlation) = rule.correlation.clone() else { continue };
                let mut report = Report::new(&sources[files[index]]);
                correlation.resolve(&rules, &directory, &mut report);
                note(files[index], report);
                correlations.push((index, correlation));
            }
            for (mut filter, file) in self.filters {
                let mut report = Report::new(&sources[file]);
                filter.resolve(&rules, &directory, &mut report);
                note(file, report);
                filters.push(filter);
            }
        }
        for (index, correlation) in correlations {
            for counted in &correlation.rules {
                rules[*counted].counted_by.push(index);
            }
            rules[index].correlation = Some(correlation);
        }
        said.retain(|(_, finding)| !incomplete || finding.code != Code::UnknownRule);
        said.sort_by_key(|(file, finding)| (*file, finding.line, finding.column));
        findings.extend(said.into_iter().map(|(_, finding)| finding));
        (rules, filters)
    }
}
