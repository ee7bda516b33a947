//! Intake end to end, with a decision that stands in for decoder and rules.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alert_responder::alert::DecodeOptions;
use alert_responder::event::{
    Claim, DeadLetterReason, EventBody, Failed, FailedReason, Mode, ScanEvent, SkippedReason,
};
use alert_responder::kafka::{
    Cluster, ConsumedRecord, KafkaError, LedgerWriter, Tally, committed, produce_lines, read_all, watermarks,
};
use alert_responder::rules::RuleSet;
use alert_responder::worker::Decider;
use alert_responder::worker::intake::{Intake, IntakeEnd, IntakeObserver, RecordDecision, Recorded};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::broker::Broker;

pub(super) const TENANT: &str = "b1d4a1a4-0000-4000-8000-000000000001";
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// `scan …` asks for a scan, `fail …` for a failed event, `skip …` for nothing, all else is a dead letter; but what is recorded
/// stands.
pub(super) fn decide(record: &ConsumedRecord, recorded: &[Recorded]) -> RecordDecision {
    if !recorded.is_empty() {
        let observed = u32::try_from(recorded.len()).unwrap();
        return RecordDecision { observed, recorded: recorded.to_vec(), ..RecordDecision::default() };
    }
    let text = String::from_utf8_lossy(record.payload.as_deref().unwrap_or_default()).into_owned();
    let mut decision = RecordDecision { observed: 1, ..RecordDecision::default() };
    match text.split(' ').next().unwrap_or_default() {
        // The identity of a request is that of its record.
        "scan" => decision.requested.push(marker(&format!("{}:{}", record.partition, record.offset))),
        "fail" => decision.failed.push(failed(record.offset)),
        "skip" => decision.skipped.push(SkippedReason::NoRule),
        _ => decision = RecordDecision::dead_letter(DeadLetterReason::NotJson, "not one of ours"),
    }
    decision
}

pub(super) fn marker(name: &str) -> ScanEvent {
    let body = Claim { claim: name.to_owned(), owner: "test".to_owned(), version: "0".to_owned() };
    ScanEvent::new(Timestamp::UNIX_EPOCH, TENANT, body)
}

pub(super) fn failed(offset: i64) -> ScanEvent {
    let body = Failed {
        reason: FailedReason::EvaluationError,
        request_ids: vec![offset.to_string()],
        ..serde_json::from_str(EMPTY_FAILED).unwrap()
    };
    ScanEvent::new(Timestamp::UNIX_EPOCH, TENANT, body)
}

pub(super) const EMPTY_FAILED: &str = r#"{"claim":"c","request_ids":[],"device":{"id":"d"},"alerts":[],"rule_ids":[],
    "scan_type":"Quick","priority":1,"comment":"","reason":"evaluation_error"}"#;

pub(super) fn claim_name(event: &ScanEvent) -> Option<String> {
    match &event.body {
        EventBody::Claim(claim) => Some(claim.claim.clone()),
        _ => None,
    }
}

/// Counts what was told, so that a test can await it.
pub(super) struct Watcher {
    pub(super) decided: watch::Sender<u64>,
    partitions: watch::Sender<BTreeSet<i32>>,
    pub(super) joined: watch::Sender<bool>,
    pub(super) trouble: watch::Sender<Vec<&'static str>>,
    /// Partitions were taken without notice.
    lost: AtomicBool,
}

impl Watcher {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            decided: watch::Sender::new(0),
            partitions: watch::Sender::new(BTreeSet::new()),
            joined: watch::Sender::new(false),
            trouble: watch::Sender::new(Vec::new()),
            lost: AtomicBool::new(false),
        })
    }

    pub(super) async fn until_decided(&self, count: u64) {
        let mut decided = self.decided.subscribe();
        let reached = decided.wait_for(|decided| *decided >= count);
        tokio::time::timeout(PATIENCE, reached).await.expect("decided in time").unwrap();
    }

    pub(super) async fn until_owning(&self, count: usize) {
        let mut partitions = self.partitions.subscribe();
        let reached = partitions.wait_for(|partitions| partitions.len() == count);
        tokio::time::timeout(PATIENCE, reached).await.expect("assigned in time").unwrap();
    }
}

