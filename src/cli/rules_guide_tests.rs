//! The guide shows what the program says. `UPDATE_DOCS=1` writes it anew.

use std::path::{Path, PathBuf};

use super::*;
use crate::alert::DecodeOptions;
use crate::cli::rules_backtest::{RulesBacktestArgs, render_text as backtest_text};
use crate::cli::rules_check::Fields;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The numbered block of a kind.
fn block(text: &str, kind: &str, number: usize) -> String {
    let opening = format!("```{kind}\n");
    let rest = text.split(&opening).nth(number + 1).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Folders as the guide has them.
struct Folders(tempfile::TempDir);

impl Folders {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Without the name of the temporary folder.
    fn shown(&self, output: &str) -> String {
        output.replace(&format!("{}/", self.0.path().display()), "")
    }

    fn check(&self) -> String {
        let args = RulesCheckArgs {
            dir: self.path("my-rules"),
            deny_warnings: false,
            effective: false,
            fields: Fields::Known,
        };
        let now = "2026-05-04T12:00:00Z".parse().unwrap();
        self.shown(&rules_check::render_text(&rules_check::run(&args, now)))
    }

    fn test(&self) -> String {
        let args = RulesTestArgs { paths: vec![self.path("my-rules")], rules: None, filter: None, junit: None };
        self.shown(&rules_test::render_text(&rules_test::run(&args)))
    }

    fn backtest(&self, rules: &str, against: Option<&str>, top: usize) -> String {
        let against = against.map(|name| self.path(name));
        let sample = root().join("rules/samples/alerts.ndjson");
        let args = RulesBacktestArgs::of_file(&sample, &self.path(rules), against.as_deref());
        let report = rules_backtest::run(&RulesBacktestArgs { top, ..args }, &Config::default()).unwrap();
        self.shown(&backtest_text(&report))
    }
}

#[test]
fn the_guide_shows_real_output() {
    let guide = root().join("docs/rule-guide.md");
    // The guide has two tests; one at a time may write it.
    let lock = std::fs::File::open(&guide).unwrap();
    lock.lock().unwrap();
    let mut text = std::fs::read_to_string(&guide).unwrap();
    let folders = Folders(tempfile::tempdir().unwrap());
    let (rule, steps) = (block(&text, "yaml", 0), block(&text, "yaml", 1));
    let mut outputs: Vec<(&str, String)> = Vec::new();

    folders
        .write("my-rules/trojan.yml", &rule.replacen("threat.name", "threat.nmae", 1).replace("cooldown", "cooldwon"));
    outputs.push(("check:refused", folders.check()));
    folders.write("my-rules/trojan.yml", &rule);
    outputs.push(("check:ok", folders.check()));

    let rules = std::sync::Arc::new(load_rules(&folders.path("my-rules")).unwrap());
    let alert = block(&text, "json", 0);
    let decoded = decode(alert.as_bytes(), &DecodeOptions::default()).unwrap();
    let alerts: Vec<_> = decoded.into_iter().map(|decoded| decoded.alert).collect();
    let now = "2026-05-04T08:05:00Z".parse().unwrap();
    let explained = rules_explain::render_text(&rules_explain::run(&rules, &alerts, false, now));
    outputs.push(("explain", folders.shown(&explained)));

    folders.write("my-rules/trojan.test.yml", &steps);
    outputs.push(("test:ok", folders.test()));
    folders.write("my-rules/trojan.yml", &rule.replace("cooldown: 6h", "cooldown: 1h"));
    outputs.push(("test:failed", folders.test()));
    folders.write("my-rules/trojan.yml", &rule);

    outputs.push(("backtest", folders.backtest("my-rules", None, 3)));
    folders.write("stricter/trojan.yml", &rule.replace("severity|gte: medium", "severity|gte: high"));
    outputs.push(("backtest:against", folders.backtest("stricter", Some("my-rules"), 1)));
    let alerts = Some(root().join("rules/samples/alerts.ndjson"));
    let args = RulesDiffArgs { old: folders.path("my-rules"), new: folders.path("stricter"), alerts };
    outputs.push(("diff", folders.shown(&rules_diff::render_text(&rules_diff::run(&args).unwrap()))));

    for (mark, output) in &outputs {
        let opening = format!("<!-- {mark} -->\n```text\n");
        let (before, rest) = text.split_once(&opening).unwrap();
        let (shown, after) = rest.split_once("```").unwrap();
        if std::env::var_os("UPDATE_DOCS").is_none() {
            assert_eq!(shown, output, "{mark}: run with UPDATE_DOCS=1");
        }
        text = format!("{before}{opening}{output}```{after}");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(guide, text).unwrap();
    }
}
