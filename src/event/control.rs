//! Words that bind every replica: an operator's orders, what the owner trips by itself, and facts that are carried on.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outcome::FailedReason;
use super::refs::DeviceRef;
use super::silence::Silence;
use crate::rules::ScanType;

/// What was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ControlAction {
    /// Start and cancel no scan; requests wait, and reads go on.
    Halted,
    /// Go on.
    Resumed,
    /// A cap on devices was reached: the owner puts the rule into shadow until somebody re-arms it.
    Tripped {
        /// The owner that tripped it.
        claim: String,
        /// The rule; absent for the cap on all rules together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule_id: Option<String>,
        /// Distinct devices that the cap allows.
        devices: u32,
        /// Its window in seconds.
        per_seconds: u64,
    },
    /// A tripped cap begins to count anew.
    Rearmed {
        /// The rule; absent for the cap on all rules together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule_id: Option<String>,
    },
    /// Hold back what a silence matches. One of the same id is replaced.
    SilenceSet {
        /// The silence.
        silence: Silence,
    },
    /// A silence ends now.
    SilenceEnded {
        /// Its id.
        silence_id: String,
    },
}

/// An operator's word, or a trip of the owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// What was ordered.
    pub control: ControlAction,
    /// Who ordered it.
    pub author: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A fact appended again by the owner because its record nears the end of its retention.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Carried {
    /// The kill switch is on.
    Halted {
        /// The owner that carried it.
        claim: String,
        /// Offset of the order that it carries on: an order about the same thing after it voids this record. Absent in
        /// records of versions that did not say so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_offset: Option<i64>,
    },
    /// A device rests.
    Cooldown {
        /// The owner that carried it.
        claim: String,
        /// The device.
        device: DeviceRef,
        /// Until when.
        cooldown_until: Timestamp,
        /// The scan that set it.
        scan_type: ScanType,
        /// How often in a row the rest has grown.
        #[serde(default, skip_serializing_if = "super::body::is_zero")]
        cooldown_step: u32,
        /// A scan that begins before this moment makes the next rest grow; absent where it does not grow.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cooldown_grows_until: Option<Timestamp>,
    },
    /// A cap is tripped.
    Tripped {
        /// The owner that carried it.
        claim: String,
        /// Offset of the order that it carries on: an order about the same thing after it voids this record. Absent in
        /// records of versions that did not say so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_offset: Option<i64>,
        /// The rule; absent for the cap on all rules together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule_id: Option<String>,
    },
    /// A silence is in force or to come.
    Silence {
        /// The owner that carried it.
        claim: String,
        /// Offset of the order that it carries on: an order about the same thing after it voids this record. Absent in
        /// records of versions that did not say so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_offset: Option<i64>,
        /// The silence.
        silence: Silence,
    },
    /// Defender does not know a device or cannot scan it.
    DeviceUnfit {
        /// The owner that carried it.
        claim: String,
        /// The device.
        device: DeviceRef,
        /// Why requests for it fail.
        reason: FailedReason,
        /// Until when.
        device_unfit_until: Timestamp,
    },
    /// Nothing was written for long: the time of the log goes on, and what it forgets in time is forgotten.
    Quiet {
        /// The owner that wrote it.
        claim: String,
    },
}

impl Carried {
    /// The owner that carried it.
    #[must_use]
    pub fn claim(&self) -> &str {
        match self {
            Self::Halted { claim, .. }
            | Self::Cooldown { claim, .. }
            | Self::Tripped { claim, .. }
            | Self::Silence { claim, .. }
            | Self::DeviceUnfit { claim, .. }
            | Self::Quiet { claim } => claim,
        }
    }

    /// The device that it is about.
    #[must_use]
    pub const fn device(&self) -> Option<&DeviceRef> {
        match self {
            Self::Cooldown { device, .. } | Self::DeviceUnfit { device, .. } => Some(device),
            Self::Halted { .. } | Self::Tripped { .. } | Self::Silence { .. } | Self::Quiet { .. } => None,
        }
    }

    /// What tells facts apart that are carried at the same moment.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::Halted { .. } => "halted".to_owned(),
            Self::Cooldown { device, .. } => format!("cooldown:{}", device.id),
            Self::Tripped { rule_id, .. } => format!("tripped:{}", rule_id.as_deref().unwrap_or_default()),
            Self::Silence { silence, .. } => format!("silence:{}", silence.id),
            Self::DeviceUnfit { device, .. } => format!("device_unfit:{}", device.id),
            Self::Quiet { .. } => "quiet".to_owned(),
        }
    }
}

impl ControlAction {
    /// What tells orders apart that are given at the same moment.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::Halted => "halted".to_owned(),
            Self::Resumed => "resumed".to_owned(),
            Self::Tripped { rule_id, .. } => format!("tripped:{}", rule_id.as_deref().unwrap_or_default()),
            Self::Rearmed { rule_id } => format!("rearmed:{}", rule_id.as_deref().unwrap_or_default()),
            Self::SilenceSet { silence } => format!("silence:{}", silence.id),
            Self::SilenceEnded { silence_id } => format!("silence_ended:{silence_id}"),
        }
    }
}
