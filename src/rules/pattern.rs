//! One value of a detection, compiled: what it takes for a field to hold it.

use std::cmp::Ordering;

use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use rsigma_parser::value::{SigmaString, SpecialChar, StringPart};

use super::facts::{Facts, FieldValue, Slot, fold};
use super::number::Number;
use super::time_part::TimePart;
use super::transform::{self, DASH_CLASS};
use crate::alert::Severity;

/// Largest compiled form of one regular expression, in bytes.
pub(super) const MAX_REGEX_BYTES: usize = 1024 * 1024;

/// A compiled value and how it was written.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) written: String,
    pub(super) kind: PatternKind,
}

/// What a pattern looks for.
#[derive(Debug, Clone)]
pub(super) enum PatternKind {
    /// Text, letter case ignored unless `cased`.
    Text { cased: bool, shape: TextShape },
    /// A regular expression, found anywhere in the text as written.
    Regex(Regex),
    /// An address within a network.
    Network(IpNet),
    /// A number, or text that reads as that number.
    Number(Number),
    /// JSON `true` or `false`, or that word.
    Bool(bool),
    /// The alert does not say.
    Missing,
    /// The alert says (true) or does not say (false).
    Exists(bool),
    /// Ordered comparison.
    Compare(Comparison, Bound),
    /// The same text as another field, or a part of it by `anchor`.
    FieldRef { slot: usize, anchor: Anchor, cased: bool },
    /// A part of a time; equality where there is no comparison.
    TimePart { part: TimePart, comparison: Option<Comparison>, wanted: i64 },
}

/// A text pattern by its shape; the cheap ones stay apart so that an index can hash them.
#[derive(Debug, Clone)]
pub(super) enum TextShape {
    Anything,
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    Glob(Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Bound {
    Number(Number),
    Severity(Severity),
}

/// Where a text pattern is anchored, from the modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Whole,
    Contains,
    Start,
    End,
}

impl Pattern {
    /// Whether a field holds this. A field with several values holds it where any of them does.
    /// Only a reference to another field looks at `facts`.
    pub(super) fn holds(&self, slot: Slot<'_>, facts: &Facts<'_>) -> bool {
        match &self.kind {
            PatternKind::FieldRef { slot: other, anchor, cased } => {
                let others = facts.slot(*other).values();
                slot.values().iter().any(|value| others.iter().any(|other| refers(*anchor, *cased, &value, &other)))
            }
            _ => self.holds_alone(slot),
        }
    }

    /// The same for a pattern that is no reference to another field.
    pub(super) fn holds_alone(&self, slot: Slot<'_>) -> bool {
        match &self.kind {
            PatternKind::Missing => matches!(slot, Slot::Missing),
            PatternKind::Exists(wanted) => matches!(slot, Slot::Present(_)) == *wanted,
            kind => slot.values().iter().any(|value| kind.holds_value(&value)),
        }
    }
}

impl PatternKind {
    fn holds_value(&self, value: &FieldValue<'_>) -> bool {
        match self {
            Self::Text { cased, shape } => shape.holds(if *cased { value.text } else { value.folded }),
            Self::Regex(regex) => regex.is_match(value.text),
            Self::Network(network) => value.address().is_some_and(|address| network.contains(&address)),
            Self::Number(wanted) => {
                value.number().and_then(|number| number.compare(*wanted)).is_some_and(Ordering::is_eq)
            }
            Self::Bool(wanted) => value.folded == if *wanted { "true" } else { "false" },
            Self::Compare(comparison, Bound::Number(bound)) => {
                value.number().and_then(|number| number.compare(*bound)).is_some_and(|order| comparison.accepts(order))
            }
            Self::Compare(comparison, Bound::Severity(bound)) => {
                value.severity().is_some_and(|severity| comparison.accepts(severity.cmp(bound)))
            }
            Self::TimePart { part, comparison, wanted } => value.time().is_some_and(|time| {
                let order = part.of(time).cmp(wanted);
                comparison.map_or_else(|| order.is_eq(), |comparison| comparison.accepts(order))
            }),
            Self::Missing | Self::Exists(_) | Self::FieldRef { .. } => false,
        }
    }
}

fn refers(anchor: Anchor, cased: bool, value: &FieldValue<'_>, other: &FieldValue<'_>) -> bool {
    let (text, part) = if cased { (value.text, other.text) } else { (value.folded, other.folded) };
    match anchor {
        Anchor::Whole => text == part,
        Anchor::Contains => text.contains(part),
        Anchor::Start => text.starts_with(part),
        Anchor::End => text.ends_with(part),
    }
}

impl Comparison {
    pub(super) fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        }
    }
}

