//! One value of a detection, compiled: what it takes for a field to hold it.

use ipnet::IpNet;
use regex::Regex;
use rsigma_parser::value::{SigmaString, SpecialChar, StringPart};

use super::facts::{FieldValue, Slot, fold};
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
    Number(f64),
    /// JSON `true` or `false`, or that word.
    Bool(bool),
    /// The alert does not say.
    Missing,
    /// The alert says (true) or does not say (false).
    Exists(bool),
    /// Ordered comparison.
    Compare(Comparison, Bound),
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

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    Number(f64),
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
    pub(super) fn holds(&self, slot: Slot<'_>) -> bool {
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
            #[expect(
                clippy::float_cmp,
                reason = "equality with a number that a person wrote is what the rule asks for"
            )]
            Self::Number(wanted) => value.number().is_some_and(|number| number == *wanted),
            Self::Bool(wanted) => value.folded == if *wanted { "true" } else { "false" },
            Self::Compare(comparison, Bound::Number(bound)) => value
                .number()
                .and_then(|number| number.partial_cmp(bound))
                .is_some_and(|order| comparison.accepts(order)),
            Self::Compare(comparison, Bound::Severity(bound)) => {
                value.severity().is_some_and(|severity| comparison.accepts(severity.cmp(bound)))
            }
            Self::Missing | Self::Exists(_) => false,
        }
    }
}

impl Comparison {
    pub(super) fn accepts(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        }
    }
}

impl TextShape {
    fn holds(&self, text: &str) -> bool {
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
        let mut parts = SigmaString::new(written).parts;
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
            [Plain(text)] => Self::Exact(case(text)),
            [Special(SpecialChar::WildcardMulti)] => Self::Anything,
            [Plain(text), Special(SpecialChar::WildcardMulti)] => Self::Prefix(case(text)),
            [Special(SpecialChar::WildcardMulti), Plain(text)] => Self::Suffix(case(text)),
            [Special(SpecialChar::WildcardMulti), Plain(text), Special(SpecialChar::WildcardMulti)] => {
                Self::Contains(case(text))
            }
            parts => {
                let mut expression = String::from(r"(?s)\A");
                for part in parts {
                    match part {
                        Plain(text) => expression.push_str(&regex::escape(&case(text))),
                        Special(SpecialChar::WildcardMulti) => expression.push_str(".*"),
                        Special(SpecialChar::WildcardSingle) => expression.push('.'),
                    }
                }
                expression.push_str(r"\z");
                Self::Glob(regex::RegexBuilder::new(&expression).size_limit(MAX_REGEX_BYTES).build()?)
            }
        })
    }
}
