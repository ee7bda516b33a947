//! Tests of `decode`.

use std::io::{self, Write};

use serde_json::Value;

use super::{DecodeSummary, run};
use crate::alert::{DecodeOptions, decode};

struct Ran {
    summary: DecodeSummary,
    out: String,
    err: String,
}

impl Ran {
    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn ids(&self) -> Vec<String> {
        self.lines().iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn ran_with(input: impl AsRef<[u8]>, options: &DecodeOptions) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let summary = run(&mut input.as_ref(), "in.json", options, &mut out, &mut err).unwrap();
    Ran { summary, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

fn ran(input: impl AsRef<[u8]>) -> Ran {
    ran_with(input, &DecodeOptions::default())
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/alerts");
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn ndjson_of_any_format_prints_one_line_per_alert_and_device() {
    let ran = ran(fixture("mixed.ndjson"));
    assert_eq!(ran.err, "");
    assert_eq!(ran.summary, DecodeSummary { records: 5, alerts: 5, lines: 6, failed: 0 });
    assert_eq!(ran.summary.exit_code(), 0);
    let lines = ran.lines();
    assert_eq!(lines[1]["device"]["name"], "ws-0418");
    assert_eq!(lines[2]["device"]["name"], "ws-0419");
    assert_eq!(lines[3]["device"], Value::Null);
    assert_eq!(lines[4]["format"], "mde_alert");
    assert_eq!(lines[5]["format"], "graph_alert");
    assert_eq!(lines[5]["threat"]["family"], "Emotet");
    assert!(ran.out.starts_with(r#"{"id":"3212","title":"'Emotet' malware was detected","severity":"high","#));
}

#[test]
fn a_document_that_spans_lines_is_one_record() {
    for (name, lines) in [("own-array.json", 3), ("graph-page.json", 2), ("graph-several-devices.json", 3)] {
        let ran = ran(fixture(name));
        assert_eq!((ran.err.as_str(), ran.summary.records, ran.summary.lines), ("", 1, lines), "{name}");
    }
    assert_eq!(ran("\u{feff}{\n\"id\":1}\n").ids(), ["1"]);
}

#[test]
fn what_cannot_be_decoded_is_told_with_its_line() {
    let ran = ran(fixture("broken.ndjson"));
    assert_eq!(ran.ids(), ["3222"]);
    assert_eq!(ran.summary, DecodeSummary { records: 7, alerts: 1, lines: 1, failed: 6 });
    assert_eq!(ran.summary.exit_code(), 5);
    let told: Vec<&str> = ran.err.lines().collect();
    assert_eq!(
        told[0],
        "in.json:1: invalid: /severity: `severe` is no severity; known are unspecified, informational, low, medium, \
         high, critical"
    );
    assert_eq!(told[1], "in.json:2: invalid: /device/hostname: unknown key `hostname`; did you mean `name`?");
    assert!(told[2].starts_with("in.json:3: not_json: line 1 column "), "{}", told[2]);
    assert!(told[3].starts_with("in.json:4: unknown_format: record: this looks like a CloudEvents envelope"));
    assert_eq!(told[4], "in.json:5: invalid: /id: the key `id` is there twice; send it once");
    assert!(told[5].starts_with("in.json:6: invalid: /1/created_at: `yesterday` is no RFC 3339 time"));
}

#[test]
fn a_broken_first_line_does_not_hide_the_others() {
    let ran = ran("\n{\"id\":1,\n{\"id\":2}\n\n{\"id\":3}");
    assert_eq!(ran.ids(), ["2", "3"]);
    assert!(ran.err.starts_with("in.json:2: not_json: "), "{}", ran.err);
    assert_eq!(ran.summary.records, 3);
}

#[test]
fn a_document_that_breaks_off_is_told_once_where_it_breaks() {
    let ran = ran("{\n\"id\": 1,\n");
    assert_eq!(ran.summary.failed, 1);
    assert!(
        ran.err.starts_with("in.json:2: not_json: ") || ran.err.starts_with("in.json:3: not_json: "),
        "{}",
        ran.err
    );
}

#[test]
fn what_is_too_large_is_not_held_in_memory_and_ends_at_its_line() {
    let mut options = DecodeOptions::default();
    options.limits.max_record_bytes = 20;
    let long = "x".repeat(100_000);
    let ran = ran_with(format!("{{\"id\":1}}\n{{\"id\":\"{long}\"}}\n{{\"id\":3}}\n"), &options);
    assert_eq!(ran.ids(), ["1", "3"]);
    assert!(ran.err.starts_with("in.json:2: too_large: "), "{}", ran.err);
    // Exactly the limit, with a line end.
    assert_eq!(ran_with("{\"id\":\"abcdefghijk\"}\r\n", &options).ids(), ["abcdefghijk"]);
    assert_eq!(ran_with("{\"id\":\"abcdefghijkl\"}\n", &options).summary.failed, 1);
    // A document over several lines.
    let ran = ran_with(format!("{{\n\"id\":1,\n\"title\":\"{long}\"}}"), &options);
    assert_eq!((ran.summary.records, ran.summary.failed), (1, 1));
    assert!(ran.err.starts_with("in.json:1: too_large: "), "{}", ran.err);
}

#[test]
fn bytes_that_are_no_text_and_no_input_at_all() {
    assert!(ran(b"\xff\xfe{\0\"\0").err.starts_with("in.json:1: not_utf8: byte 0: this is UTF-16"));
    assert_eq!(ran("").summary, DecodeSummary::default());
    assert_eq!(ran("\r\n \n").summary, DecodeSummary::default());
    assert_eq!(ran("{\"id\":1}\r\n{\"id\":2}\r\n").ids(), ["1", "2"]);
}

#[test]
fn what_is_printed_is_our_own_format() {
    for name in ["mixed.ndjson", "graph-several-devices.json", "mde-page.json"] {
        for line in ran(fixture(name)).out.lines() {
            let again = decode(line.as_bytes(), &DecodeOptions::default()).unwrap();
            assert_eq!(again.len(), 1, "{line}");
        }
    }
}

#[test]
fn a_reader_that_has_gone_is_an_error_of_its_own_kind() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = run(&mut &b"{\"id\":1}"[..], "-", &DecodeOptions::default(), &mut Gone, &mut io::sink()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}
