//! The condition of a rule: how its selections combine, compiled to indexes.

use rsigma_parser::{ConditionExpr, Quantifier, SelectorPattern, SigmaParserError, parse_condition};

use super::diagnostic::{DiagnosticCode as Code, Report, Span};
use super::yaml::{Node, Value};

/// Longest condition, in bytes.
const MAX_BYTES: usize = 4096;
/// Deepest nesting of parentheses, and of `not`s within each other: both are recursion in the parser.
const MAX_DEPTH: usize = 32;

/// A condition over the selections of one rule, by their index.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Selection(usize),
    /// At least so many of these selections.
    AtLeast(usize, Vec<usize>),
}

impl Condition {
    /// Whether there is a `not` anywhere in it.
    pub(super) fn negates(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::negates),
            Self::Not(_) => true,
            Self::Selection(_) | Self::AtLeast(..) => false,
        }
    }

    /// What the condition says, given what each selection says. Selections are asked only as far as needed.
    pub(super) fn holds(&self, selection: &mut impl FnMut(usize) -> bool) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(selection)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(selection)),
            Self::Not(part) => !part.holds(selection),
            Self::Selection(index) => selection(*index),
            Self::AtLeast(wanted, indexes) => {
                indexes.iter().filter(|index| selection(**index)).take(*wanted).count() >= *wanted
            }
        }
    }
}

/// Compiles the `condition` of a detection: one text, or a list of which any may hold.
pub(super) fn compile(node: &Node, names: &[&str], used: &mut [bool], report: &mut Report<'_>) -> Option<Condition> {
    let texts: Vec<&Node> = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    if texts.is_empty() {
        report.error(Code::InvalidCondition, node.span, "the condition is empty");
    }
    let mut parts = Vec::new();
    for item in &texts {
        if let Some(text) = item.as_text() {
            parts.extend(compile_text(text, item.span, names, used, report));
        } else {
            report.error(Code::InvalidCondition, item.span, format!("a condition is text, not {}", item.describe()));
        }
    }
    if parts.len() < texts.len() {
        None
    } else if parts.len() == 1 {
        parts.pop()
    } else {
        Some(Condition::Any(parts))
    }
}

fn compile_text(
    text: &str,
    span: Span,
    names: &[&str],
    used: &mut [bool],
    report: &mut Report<'_>,
) -> Option<Condition> {
    if text.len() > MAX_BYTES {
        let message = format!("the condition is longer than {MAX_BYTES} bytes");
        report.error(Code::InvalidCondition, span, message).help("name many selections at once, as `1 of name_*` does");
        return None;
    }
    if depth(text) > MAX_DEPTH {
        let message = format!("parentheses and `not`s are nested deeper than {MAX_DEPTH}");
        report.error(Code::InvalidCondition, span, message).help("split the rule");
        return None;
    }
    let expression = match parse_condition(text) {
        Ok(expression) => expression,
        Err(error) => {
            refuse(&error, text, span, report);
            return None;
        }
    };
    let mut compiler = Compiler { text, span, names, used, report, sound: true };
    let condition = compiler.expression(&expression);
    compiler.sound.then_some(condition)
}

fn depth(text: &str) -> usize {
    // The `not`s before each open parenthesis.
    let mut open = Vec::new();
    let (mut around, mut nots, mut deepest) = (0, 0, 0);
    let is_mark = |character: char| matches!(character, '(' | ')') || character.is_whitespace();
    for part in text.split_inclusive(is_mark) {
        let word = part.trim_end_matches(is_mark);
        match word {
            "" => {}
            "not" => nots += 1,
            _ => nots = 0,
        }
        if part.ends_with('(') {
            open.push(nots);
            around += nots;
            nots = 0;
        } else if part.ends_with(')') {
            around -= open.pop().unwrap_or_default();
        }
        deepest = deepest.max(open.len()).max(around + nots);
    }
    deepest
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_' || character == '-'
}

