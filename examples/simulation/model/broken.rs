//! A promise that a history broke.

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Which promise, in one word: a shrunk history must break the same.
    pub(crate) promise: &'static str,
    pub(crate) detail: String,
}

pub(crate) type Kept = Result<(), Broken>;

pub(crate) fn ensure(promise: &'static str, holds: bool, detail: impl FnOnce() -> String) -> Kept {
    if holds { Ok(()) } else { Err(Broken { promise, detail: detail() }) }
}
