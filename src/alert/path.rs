//! Where the decoder is, told only when something is wrong.

use super::error::{DecodeError, DecodeReason, Position};

/// A position in the record: a list of steps on the stack, so that a good record pays nothing for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl Path<'_> {
    /// The record itself.
    pub(super) const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    /// A member of the object here.
    pub(super) const fn key<'p>(&'p self, key: &'p str) -> Path<'p> {
        Path { parent: Some(self), step: Step::Key(key) }
    }

    /// An element of the array here.
    pub(super) const fn index(&self, index: usize) -> Path<'_> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// A breach of the contract here.
    pub(super) fn error(&self, detail: impl Into<String>) -> DecodeError {
        self.error_of(DecodeReason::Invalid, detail)
    }

    /// An error of another reason here.
    pub(super) fn error_of(&self, reason: DecodeReason, detail: impl Into<String>) -> DecodeError {
        DecodeError::at(reason, Position::Pointer(self.pointer()), detail)
    }

    /// RFC 6901.
    fn pointer(&self) -> String {
        let mut pointer = self.parent.map(Path::pointer).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Key(key) => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Step::Index(index) => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
        }
        pointer
    }
}
