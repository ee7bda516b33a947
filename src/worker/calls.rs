//! The calls that the scheduler asks for, made, and their answers in its words.

use std::time::Instant;

use jiff::Timestamp;

use crate::defender::{
    Client, DefenderError, LeaveBy, MachineAction, NotSent, Refusal as Refused, ScanAnswer, ScanRequest, TokenAnswer,
};
use crate::event::{AttemptResult, ScanType};
use crate::scheduler::{Call, DeviceFacts, ReadReply, Refusal, Reply, ScanReply, SeenAction};
use crate::telemetry::{ApiResult, Endpoint, Metrics};

/// Makes calls for one tenant. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) client: Client,
    pub(crate) metrics: Metrics,
}

impl Caller {
    /// Makes one call; `None` for one whose answer nobody waits for.
    ///
    /// What starts or ends a scan leaves by `leave_by` or not at all.
    pub(crate) async fn call(&self, call: Call, leave_by: LeaveBy) -> Option<Reply> {
        let reply = self.make(call, leave_by).await;
        count_tokens(&self.client, &self.metrics);
        reply
    }

    async fn make(&self, call: Call, leave_by: LeaveBy) -> Option<Reply> {
        match call {
            Call::Scan { scan_id, attempt, device_id, scan_type, comment, intent_time: _ } => {
                let request = ScanRequest {
                    machine_id: &device_id,
                    comment: &comment,
                    scan_type: scan_type.as_str(),
                    must_leave_by: leave_by,
                };
                let began = Instant::now();
                let answer = self.client.run_antivirus_scan(request).await;
                let (result, answer) = scan_reply(answer);
                self.metrics.api_request(Endpoint::RunScan, result, began.elapsed());
                if let ScanReply::InDoubt { detail, .. } = &answer {
                    tracing::warn!(scan_id, attempt, detail, "The answer to a scan call was lost; it is in doubt.");
                }
                Some(Reply::Scan { scan_id, attempt, answer })
            }
            Call::List { created_since } => {
                let started_at = Timestamp::now();
                let began = Instant::now();
                let listed = self.client.list_scan_actions(created_since).await;
                self.metrics.api_request(Endpoint::ListActions, read_result(&listed), began.elapsed());
                let answer = read_reply(listed, "list machine actions")
                    .map(|actions| actions.into_iter().map(seen).collect::<Vec<_>>());
                Some(Reply::List { created_since, started_at, answer })
            }
            Call::LookUp { device_id } => {
                let began = Instant::now();
                let machine = self.client.machine(&device_id).await;
                self.metrics.api_request(Endpoint::Machine, read_result(&machine), began.elapsed());
                let answer = read_reply(machine, "look a machine up").map(|machine| {
                    machine.map(|machine| DeviceFacts { name: machine.name, group: machine.group, tags: machine.tags })
                });
                Some(Reply::LookUp { device_id, answer })
            }
            Call::Cancel { action_id } => {
                let began = Instant::now();
                let cancelled = self.client.cancel(&action_id, "Not ended before its deadline", leave_by).await;
                self.metrics.api_request(Endpoint::CancelAction, read_result(&cancelled), began.elapsed());
                if let Err(error) = cancelled {
                    tracing::warn!(action_id, %error, "A scan past its deadline could not be cancelled.");
                }
                None
            }
        }
    }
}

/// Counts the requests for a token that were made lately.
pub(crate) fn count_tokens(client: &Client, metrics: &Metrics) {
    for request in client.take_token_requests() {
        metrics.api_request(Endpoint::Token, token_result(request.answer), request.took);
    }
}

fn seen(action: MachineAction) -> SeenAction {
    SeenAction {
        status: action.status.as_str().to_owned(),
        scope: action.scope.as_deref().and_then(scan_type),
        id: action.id,
        device_id: action.machine_id,
        comment: action.requestor_comment,
    }
}

fn scan_type(word: &str) -> Option<ScanType> {
    ScanType::ALL.into_iter().find(|scan_type| scan_type.as_str().eq_ignore_ascii_case(word))
}

