//! Orders, and facts that were carried on past them: an order is never undone by what the owner wrote before it read it,
//! wherever replay begins.

use jiff::{SignedDuration, Timestamp};

use super::bench::{Bench, start_time};
use crate::event::{
    Carried, Claim, Control, ControlAction, DeviceRef, EventBody, ScanEvent, ScanType, Silence, SilenceField,
    SilenceMatcher,
};
use crate::scheduler::State;

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

/// What of a state every successor must know at `now`.
fn told(state: &State, now: Timestamp) -> String {
    let orders = &state.orders;
    let silences: Vec<_> = orders.silences.values().map(|(silence, _)| silence).collect();
    let mut devices: Vec<String> = state
        .devices
        .iter()
        .map(|(id, device)| {
            let rest =
                device.cooldown.as_ref().filter(|rest| rest.until > now).map(|rest| (rest.until, rest.scan_type));
            let unfit =
                device.unfit.as_ref().filter(|unfit| unfit.until > now).map(|unfit| (unfit.until, unfit.reason));
            let ended: Vec<_> = device.ended.iter().filter(|ended| ended.until > now).collect();
            format!("{id} {rest:?} {unfit:?} {ended:?}")
        })
        .filter(|line| !line.ends_with(" None None []"))
        .collect();
    devices.sort_unstable();
    format!("{} {:?} {silences:?} {devices:?}", orders.halted.is_some(), orders.tripped.keys())
}

fn fold(mut state: State, log: &[ScanEvent], from: i64) -> State {
    for (offset, event) in (0..).zip(log).skip(usize::try_from(from).expect("an offset")) {
        state.apply(offset, event);
    }
    state
}

/// Wherever a position may have been committed in the history of this log, replay from there gives the same.
pub(super) fn same_from_everywhere(log: &[ScanEvent]) {
    let now = log.iter().map(|event| event.time).max().expect("a record");
    let whole = told(&fold(State::default(), log, 0), now);
    let mut before = State::default();
    for (offset, event) in (0..).zip(log) {
        before.apply(offset, event);
        let from = before.oldest_needed(event.time, HOUR, HOUR, offset + 1);
        let begin = before.claim_before(from).map(str::to_owned);
        let part = told(&fold(State::starting_under(begin), log, from), now);
        assert_eq!(part, whole, "committed behind {offset}, replayed from {from}: {log:#?}");
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Halt,
    Trip,
    Silence,
}

/// One step of a history: an order, its end, a carried record of the latest or of the first order that ever held, or
/// two hours that pass.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Order,
    End,
    CarriedLatest,
    CarriedFirst,
    Hours,
}

const STEPS: [Step; 5] = [Step::Order, Step::End, Step::CarriedLatest, Step::CarriedFirst, Step::Hours];

fn silence(order: i64, now: Timestamp) -> Silence {
    Silence {
        id: "silence".to_owned(),
        matchers: vec![SilenceMatcher { field: SilenceField::Rule, value: "*".to_owned() }],
        starts_at: now,
        ends_at: start_time() + SignedDuration::from_hours(1000),
        author: "jane".to_owned(),
        comment: order.to_string(),
    }
}

fn order(kind: Kind, offset: i64) -> ControlAction {
    match kind {
        Kind::Halt => ControlAction::Halted,
        Kind::Trip => ControlAction::Tripped { claim: "claim".to_owned(), rule_id: None, devices: 1, per_seconds: 60 },
        Kind::Silence => ControlAction::SilenceSet { silence: silence(offset, start_time()) },
    }
}

fn end(kind: Kind) -> ControlAction {
    match kind {
        Kind::Halt => ControlAction::Resumed,
        Kind::Trip => ControlAction::Rearmed { rule_id: None },
        Kind::Silence => ControlAction::SilenceEnded { silence_id: "silence".to_owned() },
    }
}

fn carried(kind: Kind, of: i64) -> Carried {
    let (claim, order_offset) = ("claim".to_owned(), Some(of));
    match kind {
        Kind::Halt => Carried::Halted { claim, order_offset },
        Kind::Trip => Carried::Tripped { claim, order_offset, rule_id: None },
        Kind::Silence => Carried::Silence { claim, order_offset, silence: silence(of, start_time()) },
    }
}