impl IntakeObserver for Watcher {
    fn joined(&self) {
        self.joined.send_replace(true);
    }
    fn assigned(&self, assigned: &alert_responder::kafka::Assigned) {
        self.partitions.send_modify(|partitions| {
            partitions.insert(assigned.partition);
        });
    }
    fn revoked(&self, partition: i32, lost: bool) {
        self.lost.fetch_or(lost, Ordering::Relaxed);
        self.partitions.send_modify(|partitions| {
            partitions.remove(&partition);
        });
    }
    fn decided(&self, decision: &RecordDecision) {
        assert!(decision.is_balanced());
        self.decided.send_modify(|decided| *decided += 1);
    }
    fn trouble(&self, error: &KafkaError) {
        self.trouble.send_modify(|codes| codes.push(error.code()));
    }
}

pub(super) struct Running {
    pub(super) watcher: Arc<Watcher>,
    pub(super) stop: CancellationToken,
    pub(super) task: JoinSet<Result<IntakeEnd, KafkaError>>,
}

pub(super) fn start(broker: &Broker) -> Running {
    let (watcher, stop) = (Watcher::new(), CancellationToken::new());
    let intake = Intake::new(
        broker.settings.clone(),
        Arc::new(decide),
        Arc::<Watcher>::clone(&watcher),
        Duration::from_secs(10),
    );
    let mut task = JoinSet::new();
    task.spawn(intake.run(stop.clone()));
    Running { watcher, stop, task }
}

impl Running {
    pub(super) async fn stop(mut self) -> IntakeEnd {
        self.stop.cancel();
        let end = tokio::time::timeout(PATIENCE, self.task.join_next()).await.expect("ends in time");
        end.unwrap().unwrap().unwrap()
    }
}

pub(super) async fn produce(broker: &Broker, lines: impl IntoIterator<Item = String>) {
    let input: String = lines.into_iter().map(|line| line + "\n").collect();
    let report = produce_lines(&broker.settings, &broker.settings.alerts_topic, input.as_bytes()).await.unwrap();
    assert_eq!(report.failed, 0, "{:?}", report.failures);
}

/// Sum of the counts in the commits, having checked that they cover the topic to its end.
pub(super) async fn balance(broker: &Broker) -> Tally {
    let settings = &broker.settings;
    let commits = committed(settings, Cluster::Alerts, &settings.group_id, &settings.alerts_topic).await.unwrap();
    let mut sum = Tally::default();
    for marks in watermarks(settings, Cluster::Alerts, &settings.alerts_topic).await.unwrap() {
        if marks.high == 0 {
            continue;
        }
        let commit = &commits[&marks.partition];
        let tally = Tally::from_metadata(&commit.metadata).expect("our metadata");
        assert_eq!((tally.base, commit.offset), (0, marks.high));
        assert_eq!(tally.accounted(), tally.observed);
        sum.records += tally.records;
        sum.observed += tally.observed;
        sum.requested += tally.requested;
        for (reason, count) in tally.skipped {
            *sum.skipped.entry(reason).or_default() += count;
        }
        for (reason, count) in tally.failed {
            *sum.failed.entry(reason).or_default() += count;
        }
        for (reason, count) in tally.dead_lettered {
            *sum.dead_lettered.entry(reason).or_default() += count;
        }
    }
    sum
}

pub(super) async fn ledger_names(broker: &Broker) -> Vec<String> {
    let records = read_all(&broker.settings, Cluster::Ledger, &broker.settings.ledger_topic).await.unwrap();
    let events = records.iter().map(|record| ScanEvent::from_json(record.payload.as_ref().unwrap()).unwrap());
    events.filter_map(|event| claim_name(&event)).collect()
}

pub(super) fn mixed(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| match number % 5 {
        0 => format!("scan {number}"),
        1 => format!("fail {number}"),
        2 => format!("broken {number}"),
        _ => format!("skip {number}"),
    })
}

