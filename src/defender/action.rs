//! The machine action: what the API made of a request for a device.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::text::clean;

/// The `type` of an antivirus scan.
pub const RUN_ANTIVIRUS_SCAN: &str = "RunAntiVirusScan";

/// Where a machine action stands. Values were added over time, so an unknown one is kept, not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionStatus {
    /// Waits for the device.
    Pending,
    /// The device has it.
    InProgress,
    /// The device took it; for a scan this does not say that it ended, nor what it found.
    Succeeded,
    /// It failed.
    Failed,
    /// The device did not come back in time (about three days).
    TimeOut,
    /// Somebody cancelled it.
    Cancelled,
    /// A status of a later day.
    Other(String),
}

impl ActionStatus {
    /// Reads the API's word, in any letter case.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "pending" => Self::Pending,
            "inprogress" => Self::InProgress,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            "timeout" => Self::TimeOut,
            "cancelled" => Self::Cancelled,
            _ => Self::Other(clean(word, 60)),
        }
    }

    /// The API's word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::TimeOut => "TimeOut",
            Self::Cancelled => "Cancelled",
            Self::Other(word) => word,
        }
    }

    /// Whether it is known to be over. An unknown status counts as open: the follow-up has its own deadline.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::TimeOut | Self::Cancelled)
    }
}

impl fmt::Display for ActionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A machine action. Only `id`, `type` and `status` are sure to be there; creation answers were seen with the rest null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineAction {
    /// Its id, a GUID.
    pub id: String,
    /// The API's `type`, such as [`RUN_ANTIVIRUS_SCAN`].
    pub kind: String,
    /// Its status.
    pub status: ActionStatus,
    /// `Quick` or `Full` for a scan.
    pub scope: Option<String>,
    /// The device, in lower case.
    pub machine_id: Option<String>,
    /// The device's name.
    pub computer_dns_name: Option<String>,
    /// Who asked: a user, or the application's id or name.
    pub requestor: Option<String>,
    /// The comment of the request, as sent.
    pub requestor_comment: Option<String>,
    /// Who cancelled it.
    pub cancellation_requestor: Option<String>,
    /// The comment of the cancellation.
    pub cancellation_comment: Option<String>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When it last changed (`lastUpdateDateTimeUtc`, or `lastUpdateTimeUtc` as some pages spell it).
    pub updated_at: Option<Timestamp>,
    /// `PublicApi` or `Portal`.
    pub request_source: Option<String>,
    /// 0 when all is well; negative on failure.
    pub error_hresult: Option<i64>,
}

impl MachineAction {
    /// Reads one action. Fields of an unexpected type count as absent.
    ///
    /// # Errors
    /// Names the required field that is missing.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let required = |key: &str| {
            text(key).filter(|text| !text.trim().is_empty()).ok_or_else(|| format!("a machine action without {key}"))
        };
        let short = |key: &str| text(key).map(|text| clean(text, 300));
        let time = |key: &str| text(key).and_then(|text| text.parse::<Timestamp>().ok());
        Ok(Self {
            id: clean(required("id")?, 100),
            kind: clean(required("type")?, 100),
            status: ActionStatus::from_word(required("status")?),
            scope: short("scope"),
            machine_id: short("machineId").map(|id| id.to_ascii_lowercase()),
            computer_dns_name: short("computerDnsName"),
            requestor: short("requestor"),
            // Kept whole: our marker stands at its end.
            requestor_comment: text("requestorComment").map(str::to_owned),
            cancellation_requestor: short("cancellationRequestor"),
            cancellation_comment: short("cancellationComment"),
            created_at: time("creationDateTimeUtc"),
            updated_at: time("lastUpdateDateTimeUtc").or_else(|| time("lastUpdateTimeUtc")),
            request_source: short("requestSource"),
            error_hresult: value.get("errorHResult").and_then(Value::as_i64),
        })
    }

    /// Whether it is an antivirus scan.
    #[must_use]
    pub fn is_scan(&self) -> bool {
        self.kind.eq_ignore_ascii_case(RUN_ANTIVIRUS_SCAN)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_three_fields_are_needed() {
        let action = MachineAction::from_value(&json!({
            "id": "a", "type": "RunAntiVirusScan", "status": "Quarantined", "scope": null, "machineId": 7,
            "lastUpdateTimeUtc": "2026-03-02T09:15:41.1189002Z", "errorHResult": -2_145_844_840, "unheardOf": {}
        }))
        .unwrap();
        assert!(action.is_scan() && !action.status.is_final());
        assert_eq!(action.status.as_str(), "Quarantined");
        assert_eq!(action.machine_id, None);
        assert_eq!(action.updated_at, "2026-03-02T09:15:41.1189002Z".parse().ok());
        assert_eq!(action.error_hresult, Some(-2_145_844_840));
        for missing in ["id", "type", "status"] {
            let mut value = json!({ "id": "a", "type": "b", "status": "Pending" });
            value.as_object_mut().unwrap().remove(missing);
            assert!(MachineAction::from_value(&value).unwrap_err().ends_with(missing));
        }
    }

    #[test]
    fn the_real_words_are_final_or_not() {
        for (word, last) in [
            ("Pending", false),
            ("InProgress", false),
            ("Succeeded", true),
            ("Failed", true),
            ("TimeOut", true),
            ("Cancelled", true),
        ] {
            let status = ActionStatus::from_word(word);
            assert_eq!((status.as_str(), status.is_final()), (word, last));
        }
    }
}