fn scan_reply(answer: ScanAnswer) -> (ApiResult, ScanReply) {
    match answer {
        ScanAnswer::Accepted { action } => (ApiResult::Success, ScanReply::Action(seen(action))),
        ScanAnswer::AlreadyRunning { .. } => (ApiResult::ClientError, ScanReply::AlreadyRunning),
        ScanAnswer::Refused { kind, error, retry_after } => {
            let (metric, result, for_good) = match kind {
                Refused::RateLimited => (ApiResult::RateLimited, AttemptResult::RateLimited, false),
                Refused::Unauthorized => (ApiResult::ClientError, AttemptResult::Unauthorized, false),
                Refused::Forbidden => (ApiResult::ClientError, AttemptResult::Forbidden, false),
                Refused::Disabled => (ApiResult::ClientError, AttemptResult::Forbidden, true),
                Refused::DeviceNotFound => (ApiResult::ClientError, AttemptResult::DeviceNotFound, true),
                Refused::UnsupportedDevice => (ApiResult::ClientError, AttemptResult::UnsupportedDevice, true),
                Refused::Rejected => (ApiResult::ClientError, AttemptResult::Rejected, true),
            };
            let refusal = Refusal {
                result,
                for_good,
                error_code: error.code,
                error_target: error.target,
                detail: error.message,
                retry_after,
            };
            (metric, ScanReply::Refused(refusal))
        }
        ScanAnswer::NotSent { detail, cause } => match cause {
            NotSent::TooLate => (ApiResult::Other, ScanReply::NotSent { too_late: true, detail }),
            NotSent::TokenRefused | NotSent::TokenUnavailable | NotSent::Unreachable => {
                (ApiResult::Connect, ScanReply::NotSent { too_late: false, detail })
            }
            // The request itself is wrong, and would be the next time.
            NotSent::Invalid => {
                let refusal = Refusal {
                    result: AttemptResult::Rejected,
                    for_good: true,
                    error_code: "InvalidRequest".to_owned(),
                    error_target: None,
                    detail,
                    retry_after: None,
                };
                (ApiResult::Other, ScanReply::Refused(refusal))
            }
        },
        ScanAnswer::InDoubt { detail, retry_after } => (ApiResult::Other, ScanReply::InDoubt { detail, retry_after }),
    }
}

const fn token_result(answer: TokenAnswer) -> ApiResult {
    match answer {
        TokenAnswer::Status(status) => ApiResult::of_status(status),
        TokenAnswer::Unreachable => ApiResult::Connect,
        TokenAnswer::TimedOut => ApiResult::Timeout,
        TokenAnswer::BrokenOff => ApiResult::Other,
    }
}

fn read_result<T>(answer: &Result<T, DefenderError>) -> ApiResult {
    match answer {
        Ok(_) => ApiResult::Success,
        Err(DefenderError::Api { error, .. }) => ApiResult::of_status(error.status),
        Err(DefenderError::Gateway { status, .. }) => ApiResult::of_status(*status),
        Err(DefenderError::Unreachable(_)) => ApiResult::Connect,
        Err(DefenderError::NoAnswer(_)) => ApiResult::Timeout,
        Err(_) => ApiResult::Other,
    }
}

const fn read_status(error: &DefenderError) -> Option<u16> {
    match error {
        DefenderError::Api { error, .. } => Some(error.status),
        DefenderError::Gateway { status, .. } => Some(*status),
        _ => None,
    }
}

fn read_reply<T>(answer: Result<T, DefenderError>, what: &'static str) -> ReadReply<T> {
    match answer {
        Ok(value) => ReadReply::Complete(value),
        Err(DefenderError::Api { error, .. }) if error.status == 403 => {
            tracing::warn!(what, %error, "The application may not read; grant it Machine.Read.All.");
            ReadReply::NotPermitted
        }
        Err(error) if read_status(&error) == Some(429) => {
            tracing::warn!(what, %error, "The API's limit is reached; reading pauses.");
            ReadReply::RateLimited(error.retry_after())
        }
        Err(error) => {
            tracing::warn!(what, %error, code = error.code(), "A call that reads failed; it is tried again.");
            ReadReply::Failed
        }
    }
}
