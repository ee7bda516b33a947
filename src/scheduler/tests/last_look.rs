//! Age, protection and the kill switch are looked at once more where it counts: at the intent, and after its read-back.

use jiff::SignedDuration;

use super::bench::{Bench, asked};
use crate::event::{EventBody, Mode, SuppressedReason, WithdrawReason};
use crate::scheduler::{Command, Settings};

/// The intent of request `a` is on its way.
fn intended(settings: Settings, change: impl FnOnce(&mut crate::event::Requested)) -> (Bench, Vec<Command>) {
    let mut bench = Bench::with(settings, Mode::Live);
    bench.request_with("a", "1", change);
    bench.now += SignedDuration::from_secs(5);
    let commands = bench.scheduler.poll(bench.now);
    assert!(matches!(&commands[..], [Command::Append { body, .. }] if body.name() == "intent"), "{commands:?}");
    (bench, commands)
}

fn withdrawn(bench: &Bench) -> Vec<WithdrawReason> {
    let reasons = bench.log.iter().filter_map(|event| match &event.body {
        EventBody::Withdrawn(body) => Some(body.withdrawn),
        _ => None,
    });
    reasons.collect()
}

#[test]
fn a_request_that_grows_too_old_between_intent_and_read_back_is_not_called() {
    let (mut bench, commands) = intended(Settings::default(), |asked| {
        asked.expires_at -= SignedDuration::from_hours(24) - SignedDuration::from_secs(7);
    });
    bench.now += SignedDuration::from_secs(2);
    bench.take(commands);
    bench.run();
    assert_eq!(withdrawn(&bench), [WithdrawReason::TooOld]);
    assert_eq!(bench.suppressed(), [(SuppressedReason::TooOld, vec!["a".to_owned()])]);
    assert!(bench.calls.is_empty());
}

#[test]
fn a_device_that_an_alert_shows_to_be_protected_after_its_intent_is_not_called() {
    let mut settings = Settings::default();
    settings.protected.tags = vec!["no-scan".to_owned()];
    let tags = |tags: &[&str]| Some(tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
    let (mut bench, commands) = intended(settings, |asked| asked.device.tags = tags(&["finance"]));
    bench.request_with("b", "1", |asked| asked.device.tags = tags(&["finance", "no-scan"]));
    bench.take(commands);
    bench.run();
    bench.pass(60);
    assert_eq!(withdrawn(&bench), [WithdrawReason::Protected]);
    assert!(bench.calls.is_empty());
    let held: Vec<_> = bench.suppressed().into_iter().map(|(reason, ids)| (reason, ids.len())).collect();
    assert_eq!(held, [(SuppressedReason::Protected, 2)]);
}

#[test]
fn what_is_read_back_unchanged_is_called() {
    let (mut bench, commands) = intended(Settings::default(), |_| {});
    bench.take(commands);
    bench.run();
    bench.next_scan();
}

/// More devices than one poll settles, all of them ready for a scan while nothing may be called.
fn many(expire: i64, wait: i64) -> Bench {
    let mut bench = Bench::new();
    bench.scheduler.set_halted(true);
    for number in 0..super::super::DEVICES_PER_POLL + 10 {
        let mut body = asked(&format!("r{number:04}"), &format!("{number}"), bench.now);
        body.expires_at = bench.now + SignedDuration::from_secs(expire);
        // The last to be settled goes first.
        body.priority = u8::try_from(number / 8).unwrap_or(100);
        bench.write(body.into());
    }
    bench.pass(wait);
    bench
}

#[test]
fn a_ready_device_that_could_not_be_settled_again_in_time_is_not_scanned_by_an_old_word() {
    let mut bench = many(60, 59);
    assert_eq!(bench.open(), super::super::DEVICES_PER_POLL + 10);
    // All grow too old at the moment at which the kill switch is released.
    bench.now += SignedDuration::from_secs(1);
    bench.scheduler.set_halted(false);
    let commands = bench.scheduler.poll(bench.now);
    bench.take(commands);
    bench.run();
    assert_eq!((bench.count("intent"), bench.open()), (0, 0));
}

#[test]
fn a_cap_that_trips_binds_devices_that_were_ready_before() {
    let mut bench = many(600, 10);
    let claim = "claim-0".to_owned();
    bench.control(crate::event::ControlAction::Tripped { claim, rule_id: None, devices: 1, per_seconds: 1 });
    bench.scheduler.set_halted(false);
    bench.pass(30);
    assert_eq!((bench.count("intent"), bench.open()), (0, 0));
    assert_eq!(bench.count("shadowed"), super::super::DEVICES_PER_POLL + 10);
}
