//! What a record is about: its device, its scan, who wrote it, and what tells it apart.

use jiff::Timestamp;

use super::body::EventBody;
use super::control::ControlAction;
use super::refs::DeviceRef;

impl EventBody {
    /// Whether SOAR pipelines may rely on this event under semver.
    #[must_use]
    pub const fn is_public(&self) -> bool {
        matches!(
            self,
            Self::Requested(_)
                | Self::Accepted(_)
                | Self::Joined(_)
                | Self::Shadowed(_)
                | Self::Suppressed(_)
                | Self::Failed(_)
                | Self::Finished(_)
        )
    }

    /// Whether the event ends the requests it names.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Shadowed(_) | Self::Suppressed(_) | Self::Failed(_) | Self::Finished(_))
    }

    /// The device concerned, for the CloudEvents `subject`.
    #[must_use]
    pub fn device(&self) -> Option<&DeviceRef> {
        match self {
            Self::Requested(body) => Some(&body.device),
            Self::Intent(body) => Some(&body.device),
            Self::Accepted(body) => Some(&body.device),
            Self::Joined(body) => Some(&body.device),
            Self::Shadowed(body) => Some(&body.device),
            Self::Suppressed(body) => Some(&body.device),
            Self::Failed(body) => Some(&body.device),
            Self::Finished(body) => Some(&body.device),
            Self::Carried(carried) => carried.device(),
            Self::Genesis(_) | Self::Claim(_) | Self::Control(_) | Self::Withdrawn(_) | Self::AttemptFailed(_) => None,
        }
    }

    /// See [`super::ScanEvent::id`].
    pub(super) fn identity(&self, time: Timestamp) -> String {
        let name = self.name();
        let first = |ids: &[String]| ids.first().cloned().unwrap_or_default();
        match self {
            Self::Genesis(body) => format!("{name}:{}", body.log_id),
            Self::Claim(body) => format!("{name}:{}", body.claim),
            Self::Control(body) => format!("{name}:{}:{}", body.control.subject(), time.as_millisecond()),
            Self::Carried(body) => format!("{name}:{}:{}", body.subject(), time.as_millisecond()),
            Self::Requested(body) => format!("{name}:{}", first(&body.request_ids)),
            Self::Intent(body) => format!("{name}:{}:{}", body.scan_id, body.attempt),
            Self::Withdrawn(body) => format!("{name}:{}:{}", body.scan_id, body.attempt),
            Self::AttemptFailed(body) => format!("{name}:{}:{}", body.scan_id, body.attempt),
            Self::Accepted(body) => format!("{name}:{}", body.scan_id),
            Self::Joined(body) => format!("{name}:{}:{}", body.scan_id, first(&body.request_ids)),
            Self::Shadowed(body) => format!("{name}:{}", first(&body.request_ids)),
            Self::Suppressed(body) => format!("{name}:{}", first(&body.request_ids)),
            Self::Failed(body) => format!("{name}:{}", first(&body.request_ids)),
            Self::Finished(body) => format!("{name}:{}", body.scan_id),
        }
    }

    /// The ownership under which a record was written, where the dispatch side wrote it.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        match self {
            Self::Claim(body) => Some(&body.claim),
            Self::Carried(body) => Some(body.claim()),
            Self::Control(body) => match &body.control {
                ControlAction::Tripped { claim, .. } => Some(claim),
                _ => None,
            },
            Self::Intent(body) => Some(&body.claim),
            Self::Withdrawn(body) => Some(&body.claim),
            Self::AttemptFailed(body) => Some(&body.claim),
            Self::Accepted(body) => Some(&body.claim),
            Self::Joined(body) => Some(&body.claim),
            Self::Shadowed(body) => Some(&body.claim),
            Self::Suppressed(body) => Some(&body.claim),
            Self::Failed(body) => Some(&body.claim),
            Self::Finished(body) => Some(&body.claim),
            Self::Genesis(_) | Self::Requested(_) => None,
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
