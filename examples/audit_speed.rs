//! How fast `ledger audit` reads a ledger: records per second of the audit itself, beside plain decoding of the same
//! records.
//!
//! `cargo run --release --example audit_speed -- [records] [devices]`; 1,000,000 records of 50,000 devices without a word.
//! The ledger is made up as it is read, so memory holds only what the audit remembers. Without optimisation the numbers say
//! little.
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::time::{Duration, Instant};

use alert_responder::alert::Severity;
use alert_responder::cli::ledger_audit::{Audit, AuditOptions};
use alert_responder::event::*;
use jiff::Timestamp;

/// Records that are made before they are read, so that making them is not measured.
const AT_ONCE: usize = 10_000;

/// A made-up life: every second alert is scanned, the others end as duplicates; rules have caps, thresholds and growing rests.
struct Made {
    now: Timestamp,
    alert: u64,
    devices: u64,
    records: Vec<ScanEvent>,
}

impl Made {
    fn append(&mut self, body: impl Into<EventBody>) {
        self.records.push(ScanEvent::new(self.now, "72f988bf-86f1-41af-91ab-2d7cd011db47", body));
    }

    fn alert_ref(&self, alert: u64) -> AlertRef {
        AlertRef {
            id: format!("da637308392288907382_{}", alert / 2),
            title: Some("Suspicious behaviour was blocked".to_owned()),
            severity: Severity::High,
            topic: "alerts".to_owned(),
            partition: 0,
            offset: i64::try_from(alert).unwrap_or(i64::MAX),
            index: 0,
        }
    }

    fn device(&self, alert: u64) -> DeviceRef {
        let number = alert / 2 % self.devices;
        let (name, group) = (Some(format!("ws-{number}.corp.contoso.com")), Some("Workstations".to_owned()));
        DeviceRef { id: format!("{number:040x}"), name, group, tags: Some(vec!["laptop".to_owned()]) }
    }

    fn request(&mut self, alert: u64) -> String {
        let id = format!("{alert:064x}");
        let rule = format!("0b0f3d3e-0d5e-4c0e-9f39-{:012x}", alert / 2 % 100);
        let threshold = Threshold {
            rule_id: rule.clone(),
            value: None,
            at_least: 1_000,
            within_seconds: 86_400,
            scan_type: ScanType::Full,
            priority: 90,
            mode: Mode::Live,
        };
        let body = Requested {
            request_ids: vec![id.clone()],
            device: self.device(alert),
            alerts: vec![self.alert_ref(alert)],
            rule_ids: vec![rule.clone()],
            ruleset: "6d1x9b".to_owned(),
            scan_type: ScanType::Quick,
            priority: 80,
            comment: "Check machine for viruses".to_owned(),
            mode: Mode::Live,
            alert_created_at: Some(self.now),
            expires_at: self.now + Duration::from_secs(86_400),
            cooldown_seconds: 600,
            limits: vec![RuleLimit { rule_id: rule, devices: 100_000, per_seconds: 86_400 }],
            terms: ResponseTerms {
                thresholds: if alert.is_multiple_of(8) { vec![threshold] } else { Vec::new() },
                cooldown_growth: Some(CooldownGrowth { factor: 2, longest_seconds: 86_400 }),
                ..ResponseTerms::default()
            },
            trace_id: None,
        };
        self.append(body);
        id
    }

