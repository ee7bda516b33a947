//! A ledger written by hand: each call appends one record and returns its offset.

use std::time::Duration;

use jiff::Timestamp;

use crate::alert::Severity;
use crate::cli::ledger_audit::{Audit, AuditOptions, AuditReport, ViolationCode};
use crate::event::*;

pub(super) const DEVICE: &str = "2eeb1689b274fc8f816c48ac9219e820fc4de080";
pub(super) const OTHER: &str = "1111111111111111111111111111111111111111";

pub(super) fn at(seconds: i64) -> Timestamp {
    "2026-03-02T09:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(u64::try_from(seconds).unwrap())
}

pub(super) fn device(id: &str) -> DeviceRef {
    DeviceRef { id: id.to_owned(), name: Some("ws-17".to_owned()), ..DeviceRef::default() }
}

/// The requests `r10`, `r11`, … come from the alerts `10`, `11`, … at those offsets of partition 0.
fn alerts(ids: &[&str]) -> Vec<AlertRef> {
    let number = |id: &str| id.trim_start_matches('r').to_owned();
    let alert = |id: &&str| AlertRef {
        id: number(id),
        title: None,
        severity: Severity::High,
        topic: "alerts".to_owned(),
        partition: 0,
        offset: number(id).parse().unwrap(),
        index: 0,
    };
    ids.iter().map(alert).collect()
}

