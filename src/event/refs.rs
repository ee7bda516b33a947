//! What records refer to: devices, alerts, machine actions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Severity;

/// The device a scan is for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DeviceRef {
    /// Defender machine id: 40 lower-case hexadecimal digits.
    pub id: String,
    /// Computer name, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Device group, where the alert told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Machine tags, where the alert told them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// An alert, and where on the alerts topic it was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlertRef {
    /// The source's alert id.
    pub id: String,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its severity.
    pub severity: Severity,
    /// Topic of the record.
    pub topic: String,
    /// Partition of the record.
    pub partition: i32,
    /// Offset of the record.
    pub offset: i64,
    /// Position of the alert in the record, from 0.
    pub index: u32,
}

/// A machine action at Defender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// The action's id.
    pub id: String,
    /// Its status in the API's words when the record was written (`Pending`, `InProgress`, …).
    pub status: String,
}