    /// Six records: two requests for one alert, one of them a duplicate, and the scan of the other.
    fn life(&mut self) {
        let (claim, alert) = ("claim-1".to_owned(), self.alert);
        self.alert += 2;
        let (device, alerts) = (self.device(alert), vec![self.alert_ref(alert)]);
        let first = self.request(alert);
        let second = self.request(alert + 1);
        self.append(Suppressed {
            claim: claim.clone(),
            request_ids: vec![second],
            device: device.clone(),
            alerts: vec![self.alert_ref(alert + 1)],
            reason: SuppressedReason::Duplicate,
            mode: Mode::Live,
            detail: None,
        });
        self.now += Duration::from_millis(2_500);
        let (scan_id, request_ids) = (format!("s{alert:07x}"), vec![first]);
        let rule_ids = vec![format!("0b0f3d3e-0d5e-4c0e-9f39-{:012x}", alert / 2 % 100)];
        let comment = format!("Check machine for viruses due to alert {alert} [scan {scan_id}]");
        let rest = self.now + Duration::from_secs(600);
        self.append(Intent {
            claim: claim.clone(),
            scan_id: scan_id.clone(),
            attempt: 1,
            request_ids: request_ids.clone(),
            device: device.clone(),
            alerts: alerts.clone(),
            rule_ids: rule_ids.clone(),
            scan_type: ScanType::Quick,
            priority: 80,
            comment: comment.clone(),
            latest_arrival: self.now + Duration::from_secs(35),
            resolve_after: self.now + Duration::from_secs(95),
            cooldown_seconds: 600,
            cooldown_step: 0,
            cooldown_grows_for_seconds: Some(86_400),
            limits: Vec::new(),
        });
        let action = Action { id: format!("2e9da30d-27f6-4208-81f2-{alert:012x}"), status: "Pending".to_owned() };
        self.append(Accepted {
            claim: claim.clone(),
            scan_id: scan_id.clone(),
            attempt: 1,
            request_ids: request_ids.clone(),
            device: device.clone(),
            alerts: alerts.clone(),
            rule_ids,
            scan_type: ScanType::Quick,
            priority: 80,
            comment,
            action: action.clone(),
            resolved_by: ResolvedBy::Answer,
            arrived_by: self.now,
            follow_until: self.now + Duration::from_secs(86_400),
            cooldown_until: rest,
            cooldown_step: 0,
            cooldown_grows_until: None,
        });
        self.append(Finished {
            claim,
            scan_id,
            request_ids,
            joined_request_ids: Vec::new(),
            device,
            alerts,
            scan_type: ScanType::Quick,
            action: Some(action),
            status: FinishedStatus::Succeeded,
            cooldown_until: rest,
            cooldown_step: 0,
            cooldown_grows_until: None,
            began_at: Some(self.now),
        });
    }
}

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<u64>());
    let records = numbers.next().transpose()?.unwrap_or(1_000_000);
    let devices = numbers.next().transpose()?.unwrap_or(50_000).max(1);
    let begun = Timestamp::from_second(1_772_442_000)?;
    let mut made = Made { now: begun, alert: 0, devices, records: Vec::new() };
    made.append(Genesis { log_id: "log-1".to_owned(), partition: 0, partitions: 1 });
    made.append(Claim { claim: "claim-1".to_owned(), owner: "worker-0".to_owned(), version: "0.1.0".to_owned() });
    // Ten silences in force, which match nothing.
    for number in 0..10 {
        let matchers = vec![SilenceMatcher { field: SilenceField::DeviceName, value: format!("dc-{number}*") }];
        let (id, author, comment) = (format!("silence-{number}"), "jane".to_owned(), "patching".to_owned());
        let ends_at = begun + Duration::from_secs(400 * 86_400);
        let silence = Silence { id, matchers, starts_at: begun, ends_at, author: author.clone(), comment };
        made.append(Control { control: ControlAction::SilenceSet { silence }, author, comment: None });
    }
    let mut audit = Audit::new(AuditOptions {
        blast_radius: Some((100_000, Duration::from_secs(86_400))),
        ..AuditOptions::default()
    });
    let (mut auditing, mut decoding, mut bytes, mut offset) = (Duration::ZERO, Duration::ZERO, 0, 0_u64);
    let mut tenths = Vec::new();
    while offset < records {
        while made.records.len() < AT_ONCE {
            made.life();
        }
        let texts: Vec<Vec<u8>> = made.records.iter().map(ScanEvent::to_json).collect::<Result<_, _>>()?;
        bytes += texts.iter().map(Vec::len).sum::<usize>();
        made.records.clear();
        let started = Instant::now();
        let events: Vec<ScanEvent> =
            texts.iter().map(|text| ScanEvent::from_json(text)).collect::<Result<Vec<_>, _>>()?;
        decoding += started.elapsed();
        let started = Instant::now();
        for event in &events {
            audit.ledger_record(0, i64::try_from(offset)?, Ok(event));
            offset += 1;
        }
        auditing += started.elapsed();
        if offset * 10 / records.max(1) > u64::try_from(tenths.len())? {
            tenths.push(auditing);
        }
    }
    let started = Instant::now();
    let report = audit.finish();
    let finishing = started.elapsed();
    anyhow::ensure!(report.exit_code() == 0, "the made-up ledger is not clean: {:#?}", report.violations);
    let rate = |time: Duration| offset as f64 / time.as_secs_f64();
    println!("records   {offset} of {devices} devices, {bytes} bytes");
    println!("decoding  {:>10.0} records/s ({decoding:.1?})", rate(decoding));
    println!("auditing  {:>10.0} records/s ({auditing:.1?}, and {finishing:.1?} to draw the balance)", rate(auditing));
    println!(
        "ratio     the audit takes {:.2} of the time of decoding",
        auditing.as_secs_f64() / decoding.as_secs_f64()
    );
    // Steady growth from tenth to tenth would mean that the time per record grows with the log.
    let tenth = |at: usize| Some(*tenths.get(at)? - tenths.get(at.wrapping_sub(1)).copied().unwrap_or_default());
    if let (Some(first), Some(last)) = (tenth(0), tenth(tenths.len().saturating_sub(1))) {
        println!("growth    first tenth {first:.1?}, last tenth {last:.1?}");
    }
    Ok(())
}
