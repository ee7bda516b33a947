use super::*;
use crate::event::*;

/// The examples that the schema is checked with.
fn example(name: &str) -> ScanEvent {
    let path = format!("{}/schemas/examples/scan-event/valid/{name}.json", env!("CARGO_MANIFEST_DIR"));
    ScanEvent::from_json(&std::fs::read(&path).unwrap()).unwrap()
}

fn names() -> Vec<String> {
    let folder = format!("{}/schemas/examples/scan-event/valid", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut names: Vec<_> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_event_reads_as_one_line() {
    let text: String = names().iter().map(|name| describe(&example(name)) + "\n").collect();
    let expected = include_str!("golden.txt");
    assert_eq!(text, expected, "--- got\n{text}");
    for word in EventBody::NAMES {
        assert!(expected.contains(&format!(" {word} ")), "no example of {word}");
    }
}

#[test]
fn nothing_from_outside_breaks_a_line() {
    let mut event = example("accepted");
    let EventBody::Accepted(body) = &mut event.body else { panic!("{event:?}") };
    body.device.name = Some("ws\n00:00:00 finished\x1b[2J".to_owned());
    let line = describe(&event);
    assert!(!line.contains(char::is_control), "{line:?}");
}

#[test]
fn many_alerts_are_counted_once_each() {
    let mut event = example("accepted");
    let EventBody::Accepted(body) = &mut event.body else { panic!("{event:?}") };
    let first = body.alerts[0].clone();
    body.alerts.extend((0..5).map(|number| AlertRef { id: format!("a{number}"), ..first.clone() }));
    body.alerts.push(first);
    assert!(describe(&event).contains("due to alerts 3212, a0, a1 and 3 more [scan"), "{}", describe(&event));
}

#[test]
fn filters() {
    let accepted = example("accepted");
    let filter = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    for (shown, filter) in [
        (true, filter(&|_| {})),
        (true, filter(&|f| f.device = Some("2EEB1689b274fc8f816c48ac9219e820fc4de080".to_owned()))),
        (true, filter(&|f| f.device = Some("WS-0417.corp.contoso.com".to_owned()))),
        (false, filter(&|f| f.device = Some("ws-0418".to_owned()))),
        (true, filter(&|f| f.scan = Some("7f3k2qab".to_owned()))),
        (false, filter(&|f| f.scan = Some("7f3k2qa".to_owned()))),
        (true, filter(&|f| f.alert = Some("3212".to_owned()))),
        (false, filter(&|f| f.alert = Some("321".to_owned()))),
        (true, filter(&|f| f.event = vec!["finished".to_owned(), "accepted".to_owned()])),
        (false, filter(&|f| f.event = vec!["finished".to_owned()])),
        (false, filter(&|f| (f.alert, f.event) = (Some("3212".to_owned()), vec!["finished".to_owned()]))),
    ] {
        assert_eq!(filter.admits(&accepted), shown, "{filter:?}");
    }
    assert!(!filter(&|f| f.scan = Some("7f3k2qab".to_owned())).admits(&example("claim")));
}

#[test]
fn json_is_the_record_with_its_place() {
    let event = example("finished");
    let line = TailLine { partition: 2, offset: 17, event: Ok(event.clone()) }.json().unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let map = value.as_object_mut().unwrap();
    assert_eq!((map.remove("partition"), map.remove("offset")), (Some(2.into()), Some(17.into())));
    assert_eq!(serde_json::to_vec(&value).map(|bytes| ScanEvent::from_json(&bytes).unwrap()).unwrap(), event);
    let error = ScanEvent::from_json(b"{}").unwrap_err();
    let broken = TailLine { partition: 0, offset: 3, event: Err(error) };
    assert!(
        broken.json().unwrap().contains(r#""offset":3,"error":"not a ledger record"#),
        "{}",
        broken.json().unwrap()
    );
    assert!(broken.text().contains("malformed_record"), "{}", broken.text());
}

#[test]
fn where_to_begin() {
    assert_eq!("beginning".parse(), Ok(From::Beginning));
    assert_eq!("end".parse(), Ok(From::End));
    assert_eq!("12".parse(), Ok(From::Offset(12)));
    for wrong in ["", "-1", "start", "1.5"] {
        assert!(wrong.parse::<From>().is_err(), "{wrong}");
    }
}

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: LedgerTailArgs,
}

#[test]
fn the_options_parse() {
    use clap::Parser as _;
    let line = Line::parse_from(["tail", "--from", "12", "-f", "--event", "failed", "--event", "finished"]);
    assert_eq!((line.args.from, line.args.follow, line.args.filter.event.len()), (From::Offset(12), true, 2));
    assert!(Line::try_parse_from(["tail", "--event", "fnished"]).is_err());
}