fn refuse(error: &SigmaParserError, text: &str, span: Span, report: &mut Report<'_>) {
    let at = error.location().and_then(|place| {
        let before: usize = text.lines().take(place.line.saturating_sub(1) as usize).map(|line| line.len() + 1).sum();
        in_source(text, span, before + place.col.saturating_sub(1) as usize, 1, report)
    });
    let finding = report.error(Code::InvalidCondition, at.unwrap_or(span), "the condition cannot be understood here");
    if text.contains('|') {
        finding.help("aggregations such as `| count() > 5` are not supported");
    } else if text.split_whitespace().any(|word| matches!(word, "AND" | "OR" | "NOT" | "OF" | "ALL" | "THEM")) {
        finding.help("write `and or not`, `1 of` and `all of` in lower case");
    } else {
        finding.help("a condition is selections joined by `and or not ( )`, `1 of name*`, `all of them`");
    }
}

/// The place of a part of the condition in the file; only where the file shows the text as it is (no folding or escapes).
fn in_source(text: &str, span: Span, offset: usize, length: usize, report: &Report<'_>) -> Option<Span> {
    let shown = report.source.text.get(span.start..span.end)?;
    let start = span.start + shown.find(text)? + offset;
    Some(Span { start, end: start + length })
}

struct Compiler<'c, 'r, 's> {
    text: &'c str,
    span: Span,
    names: &'c [&'c str],
    used: &'c mut [bool],
    report: &'r mut Report<'s>,
    sound: bool,
}

impl Compiler<'_, '_, '_> {
    fn expression(&mut self, expression: &ConditionExpr) -> Condition {
        match expression {
            ConditionExpr::And(parts) => Condition::All(parts.iter().map(|part| self.expression(part)).collect()),
            ConditionExpr::Or(parts) => Condition::Any(parts.iter().map(|part| self.expression(part)).collect()),
            ConditionExpr::Not(part) => Condition::Not(Box::new(self.expression(part))),
            ConditionExpr::Identifier(name) => self.selection(name),
            ConditionExpr::Selector { quantifier, pattern } => self.selector(quantifier, pattern),
        }
    }

    fn selection(&mut self, name: &str) -> Condition {
        if let Some(index) = self.names.iter().position(|known| *known == name) {
            self.used[index] = true;
            return Condition::Selection(index);
        }
        self.sound = false;
        let names = self.names;
        let span = self.place(name);
        let message = format!("the condition names `{name}`, and no selection has that name");
        self.report.error(Code::UndefinedSelection, span, message).suggest(name, names.iter().copied());
        Condition::Any(Vec::new())
    }

    fn selector(&mut self, quantifier: &Quantifier, pattern: &SelectorPattern) -> Condition {
        let written = pattern.to_string();
        let span = self.place(&written);
        let mut problem = |code, message: String| {
            self.sound = false;
            self.report.error(code, span, message);
            Condition::Any(Vec::new())
        };
        if written.matches('*').count() > 1 {
            return problem(Code::InvalidCondition, format!("`{written}` has more than one `*`"));
        }
        let indexes: Vec<usize> = (0..self.names.len())
            .filter(|index| pattern.matches_detection_name(self.names[*index]) && fits(&written, self.names[*index]))
            .collect();
        if indexes.is_empty() {
            return problem(Code::UndefinedSelection, format!("no selection is one of `{written}`"));
        }
        let wanted = match quantifier {
            Quantifier::Any => 1,
            Quantifier::All => indexes.len(),
            Quantifier::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
        };
        if wanted == 0 || wanted > indexes.len() {
            let message = format!("`{quantifier} of {written}` makes no sense with only {} such", indexes.len());
            return problem(Code::InvalidCondition, message);
        }
        for index in &indexes {
            self.used[*index] = true;
        }
        Condition::AtLeast(wanted, indexes)
    }

    /// Where a word of the condition stands in the file.
    fn place(&self, word: &str) -> Span {
        let mut from = 0;
        while let Some(found) = self.text.get(from..).and_then(|rest| rest.find(word)) {
            let start = from + found;
            let end = start + word.len();
            let before = self.text.get(..start).and_then(|part| part.chars().next_back());
            let after = self.text.get(end..).and_then(|part| part.chars().next());
            if !before.is_some_and(is_name) && !after.is_some_and(is_name) {
                return in_source(self.text, self.span, start, word.len(), self.report).unwrap_or(self.span);
            }
            from = end;
        }
        self.span
    }
}

/// `a*a` must not take `a`: the parts around the star do not overlap.
fn fits(pattern: &str, name: &str) -> bool {
    !pattern.contains('*') || name.len() + 1 >= pattern.len()
}
