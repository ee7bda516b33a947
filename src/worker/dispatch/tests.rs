use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::sync::watch;

use super::*;
use crate::defender::{Client, Settings as DefenderSettings};
use crate::event::{Claim, Mode, ScanEvent};
use crate::kafka::{LedgerRecord, LedgerWriter};
use crate::scheduler::Settings as SchedulerSettings;
use crate::telemetry::{Liveness, PriorityClass, Readiness};
use crate::worker::account::Accounts;
use crate::worker::kill_switch::KillSwitch;

const PARTITION: i32 = 2;

struct Scene {
    running: Running,
    readiness: Readiness,
}

impl Scene {
    /// A replica that is a member of the group, with brokers that are away.
    fn new() -> Self {
        let kafka = KafkaSettings { bootstrap_servers: "127.0.0.1:1".to_owned(), ..KafkaSettings::default() };
        let metrics = Metrics::new("contoso").expect("metrics");
        let readiness = Readiness::default();
        let defender = DefenderSettings {
            tenant_id: "1228d172-029d-54e1-81c4-e82adcba5353".to_owned(),
            client_id: "client".to_owned(),
            client_secret: Some(SecretString::from("secret")),
            ..DefenderSettings::default()
        };
        let context = LaneContext {
            tenant: "contoso".to_owned(),
            owner: "test".to_owned(),
            mode: Mode::Shadow,
            switch: KillSwitch::new(false),
            scheduler: SchedulerSettings::default(),
            partition: PARTITION,
            partitions: 6,
            carry_after: Duration::MAX / 4,
            accept_lost_ledger: false,
            accounts: Accounts { metrics: metrics.clone(), longest_rule_window: std::sync::Arc::default() },
        };
        let dispatch = Dispatch {
            settings: Settings::default(),
            context,
            caller: Caller { client: Client::new(&defender).expect("a client"), metrics: metrics.clone() },
            progress: Liveness::new(metrics.clone()).register("dispatch", Duration::from_secs(60), Timestamp::now()),
            metrics,
            not_halted: readiness.condition("ledger intact", true),
            status: watch::Sender::default(),
            kafka,
        };
        let consumer = LedgerConsumer::join(&dispatch.kafka).expect("it connects later");
        Self { running: Running::new(dispatch, Some(consumer)), readiness }
    }

    /// It has the partition and a lane, and shows what an owner shows.
    fn owning() -> Self {
        let mut scene = Self::new();
        let running = &mut scene.running;
        let dispatch = &running.dispatch;
        let writer = LedgerWriter::new(&dispatch.kafka).expect("it connects later");
        let lane = Lane::begin(dispatch.context.clone(), writer, &assigned(), 1, Timestamp::now()).expect("it begins");
        dispatch.metrics.set_owned_partitions(&dispatch.kafka.ledger_topic, 1);
        dispatch.metrics.set_consumer_lag(&dispatch.kafka.ledger_topic, PARTITION, 5);
        dispatch.metrics.set_queue(PriorityClass::Critical, 9);
        dispatch.metrics.set_halted(true);
        running.assigned = Some(assigned());
        running.lane = Some(lane);
        assert!(scene.shows_an_owner());
        scene
    }

    fn metric(&self, name: &str) -> Vec<String> {
        let text = self.running.dispatch.metrics.encode().expect("text");
        let lines = text
            .lines()
            .filter(|line| line.strip_prefix("alert_responder_").is_some_and(|line| line.starts_with(name)));
        lines.filter_map(|line| line.rsplit(' ').next()).map(str::to_owned).collect()
    }

    fn shows_an_owner(&self) -> bool {
        let shown = [
            self.metric("owned_partitions{") == ["1"],
            self.metric("queue_scans{").contains(&"9".to_owned()),
            self.metric("halted{") == ["1"],
            self.metric("consumer_lag") == ["5"],
        ];
        assert!(shown == [true; 4] || shown == [false; 4], "{shown:?}");
        shown[0]
    }

    fn is_ready(&self) -> bool {
        self.readiness.is_ready()
    }
}

fn assigned() -> Assigned {
    Assigned { partition: PARTITION, epoch: 1, committed: None, low_watermark: 0, high_watermark: 20 }
}

/// A record that cannot be the next one.
fn beyond_a_gap() -> LedgerInput {
    let claim = Claim { claim: "other".to_owned(), owner: "other".to_owned(), version: "0".to_owned() };
    let event = Ok(ScanEvent::new(Timestamp::UNIX_EPOCH, "contoso", claim));
    LedgerInput::Record(LedgerRecord { partition: PARTITION, offset: 17, timestamp: None, event })
}

fn fatal() -> LedgerInput {
    LedgerInput::Error(KafkaError::ConsumerFatal("fenced".to_owned()))
}

#[tokio::test]
async fn a_replica_that_joins_again_shows_nothing_of_what_it_owned() {
    let mut scene = Scene::owning();
    scene.running.join_again().expect("it joins");
    assert!(!scene.shows_an_owner());

    // So too when the consumer failed, whatever the lane's last word was.
    let mut scene = Scene::owning();
    scene.running.say(&Stop::Halted("the topic was recreated".to_owned()));
    assert!(!scene.is_ready());
    scene.running.handle(fatal());
    assert!(!scene.shows_an_owner() && scene.is_ready());
    assert!(scene.running.assigned.is_none() && scene.running.lane.is_none());
}

