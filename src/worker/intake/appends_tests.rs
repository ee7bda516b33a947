use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::unconstrained;

use super::appends::{Appends, Log, Settled};
use super::decision::{RecordDecision, Recorded};
use super::in_hand::Source;
use crate::event::{DeadLetterReason, EventBody, Failed, FailedReason, Requested, ScanEvent, SkippedReason};
use crate::kafka::{ConsumedRecord, DeadLetter, KafkaError, Settings};

type Answer = Result<(i32, i64), KafkaError>;

#[derive(Default)]
struct State {
    /// What was handed over and waits for its answer, by the name of its request.
    queue: Vec<(String, oneshot::Sender<Answer>)>,
    /// How much the queue takes; `None`: everything.
    room: Option<usize>,
    /// Everything that was ever handed over.
    sent: Vec<String>,
}

/// A ledger that answers as the test says.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

impl Fake {
    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hand_over(&self, name: String) -> Result<Pin<Box<dyn Future<Output = Answer> + Send>>, KafkaError> {
        self.state(|state| {
            if state.room.is_some_and(|room| state.queue.len() >= room) {
                return Err(KafkaError::QueueFull);
            }
            let (answer, answered) = oneshot::channel();
            state.sent.push(name.clone());
            state.queue.push((name, answer));
            Ok(answered.map(|answer| answer.unwrap_or(Err(KafkaError::Closed))).boxed())
        })
    }

    /// Names of what waits for its answer.
    fn waiting(&self) -> Vec<String> {
        self.state(|state| state.queue.iter().map(|(name, _)| name.clone()).collect())
    }

    /// Answers everything that waits.
    fn answer(&self, answer: impl Fn(&str) -> Answer) {
        for (name, waiting) in self.state(|state| std::mem::take(&mut state.queue)) {
            let answer = answer(&name);
            waiting.send(answer).expect("somebody waits");
        }
    }
}

impl Log for Fake {
    type Delivery = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn new(_settings: &Settings) -> Result<Self, KafkaError> {
        Err(KafkaError::Closed)
    }

    fn event(&self, _partition: i32, event: &ScanEvent) -> Result<Self::Delivery, KafkaError> {
        self.hand_over(Recorded::of(event).expect("an event of intake").request_id)
    }

    fn dead_letter(&self, letter: &DeadLetter<'_>) -> Result<Self::Delivery, KafkaError> {
        let content = if letter.position_only { "position" } else { "content" };
        self.hand_over(format!("letter {} {content}", letter.reason.as_str()))
    }

    fn has_failed(&self) -> bool {
        false
    }
}

fn acknowledged(_name: &str) -> Answer {
    Ok((0, 7))
}

fn away(_name: &str) -> Answer {
    Err(KafkaError::NotAcknowledged { topic: "scans".to_owned(), reason: "timed out".to_owned(), retryable: true })
}

fn too_large(_name: &str) -> Answer {
    Err(KafkaError::TooLarge { topic: "scans".to_owned(), reason: "broker says so".to_owned() })
}

fn requested(id: &str) -> ScanEvent {
    let body: Requested = serde_json::from_value(serde_json::json!({
        "request_ids": [id], "device": {"id": "d"}, "rule_ids": [], "ruleset": "r", "scan_type": "Quick", "priority": 1,
        "alerts": [{"id": format!("alert of {id}"), "severity": "high", "topic": "alerts", "partition": 0, "offset": 1,
            "index": 0}],
        "comment": "", "mode": "live", "expires_at": "2026-01-01T00:00:00Z", "cooldown_seconds": 0,
    }))
    .expect("a request");
    ScanEvent::new(Timestamp::UNIX_EPOCH, "contoso", body)
}

fn failed(id: &str) -> ScanEvent {
    let EventBody::Requested(request) = requested(id).body else { panic!("a request") };
    let body: Failed = serde_json::from_value(serde_json::json!({
        "claim": "intake", "request_ids": [id], "device": {"id": "d"}, "alerts": request.alerts, "rule_ids": [],
        "scan_type": "Quick", "priority": 1, "comment": "", "reason": "evaluation_error",
    }))
    .expect("a failure");
    ScanEvent::new(Timestamp::UNIX_EPOCH, "contoso", body)
}

fn asking(ids: &[&str]) -> RecordDecision {
    let requested: Vec<_> = ids.iter().map(|id| requested(id)).collect();
    RecordDecision { observed: u32::try_from(ids.len()).unwrap(), requested, ..RecordDecision::default() }
}

struct Scene {
    log: Fake,
    appends: Appends<Fake>,
    next_offset: i64,
}

impl Scene {
    fn new() -> Self {
        let log = Fake::default();
        Self { appends: Appends::new(Settings::default(), log.clone()), log, next_offset: 0 }
    }

