//! What is wrong with a rule set, said the way a compiler says it: where, what, and the nearest thing that would be right.

use std::fmt;

use serde::Serialize;

pub use super::codes::DiagnosticCode;
use super::source::SourceFile;

/// At most this many findings are kept for one rule set; the rest is counted in a last one.
pub(super) const MAX_DIAGNOSTICS: usize = 500;
/// Longest part of a source line that is shown, in characters.
const MAX_SHOWN_LINE: usize = 160;

/// Whether a finding refuses the rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiagnosticLevel {
    /// The rule set is refused.
    Error,
    /// The rule set is accepted; someone should look.
    Warning,
}

/// One finding about a rule file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What kind of finding.
    pub code: DiagnosticCode,
    /// Error or warning.
    pub level: DiagnosticLevel,
    /// The file, as given.
    pub file: String,
    /// Line, counted from 1; 0 where the finding concerns the whole file.
    pub line: u32,
    /// Column in characters, counted from 1; 0 where the finding concerns the whole file.
    pub column: u32,
    /// Line on which the finding ends; 0 where it concerns the whole file.
    pub end_line: u32,
    /// Column after the last character concerned, counted from 1; 0 where the finding concerns the whole file.
    pub end_column: u32,
    /// Characters concerned on the first line, at least 1.
    pub length: u32,
    /// The first line of the source concerned, shortened where it is very long.
    pub snippet: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A finding about a whole file or folder.
    pub(super) fn whole_file(code: DiagnosticCode, file: &str, message: String) -> Self {
        Self {
            code,
            level: DiagnosticLevel::Error,
            file: file.to_owned(),
            line: 0,
            column: 0,
            end_line: 0,
            end_column: 0,
            length: 1,
            snippet: String::new(),
            message,
            help: None,
        }
    }

    /// Adds how to mend it.
    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the nearest right name, where one is near enough.
    pub(super) fn suggest<'n>(&mut self, wrong: &str, right: impl IntoIterator<Item = &'n str>) -> &mut Self {
        if let Some(near) = nearest(wrong, right) {
            self.help = Some(format!("did you mean `{near}`?"));
        }
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            DiagnosticLevel::Error => "error",
            DiagnosticLevel::Warning => "warning",
        };
        writeln!(f, "{level}[{}]: {}", self.code.as_str(), self.message)?;
        if self.line == 0 {
            write!(f, "  --> {}", self.file)?;
        } else {
            let number = self.line.to_string();
            let gutter = " ".repeat(number.len());
            let indent = " ".repeat(self.column.saturating_sub(1) as usize);
            let carets = "^".repeat(self.length.max(1) as usize);
            writeln!(f, "{gutter}--> {}:{}:{}", self.file, self.line, self.column)?;
            writeln!(f, "{gutter} |")?;
            writeln!(f, "{number} | {}", self.snippet)?;
            write!(f, "{gutter} | {indent}{carets}")?;
        }
        match &self.help {
            Some(help) => write!(f, "\n  = help: {help}"),
            None => Ok(()),
        }
    }
}

/// Why a rule set is refused: every error of the set, warnings included, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleErrors {
    /// At least one of them is an error.
    pub diagnostics: Vec<Diagnostic>,
}

impl RuleErrors {
    /// The code of this error as a whole.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "invalid_rules"
    }

    /// How many findings are errors, and not warnings.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.diagnostics.iter().filter(|finding| finding.level == DiagnosticLevel::Error).count()
    }
}

impl fmt::Display for RuleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.diagnostics {
            writeln!(f, "{finding}\n")?;
        }
        let count = self.error_count();
        write!(f, "the rule set is refused: {count} error{}", if count == 1 { "" } else { "s" })
    }
}

impl std::error::Error for RuleErrors {}

/// A stretch of a source text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Collects the findings about one file.
pub(super) struct Report<'s> {
    pub(super) source: &'s SourceFile,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Takes what is said about findings beyond the limit.
    beyond: Diagnostic,
    errors: usize,
}

