//! Why a record could not be decoded, where in it, and how to mend it.

use std::fmt;

/// Longest piece of the record that is quoted in a message, in characters.
const QUOTED_CHARS: usize = 64;

/// Longest JSON pointer that is told, in characters.
const POINTER_CHARS: usize = 256;

/// The closed list of reasons; the words are those of the dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DecodeReason {
    /// The value is not UTF-8.
    NotUtf8,
    /// The value is not JSON.
    NotJson,
    /// JSON, but of no format we know.
    UnknownFormat,
    /// A known format with a field that breaks its contract.
    Invalid,
    /// Larger than a limit: bytes, alerts in the record, or devices in an alert.
    TooLarge,
    /// Nested deeper than the limit.
    TooDeep,
}

impl DecodeReason {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::NotUtf8, Self::NotJson, Self::UnknownFormat, Self::Invalid, Self::TooLarge, Self::TooDeep];

    /// The word used in dead letters, metrics and output.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::UnknownFormat => "unknown_format",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
        }
    }
}

impl fmt::Display for DecodeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Where in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// The record as a whole.
    Record,
    /// Offset of the first offending byte, from 0.
    Byte(usize),
    /// Line and column in the text, from 1.
    LineColumn {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// JSON pointer (RFC 6901), for example `/value/3/severity`.
    Pointer(String),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record => f.write_str("record"),
            Self::Byte(offset) => write!(f, "byte {offset}"),
            Self::LineColumn { line, column } => write!(f, "line {line} column {column}"),
            Self::Pointer(pointer) => f.write_str(pointer),
        }
    }
}

/// A record that could not be decoded. One bad alert makes the whole record one dead letter.
///
/// The message is bounded and has no control characters, whatever the record holds: it goes into headers and logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {detail}")]
pub struct DecodeError {
    reason: DecodeReason,
    position: Position,
    detail: String,
}

impl DecodeError {
    /// An error about the record as a whole.
    pub(super) fn record(reason: DecodeReason, detail: impl Into<String>) -> Self {
        Self::at(reason, Position::Record, detail)
    }

    /// An error at a position.
    pub(super) fn at(reason: DecodeReason, position: Position, detail: impl Into<String>) -> Self {
        let position = match position {
            Position::Pointer(pointer) if pointer.is_empty() => Position::Record,
            Position::Pointer(pointer) => Position::Pointer(bounded(&pointer, POINTER_CHARS)),
            other => other,
        };
        Self { reason, position, detail: detail.into() }
    }

    /// Which of the closed list.
    #[must_use]
    pub const fn reason(&self) -> DecodeReason {
        self.reason
    }

    /// The reason's word.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// The same bytes never decode later: decoding has no state.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        false
    }

    /// Where in the record.
    #[must_use]
    pub const fn position(&self) -> &Position {
        &self.position
    }

    /// What is wrong and how to mend it, for people, without the position.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// A piece of the record, fit to be quoted in a message.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", bounded(text, QUOTED_CHARS))
}

/// Cut to so many characters and freed of control characters.
fn bounded(text: &str, most: usize) -> String {
    let mut shown: String =
        text.chars().take(most).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}
