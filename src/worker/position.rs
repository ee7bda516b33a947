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

/// The claims of the log, to know which one was in force at any offset that may be committed.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    seen: Vec<(i64, Option<String>)>,
}

impl Claims {
    /// Begins at an offset, under the claim in force there.
    pub(crate) fn starting_under(claim: Option<String>) -> Self {
        Self { seen: vec![(i64::MIN, claim)] }
    }

    /// A claim was read.
    pub(crate) fn read(&mut self, offset: i64, claim: &str) {
        self.seen.push((offset, Some(claim.to_owned())));
    }

    /// The claim in force for a reader that starts at `offset`. Claims before it are forgotten.
    pub(crate) fn in_force_at(&mut self, offset: i64) -> Option<String> {
        let behind = self.seen.iter().take_while(|(at, _)| *at < offset).count();
        self.seen.drain(..behind.saturating_sub(1));
        self.seen.first().and_then(|(_, claim)| claim.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claim_in_force_is_the_last_before_the_position() {
        let mut claims = Claims::starting_under(Some("a".to_owned()));
        claims.read(50, "b");
        claims.read(500, "c");
        assert_eq!(claims.in_force_at(40).as_deref(), Some("a"));
        assert_eq!(claims.in_force_at(50).as_deref(), Some("a"));
        assert_eq!(claims.in_force_at(51).as_deref(), Some("b"));
        assert_eq!(claims.in_force_at(501).as_deref(), Some("c"));
    }
}
