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