#[tokio::test]
async fn a_consumer_that_failed_is_made_anew_after_a_pause() {
    let mut scene = Scene::owning();
    let before = Instant::now();
    scene.running.handle(fatal());
    assert!(scene.running.consumer.is_none(), "it is not asked again meanwhile");
    assert!(scene.running.claim_again.is_some_and(|at| at >= before + Duration::from_secs(1)));
    scene.running.after_round();
    scene.running.join_again().expect("it joins");
    assert!(scene.running.consumer.is_some() && scene.running.claim_again.is_none());
}

#[tokio::test]
async fn a_lane_that_stops_shows_nothing_of_what_it_owned() {
    let mut scene = Scene::owning();
    scene.running.handle(beyond_a_gap());
    scene.running.after_round();
    assert!(!scene.shows_an_owner());
    assert!(scene.running.claim_again.is_some() && scene.is_ready());
}

#[tokio::test]
async fn a_partition_that_cannot_be_claimed_is_not_shown_as_owned() {
    // The consumer knows nothing of an assignment, so it cannot start there.
    let mut scene = Scene::owning();
    scene.running.handle(LedgerInput::Assigned(assigned()));
    assert!(!scene.shows_an_owner());
    assert!(scene.running.lane.is_none() && scene.running.claim_again.is_some());
}

#[tokio::test]
async fn nothing_is_claimed_while_it_winds_down() {
    let mut scene = Scene::new();
    scene.running.start_nothing_new();
    scene.running.handle(LedgerInput::Assigned(assigned()));
    assert!(scene.running.assigned.is_none() && scene.running.claim_again.is_none());
    assert_eq!(scene.metric("owned_partitions{").iter().filter(|value| *value != "0").count(), 0);
    assert!(scene.running.is_settled(), "nothing is left to wait for");
}

fn record(offset: i64, event: &serde_json::Value) -> LedgerInput {
    let known =
        serde_json::json!({ "schema_version": 1, "min_reader": 1, "time": Timestamp::now(), "tenant": "contoso" });
    let mut whole = known.as_object().cloned().expect("an object");
    whole.extend(event.as_object().cloned().expect("an object"));
    let event = ScanEvent::from_json(serde_json::Value::from(whole).to_string().as_bytes());
    assert!(event.is_ok(), "{event:?}");
    LedgerInput::Record(LedgerRecord { partition: PARTITION, offset, timestamp: None, event })
}

/// The log of a claim under which a scan is intended.
fn intended_by(claim: &str) -> Vec<LedgerInput> {
    let alert = serde_json::json!({ "id": "3212", "severity": "high", "topic": "alerts", "partition": 0, "offset": 1,
        "index": 0 });
    let soon = Timestamp::now() + Duration::from_secs(300);
    let requested = serde_json::json!({ "event": "requested", "request_ids": ["r"], "device": { "id": "d" },
        "alerts": [alert], "rule_ids": [], "ruleset": "r", "scan_type": "Quick", "priority": 1, "comment": "c",
        "mode": "live", "expires_at": soon, "cooldown_seconds": 0 });
    let intent = serde_json::json!({ "event": "intent", "claim": claim, "scan_id": "s", "attempt": 1,
        "request_ids": ["r"], "device": { "id": "d" }, "alerts": [alert], "rule_ids": [], "scan_type": "Quick",
        "priority": 1, "comment": "c [scan s]", "latest_arrival": soon, "resolve_after": soon, "cooldown_seconds": 0 });
    let claimed = serde_json::json!({ "event": "claim", "claim": claim, "owner": "test", "version": "0" });
    [claimed, requested, intent].iter().zip(0..).map(|(event, offset)| record(offset, event)).collect()
}

#[tokio::test]
async fn an_answer_whose_record_may_not_have_reached_the_ledger_is_kept_for_the_next_ownership() {
    let answer = || ScanReply::InDoubt { detail: "told".to_owned(), retry_after: None };
    let reply = || Reply::Scan { scan_id: "s".to_owned(), attempt: 1, answer: answer() };
    let mut scene = Scene::owning();
    let claim = scene.running.lane.as_ref().expect("a lane").claim().to_owned();
    for input in intended_by(&claim) {
        scene.running.handle(input);
    }
    scene.running.reply(reply());
    scene.running.after_round();
    scene.running.join_again().expect("it joins");
    assert_eq!(scene.running.held, [reply()]);

    // What the ledger is known to hold needs no keeping, and what is no scan is asked anew.
    let mut scene = Scene::owning();
    let claim = scene.running.lane.as_ref().expect("a lane").claim().to_owned();
    for input in intended_by(&claim) {
        scene.running.handle(input);
    }
    scene.running.reply(reply());
    let withdrawn = serde_json::json!({ "event": "withdrawn", "claim": claim, "scan_id": "s", "attempt": 1,
        "withdrawn": "halted" });
    scene.running.handle(record(3, &withdrawn));
    scene.running.after_round();
    scene.running.join_again().expect("it joins");
    assert_eq!(scene.running.held, []);
    scene.running.reply(Reply::LookUp { device_id: "d".to_owned(), answer: ReadReply::NotPermitted });
    assert_eq!(scene.running.held, [], "it may be old by then");
}
