//! What `docs/alerts.md` shows is what happens.
//!
//! `UPDATE_DOCS=1 cargo test --test it alert_docs` writes the output of its commands anew.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use alert_responder::alert::{DecodeOptions, Format, Settings, decode};
use alert_responder::cli::decode::run;

/// Standard output and standard error of one terminal.
struct Terminal<'a>(&'a RefCell<Vec<u8>>);

impl Write for Terminal<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn page() -> (std::path::PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md");
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

/// The text between ```` ```<language> ```` and the fence after it.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    text.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn shown(command: &str) -> String {
    let file = command.strip_prefix("$ alert-responder decode ").unwrap();
    let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let terminal = RefCell::new(Vec::new());
    let options = DecodeOptions::default();
    run(&mut bytes.as_slice(), file, &options, &mut Terminal(&terminal), &mut Terminal(&terminal)).unwrap();
    String::from_utf8(terminal.into_inner()).unwrap()
}

#[test]
fn every_command_prints_what_the_page_shows() {
    let (path, text) = page();
    let sessions = blocks(&text, "console");
    assert_eq!(sessions.len(), 2);
    let mut updated = text.clone();
    for session in sessions {
        let command = session.lines().next().unwrap();
        updated = updated.replace(session, &format!("{command}\n{}", shown(command)));
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, &updated).unwrap();
    } else {
        assert_eq!(text, updated);
    }
}

#[test]
fn every_example_decodes() {
    let (_, text) = page();
    let formats: Vec<Format> = blocks(&text, "json")
        .iter()
        .map(|example| decode(example.as_bytes(), &DecodeOptions::default()).unwrap()[0].alert.format)
        .collect();
    let own = Format::AlertResponder;
    assert_eq!(formats, [own, own, own, Format::MdeAlert, Format::GraphAlert]);
}

#[test]
fn the_page_names_every_setting_and_format() {
    let (_, text) = page();
    let settings = serde_json::to_value(Settings::default()).unwrap();
    let keys = settings.as_object().unwrap().keys().map(|key| format!("alerts.{key}"));
    for word in keys.chain(Format::ALL.map(|format| format.as_str().to_owned())) {
        assert!(text.contains(&format!("`{word}`")), "docs/alerts.md does not name {word}");
    }
}