    fn add(&mut self, decision: RecordDecision) -> Option<Settled> {
        let offset = self.next_offset;
        self.next_offset += 1;
        let record = ConsumedRecord {
            partition: 0,
            offset,
            timestamp: None,
            key: None,
            payload: Some(b"an alert".to_vec()),
            headers: Vec::new(),
        };
        self.appends.add(Source { partition: 0, offset, epoch: 1 }, record, decision)
    }

    /// What there is to settle by now. Nothing waits for the clock.
    fn settled(&mut self) -> Vec<Settled> {
        let mut settled = Vec::new();
        loop {
            match unconstrained(self.appends.next()).now_or_never() {
                // Tests try again when they like.
                None | Some(Settled::RetryDue) => return settled,
                Some(next) => settled.push(next),
            }
        }
    }

    fn answer(&mut self, answer: impl Fn(&str) -> Answer) -> Vec<Settled> {
        self.log.answer(answer);
        self.settled()
    }
}

/// Offsets of the records that are durable.
fn durable(settled: &[Settled]) -> Vec<i64> {
    settled
        .iter()
        .filter_map(|settled| match settled {
            Settled::Durable(source, decision) => {
                assert!(decision.is_balanced(), "{decision:?}");
                Some(source.offset)
            }
            Settled::Failed(_) | Settled::RetryDue => None,
        })
        .collect()
}

fn only_decision(mut settled: Vec<Settled>) -> RecordDecision {
    match settled.pop() {
        Some(Settled::Durable(_, decision)) if settled.is_empty() => decision,
        other => panic!("{settled:?} {other:?}"),
    }
}

#[tokio::test]
async fn no_more_records_are_taken_until_a_failed_append_is_made_good() {
    let mut scene = Scene::new();
    assert!(scene.add(asking(&["a"])).is_none());
    scene.add(RecordDecision::dead_letter(DeadLetterReason::NotJson, ""));
    assert!(scene.appends.has_room());
    let settled = scene.answer(|name| if name == "a" { acknowledged(name) } else { away(name) });
    assert_eq!((durable(&settled), scene.appends.has_room()), (vec![0], false));
    for _ in 0..3 {
        scene.appends.retry().expect("sent");
        assert_eq!(scene.log.waiting(), ["letter not_json content"]);
        assert!(!scene.appends.has_room(), "that it is under way again makes nothing good");
        scene.answer(away);
        assert!(!scene.appends.has_room());
    }
    scene.appends.retry().expect("sent");
    assert_eq!(durable(&scene.answer(acknowledged)), [1]);
    assert!(scene.appends.has_room());
    assert_eq!((scene.appends.in_hand(), scene.appends.ledger_end()), (0, 8));
}

#[tokio::test]
async fn what_is_acknowledged_is_not_sent_again() {
    let mut scene = Scene::new();
    let decision = RecordDecision { observed: 3, failed: vec![failed("c")], ..asking(&["a", "b"]) };
    scene.add(decision.clone());
    let settled = scene.answer(|name| if name == "b" { away(name) } else { acknowledged(name) });
    assert!(matches!(settled.as_slice(), [Settled::Failed(_)]), "{settled:?}");
    scene.appends.retry().expect("sent");
    assert_eq!(scene.log.waiting(), ["b"]);
    assert_eq!(only_decision(scene.answer(acknowledged)), decision);
}

#[tokio::test]
async fn a_record_with_more_events_than_the_queue_takes_goes_out_in_parts() {
    let mut scene = Scene::new();
    scene.log.state(|state| state.room = Some(2));
    scene.add(asking(&["a", "b", "c", "d", "e"]));
    for part in [vec!["a", "b"], vec!["c", "d"]] {
        assert_eq!(scene.log.waiting(), part);
        assert!(scene.answer(acknowledged).is_empty(), "it is not durable yet, and nothing is wrong");
    }
    assert_eq!(durable(&scene.answer(acknowledged)), [0]);
    assert_eq!(scene.log.state(|state| state.sent.clone()), ["a", "b", "c", "d", "e"], "each once");

    // Where the queue is full of others, it waits for its turn.
    scene.add(asking(&["f", "g"]));
    assert!(matches!(scene.add(asking(&["h"])), Some(Settled::Failed(KafkaError::QueueFull))));
    assert_eq!(durable(&scene.answer(acknowledged)), [1]);
    scene.appends.retry().expect("sent");
    assert_eq!(durable(&scene.answer(acknowledged)), [2]);
}

#[tokio::test]
async fn a_small_record_that_asks_for_much_takes_the_room_of_what_it_asks_for() {
    let mut scene = Scene::new();
    let much =
        RecordDecision { observed: 21_000, requested: vec![requested("a"); 21_000], ..RecordDecision::default() };
    scene.add(asking(&["a"]));
    assert!(scene.appends.has_room());
    scene.add(much);
    assert!(!scene.appends.has_room(), "21,000 events are more than the record that they came from");
    assert_eq!(durable(&scene.answer(acknowledged)), [0, 1]);
    assert!(scene.appends.has_room());
}

