//! The record as such: size, UTF-8, depth, JSON, format, how many alerts.

use super::super::{DecodeOptions, DecodeReason, Format, Position, Settings, decode};
use super::{decoded, fixture, one, refused, told};

fn with(change: impl FnOnce(&mut Settings)) -> DecodeOptions {
    let mut options = DecodeOptions::default();
    change(&mut options.limits);
    options
}

#[test]
fn size_is_checked_first_and_counts_every_byte() {
    let record = br#"{"id":"1"}"#;
    assert!(decode(record, &with(|limits| limits.max_record_bytes = record.len())).is_ok());
    let error = decode(record, &with(|limits| limits.max_record_bytes = record.len() - 1)).unwrap_err();
    assert_eq!(error.code(), "too_large");
    assert_eq!(error.to_string(), "record: 10 bytes; at most 9 are allowed (max_record_bytes)");
    let not_even_text = [0xff; 10];
    assert_eq!(decode(&not_even_text, &with(|limits| limits.max_record_bytes = 9)).unwrap_err().code(), "too_large");
}

#[test]
fn what_is_not_utf8_says_where() {
    let error = refused(b"{\"id\":\"\xff\"}");
    assert_eq!((error.reason(), error.position()), (DecodeReason::NotUtf8, &Position::Byte(7)));
    assert!(told(b"\xff\xfe{\0}\0").contains("UTF-16"));
    // Cut in the middle of a character.
    assert_eq!(refused(b"{\"id\":\"\xc3").code(), "not_utf8");
}

#[test]
fn a_byte_order_mark_is_dropped() {
    assert_eq!(one("\u{feff}{\"id\":\"1\"}").id, "1");
    assert_eq!(told("\u{feff}\u{feff}{\"id\":\"1\"}"), "not_json: line 1 column 1: expected value");
}

