//! What is wrong with a rule set, said the way a compiler says it: where, what, and the nearest thing that would be right.

use std::fmt;

use serde::Serialize;

use super::source::SourceFile;

/// At most this many findings are kept for one rule set; the rest is counted in a last one.
pub(super) const MAX_DIAGNOSTICS: usize = 500;
/// Longest part of a source line that is shown, in characters.
const MAX_SHOWN_LINE: usize = 160;

/// The kinds of findings: a closed list, stable across versions, for CI and editors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosticCode {
    /// A file or folder could not be read, or is not UTF-8.
    UnreadableFile,
    /// A file is larger than the limit.
    FileTooLarge,
    /// More rules than the limit.
    TooManyRules,
    /// The folder holds no rule files.
    NoRules,
    /// Not YAML.
    InvalidYaml,
    /// A map has the same key twice.
    DuplicateKey,
    /// A key that means nothing here.
    UnknownKey,
    /// A key that must be there.
    MissingKey,
    /// A value of the wrong kind or out of range.
    InvalidValue,
    /// Known to Sigma or to the design, but not supported.
    NotSupported,
    /// The Sigma parser refuses the document.
    NotSigma,
    /// Two rules with the same id (or, without an id, the same title).
    DuplicateId,
    /// The id is not a UUID, as Sigma wants it (a warning).
    IdNotUuid,
    /// No `logsource`, which Sigma wants (a warning).
    MissingLogsource,
    /// A field that alerts do not have.
    UnknownField,
    /// A modifier that does not exist.
    UnknownModifier,
    /// Modifiers that contradict each other or the field.
    InvalidModifiers,
    /// A regular expression that does not compile or is too large.
    InvalidRegex,
    /// Not a network in CIDR notation.
    InvalidCidr,
    /// A detection without a selection, or a selection without a test.
    EmptyDetection,
    /// The condition cannot be parsed, or is too deep.
    InvalidCondition,
    /// The condition names a selection that does not exist.
    UndefinedSelection,
    /// A selection that no condition uses (a warning).
    UnusedSelection,
    /// A comment template that cannot be parsed or rendered.
    InvalidTemplate,
    /// `\\*` in what looks like a Windows path: a literal star, though a wildcard was probably meant (a warning).
    EscapedWildcard,
    /// A list of values that cannot be read, is too long, or is there twice.
    InvalidList,
    /// A placeholder names a list that does not exist.
    UnknownList,
    /// A placeholder stands for an empty list (a warning).
    EmptyList,
    /// A filter or correlation names a rule that does not exist, or one that it cannot name.
    UnknownRule,
    /// A filter whose condition has no `not` (a warning).
    FilterWithoutNot,
    /// More findings than are shown.
    TooManyFindings,
}

impl DiagnosticCode {
    /// The word used in output, for example `unknown_field`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnreadableFile => "unreadable_file",
            Self::FileTooLarge => "file_too_large",
            Self::TooManyRules => "too_many_rules",
            Self::NoRules => "no_rules",
            Self::InvalidYaml => "invalid_yaml",
            Self::DuplicateKey => "duplicate_key",
            Self::UnknownKey => "unknown_key",
            Self::MissingKey => "missing_key",
            Self::InvalidValue => "invalid_value",
            Self::NotSupported => "not_supported",
            Self::NotSigma => "not_sigma",
            Self::DuplicateId => "duplicate_id",
            Self::IdNotUuid => "id_not_uuid",
            Self::MissingLogsource => "missing_logsource",
            Self::UnknownField => "unknown_field",
            Self::UnknownModifier => "unknown_modifier",
            Self::InvalidModifiers => "invalid_modifiers",
            Self::InvalidRegex => "invalid_regex",
            Self::InvalidCidr => "invalid_cidr",
            Self::EmptyDetection => "empty_detection",
            Self::InvalidCondition => "invalid_condition",
            Self::UndefinedSelection => "undefined_selection",
            Self::UnusedSelection => "unused_selection",
            Self::InvalidTemplate => "invalid_template",
            Self::EscapedWildcard => "escaped_wildcard",
            Self::InvalidList => "invalid_list",
            Self::UnknownList => "unknown_list",
            Self::EmptyList => "empty_list",
            Self::UnknownRule => "unknown_rule",
            Self::FilterWithoutNot => "filter_without_not",
            Self::TooManyFindings => "too_many_findings",
        }
    }
}

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
    /// Characters concerned on that line, at least 1.
    pub length: u32,
    /// The source line, shortened where it is very long.
    pub source_line: String,
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
            length: 1,
            source_line: String::new(),
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
            writeln!(f, "{number} | {}", self.source_line)?;
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
            length: place.length,
            source_line: place.source_line,
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
    length: u32,
    source_line: String,
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
    let visible = shown.chars().count().saturating_sub(column).max(1);
    Place {
        line: u32::try_from(line + 1).unwrap_or(u32::MAX),
        column: u32::try_from(column + 1).unwrap_or(u32::MAX),
        length: u32::try_from(length.min(visible)).unwrap_or(1),
        source_line: shown,
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
