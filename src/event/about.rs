//! What a record is about: its scan, and who wrote it.

use super::body::{Carried, EventBody};

impl EventBody {
    /// The ownership under which a record was written, where the dispatch side wrote it.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        match self {
            Self::Claim(body) => Some(&body.claim),
            Self::Carried(Carried::Halted { claim } | Carried::Cooldown { claim, .. }) => Some(claim),
            Self::Intent(body) => Some(&body.claim),
            Self::Withdrawn(body) => Some(&body.claim),
            Self::AttemptFailed(body) => Some(&body.claim),
            Self::Accepted(body) => Some(&body.claim),
            Self::Joined(body) => Some(&body.claim),
            Self::Shadowed(body) => Some(&body.claim),
            Self::Suppressed(body) => Some(&body.claim),
            Self::Failed(body) => Some(&body.claim),
            Self::Finished(body) => Some(&body.claim),
            Self::Genesis(_) | Self::Control(_) | Self::Requested(_) => None,
        }
    }

    /// The scan that a record is about, where it names one.
    #[must_use]
    pub fn scan_id(&self) -> Option<&str> {
        match self {
            Self::Intent(body) => Some(&body.scan_id),
            Self::Withdrawn(body) => Some(&body.scan_id),
            Self::AttemptFailed(body) => Some(&body.scan_id),
            Self::Accepted(body) => Some(&body.scan_id),
            Self::Joined(body) => Some(&body.scan_id),
            Self::Finished(body) => Some(&body.scan_id),
            Self::Failed(body) => body.scan_id.as_deref(),
            Self::Genesis(_)
            | Self::Claim(_)
            | Self::Control(_)
            | Self::Carried(_)
            | Self::Requested(_)
            | Self::Shadowed(_)
            | Self::Suppressed(_) => None,
        }
    }
}
