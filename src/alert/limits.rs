//! How long a field may be. Lengths count characters before trimming, as JSON Schema's `maxLength` does.
//!
//! What rules compare or what names something is refused when it is too long: a cut id would name another thing, and a
//! cut path would match another rule. Prose is cut.

/// Ids, names, words, hashes, tags, addresses.
pub(super) const WORD_CHARS: usize = 512;

/// File folder; Windows allows 32,767.
pub(super) const PATH_CHARS: usize = 32_768;

/// Title; a longer one is cut.
pub(super) const TITLE_CHARS: usize = 1024;

/// Description; a longer one is cut.
pub(super) const DESCRIPTION_CHARS: usize = 8192;

/// Tags, addresses and techniques of one list.
pub(super) const LIST_ITEMS: usize = 256;

/// Labels.
pub(super) const LABELS: usize = 64;

/// Value of a label.
pub(super) const LABEL_CHARS: usize = 1024;
