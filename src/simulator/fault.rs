//! Faults that are switched on while the simulator runs.

use serde::Deserialize;

use super::calls::Endpoint;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// The port refuses connections, and calls on open ones are cut. It concerns everything, control included, so over HTTP it needs
    /// `for_ms`.
    Refuse,
    /// Every call is answered with this status and nothing is done.
    Status {
        /// HTTP status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: FaultBody,
    },
    /// Nothing is done, and the connection is cut after so long.
    Hang {
        /// Milliseconds.
        ms: u64,
    },
    /// The connection is cut, nothing is done.
    CutBeforeCreate,
    /// Everything is done, then the connection is cut.
    CutAfterCreate,
    /// Everything is done, the answer comes so late.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// A scan request is never answered; its scan comes about so much later. Other calls are as ever.
    LateCreate {
        /// Milliseconds.
        ms: u64,
    },
}

/// The body of an error that is not the API's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultBody {
    /// A gateway's HTML page.
    #[default]
    Html,
    /// Nothing.
    Empty,
    /// The API's error shape.
    Shaped,
}

/// Which calls a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultScope {
    /// Everything but the token endpoints.
    #[default]
    Api,
    /// The token endpoints.
    Token,
    /// Both.
    All,
    /// Scan requests.
    Scans,
    /// Lists of machine actions.
    Lists,
    /// Look-ups of machines.
    Machines,
}

impl FaultScope {
    pub(super) const fn covers(self, endpoint: Endpoint) -> bool {
        match self {
            Self::All => true,
            Self::Api => !matches!(endpoint, Endpoint::Token),
            Self::Token => matches!(endpoint, Endpoint::Token),
            Self::Scans => matches!(endpoint, Endpoint::Scan),
            Self::Lists => matches!(endpoint, Endpoint::ActionList),
            Self::Machines => matches!(endpoint, Endpoint::MachineGet | Endpoint::MachineList),
        }
    }
}

/// A fault, where and how long. As JSON: `{"fault":"status","status":503,"body":"empty","scope":"scans","times":2}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct FaultPlan {
    /// What.
    #[serde(flatten)]
    pub fault: Fault,
    /// Where.
    #[serde(default)]
    pub scope: FaultScope,
    /// For so many calls; none: for all.
    #[serde(default)]
    pub times: Option<u32>,
    /// For so many milliseconds; none: until cleared.
    #[serde(default)]
    pub for_ms: Option<u64>,
}

impl FaultPlan {
    /// The fault on these calls until it is cleared.
    #[must_use]
    pub const fn new(fault: Fault, scope: FaultScope) -> Self {
        Self { fault, scope, times: None, for_ms: None }
    }

    /// The same for so many calls.
    #[must_use]
    pub const fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_json() {
        let plan: FaultPlan =
            serde_json::from_str(r#"{"fault":"status","status":503,"body":"empty","scope":"scans","times":2}"#)
                .unwrap();
        let fault = Fault::Status { status: 503, body: FaultBody::Empty };
        assert_eq!(plan, FaultPlan::new(fault, FaultScope::Scans).times(2));
        let plan: FaultPlan = serde_json::from_str(r#"{"fault":"cut-after-create"}"#).unwrap();
        assert_eq!(plan, FaultPlan::new(Fault::CutAfterCreate, FaultScope::Api));
    }
}