#[tokio::test]
async fn every_observation_is_accounted_for_in_the_commits() {
    let broker = Broker::start(3).await;
    produce(&broker, mixed(500)).await;
    let running = start(&broker);
    running.watcher.until_decided(500).await;
    assert_eq!(running.stop().await, IntakeEnd { unfinished: 0 });

    let sum = balance(&broker).await;
    assert_eq!((sum.records, sum.observed, sum.requested), (500, 500, 100));
    assert_eq!(sum.skipped, [(SkippedReason::NoRule, 200)].into());
    assert_eq!(sum.failed, [(FailedReason::EvaluationError, 100)].into());
    assert_eq!(sum.dead_lettered, [(DeadLetterReason::NotJson, 100)].into());
    let names = ledger_names(&broker).await;
    assert_eq!((names.len(), names.iter().collect::<BTreeSet<_>>().len()), (100, 100));

    // A second life goes on with the counts of the first.
    produce(&broker, mixed(50)).await;
    let running = start(&broker);
    running.watcher.until_decided(50).await;
    running.stop().await;
    assert_eq!(balance(&broker).await.records, 550);
    assert_eq!(ledger_names(&broker).await.len(), 110);
}

#[tokio::test]
async fn a_dead_letter_keeps_its_bytes_and_says_where_it_was_and_why() {
    let broker = Broker::start(1).await;
    produce(&broker, ["skip 0".to_owned(), "broken \u{0} bytes".to_owned()]).await;
    let running = start(&broker);
    running.watcher.until_decided(2).await;
    running.stop().await;
    let settings = &broker.settings;
    let letters = read_all(settings, Cluster::Ledger, &settings.dead_letters_topic).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].payload.as_deref(), Some("broken \u{0} bytes".as_bytes()));
    for (name, value) in [
        ("alert_responder_topic", settings.alerts_topic.as_str()),
        ("alert_responder_partition", "0"),
        ("alert_responder_offset", "1"),
        ("alert_responder_reason", "not_json"),
        ("alert_responder_detail", "not one of ours"),
    ] {
        assert_eq!(letters[0].header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_crash_before_the_commit_gives_the_same_requests_again() {
    let broker = Broker::start(1).await;
    produce(&broker, (0..20).map(|number| format!("scan {number}"))).await;
    let mut crashed = start(&broker);
    crashed.watcher.until_decided(20).await;
    // The task is gone between two awaits, with or without its first commit.
    crashed.task.abort_all();
    while crashed.task.join_next().await.is_some() {}

    produce(&broker, (0..5).map(|number| format!("scan {number}"))).await;
    let second = start(&broker);
    let settings = &broker.settings;
    tokio::time::timeout(PATIENCE, async {
        // The second life decides what the first did not commit, and what is new.
        let mut decided = second.watcher.decided.subscribe();
        let commits = committed(settings, Cluster::Alerts, &settings.group_id, &settings.alerts_topic).await.unwrap();
        let done = commits.get(&0).map_or(0, |commit| commit.offset);
        decided.wait_for(|decided| *decided >= 25 - u64::try_from(done).unwrap()).await.unwrap();
    })
    .await
    .expect("decided in time");
    second.stop().await;
    assert_eq!(balance(&broker).await.requested, 25);
    let names: BTreeSet<String> = ledger_names(&broker).await.into_iter().collect();
    assert_eq!(names, (0..25).map(|offset| format!("0:{offset}")).collect());
}

/// A `requested` and, where `fails`, a `failed` of intake for the alert at an offset.
fn written_about(topic: &str, offset: i64, fails: bool) -> ScanEvent {
    let comment = if fails { "{{ alert.title }}" } else { "due to alert {{ alert.id }}" };
    let rule = format!(
        "title: Malware\nid: 0b0f3d3e-0d5e-4c0e-9f39-3d6f8f6c1a77\nlogsource: {{ category: alert }}\n\
         detection: {{ malware: {{ category: Malware }}, condition: malware }}\nlevel: high\n\
         response: {{ scan: Quick, comment: '{comment}', mode: live }}\n"
    );
    let decider = Decider {
        rules: Arc::new(RuleSet::from_sources([("rule.yml", rule.as_str())]).unwrap()),
        options: DecodeOptions::default(),
        tenant: TENANT.to_owned(),
        mode: Mode::Live,
        topic: topic.to_owned(),
    };
    let payload =
        format!(r#"{{"id":{offset},"title":"\u200b","category":"Malware","device":{{"id":"{}"}}}}"#, "a".repeat(40));
    let record = ConsumedRecord {
        partition: 0,
        offset,
        timestamp: None,
        key: None,
        payload: Some(payload.into_bytes()),
        headers: Vec::new(),
    };
    let decision = decider.decide_at(&record, &[], Timestamp::now());
    decision.requested.into_iter().chain(decision.failed).next().unwrap()
}

#[tokio::test]
async fn what_a_dead_owner_wrote_stands_whatever_the_rules_say_now() {
    let broker = Broker::start(1).await;
    let settings = &broker.settings;
    produce(&broker, ["skip 0".to_owned()]).await;
    let first = start(&broker);
    first.watcher.until_decided(1).await;
    first.stop().await;

    // The next owner writes about two records, one of them twice, and dies.
    let writer = LedgerWriter::new(settings).unwrap();
    let ours = |offset, fails| written_about(&settings.alerts_topic, offset, fails);
    for event in [
        ours(0, false),
        ours(1, false),
        ours(1, false),
        marker("claims are not of intake"),
        ours(2, true),
        written_about("another topic", 3, false),
    ] {
        writer.append(settings.ledger.partition, &event).await.unwrap();
    }
    let written = read_all(settings, Cluster::Ledger, &settings.ledger_topic).await.unwrap().len();
    produce(&broker, (1..5).map(|number| format!("skip {number}"))).await;
    let second = start(&broker);
    second.watcher.until_decided(4).await;
    assert_eq!(second.stop().await, IntakeEnd { unfinished: 0 });

    let sum = balance(&broker).await;
    assert_eq!((sum.records, sum.observed, sum.requested), (5, 5, 1));
    assert_eq!(sum.failed, [(FailedReason::EvaluationError, 1)].into());
    assert_eq!(sum.skipped, [(SkippedReason::NoRule, 3)].into());
    let now = read_all(settings, Cluster::Ledger, &settings.ledger_topic).await.unwrap().len();
    assert_eq!(now, written, "what is in the ledger is not written again");
}

#[tokio::test]
async fn a_second_member_takes_half_and_gives_it_back_without_loss() {
    let broker = Broker::start(4).await;
    let first = start(&broker);
    first.watcher.until_owning(4).await;
    produce(&broker, mixed(200)).await;
    let second = start(&broker);
    let (first_watcher, second_watcher) = (Arc::clone(&first.watcher), Arc::clone(&second.watcher));
    second.watcher.until_owning(2).await;
    first.watcher.until_owning(2).await;
    produce(&broker, mixed(200)).await;
    assert_eq!(second.stop().await, IntakeEnd { unfinished: 0 });
    first.watcher.until_owning(4).await;
    produce(&broker, mixed(100)).await;

    let settings = &broker.settings;
    tokio::time::timeout(PATIENCE, async {
        loop {
            let commits =
                committed(settings, Cluster::Alerts, &settings.group_id, &settings.alerts_topic).await.unwrap();
            if commits.values().map(|commit| commit.offset).sum::<i64>() == 500 {
                break;
            }
        }
    })
    .await
    .expect("everything is committed in time");
    first.stop().await;
    let sum = balance(&broker).await;
    assert_eq!((sum.records, sum.requested), (500, 100));
    let names = ledger_names(&broker).await;
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 100);
    // Handed over with their commits, partitions are decided once. On a machine so busy that the group takes them away
    // without notice, or refuses a commit, they are decided again, under the same ids.
    let watchers = [&first_watcher, &second_watcher];
    let handed_over =
        watchers.iter().all(|watcher| !watcher.lost.load(Ordering::Relaxed) && watcher.trouble.borrow().is_empty());
    if handed_over {
        assert_eq!(names.len(), 100);
    }
}