#[test]
fn depth_is_checked_before_anything_recurses() {
    let nested =
        |levels: usize| format!("{{\"id\":\"1\",\"x\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert_eq!(one(nested(64)).id, "1");
    let error = refused(nested(65));
    assert_eq!((error.code(), error.position()), ("too_deep", &Position::Byte(14 + 63)));
    // Bombs: never closed, a million levels.
    assert_eq!(refused("[".repeat(1_000_000)).code(), "too_deep");
    assert_eq!(refused("{\"a\":".repeat(200_000)).code(), "too_deep");
    // Not valid, and yet not deep.
    assert_eq!(refused("]".repeat(100)).code(), "not_json");
    // The deepest that the settings allow is still below the parser's own limit.
    let deepest = 120;
    assert!(Settings { max_depth: deepest, ..Settings::default() }.validate().is_empty());
    assert!(decode(nested(deepest).as_bytes(), &with(|limits| limits.max_depth = deepest)).is_ok());
}

#[test]
fn brackets_inside_texts_do_not_count() {
    let brackets = "[{".repeat(500);
    assert_eq!(one(format!(r#"{{"id":"1","title":"\\\"{brackets}\\"}}"#)).title.unwrap(), format!("\\\"{brackets}\\"));
}

#[test]
fn what_is_not_json_says_line_and_column() {
    assert_eq!(told("{\"id\":\"1\",\n \"title\" \"x\"}"), "not_json: line 2 column 10: expected `:`");
    assert_eq!(told(""), "not_json: line 1 column 1: the record is empty; send one JSON object or array");
    assert_eq!(refused("  \n").code(), "not_json");
    assert!(told("{\"id\":1}{\"id\":2}").contains("one JSON value per record"));
    assert!(told(r#"{"id":"1","title":"\ud800"}"#).starts_with("not_json"));
    assert_eq!(refused("{'id':1}").code(), "not_json");
    assert_eq!(refused("{\"id\":NaN}").code(), "not_json");
    assert_eq!(refused("{\"id\":\"1\",\"x\":1e999}").code(), "not_json");
}

#[test]
fn scalars_and_odd_elements_are_of_no_format() {
    for record in
        ["null", "true", "3212", "\"3212\"", "[1]", "[[]]", "[null]", "{}", "{\"value\":1}", "{\"value\":[3]}"]
    {
        assert_eq!(refused(record).code(), "unknown_format", "{record}");
    }
    assert!(told("[{\"id\":1},7]").starts_with("unknown_format: /1: a number is no alert"));
}

#[test]
fn empty_arrays_and_pages_hold_no_alerts() {
    for record in ["[]", "{\"value\":[]}", "{\"@odata.context\":\"x\",\"value\":[]}"] {
        assert_eq!(decoded(record), [], "{record}");
    }
}

#[test]
fn a_page_is_for_the_microsoft_formats() {
    assert!(told("{\"value\":[{\"id\":1}]}").starts_with("unknown_format: /value/0: a page"));
    let formats = |name| decoded(fixture(name)).iter().map(|decoded| decoded.alert.format).collect::<Vec<_>>();
    assert_eq!(formats("mde-page.json"), [Format::MdeAlert, Format::MdeAlert]);
    assert_eq!(formats("graph-page.json"), [Format::GraphAlert, Format::GraphAlert]);
    // With an `id` it is one alert that has a key `value`.
    assert_eq!(one("{\"id\":1,\"value\":[]}").id, "1");
}

#[test]
fn an_array_may_mix_formats_and_keeps_its_order() {
    let mixed = format!(
        "[{{\"id\":\"own\"}},{},{}]",
        String::from_utf8(fixture("mde-alert.json")).unwrap(),
        String::from_utf8(fixture("graph-alert.json")).unwrap()
    );
    let seen: Vec<_> = decoded(mixed).iter().map(|decoded| (decoded.index, decoded.alert.format)).collect();
    assert_eq!(seen, [(0, Format::AlertResponder), (1, Format::MdeAlert), (2, Format::GraphAlert)]);
}

#[test]
fn too_many_alerts_or_devices_are_refused() {
    let array = |count: usize| format!("[{}]", vec!["{\"id\":1}"; count].join(","));
    assert_eq!(decoded(array(1000)).len(), 1000);
    assert!(told(array(1001)).starts_with("too_large: record: 1001 alerts"));
    let page = |count: usize| format!("{{\"value\":[{}]}}", vec!["{}"; count].join(","));
    assert!(told(page(1001)).starts_with("too_large: /value: 1001 alerts"));
    let devices = |count: usize| format!("{{\"id\":1,\"devices\":[{}]}}", vec!["{\"name\":\"a\"}"; count].join(","));
    assert_eq!(one(devices(100)).devices.len(), 100);
    assert!(told(devices(101)).starts_with("too_large: /devices: 101 devices"));
}

#[test]
fn one_bad_alert_makes_the_whole_record_bad() {
    assert!(told("[{\"id\":1},{\"id\":2,\"severity\":\"bad\"},{\"id\":3}]").starts_with("invalid: /1/severity: `bad`"));
}

#[test]
fn formats_that_are_not_read_are_named() {
    for (record, name) in [
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"id":"1"}}"#, "CloudEvents"),
        (r#"{"records":[{"category":"AdvancedHunting-AlertInfo","properties":{}}]}"#, "streaming"),
        (r#"{"category":"AdvancedHunting-AlertInfo","tenantId":"t","properties":{}}"#, "streaming"),
        (r#"{"SystemAlertId":"1","Entities":"[]"}"#, "Sentinel"),
        (r#"{"id":"/subscriptions/1","name":"n","properties":{"severity":"High"}}"#, "Sentinel"),
        (r#"{"id":"1","vendorInformation":{},"createdDateTime":"2026-03-02T09:13:52Z"}"#, "legacy"),
        (r##"{"@odata.type":"#microsoft.graph.alert","id":"1"}"##, "alerts_v2"),
        (r##"{"@odata.type":"#microsoft.graph.security.incident","id":"1"}"##, "alerts_v2"),
        (r#"{"class_uid":2004,"finding_info":{},"device":{"uid":"1"}}"#, "OCSF"),
        (r#"{"@timestamp":"2026-03-02T09:13:52Z","event":{"kind":"alert"}}"#, "Elastic"),
        (r#"{"id":"1580123327.49031","rule":{"level":7},"agent":{"id":"001"}}"#, "Wazuh"),
        (r#"{"incidentId":1,"alerts":[]}"#, "bundle"),
        (r#"{"foo":1}"#, "no key tells the format"),
    ] {
        let told = told(record);
        assert!(told.starts_with("unknown_format: record: ") && told.contains(name), "{told}");
    }
}

#[test]
fn keys_of_two_formats_are_never_guessed() {
    for record in [
        r#"{"id":"1","machineId":"a","device":{"id":"b"}}"#,
        r#"{"id":"1","serviceSource":"a","devices":[]}"#,
        r#"{"id":"1","serviceSource":"a","machineId":"b"}"#,
        r#"{"id":"1","alertCreationTime":null,"created_at":null}"#,
    ] {
        let told = told(record);
        assert!(told.starts_with("unknown_format: ") && told.contains("send one of them"), "{told}");
    }
    // The type of Graph is its own word, whatever else is there.
    let graph = r##"{"@odata.type":"#microsoft.graph.security.alert","id":"1","machineId":"a","device":1}"##;
    assert_eq!(one(graph).format, Format::GraphAlert);
}

#[test]
fn a_key_that_is_there_twice_is_refused_everywhere() {
    let many = (0..40).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(",");
    for (record, place) in [
        (r#"{"id":"1","id":"2"}"#.to_owned(), "/id"),
        (r#"{"id":"1","device":{"name":"a","name":"a"}}"#.to_owned(), "/device/name"),
        (r#"{"id":"1","x":[{"y":{"z":1,"z":2}}]}"#.to_owned(), "/x/0/y/z"),
        (r#"{"id":"1","\u0069d":"2"}"#.to_owned(), "/id"),
        (r#"[{"id":"1"},{"id":"1","a/b":1,"a/b":1}]"#.to_owned(), "/1/a~1b"),
        (format!("{{\"id\":1,{many},\"k7\":2}}"), "/k7"),
        (r#"{"machineId":"a","machineId":"b","id":"1"}"#.to_owned(), "/machineId"),
        (r#"{"value":[],"value":[{"machineId":"a","id":"1"}]}"#.to_owned(), "/value"),
    ] {
        let error = refused(&record);
        assert_eq!((error.code(), error.position().to_string().as_str()), ("invalid", place), "{record}");
    }
}

#[test]
fn raw_is_kept_only_when_asked_for() {
    let record = br#"[{"id":1,"mine":{"a":[1,2.5,null,true,"x"]}}]"#;
    assert!(one(record).raw.is_null());
    let kept = decode(record, &Settings::default().options(true)).unwrap();
    assert_eq!(kept[0].alert.raw, serde_json::json!({"id":1,"mine":{"a":[1,2.5,null,true,"x"]}}));
}

#[test]
fn messages_are_bounded_and_clean() {
    let long = "\\n\\u0000é".repeat(20_000);
    for record in [
        format!(r#"{{"id":"1","severity":"{}"}}"#, "é\\n".repeat(100)),
        format!(r#"{{"id":"1","device":{{"{long}":1}}}}"#),
        format!(r#"{{"id":"1","{long}":1,"{long}":1}}"#),
        format!(r##"{{"@odata.type":"#microsoft.graph.{long}"}}"##),
    ] {
        let told = told(record);
        assert!(told.chars().count() < 600, "{} characters", told.chars().count());
        assert!(!told.chars().any(char::is_control), "{told:?}");
    }
}

#[test]
fn settings_out_of_bounds_are_named() {
    assert_eq!(Settings::default().validate(), Vec::<String>::new());
    let wrong =
        Settings { max_record_bytes: 1, max_depth: 128, max_alerts_per_record: 0, max_devices_per_alert: usize::MAX };
    let messages = wrong.validate();
    assert_eq!(messages.len(), 4);
    assert_eq!(messages[1], "max_depth is 128; set it between 8 and 120");
}