#[tokio::test]
async fn the_neighbours_of_what_is_too_large_are_not_condemned_with_it() {
    let mut scene = Scene::new();
    scene.add(asking(&["a"]));
    scene.add(asking(&["large"]));
    scene.add(asking(&["c"]));
    // The broker refuses the batch as a whole.
    let settled = scene.answer(too_large);
    assert!(durable(&settled).is_empty());
    let verdict = |name: &str| if name == "large" { too_large(name) } else { acknowledged(name) };
    let mut decided = Vec::new();
    for _ in 0..4 {
        assert_eq!(scene.log.waiting().len(), 1, "each goes alone");
        assert!(!scene.appends.has_room());
        decided.extend(scene.answer(verdict));
    }
    let mut offsets = durable(&decided);
    offsets.sort_unstable();
    assert_eq!(offsets, [0, 1, 2]);
    for settled in decided {
        if let Settled::Durable(source, decision) = settled {
            assert_eq!(decision.dead_letter.is_some(), source.offset == 1, "{decision:?}");
        }
    }
    assert!(scene.log.waiting().is_empty() && scene.appends.has_room());
}

#[tokio::test]
async fn nothing_goes_beside_what_goes_alone() {
    let mut scene = Scene::new();
    scene.add(asking(&["large"]));
    scene.log.answer(too_large);
    scene.add(asking(&["b"]));
    scene.settled();
    assert_eq!(scene.log.waiting(), ["b"], "what is under way comes first");
    scene.answer(away);
    assert_eq!(scene.log.waiting(), ["large"]);
    scene.answer(acknowledged);
    scene.appends.retry().expect("sent");
    assert_eq!(scene.log.waiting(), ["b"]);
    assert_eq!(durable(&scene.answer(acknowledged)), [1]);
}

#[tokio::test]
async fn a_record_that_is_too_large_in_part_keeps_what_the_ledger_holds_of_it() {
    let mut scene = Scene::new();
    let before = Recorded { request_id: "z".to_owned(), alert_id: "alert of z".to_owned(), failed: None };
    let decision = RecordDecision {
        observed: 6,
        recorded: vec![before.clone()],
        failed: vec![failed("d")],
        skipped: vec![SkippedReason::NoRule],
        ..asking(&["a", "large", "c"])
    };
    scene.add(decision);
    // "a" is acknowledged; the rest was in the batch that was refused.
    scene.answer(|name| if name == "a" { acknowledged(name) } else { too_large(name) });
    assert_eq!(scene.log.waiting(), ["large"]);
    scene.answer(too_large);
    assert_eq!(scene.log.waiting(), ["c"]);
    // What may be in the ledger unseen is no matter of the dead letter either.
    scene.answer(away);
    scene.appends.retry().expect("sent");
    scene.settled();
    assert_eq!(scene.log.waiting(), ["c"]);
    scene.answer(acknowledged);
    assert_eq!(scene.log.waiting(), ["d"]);
    scene.answer(acknowledged);
    assert_eq!(scene.log.waiting(), ["letter too_large content"]);
    let decision = only_decision(scene.answer(acknowledged));

    let after = |id: &str, failed| Recorded { request_id: id.to_owned(), alert_id: format!("alert of {id}"), failed };
    assert_eq!(
        decision.recorded,
        [before, after("a", None), after("c", None), after("d", Some(FailedReason::EvaluationError))]
    );
    let outcomes = decision.outcomes();
    assert_eq!((outcomes.observed, outcomes.requested), (5, 3));
    assert_eq!(outcomes.dead_letter, Some(DeadLetterReason::TooLarge));
    assert!(decision.is_balanced());
}

#[tokio::test]
async fn a_dead_letter_that_is_refused_alone_goes_without_its_content() {
    let mut scene = Scene::new();
    scene.add(RecordDecision::dead_letter(DeadLetterReason::NotJson, ""));
    scene.answer(too_large);
    assert_eq!(scene.log.waiting(), ["letter not_json content"], "perhaps it was a neighbour that was too large");
    scene.answer(too_large);
    assert_eq!(scene.log.waiting(), ["letter not_json position"]);
    // Should even that be refused, it is tried again after a pause and not at once.
    scene.answer(too_large);
    assert!(scene.log.waiting().is_empty());
    scene.appends.retry().expect("queued");
    scene.settled();
    assert_eq!(scene.log.waiting(), ["letter not_json position"]);
    assert_eq!(durable(&scene.answer(acknowledged)), [0]);
}

#[tokio::test]
async fn what_a_partition_leaves_behind_is_not_sent_again() {
    let mut scene = Scene::new();
    scene.add(asking(&["a"]));
    scene.answer(away);
    scene.add(asking(&["b"]));
    scene.appends.let_go(0);
    assert!(scene.appends.has_room());
    scene.appends.retry().expect("nothing to send");
    assert_eq!(scene.log.waiting(), ["b"]);
    assert!(scene.answer(away).is_empty());
    assert_eq!((scene.appends.in_hand(), scene.log.waiting().len()), (0, 0));
}