/// A device that rests to the end of the history.
fn rest(device: i64) -> Carried {
    Carried::Cooldown {
        claim: "claim".to_owned(),
        device: DeviceRef { id: device.to_string(), ..DeviceRef::default() },
        cooldown_until: start_time() + SignedDuration::from_hours(1000),
        scan_type: ScanType::Quick,
        cooldown_step: 0,
        cooldown_grows_until: None,
    }
}

/// The log of a history and the order that holds at its end; `None` if it cannot happen: a carried record without an
/// order, or under way for hours. Where `pinned`, a record that is needed for long follows each end of an order, so that
/// replay may begin there.
fn history(kind: Kind, steps: &[Step], pinned: bool) -> Option<(Vec<ScanEvent>, Option<i64>)> {
    let mut now = start_time();
    let claim = Claim { claim: "claim".to_owned(), owner: "test".to_owned(), version: "0".to_owned() };
    let mut log = vec![ScanEvent::new(now, "tenant", claim)];
    let (mut holds, mut ever) = (None, Vec::new());
    for step in steps {
        let offset = i64::try_from(log.len()).ok()?;
        let body: EventBody = match step {
            Step::Order | Step::End => {
                let control = if *step == Step::Order { order(kind, offset) } else { end(kind) };
                match step {
                    Step::End => holds = None,
                    // A second trip says nothing new.
                    _ if kind == Kind::Trip && holds.is_some() => {}
                    _ => {
                        holds = Some(offset);
                        ever.push(offset);
                    }
                }
                Control { control, author: "jane".to_owned(), comment: None }.into()
            }
            Step::CarriedLatest => carried(kind, *ever.last()?).into(),
            Step::CarriedFirst => carried(kind, *ever.first()?).into(),
            Step::Hours => {
                now += SignedDuration::from_hours(2);
                ever.retain(|order| Some(*order) == holds);
                // Only the dispatch side's records move the time of the log.
                let withdrawn = crate::event::WithdrawReason::Halted;
                let (claim, scan_id) = ("claim".to_owned(), "none".to_owned());
                crate::event::Withdrawn { claim, scan_id, attempt: 1, withdrawn }.into()
            }
        };
        now += SignedDuration::from_secs(1);
        log.push(ScanEvent::new(now, "tenant", body));
        if pinned && *step == Step::End {
            log.push(ScanEvent::new(now, "tenant", rest(offset)));
        }
    }
    Some((log, holds))
}

/// Every history of up to six steps.
fn every_history(kind: Kind) -> impl Iterator<Item = (Vec<ScanEvent>, Option<i64>)> {
    (1..=6_u32).flat_map(move |length| {
        (0..2 * 5_usize.pow(length)).filter_map(move |mut number| {
            let pinned = number % 2 == 1;
            number /= 2;
            if pinned && length > 5 {
                return None;
            }
            let steps: Vec<Step> = (0..length)
                .map(|_| {
                    let step = STEPS[number % 5];
                    number /= 5;
                    step
                })
                .collect();
            history(kind, &steps, pinned)
        })
    })
}

/// What the fold says: whether the order holds, and for a silence which one.
fn holds(kind: Kind, state: &State) -> Option<String> {
    match kind {
        Kind::Halt => state.orders.halted.map(|_| String::new()),
        Kind::Trip => state.orders.tripped.get(&None).map(|_| String::new()),
        Kind::Silence => state.orders.silences.get("silence").map(|(silence, _)| silence.comment.clone()),
    }
}

fn orders_beat_what_is_carried(kind: Kind) {
    let mut histories = 0;
    for (log, expected) in every_history(kind) {
        let text = |order: i64| if kind == Kind::Silence { order.to_string() } else { String::new() };
        assert_eq!(holds(kind, &fold(State::default(), &log, 0)), expected.map(text), "{log:#?}");
        same_from_everywhere(&log);
        histories += 1;
    }
    assert!(histories > 5000, "{histories}");
}

#[test]
fn a_carried_kill_switch_never_undoes_a_later_order() {
    orders_beat_what_is_carried(Kind::Halt);
}

#[test]
fn a_carried_trip_never_undoes_a_later_order() {
    orders_beat_what_is_carried(Kind::Trip);
}

#[test]
fn a_carried_silence_never_undoes_a_later_order() {
    orders_beat_what_is_carried(Kind::Silence);
}

