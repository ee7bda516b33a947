//! A record in plain words.

use crate::event::{AlertRef, Carried, ControlAction, DeviceRef, EventBody, Mode, ResolvedBy, ScanEvent};

/// Most alerts named in a line.
const MOST_ALERTS: usize = 3;

/// One record in plain words, on one line: its time of day (UTC), its event and what it says.
#[must_use]
pub fn describe(event: &ScanEvent) -> String {
    let time = event.time.strftime("%H:%M:%S");
    let line = format!("{time} {:<14} {}", event.body.name(), says(&event.body));
    // Titles, comments and details come from outside: no line may look like two, or command a terminal.
    line.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn says(body: &EventBody) -> String {
    match body {
        EventBody::Genesis(body) => {
            format!("the log {} begins in partition {} of {}", body.log_id, body.partition, body.partitions)
        }
        EventBody::Claim(body) => {
            format!("{} (version {}) takes over as claim {}", body.owner, body.version, body.claim)
        }
        EventBody::Control(body) => {
            let what = match &body.control {
                ControlAction::Halted => "halts all scans".to_owned(),
                ControlAction::Resumed => "resumes".to_owned(),
                ControlAction::Tripped { rule_id, devices, per_seconds, .. } => {
                    format!("puts {} into shadow: {devices} devices in {per_seconds} s", rule(rule_id.as_deref()))
                }
                ControlAction::Rearmed { rule_id } => format!("re-arms {}", rule(rule_id.as_deref())),
                ControlAction::SilenceSet { silence } => format!("silences {} until {}", silence.id, silence.ends_at),
                ControlAction::SilenceEnded { silence_id } => format!("ends the silence {silence_id}"),
            };
            format!("{} {what}{}", body.author, detail(body.comment.as_deref()))
        }
        EventBody::Carried(Carried::Halted { .. }) => "the kill switch is still pulled".to_owned(),
        EventBody::Carried(Carried::Cooldown { device, cooldown_until, scan_type, .. }) => {
            format!("{} still rests until {cooldown_until} after a {scan_type} scan", name(device))
        }
        EventBody::Carried(Carried::Tripped { rule_id, .. }) => {
            format!("{} is still tripped", rule(rule_id.as_deref()))
        }
        EventBody::Carried(Carried::Silence { silence, .. }) => {
            format!("the silence {} still holds until {}", silence.id, silence.ends_at)
        }
        EventBody::Carried(Carried::DeviceUnfit { device, reason, device_unfit_until, .. }) => {
            format!("{} still cannot be scanned ({reason}) until {device_unfit_until}", name(device))
        }
        EventBody::Carried(Carried::Quiet { .. }) => "nothing was written for long".to_owned(),
        EventBody::Requested(body) => format!(
            "{} {} due to {}, priority {}{}",
            name(&body.device),
            body.scan_type,
            alerts(&body.alerts),
            body.priority,
            if body.mode == Mode::Shadow { ", in shadow" } else { "" }
        ),
        EventBody::Intent(body) => format!(
            "{} {} due to {}, attempt {} [scan {}]",
            name(&body.device),
            body.scan_type,
            alerts(&body.alerts),
            body.attempt,
            body.scan_id
        ),
        EventBody::Withdrawn(body) => {
            let why = match body.withdrawn {
                crate::event::WithdrawReason::Halted => "the kill switch was pulled",
                crate::event::WithdrawReason::TooLate => "it could not leave in time",
                crate::event::WithdrawReason::Protected => "the device is protected by now",
                crate::event::WithdrawReason::TooOld => "the requests are too old by now",
                crate::event::WithdrawReason::Silenced => "a silence holds a request back by now",
                crate::event::WithdrawReason::Tripped => "a cap on devices had tripped before it",
                crate::event::WithdrawReason::Resting => "the device rests by now",
                crate::event::WithdrawReason::Paused => "the API asked for a pause",
            };
            format!("attempt {} never left: {why} [scan {}]", body.attempt, body.scan_id)
        }
        EventBody::AttemptFailed(body) => {
            let next = match (body.retry_at, body.reason) {
                (Some(retry_at), _) => format!("again from {retry_at}"),
                (None, Some(reason)) => format!("for good ({reason})"),
                (None, None) => "for good".to_owned(),
            };
            let code = body.error_code.as_deref().map(|code| format!(" {code}")).unwrap_or_default();
            format!(
                "attempt {} {}{code}, {next} [scan {}]{}",
                body.attempt,
                body.result.as_str(),
                body.scan_id,
                detail(body.detail.as_deref())
            )
        }
        EventBody::Accepted(body) => format!(
            "{} {} due to {} [scan {}] action {}{}",
            name(&body.device),
            body.scan_type,
            alerts(&body.alerts),
            body.scan_id,
            body.action.id,
            if body.resolved_by == ResolvedBy::List { ", found in the list of actions" } else { "" }
        ),
        EventBody::Joined(body) => {
            let action = body.action.as_ref().map_or_else(String::new, |action| format!(" action {}", action.id));
            format!(
                "{} {} joins the running {} scan [scan {}]{action}",
                name(&body.device),
                alerts(&body.alerts),
                body.scan_type,
                body.scan_id
            )
        }
        EventBody::Shadowed(body) => {
            format!("{} {} due to {} would have been started", name(&body.device), body.scan_type, alerts(&body.alerts))
        }
        EventBody::Suppressed(body) => format!(
            "{} {} held back: {}{}{}",
            name(&body.device),
            alerts(&body.alerts),
            body.reason,
            if body.mode == Mode::Shadow { ", in shadow" } else { "" },
            detail(body.detail.as_deref())
        ),
        EventBody::Failed(body) => {
            let scan = body.scan_id.as_deref().map(|scan| format!(" [scan {scan}]")).unwrap_or_default();
            format!(
                "{} {} gets no scan: {}{scan}{}",
                name(&body.device),
                alerts(&body.alerts),
                body.reason,
                detail(body.detail.as_deref())
            )
        }
        EventBody::Finished(body) => {
            let action = body.action.as_ref().map_or_else(String::new, |action| format!(" action {}", action.id));
            format!(
                "{} {} {}, for {} [scan {}]{action}",
                name(&body.device),
                body.scan_type,
                body.status.as_str(),
                alerts(&body.alerts),
                body.scan_id
            )
        }
    }
}

fn rule(rule_id: Option<&str>) -> String {
    rule_id.map_or_else(|| "every rule".to_owned(), |id| format!("rule {id}"))
}

fn name(device: &DeviceRef) -> &str {
    device.name.as_deref().unwrap_or(&device.id)
}

/// `alert 3212`, `alerts 3212, 3213`, `alerts 3212, 3213, 3217 and 4 more`.
fn alerts(alerts: &[AlertRef]) -> String {
    let mut ids: Vec<&str> = Vec::new();
    for alert in alerts {
        if !ids.contains(&alert.id.as_str()) {
            ids.push(&alert.id);
        }
    }
    let named: Vec<&str> = ids.iter().copied().take(MOST_ALERTS).collect();
    match ids.len() {
        0 => "no alert".to_owned(),
        1 => format!("alert {}", named.join("")),
        all if all <= MOST_ALERTS => format!("alerts {}", named.join(", ")),
        all => format!("alerts {} and {} more", named.join(", "), all - MOST_ALERTS),
    }
}

fn detail(detail: Option<&str>) -> String {
    detail.map(|detail| format!(": {detail}")).unwrap_or_default()
}