impl<'s> Report<'s> {
    pub(super) fn new(source: &'s SourceFile) -> Self {
        let beyond = Diagnostic::whole_file(DiagnosticCode::TooManyFindings, &source.shown, String::new());
        Self { source, diagnostics: Vec::new(), beyond, errors: 0 }
    }

    pub(super) fn error(&mut self, code: DiagnosticCode, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(code, DiagnosticLevel::Error, span, message.into())
    }

    pub(super) fn warning(&mut self, code: DiagnosticCode, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(code, DiagnosticLevel::Warning, span, message.into())
    }

    /// Errors so far, those that are not kept included.
    pub(super) const fn error_count(&self) -> usize {
        self.errors
    }

    /// The line, counted from 1, on which a span starts.
    pub(super) fn line_of(&self, span: Span) -> u32 {
        u32::try_from(self.source.line_at(span.start).0 + 1).unwrap_or(u32::MAX)
    }

    fn add(&mut self, code: DiagnosticCode, level: DiagnosticLevel, span: Span, message: String) -> &mut Diagnostic {
        self.errors += usize::from(level == DiagnosticLevel::Error);
        // Keeps memory and time bounded on a hostile file: once more than are shown exist, only an error is worth a place
        // that a warning has, so that warnings never hide that the file is refused.
        if self.diagnostics.len() > MAX_DIAGNOSTICS {
            let last_is_error = self.diagnostics.last().is_some_and(|last| last.level == DiagnosticLevel::Error);
            if level == DiagnosticLevel::Warning || last_is_error {
                return &mut self.beyond;
            }
            self.diagnostics.pop();
        }
        let place = locate(self.source, span);
        self.diagnostics.push(Diagnostic {
            code,
            level,
            file: self.source.shown.clone(),
            line: place.line,
            column: place.column,
            end_line: place.end_line,
            end_column: place.end_column,
            length: place.length,
            snippet: place.snippet,
            message,
            help: None,
        });
        let last = self.diagnostics.len() - 1;
        &mut self.diagnostics[last]
    }
}

struct Place {
    line: u32,
    column: u32,
    end_line: u32,
    end_column: u32,
    length: u32,
    snippet: String,
}

fn locate(source: &SourceFile, span: Span) -> Place {
    let text = source.text.as_str();
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let (line, line_start) = source.line_at(start);
    let full_line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
    let column = text.get(line_start..start).unwrap_or_default().chars().count();
    let on_this_line = span.end.min(line_start + full_line.len());
    let length = text.get(start..on_this_line).map_or(1, |part| part.trim_end().chars().count()).max(1);
    let shown: String = full_line
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(MAX_SHOWN_LINE)
        .collect();
    // The end of a block is where the next line begins: what is concerned ends with its last visible character.
    let end = start + text.get(start..span.end.clamp(start, text.len())).map_or(0, |part| part.trim_end().len());
    let (end_line, end_line_start) = source.line_at(end);
    let end_column = text.get(end_line_start..end).unwrap_or_default().chars().count();
    let visible = shown.chars().count().saturating_sub(column).max(1);
    Place {
        line: u32::try_from(line + 1).unwrap_or(u32::MAX),
        column: u32::try_from(column + 1).unwrap_or(u32::MAX),
        end_line: u32::try_from(end_line + 1).unwrap_or(u32::MAX),
        end_column: u32::try_from((end_column + 1).max(if end == start { column + 2 } else { 1 })).unwrap_or(u32::MAX),
        length: u32::try_from(length.min(visible)).unwrap_or(1),
        snippet: shown,
    }
}

/// The nearest of some names: at most a third of the letters differ.
pub(super) fn nearest<'n>(wrong: &str, right: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let folded = wrong.to_lowercase();
    let limit = (folded.chars().count() / 3).max(1);
    right
        .into_iter()
        .map(|name| (strsim::osa_distance(&folded, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}
