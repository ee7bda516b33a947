//! Where the next owner starts to read the ledger, and under which claim.

use serde::{Deserialize, Serialize};

/// What is committed with the position in the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PositionMetadata {
    /// Version of this layout.
    pub(crate) v: u32,
    /// The claim in force at the position; intents behind it are judged by it.
    pub(crate) claim: Option<String>,
    /// Identity of the log; another one means that the topic was recreated.
    pub(crate) log_id: Option<String>,
}

impl PositionMetadata {
    /// Reads the metadata of a commit; anything else than our own counts as none.
    pub(crate) fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The text to commit.
    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_counts_as_nothing() {
        let ours = PositionMetadata { v: 1, claim: Some("c".to_owned()), log_id: Some("l".to_owned()) };
        assert_eq!(PositionMetadata::from_text(&ours.to_text()), ours);
        for foreign in ["", "{", "[]", "\"text\""] {
            assert_eq!(PositionMetadata::from_text(foreign), PositionMetadata::default(), "{foreign}");
        }
    }
}