/// One set anew under its id ends the earlier one, and is still known to have done so once it is past itself.
#[test]
fn a_carried_silence_does_not_outlive_a_shorter_one_that_took_its_place() {
    let mut bench = Bench::new();
    bench.control(ControlAction::SilenceSet { silence: silence(1, bench.now) });
    bench.now += SignedDuration::from_hours(15 * 24);
    let carried = bench.scheduler.poll(bench.now);
    assert_eq!(carried.len(), 1, "{carried:?}");
    let ends_at = bench.now + SignedDuration::from_secs(10);
    bench.control(ControlAction::SilenceSet { silence: Silence { ends_at, ..silence(2, bench.now) } });
    bench.now += SignedDuration::from_mins(1);
    bench.claim("claim-0");
    assert!(bench.scheduler.state().orders.silences.is_empty());
    bench.take(carried);
    assert!(bench.scheduler.state().orders.silences.is_empty());
}

#[test]
fn the_owner_names_the_order_that_it_carries() {
    let mut bench = Bench::new();
    bench.control(ControlAction::Halted);
    bench.control(order(Kind::Trip, 2));
    let claim = "claim-0".to_owned();
    bench.control(ControlAction::Tripped { claim, rule_id: None, devices: 1, per_seconds: 60 });
    bench.control(ControlAction::SilenceSet { silence: silence(4, bench.now) });
    // Twice, so that what was carried is carried on.
    bench.pass_hours(31 * 24);
    let named: Vec<(&str, Option<i64>)> = bench
        .log
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Carried(Carried::Halted { order_offset, .. }) => Some(("halted", *order_offset)),
            EventBody::Carried(Carried::Tripped { order_offset, .. }) => Some(("tripped", *order_offset)),
            EventBody::Carried(Carried::Silence { order_offset, .. }) => Some(("silence", *order_offset)),
            _ => None,
        })
        .collect();
    let once = [("halted", Some(1)), ("tripped", Some(3)), ("silence", Some(4))];
    assert_eq!(named, [once, once].concat());
}

#[test]
fn an_owner_that_stood_still_reads_before_it_carries_orders_on() {
    for resumed in [false, true] {
        let mut bench = Bench::new();
        bench.control(ControlAction::Halted);
        bench.run();
        bench.now += SignedDuration::from_hours(15 * 24);
        assert_eq!(bench.scheduler.poll(bench.now), []);
        let again = bench.scheduler.next_wake(bench.now).work;
        assert_eq!(again, Some(bench.now + SignedDuration::from_mins(1)));
        if resumed {
            bench.control(ControlAction::Resumed);
        }
        bench.pass(60);
        assert_eq!(bench.count("carried"), usize::from(!resumed));
        assert_eq!(bench.scheduler.next_wake(bench.now).work, None);
    }
}

#[test]
fn an_order_between_what_the_owner_saw_and_its_append_stands() {
    let mut bench = Bench::new();
    bench.control(ControlAction::Halted);
    bench.control(ControlAction::SilenceSet { silence: silence(2, bench.now) });
    bench.now += SignedDuration::from_hours(15 * 24);
    let commands = bench.scheduler.poll(bench.now);
    assert_eq!(commands.len(), 2, "{commands:?}");
    bench.control(ControlAction::Resumed);
    bench.control(ControlAction::SilenceEnded { silence_id: "silence".to_owned() });
    bench.take(commands);
    bench.run();
    assert!(!bench.scheduler.is_halted());
    assert!(bench.scheduler.state().orders.silences.is_empty());
    bench.restart();
    assert!(!bench.scheduler.is_halted());
    assert!(bench.scheduler.state().orders.silences.is_empty());
    same_from_everywhere(&bench.log);
}

#[test]
fn the_position_never_goes_back_to_an_order_that_was_past() {
    let end = |bench: &Bench| i64::try_from(bench.log.len()).expect("a short log");
    let needed = |bench: &Bench| bench.scheduler.state().oldest_needed(bench.now, HOUR, HOUR, end(bench));
    let mut bench = Bench::new();
    bench.control(ControlAction::Resumed);
    let order = end(&bench) - 1;
    // Nothing happens for hours: the order is past before the dispatch side writes again.
    bench.pass(5 * 3600);
    let before = needed(&bench);
    assert!(before > order);
    bench.request("a", "1");
    bench.pass(10);
    assert!(needed(&bench) >= before, "{:?}", bench.names());
}