impl TextShape {
    /// Whether a text has this shape; both without letter case, or neither.
    pub(super) fn holds(&self, text: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::Exact(wanted) => text == wanted,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Self::Contains(part) => text.contains(part.as_str()),
            Self::Glob(regex) => regex.is_match(text),
        }
    }

    /// Compiles a Sigma text: `*` any text, `?` any one character, a backslash before those or itself escapes.
    ///
    /// # Errors
    ///
    /// The regular expression behind a pattern with wildcards in its middle is too large.
    pub(super) fn compile(written: &str, anchor: Anchor, cased: bool) -> Result<Self, regex::Error> {
        Self::of_parts(SigmaString::new(written).parts, anchor, cased, false)
    }

    /// The same, with every dash of the text standing for any dash of Sigma's `windash`.
    ///
    /// # Errors
    ///
    /// As for `compile`.
    pub(super) fn compile_windash(written: &str, anchor: Anchor, cased: bool) -> Result<Self, regex::Error> {
        Self::of_parts(SigmaString::new(written).parts, anchor, cased, written.contains(transform::is_dash))
    }

    /// Compiles a text in which nothing has a special meaning.
    ///
    /// # Errors
    ///
    /// As for `compile`.
    pub(super) fn literal(text: String, anchor: Anchor, cased: bool) -> Result<Self, regex::Error> {
        Self::of_parts(vec![StringPart::Plain(text)], anchor, cased, false)
    }

    /// Any of some texts, anywhere.
    ///
    /// # Errors
    ///
    /// As for `compile`.
    pub(super) fn contains_any(texts: &[String], cased: bool) -> Result<Self, regex::Error> {
        let each: Vec<String> =
            texts.iter().map(|text| regex::escape(&if cased { text.clone() } else { fold(text) })).collect();
        Ok(Self::Glob(RegexBuilder::new(&each.join("|")).size_limit(MAX_REGEX_BYTES).build()?))
    }

    fn of_parts(mut parts: Vec<StringPart>, anchor: Anchor, cased: bool, any_dash: bool) -> Result<Self, regex::Error> {
        let any = || StringPart::Special(SpecialChar::WildcardMulti);
        if matches!(anchor, Anchor::Contains | Anchor::End) {
            parts.insert(0, any());
        }
        if matches!(anchor, Anchor::Contains | Anchor::Start) {
            parts.push(any());
        }
        parts.dedup_by(|next, previous| *next == any() && *previous == any());
        let case = |text: &str| if cased { text.to_owned() } else { fold(text) };
        use StringPart::{Plain, Special};
        Ok(match parts.as_slice() {
            [] => Self::Exact(String::new()),
            [Special(SpecialChar::WildcardMulti)] => Self::Anything,
            [Plain(text)] if !any_dash => Self::Exact(case(text)),
            [Plain(text), Special(SpecialChar::WildcardMulti)] if !any_dash => Self::Prefix(case(text)),
            [Special(SpecialChar::WildcardMulti), Plain(text)] if !any_dash => Self::Suffix(case(text)),
            [Special(SpecialChar::WildcardMulti), Plain(text), Special(SpecialChar::WildcardMulti)] if !any_dash => {
                Self::Contains(case(text))
            }
            parts => {
                let mut expression = String::from(r"(?s)\A");
                for part in parts {
                    match part {
                        Plain(text) => push_literal(&mut expression, &case(text), any_dash),
                        Special(SpecialChar::WildcardMulti) => expression.push_str(".*"),
                        Special(SpecialChar::WildcardSingle) => expression.push('.'),
                    }
                }
                expression.push_str(r"\z");
                Self::Glob(RegexBuilder::new(&expression).size_limit(MAX_REGEX_BYTES).build()?)
            }
        })
    }
}

fn push_literal(expression: &mut String, text: &str, any_dash: bool) {
    if !any_dash {
        expression.push_str(&regex::escape(text));
        return;
    }
    for character in text.chars() {
        if transform::is_dash(character) {
            expression.push_str(DASH_CLASS);
        } else {
            expression.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
        }
    }
}
