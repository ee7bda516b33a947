use std::collections::BTreeMap;

use super::replay::{Plan, SentBefore};
use super::*;

fn letter(offset: i64, reason: DeadLetterReason) -> KeptRecord {
    KeptRecord {
        partition: 1,
        offset,
        source_topic: "alerts".to_owned(),
        source_partition: 0,
        source_offset: 9,
        reason: reason.as_str().to_owned(),
        detail: String::new(),
        time: Some(Timestamp::from_second(offset * 60).expect("a time")),
        position_only: false,
        replays: 0,
        key: None,
        payload: None,
        headers: Vec::new(),
    }
}

#[test]
fn every_option_narrows() {
    let now = Timestamp::from_second(600).expect("a time");
    let all: Vec<KeptRecord> = (0..10)
        .map(|offset| {
            letter(offset, if offset % 2 == 0 { DeadLetterReason::NotJson } else { DeadLetterReason::Invalid })
        })
        .collect();
    let offsets = |selection: &Selection| -> Vec<i64> {
        all.iter().filter(|letter| selection.admits(letter, now)).map(|letter| letter.offset).collect()
    };
    let everything = Selection::default();
    assert!(everything.is_everything() && offsets(&everything).len() == 10);
    for (selection, expected) in [
        (Selection { reason: vec![DeadLetterReason::Invalid], ..Selection::default() }, vec![1, 3, 5, 7, 9]),
        (Selection { from: Some(7), ..Selection::default() }, vec![7, 8, 9]),
        (Selection { to: Some(1), ..Selection::default() }, vec![0, 1]),
        (Selection { partition: Some(0), ..Selection::default() }, vec![]),
        (Selection { since: Some(Duration::from_secs(120)), ..Selection::default() }, vec![8, 9]),
        (
            Selection { reason: vec![DeadLetterReason::NotJson], from: Some(3), to: Some(7), ..Selection::default() },
            vec![4, 6],
        ),
    ] {
        assert!(!selection.is_everything());
        assert_eq!(offsets(&selection), expected, "{selection:?}");
    }
}

#[test]
fn an_excerpt_is_short_and_commands_no_terminal() {
    assert_eq!(excerpt(Some(b"{\"id\":\n1\x1b}"), 20), "{\"id\": 1 }");
    assert_eq!(excerpt(Some("é".repeat(30).as_bytes()), 10), format!("{}…", "é".repeat(10)));
    assert_eq!(excerpt(Some(&[0xff; 100]), 3).chars().count(), 4);
    assert_eq!(excerpt(None, 3), "(nothing)");
}

#[test]
fn a_reason_is_one_of_the_list() {
    assert_eq!(reason("not_json"), Ok(DeadLetterReason::NotJson));
    assert!(reason("bad").is_err_and(|message| message.contains("unknown_format")));
}

fn judged(plan: &mut Plan, letters: &[KeptRecord]) -> Vec<Option<Outcome>> {
    letters.iter().map(|letter| plan.left_alone(letter)).collect()
}

#[test]
fn a_record_with_several_dead_letters_is_sent_once() {
    let of = |offset, source_offset| KeptRecord { source_offset, ..letter(offset, DeadLetterReason::NotJson) };
    let letters = [of(1, 70), of(2, 70), of(3, 71), of(4, 72), of(5, 73), of(6, 70)];
    let mut plan = Plan { again: false, limit: 10, before: SentBefore::default(), meant: BTreeMap::new() };
    let same = Some(Outcome::SameRecord { letter_partition: 1, letter_offset: 1 });
    assert_eq!(judged(&mut plan, &letters), [None, same.clone(), None, None, None, same]);

    // In another run: 70 was sent for its first letter, and 71 by a version that told nothing but the letter.
    let before = || SentBefore {
        sources: BTreeMap::from([("alerts/0/70".to_owned(), (2, 20))]),
        letters: BTreeMap::from([((1, 3), (2, 21))]),
    };
    let mut plan = Plan { again: false, limit: 10, before: before(), meant: BTreeMap::new() };
    let sent = |alerts_offset| Some(Outcome::AlreadyReplayed { alerts_partition: 2, alerts_offset });
    assert_eq!(judged(&mut plan, &letters), [sent(20), sent(20), sent(21), None, None, sent(20)]);

    // What is left alone does not count: later runs come to the letters behind.
    let mut plan = Plan { again: false, limit: 1, before: before(), meant: BTreeMap::new() };
    assert_eq!(judged(&mut plan, &letters), [sent(20), sent(20), sent(21), None, Some(Outcome::BeyondLimit), sent(20)]);
}
