//! A silence: requests that a person wants held back for a while.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outcome::closed_list;

closed_list! {
    /// What a matcher of a silence looks at.
    SilenceField {
        /// Id of any rule that asked.
        Rule = "rule",
        /// Machine id.
        DeviceId = "device.id",
        /// Computer name.
        DeviceName = "device.name",
        /// Device group.
        DeviceGroup = "device.group",
        /// Any machine tag.
        DeviceTag = "device.tag",
        /// The source's alert id.
        AlertId = "alert.id",
        /// Title of the alert.
        AlertTitle = "alert.title",
        /// Severity of the alert.
        AlertSeverity = "alert.severity",
    }
}

/// One condition of a silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SilenceMatcher {
    /// What it looks at. A field that the request does not tell never matches.
    pub field: SilenceField,
    /// What it must be, in any letter case; `*` stands for any text, `?` for one character.
    pub value: String,
}

/// Requests that match every matcher end as `suppressed{silenced}` between start and end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    /// Random id.
    pub id: String,
    /// All must match; at least one.
    pub matchers: Vec<SilenceMatcher>,
    /// In force from here.
    pub starts_at: Timestamp,
    /// In force until here.
    pub ends_at: Timestamp,
    /// Who set it.
    pub author: String,
    /// Why.
    pub comment: String,
}
