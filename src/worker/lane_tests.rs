use std::time::Duration;

use jiff::Timestamp;

use super::account::Accounts;
use super::kill_switch::KillSwitch;
use super::lane::{Lane, LaneContext, Stop};
use super::position::PositionMetadata;
use crate::event::{Claim, EventBody, EventError, Genesis, Mode, ScanEvent};
use crate::kafka::{Assigned, Committed, LedgerRecord, LedgerWriter, Settings as KafkaSettings};
use crate::scheduler::Settings;
use crate::telemetry::Metrics;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn context(accept_lost_ledger: bool) -> LaneContext {
    let metrics = Metrics::new("contoso").expect("metrics");
    LaneContext {
        tenant: "contoso".to_owned(),
        owner: "test".to_owned(),
        mode: Mode::Shadow,
        switch: KillSwitch::new(false),
        scheduler: Settings::default(),
        partition: 2,
        partitions: 6,
        carry_after: Duration::MAX / 4,
        accept_lost_ledger,
        accounts: Accounts { metrics, longest_rule_window: std::sync::Arc::default() },
    }
}

/// A writer whose brokers are away: what is appended waits.
fn writer() -> LedgerWriter {
    let settings = KafkaSettings { bootstrap_servers: "127.0.0.1:1".to_owned(), ..KafkaSettings::default() };
    LedgerWriter::new(&settings).expect("it connects later")
}

/// The log holds offsets 10 to 20.
fn assigned(committed: Option<i64>, log_id: Option<&str>) -> Assigned {
    let metadata = PositionMetadata { v: 1, claim: None, log_id: log_id.map(str::to_owned) }.to_text();
    let committed = committed.map(|offset| Committed { offset, metadata });
    Assigned { partition: 2, epoch: 1, committed, low_watermark: 10, high_watermark: 20 }
}

fn begun(accept_lost_ledger: bool) -> Lane {
    let assigned = assigned(Some(12), Some("log-1"));
    Lane::begin(context(accept_lost_ledger), writer(), &assigned, 1, NOW).expect("it begins")
}

fn read(lane: &mut Lane, offset: i64, event: Result<EventBody, EventError>) {
    let event = event.map(|body| ScanEvent::new(NOW, "contoso", body));
    lane.record(LedgerRecord { partition: 2, offset, timestamp: None, event }, NOW);
}

fn genesis(log_id: &str, partition: i32, partitions: u32) -> Result<EventBody, EventError> {
    Ok(Genesis { log_id: log_id.to_owned(), partition, partitions }.into())
}

#[tokio::test]
async fn a_log_that_began_elsewhere_halts_the_lane() {
    for (partition, partitions, fine) in [(2, 6, true), (1, 6, false), (2, 12, false)] {
        // An operator's word about a lost ledger is none about the place of the tenant.
        for accepts in [false, true] {
            let mut lane = begun(accepts);
            read(&mut lane, 12, genesis("log-1", partition, partitions));
            let halted = matches!(lane.stopped(), Some(Stop::Halted(_)));
            assert_eq!(halted, !fine, "partition {partition} of {partitions}");
        }
    }
}

#[tokio::test]
async fn a_log_of_another_tenant_halts_the_lane_and_a_stray_record_of_one_does_not() {
    let claim = || Claim { claim: "theirs".to_owned(), owner: "test".to_owned(), version: "0".to_owned() };
    let theirs = |offset| LedgerRecord {
        partition: 2,
        offset,
        timestamp: None,
        event: Ok(ScanEvent::new(NOW, "fabrikam", claim())),
    };
    let mut lane = Lane::begin(context(true), writer(), &assigned(None, None), 1, NOW).expect("it begins");
    lane.record(theirs(10), NOW);
    assert!(matches!(lane.stopped(), Some(Stop::Halted(why)) if why.contains("fabrikam")), "{:?}", lane.stopped());

    let mut lane = begun(false);
    let ours = Claim { claim: lane.claim().to_owned(), ..claim() };
    read(&mut lane, 12, Ok(ours.into()));
    lane.record(theirs(13), NOW);
    assert!(lane.is_owner(), "the claim of another tenant is none: {:?}", lane.stopped());
}

#[tokio::test]
async fn a_log_that_was_made_anew_halts_the_lane_until_an_operator_accepts_it() {
    for accepts in [false, true] {
        let mut lane = begun(accepts);
        read(&mut lane, 12, genesis("log-2", 2, 6));
        assert_eq!(matches!(lane.stopped(), Some(Stop::Halted(_))), !accepts);
    }
}

#[tokio::test]
async fn a_log_that_does_not_hold_the_position_halts_the_lane_until_an_operator_accepts_it() {
    for (committed, fine) in [(Some(10), true), (Some(20), true), (Some(9), false), (Some(21), false), (None, false)] {
        let assigned = assigned(committed, None);
        let lane = Lane::begin(context(false), writer(), &assigned, 1, NOW);
        assert_eq!(lane.is_ok(), fine, "{committed:?}");
        assert!(Lane::begin(context(true), writer(), &assigned, 1, NOW).is_ok(), "{committed:?}");
    }
}

#[tokio::test]
async fn a_record_that_was_not_read_stops_the_lane() {
    let mut lane = begun(false);
    read(&mut lane, 12, genesis("log-1", 2, 6));
    assert_eq!(lane.stopped(), None);
    read(&mut lane, 14, genesis("log-1", 2, 6));
    assert!(matches!(lane.stopped(), Some(Stop::Gap(_))), "{:?}", lane.stopped());
}

#[tokio::test]
async fn a_record_for_a_newer_reader_halts_the_lane() {
    let mut lane = begun(false);
    read(&mut lane, 12, Err(EventError::TooNew { needed: 99 }));
    assert!(matches!(lane.stopped(), Some(Stop::Halted(_))), "{:?}", lane.stopped());
}

#[tokio::test]
async fn a_newer_claim_stops_the_lane() {
    let claim =
        |claim: &str| Ok(Claim { claim: claim.to_owned(), owner: "test".to_owned(), version: "0".to_owned() }.into());
    let mut lane = begun(false);
    let ours = lane.claim().to_owned();
    read(&mut lane, 12, claim(&ours));
    assert!(lane.is_owner());
    read(&mut lane, 13, claim("another"));
    assert_eq!(lane.stopped(), Some(&Stop::Superseded));
    assert!(!lane.is_owner());
}
