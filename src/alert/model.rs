//! The normalised alert: the shape that every wire format decodes to, and the fields that rules see.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One security alert, normalised. It may name no device, one, or several.
///
/// Every text is kept as the source wrote it (trimmed); comparisons that ignore letter case are the rules' business.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Alert {
    /// The source's own identifier, for example `3212` or `da638900417123456789_-1043211987`. Never empty.
    pub id: String,
    /// Short human title.
    pub title: Option<String>,
    /// Longer human description.
    pub description: Option<String>,
    /// How bad the source says it is.
    pub severity: Severity,
    /// Free text; Microsoft products use MITRE tactic names and words such as `Malware`.
    pub category: Option<String>,
    /// State of the alert at its source, as written there (`New`, `InProgress`, `Resolved`, …).
    pub status: Option<String>,
    /// The product that raised it.
    pub source: Option<String>,
    /// The sensor inside that product (`WindowsDefenderAv`, `antivirus`, …).
    pub detection_source: Option<String>,
    /// When the source created the alert.
    pub created_at: Option<Timestamp>,
    /// Entra tenant id, where the format carries one.
    pub tenant: Option<String>,
    /// Incident this alert belongs to, as text (a number in MDE, a string in Graph).
    pub incident_id: Option<String>,
    /// The malware that was named.
    pub threat: Threat,
    /// MITRE ATT&CK references.
    pub mitre: Mitre,
    /// The user most concerned.
    pub user: User,
    /// The file most concerned.
    pub file: FileInfo,
    /// Free key-value pairs of our own format.
    pub labels: BTreeMap<String, String>,
    /// Every device the alert names, in the order of the source, main device first. May be empty.
    pub devices: Vec<Device>,
    /// The wire format it was decoded from.
    pub format: Format,
    /// The original JSON object of this alert; `Null` unless the decoder was asked to keep it.
    #[serde(skip)]
    pub raw: serde_json::Value,
}

impl Alert {
    /// Whether its source has closed it: status `resolved`, `dismissed` or `closed`, in any letter case.
    ///
    /// An alert without a status, or with one that we do not know, is open.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let Some(status) = self.status.as_deref() else { return false };
        ["resolved", "dismissed", "closed"].iter().any(|closed| status.eq_ignore_ascii_case(closed))
    }
}

/// The malware that a source named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Threat {
    /// Full name, for example `Trojan:Win32/Emotet!rfn`.
    pub name: Option<String>,
    /// Family, for example `Emotet`.
    pub family: Option<String>,
}

/// MITRE ATT&CK references of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Mitre {
    /// Technique ids, for example `T1204.002`.
    pub technique: Vec<String>,
}

/// The user most concerned by an alert.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct User {
    /// Account name.
    pub name: Option<String>,
    /// Domain of the account.
    pub domain: Option<String>,
}

/// The file most concerned by an alert.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileInfo {
    /// File name without its folder.
    pub name: Option<String>,
    /// Folder.
    pub path: Option<String>,
    /// SHA-1, hexadecimal.
    pub sha1: Option<String>,
    /// SHA-256, hexadecimal.
    pub sha256: Option<String>,
}

/// One device that an alert names. The API calls it a machine.
///
/// `None` and an empty list mean *the alert did not say*, which is not the same as *it has none*: a protection that looks
/// at tags must not take silence for absence. A format that states an empty list sets `tags` to `Some(vec![])`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Device {
    /// Defender machine id. Not yet checked: 40 hexadecimal digits are demanded before anything is sent.
    pub id: Option<String>,
    /// Computer name, short or fully qualified, as the source wrote it.
    pub name: Option<String>,
    /// Operating system platform, for example `Windows11`.
    pub os: Option<String>,
    /// Device group (RBAC group) name.
    pub group: Option<String>,
    /// Machine tags; `None` where the source says nothing of tags.
    pub tags: Option<Vec<String>>,
    /// Risk score in the source's words.
    pub risk: Option<String>,
    /// IP addresses as text.
    pub ip: Vec<String>,
}

/// How bad the source says an alert is. Ordered: `Unspecified` is the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The source gave none, or one that we do not know.
    #[default]
    Unspecified,
    /// For Microsoft products this may still be a real detection that was blocked.
    Informational,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Does not exist in Microsoft products; other sources use it.
    Critical,
}

impl Severity {
    /// Every severity, lowest first.
    pub const ALL: [Self; 6] =
        [Self::Unspecified, Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The lower-case word used in JSON, rules and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl Severity {
    /// The severity that a word names, in any letter case.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| word.eq_ignore_ascii_case(severity.as_str()))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The wire formats that are recognised by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Our own: `schemas/alert.schema.json`.
    #[default]
    AlertResponder,
    /// Microsoft Defender for Endpoint alert resource.
    MdeAlert,
    /// Microsoft Graph security alert, `alerts_v2`.
    GraphAlert,
}

impl Format {
    /// Every format, for metrics that export all series from the start.
    pub const ALL: [Self; 3] = [Self::AlertResponder, Self::MdeAlert, Self::GraphAlert];

    /// The label value used in metrics and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlertResponder => "alert_responder",
            Self::MdeAlert => "mde_alert",
            Self::GraphAlert => "graph_alert",
        }
    }
}
