//! Named lists of values, kept in files of their own, that `expand` puts in the place of `%name%`.

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, DiagnosticCode as Code, Report, Span, nearest};
use super::source::{LIST_EXTENSION, SourceFile};

/// Most values of one list.
const MAX_VALUES: usize = 50_000;
/// Longest value, in bytes.
const MAX_VALUE: usize = 1024;
/// Most values that all placeholders of a rule set may become together: bounds its memory.
pub(super) const MAX_EXPANDED: usize = 500_000;

/// Longest value that placeholders may become, in bytes.
pub(super) const MAX_EXPANDED_VALUE: usize = 4 << 10;
/// Most bytes of all values that placeholders of a rule set may become together.
pub(super) const MAX_EXPANDED_BYTES: usize = 64 << 20;

/// Every list of a rule set, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    by_name: BTreeMap<String, List>,
}

#[derive(Debug, Clone)]
struct List {
    file: String,
    values: Vec<String>,
}

impl Lists {
    /// Takes a list: one value a line. Empty lines and lines that start with `#` are left out.
    pub(super) fn add(&mut self, source: &SourceFile) -> Vec<Diagnostic> {
        let mut report = Report::new(source);
        let file_name = source.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let name = file_name.strip_suffix(LIST_EXTENSION).unwrap_or(file_name).to_owned();
        if name.is_empty() || !name.chars().all(is_name) {
            let message = format!("`{name}` cannot be the name of a list: letters, digits, `_` and `-` only");
            return vec![Diagnostic::whole_file(Code::InvalidList, &source.shown, message)];
        }
        let mut values = Vec::new();
        let mut at = 0;
        for line in source.text.split('\n') {
            let span = Span { start: at, end: at + line.len() };
            at += line.len() + 1;
            let value = line.trim();
            if value.is_empty() || value.starts_with('#') {
                continue;
            }
            if value.len() > MAX_VALUE {
                report.error(Code::InvalidList, span, format!("a value of a list has at most {MAX_VALUE} bytes"));
            } else if values.len() == MAX_VALUES {
                report.error(Code::InvalidList, span, format!("a list has at most {MAX_VALUES} values"));
                break;
            } else {
                values.push(value.to_owned());
            }
        }
        let list = List { file: source.shown.clone(), values };
        if let Some(other) = self.by_name.insert(name.clone(), list) {
            let message = format!("another file is the list `{name}` already: {}", other.file);
            report.diagnostics.push(Diagnostic::whole_file(Code::InvalidList, &source.shown, message));
        }
        report.diagnostics
    }

    pub(super) fn get(&self, name: &str) -> Option<&[String]> {
        self.by_name.get(name).map(|list| list.values.as_slice())
    }

    /// What to do about a list that is not there.
    pub(super) fn help(&self, name: &str) -> String {
        nearest(name, self.by_name.keys().map(String::as_str)).map_or_else(
            || format!("add the file `{name}{LIST_EXTENSION}` beside the rules, one value a line"),
            |near| format!("did you mean `%{near}%`?"),
        )
    }
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == '-'
}

/// A value of a rule, cut at its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Placeholder(&'t str),
}

/// Cuts a value at `%name%`. A `%` that does not enclose a name is text, and so is one after a backslash, which goes; two
/// backslashes are one that means nothing here.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let part = |start: usize, end: usize| text.get(start..end).filter(|part| !part.is_empty()).map(Piece::Text);
    let mut pieces = Vec::new();
    // Where the text begins that is not cut off yet, and where we are.
    let (mut start, mut at) = (0, 0);
    while let Some(rest) = text.as_bytes().get(at..).filter(|rest| !rest.is_empty()) {
        match rest {
            [b'\\', b'%', ..] => {
                pieces.extend(part(start, at));
                (start, at) = (at + 1, at + 2);
            }
            [b'\\', b'\\', ..] => at += 2,
            [b'%', ..] => match text.get(at + 1..).and_then(name_before_percent) {
                Some(name) => {
                    pieces.extend(part(start, at));
                    pieces.push(Piece::Placeholder(name));
                    at += name.len() + 2;
                    start = at;
                }
                None => at += 1,
            },
            _ => at += 1,
        }
    }
    pieces.extend(part(start, text.len()));
    pieces
}

fn name_before_percent(text: &str) -> Option<&str> {
    let (name, _) = text.split_once('%')?;
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{Piece, pieces};

    #[test]
    fn a_value_is_cut_at_its_placeholders() {
        let cases: &[(&str, &[Piece<'_>])] = &[
            ("", &[]),
            ("a", &[Piece::Text("a")]),
            ("%a%", &[Piece::Placeholder("a")]),
            ("x%a%%b%ü", &[Piece::Text("x"), Piece::Placeholder("a"), Piece::Placeholder("b"), Piece::Text("ü")]),
            ("50% of %a%", &[Piece::Text("50% of "), Piece::Placeholder("a")]),
            ("%%", &[Piece::Text("%%")]),
            (r"\%plain%name%", &[Piece::Text("%plain"), Piece::Placeholder("name")]),
            (r"x\%a%", &[Piece::Text("x"), Piece::Text("%a%")]),
            (r"x\\%a%", &[Piece::Text(r"x\\"), Piece::Placeholder("a")]),
            (r"a\*%a%\", &[Piece::Text(r"a\*"), Piece::Placeholder("a"), Piece::Text(r"\")]),
        ];
        for (text, expected) in cases {
            assert_eq!(pieces(text), *expected, "{text}");
        }
    }
}