fn texts(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// A ledger. `now` (seconds), the claim, the device and the kind of scan hold for the records that follow.
pub(super) struct Log {
    pub(super) records: Vec<(i64, ScanEvent)>,
    pub(super) next: i64,
    pub(super) now: i64,
    pub(super) claim: String,
    pub(super) device: &'static str,
    pub(super) scan_type: ScanType,
    pub(super) cooldown: i64,
}

impl Log {
    pub(super) fn empty() -> Self {
        Self {
            records: Vec::new(),
            next: 0,
            now: 0,
            claim: "a".to_owned(),
            device: DEVICE,
            scan_type: ScanType::Quick,
            cooldown: 3600,
        }
    }

    /// A log that has begun, and that claim `a` owns: records 0 and 1.
    pub(super) fn begun() -> Self {
        let mut log = Self::empty();
        log.append(Genesis { log_id: "log-1".to_owned(), partition: 0, partitions: 1 });
        log.claimed("a");
        log
    }

    pub(super) fn append(&mut self, body: impl Into<EventBody>) -> i64 {
        let offset = self.next;
        self.records.push((offset, ScanEvent::new(at(self.now), "tenant-1", body)));
        self.next += 1;
        offset
    }

    /// The last record once more.
    pub(super) fn repeat(&mut self) -> i64 {
        let (offset, event) = self.records.last().cloned().unwrap();
        self.records.push((offset + 1, event));
        self.next = offset + 2;
        offset + 1
    }

    pub(super) fn claimed(&mut self, claim: &str) -> i64 {
        self.claim = claim.to_owned();
        self.append(Claim { claim: claim.to_owned(), owner: "worker-0".to_owned(), version: "0.1.0".to_owned() })
    }

    pub(super) fn control(&mut self, control: ControlAction) -> i64 {
        self.append(Control { control, author: "ann".to_owned(), comment: None })
    }

    pub(super) fn requested(&mut self, id: &str) -> i64 {
        self.requested_in(id, Mode::Live)
    }

    pub(super) fn requested_in(&mut self, id: &str, mode: Mode) -> i64 {
        self.append(Requested {
            terms: crate::event::ResponseTerms::default(),
            request_ids: texts(&[id]),
            device: device(self.device),
            alerts: alerts(&[id]),
            rule_ids: texts(&["rule-1"]),
            ruleset: "sha256:0".to_owned(),
            scan_type: self.scan_type,
            priority: 80,
            comment: "Check machine for viruses".to_owned(),
            mode,
            alert_created_at: None,
            expires_at: at(86_400 * 10),
            cooldown_seconds: 3600,
            limits: Vec::new(),
            trace_id: None,
        })
    }

    pub(super) fn intent(&mut self, scan: &str, attempt: u32, ids: &[&str]) -> i64 {
        self.append(Intent {
            cooldown_step: 0,
            cooldown_grows_for_seconds: None,
            claim: self.claim.clone(),
            scan_id: scan.to_owned(),
            attempt,
            request_ids: texts(ids),
            device: device(self.device),
            alerts: alerts(ids),
            rule_ids: texts(&["rule-1"]),
            scan_type: self.scan_type,
            priority: 80,
            comment: format!("Check machine for viruses due to alert 10 [scan {scan}]"),
            latest_arrival: at(self.now + 35),
            resolve_after: at(self.now + 95),
            cooldown_seconds: 3600,
            limits: Vec::new(),
        })
    }

    pub(super) fn withdrawn(&mut self, scan: &str, attempt: u32) -> i64 {
        let (claim, scan_id) = (self.claim.clone(), scan.to_owned());
        self.append(Withdrawn { claim, scan_id, attempt, withdrawn: WithdrawReason::Halted })
    }

    pub(super) fn attempt_failed(&mut self, scan: &str, attempt: u32, result: AttemptResult, again: bool) -> i64 {
        self.append(AttemptFailed {
            device_unfit_until: None,
            claim: self.claim.clone(),
            scan_id: scan.to_owned(),
            attempt,
            result,
            error_code: None,
            error_target: None,
            detail: None,
            arrived_by: at(self.now),
            counts: true,
            retry_at: again.then(|| at(self.now)),
            reason: (!again).then_some(FailedReason::GaveUp),
            lane_paused_until: None,
        })
    }

    pub(super) fn accepted(&mut self, scan: &str, attempt: u32, ids: &[&str], action: &str) -> i64 {
        self.append(Accepted {
            cooldown_step: 0,
            cooldown_grows_until: None,
            claim: self.claim.clone(),
            scan_id: scan.to_owned(),
            attempt,
            request_ids: texts(ids),
            device: device(self.device),
            alerts: alerts(ids),
            rule_ids: texts(&["rule-1"]),
            scan_type: self.scan_type,
            priority: 80,
            comment: String::new(),
            action: Action { id: action.to_owned(), status: "Pending".to_owned() },
            resolved_by: ResolvedBy::Answer,
            arrived_by: at(self.now),
            follow_until: at(self.now + 1000),
            cooldown_until: at(self.now + self.cooldown),
        })
    }

    pub(super) fn joined(&mut self, scan: &str, attempt: Option<u32>, ids: &[&str]) -> i64 {
        self.append(Joined {
            claim: self.claim.clone(),
            scan_id: scan.to_owned(),
            attempt,
            request_ids: texts(ids),
            device: device(self.device),
            alerts: alerts(ids),
            scan_type: self.scan_type,
            action: Some(Action { id: "action-1".to_owned(), status: "Pending".to_owned() }),
            arrived_by: attempt.map(|_| at(self.now)),
            follow_until: at(self.now + 1000),
            cooldown_until: at(self.now + self.cooldown),
        })
    }

    pub(super) fn shadowed(&mut self, ids: &[&str]) -> i64 {
        self.append(Shadowed {
            claim: self.claim.clone(),
            request_ids: texts(ids),
            device: device(self.device),
            alerts: alerts(ids),
            rule_ids: texts(&["rule-1"]),
            scan_type: self.scan_type,
            priority: 80,
            comment: String::new(),
            cooldown_until: at(self.now + self.cooldown),
        })
    }

    pub(super) fn suppressed(&mut self, ids: &[&str], reason: SuppressedReason) -> i64 {
        self.append(Suppressed {
            claim: self.claim.clone(),
            request_ids: texts(ids),
            device: device(self.device),
            alerts: alerts(ids),
            reason,
            mode: Mode::Live,
            detail: None,
        })
    }

    pub(super) fn failed(&mut self, scan: Option<&str>, ids: &[&str], reason: FailedReason) -> i64 {
        // A failure that blames the device without an attempt comes from a look-up, and remembers what that said.
        let looked_up = scan.is_none() && reason == FailedReason::DeviceNotFound;
        self.append(Failed {
            device_unfit_until: looked_up.then(|| at(self.now)),
            scan_type: None,
            cooldown_until: None,
            claim: self.claim.clone(),
            scan_id: scan.map(str::to_owned),
            request_ids: texts(ids),
            device: device(self.device),
            alerts: alerts(ids),
            reason,
            detail: None,
        })
    }

    /// A rule that intake could not evaluate.
    pub(super) fn failed_at_intake(&mut self, id: &str) -> i64 {
        let claim = std::mem::replace(&mut self.claim, "intake".to_owned());
        let offset = self.failed(None, &[id], FailedReason::EvaluationError);
        self.claim = claim;
        offset
    }

    pub(super) fn finished(&mut self, scan: &str, ids: &[&str], joined: &[&str]) -> i64 {
        self.finished_as(scan, ids, joined, FinishedStatus::Succeeded)
    }

    pub(super) fn finished_as(&mut self, scan: &str, ids: &[&str], joined: &[&str], status: FinishedStatus) -> i64 {
        let all: Vec<&str> = ids.iter().chain(joined).copied().collect();
        self.append(Finished {
            began_at: None,
            cooldown_step: 0,
            cooldown_grows_until: None,
            claim: self.claim.clone(),
            scan_id: scan.to_owned(),
            request_ids: texts(ids),
            joined_request_ids: texts(joined),
            device: device(self.device),
            alerts: alerts(&all),
            scan_type: self.scan_type,
            action: Some(Action { id: "action-1".to_owned(), status: "Succeeded".to_owned() }),
            status,
            cooldown_until: at(self.now + self.cooldown),
        })
    }

    /// A scan from request to end: five records.
    pub(super) fn whole_scan(&mut self, scan: &str, id: &str) {
        self.requested(id);
        self.intent(scan, 1, &[id]);
        self.accepted(scan, 1, &[id], &format!("action-of-{scan}"));
        self.now += 60;
        self.finished(scan, &[id], &[]);
    }

    pub(super) fn tell(&self, audit: &mut Audit) {
        for (offset, event) in &self.records {
            audit.ledger_record(0, *offset, Ok(event));
        }
    }

    pub(super) fn audit(&self) -> AuditReport {
        let mut audit = Audit::new(AuditOptions::default());
        self.tell(&mut audit);
        audit.finish()
    }

    /// The only violation must be this one, at the end of these offsets.
    pub(super) fn assert_only(&self, code: ViolationCode, offsets: &[i64]) {
        let report = self.audit();
        let found: Vec<_> = report.violations.iter().map(|found| (found.code, found.offsets.clone())).collect();
        assert_eq!(found, [(code, offsets.to_vec())], "{:#?}", report.violations);
        assert_eq!(report.exit_code(), 5);
    }

    pub(super) fn assert_clean(&self) -> AuditReport {
        let report = self.audit();
        assert_eq!(report.violations, [], "{report:#?}");
        assert_eq!((report.unaccounted, report.exit_code()), (0, 0));
        report
    }
}
