//! The reference parser's word on a file: whether this is Sigma.

use super::diagnostic::{DiagnosticCode as Code, Report, Span};

/// It has the last word, because it looks at keys that do not matter to matching.
pub(super) fn ask(report: &mut Report<'_>) {
    let problems = match rsigma_parser::parse_sigma_yaml(&report.source.text) {
        Ok(collection) => collection.errors,
        Err(error) => vec![error.to_string()],
    };
    // An empty document, such as after a last `---`, is nothing; one that is no map has its finding already.
    for problem in problems.into_iter().filter(|problem| problem != "Document is not a YAML mapping") {
        let (said, span) = placed(&problem, &report.source.text).unwrap_or((problem.as_str(), Span::default()));
        report.error(Code::NotSigma, span, format!("the Sigma parser refuses this file: {said}"));
    }
}

/// A problem that ends with ` at line 6 column 18`, without that and with the place it stands for.
fn placed<'p>(problem: &'p str, text: &str) -> Option<(&'p str, Span)> {
    let (said, place) = problem.rsplit_once(" at line ")?;
    let (line, column) = place.split_once(" column ")?;
    let (line, column) = (line.parse::<usize>().ok()?.checked_sub(1)?, column.parse::<usize>().ok()?.checked_sub(1)?);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let here = text.get(before..)?.lines().next()?;
    let start = before + here.chars().take(column).map(char::len_utf8).sum::<usize>();
    Some((said, Span { start, end: before + here.len() }))
}
