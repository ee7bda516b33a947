//! The house's rules, enforced: which room may import which, which may name a given crate, print or spawn, and how long a
//! file may be. Test code is free of them, but for the length of files and `#[ignore]`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;
use syn::visit::{self, Visit};
use syn::{Attribute, ExprMethodCall, ImplItemFn, Item, ItemMod, ItemUse, Macro, UseTree};

/// Who may import whom. `config` may name only settings types of the rooms it lists.
const IMPORTS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("lib", &[]),
    ("alert", &[]),
    ("rules", &["alert"]),
    ("event", &["alert", "rules"]),
    ("scheduler", &["event", "alert"]),
    ("defender", &[]),
    ("kafka", &["event"]),
    ("telemetry", &["event"]),
    ("simulator", &[]),
    ("config", &["alert", "rules", "scheduler", "defender", "kafka", "telemetry", "worker"]),
    ("worker", &["alert", "rules", "event", "scheduler", "defender", "kafka", "telemetry", "simulator", "config"]),
    (
        "cli",
        &["alert", "rules", "event", "scheduler", "defender", "kafka", "telemetry", "simulator", "config", "worker"],
    ),
];

/// What `config` may name of another room.
const SETTINGS: &[&str] = &["Settings", "AdminSettings", "Mode"];

/// Crates that one place alone may name.
const CRATES: &[(&str, &str)] = &[
    ("rdkafka", "src/kafka/"),
    ("reqwest", "src/defender/"),
    ("backoff", "src/scheduler/retry.rs"),
    ("prometheus", "src/telemetry/"),
];

const PRINTING: &[&str] = &["println", "print", "eprintln", "eprint", "dbg"];
const SPAWNING: &[&str] = &["spawn", "spawn_on", "spawn_local", "spawn_blocking", "spawn_blocking_on"];
const SPAWNERS: &[&str] = &["src/worker/", "src/simulator/"];
/// Threads for calls of librdkafka that block; no task is spawned there (clippy's own ban sees to that).
const THREADS: &[&str] =
    &["src/kafka/client.rs", "src/kafka/embedded.rs", "src/kafka/group/thread.rs", "src/kafka/scan.rs"];
const LONGEST_FILE: usize = 400;
/// Files that are longer all the same, and their own limit: data that reads best in one piece.
const LONG_FILES: &[(&str, usize)] = &[("src/event/body.rs", 660)];

/// What is wrong with one file; `test_code` frees it of the rules about rooms.
fn check(path: &str, source: &str, test_code: bool) -> Vec<String> {
    let mut found = Vec::new();
    let lines = source.lines().count();
    let limit = LONG_FILES.iter().find(|(long, _)| *long == path).map_or(LONGEST_FILE, |(_, limit)| *limit);
    if lines > limit {
        found.push(format!("{path}: {lines} lines; past {limit} it is probably two rooms"));
    }
    let file = match syn::parse_file(source) {
        Ok(file) => file,
        Err(error) => return vec![format!("{path}: {error}")],
    };
    let mut ignored = Ignored(false);
    ignored.visit_file(&file);
    if ignored.0 {
        found.push(format!("{path}: a test is ignored; fix it or delete it"));
    }
    if !test_code {
        let mut names = Names { path, module: module_of(path), found: BTreeSet::new() };
        names.visit_file(&file);
        found.extend(names.found);
    }
    found
}

/// `src/kafka/consumer.rs` is the module `kafka::consumer`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    module
}

fn mentions(attribute: &Attribute, outer: &str, word: &str) -> bool {
    let path = attribute.path();
    let words = Regex::new(r"\w+").expect("a sound pattern");
    let tokens = match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    };
    path.is_ident(outer) && words.find_iter(&tokens).any(|found| found.as_str() == word)
}

fn is_test(attributes: &[Attribute]) -> bool {
    let only_tests = |attribute: &Attribute| mentions(attribute, "cfg", "test") && !mentions(attribute, "cfg", "not");
    attributes.iter().any(only_tests)
}

struct Ignored(bool);

impl Visit<'_> for Ignored {
    fn visit_attribute(&mut self, attribute: &Attribute) {
        self.0 |= attribute.path().is_ident("ignore") || mentions(attribute, "cfg_attr", "ignore");
    }
}

/// Every name that the code of a file uses, checked against the rules.
struct Names<'p> {
    path: &'p str,
    module: Vec<String>,
    found: BTreeSet<String>,
}

impl Names<'_> {
    fn room(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    fn fault(&mut self, what: &str) {
        self.found.insert(format!("{}: {what}", self.path));
    }

    fn name(&mut self, segments: &[String]) {
        let Some(first) = segments.first() else { return };
        for (krate, place) in CRATES {
            if first == krate && !self.path.starts_with(place) {
                self.fault(&format!("names the crate `{krate}`; only {place} may"));
            }
        }
        let last_two: Vec<&str> = segments.iter().rev().take(2).map(String::as_str).collect();
        if last_two == ["stdout", "io"] && self.room() != "cli" {
            self.fault("writes to standard output; only src/cli/ may");
        }
        let spawns =
            SPAWNING.contains(&last_two[0]) && ["tokio", "task", "thread"].contains(last_two.get(1).unwrap_or(&""));
        if spawns {
            self.spawn();
        }
        if let Some(target) = self.resolve(segments) {
            self.import(&target);
        }
    }

    fn spawn(&mut self) {
        if !SPAWNERS.iter().chain(THREADS).any(|place| self.path.starts_with(place)) {
            self.fault("spawns; only src/worker/ and src/simulator/ may");
        }
    }

    /// The path from the root of the crate; `None` for names of other crates and local ones.
    fn resolve(&self, segments: &[String]) -> Option<Vec<String>> {
        let supers = segments.iter().take_while(|name| *name == "super").count();
        let base: &[String] = match segments.first()?.as_str() {
            "crate" | "alert_responder" => return Some(segments.iter().skip(1).cloned().collect()),
            "self" => return None,
            "super" => self.module.get(..self.module.len().checked_sub(supers)?)?,
            _ => return None,
        };
        Some(base.iter().chain(segments.iter().skip(supers)).cloned().collect())
    }

    fn import(&mut self, target: &[String]) {
        let room = self.room().to_owned();
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == room) else {
            self.fault(&format!("`{room}` is not in the import table"));
            return;
        };
        let Some(other) = target.first().filter(|other| IMPORTS.iter().any(|(name, _)| name == other)) else { return };
        if *other == room {
            return;
        }
        if !allowed.contains(&other.as_str()) {
            self.fault(&format!("`{room}` imports `{other}`, which the table does not allow"));
        }
        if room == "config" && !target.get(1).is_some_and(|name| SETTINGS.contains(&name.as_str())) {
            self.fault(&format!("`config` imports {} of `{other}`; only settings types", target.join("::")));
        }
    }

    fn use_tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.use_tree(&path.tree, &with(path.ident.to_string())),
            UseTree::Name(name) => self.name(&with(name.ident.to_string())),
            UseTree::Rename(rename) => self.name(&with(rename.ident.to_string())),
            UseTree::Glob(_) => self.name(&with("*".to_owned())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(tree, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Const(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Macro(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::Type(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.use_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // A single segment is a local name.
        if segments.len() > 1 {
            self.name(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if SPAWNING.contains(&call.method.to_string().as_str()) {
            self.spawn();
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, macro_call: &'ast Macro) {
        let name = macro_call.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        if PRINTING.contains(&name.as_str()) && self.room() != "cli" {
            self.fault(&format!("prints with `{name}!`; only src/cli/ may"));
        }
        // What a macro is given is not parsed: its paths are found in the text, texts taken out first.
        let texts = Regex::new(r#""(?:[^"\\]|\\.)*""#).expect("a sound pattern");
        let paths = Regex::new(r"[A-Za-z_]\w*(?:\s*::\s*[A-Za-z_]\w*)+").expect("a sound pattern");
        let spawns = Regex::new(r"\.\s*(\w+)\s*\(").expect("a sound pattern");
        let tokens = macro_call.tokens.to_string();
        let tokens = texts.replace_all(&tokens, "");
        for found in paths.find_iter(&tokens) {
            let segments: Vec<String> = found.as_str().split("::").map(|name| name.trim().to_owned()).collect();
            self.name(&segments);
        }
        if spawns.captures_iter(&tokens).any(|found| SPAWNING.contains(&&found[1])) {
            self.spawn();
        }
        visit::visit_macro(self, macro_call);
    }
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}

/// Files that a `#[cfg(test)] mod name;` pulls in: the tests of a module, kept beside it.
fn test_files(path: &str, source: &str) -> Vec<String> {
    let file = syn::parse_file(source).expect("it compiles");
    let folder = Path::new("src")
        .join(module_of(path).into_iter().filter(|name| name != "lib" && name != "main").collect::<PathBuf>());
    let modules = file.items.iter().filter_map(|item| match item {
        Item::Mod(module) if module.content.is_none() && is_test(&module.attrs) => Some(module.ident.to_string()),
        _ => None,
    });
    modules.map(|name| folder.join(name).display().to_string()).collect()
}

/// A module of an example that unit tests include as well may not name the crate: its root does, once.
fn shared_and_names_the_crate(path: &str, source: &str) -> Option<String> {
    let names = ["alert_responder::", "crate::alert", "crate::event", "crate::scheduler"];
    let named = names.iter().find(|name| path.contains("/model/") && source.contains(**name));
    named.map(|name| format!("{path}: names `{name}`; only the root of the example may"))
}

#[test]
fn the_source_keeps_the_rules_of_the_house() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |directory: &str| {
        let files = rust_files(&root.join(directory)).into_iter();
        let files = files.map(|file| {
            let shown = file.strip_prefix(root).expect("below the root").display().to_string();
            (shown, std::fs::read_to_string(&file).expect("it can be read"))
        });
        files.collect::<Vec<_>>()
    };
    let sources = read("src");
    assert!(sources.len() > 20, "the source was found");
    let tests: Vec<String> = sources.iter().flat_map(|(path, source)| test_files(path, source)).collect();
    let is_test_file = |path: &str| {
        tests
            .iter()
            .any(|test| path.strip_prefix(test.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/')))
    };
    let mut found: Vec<String> =
        sources.iter().flat_map(|(path, source)| check(path, source, is_test_file(path))).collect();
    found.extend(read("tests").iter().flat_map(|(path, source)| check(path, source, true)));
    let examples = read("examples");
    assert!(!examples.is_empty(), "the examples were found");
    found.extend(examples.iter().flat_map(|(path, source)| check(path, source, true)));
    found.extend(examples.iter().filter_map(|(path, source)| shared_and_names_the_crate(path, source)));
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn planted_violations_are_found() {
    for (path, source, expected) in [
        ("src/alert/mod.rs", "use crate::rules::Mode;", "`alert` imports `rules`"),
        ("src/alert/mod.rs", "use crate::{alert, rules::Mode};", "`alert` imports `rules`"),
        ("src/alert/model.rs", "use super::super::kafka::Consumer;", "`alert` imports `kafka`"),
        ("src/alert/mod.rs", "use super::kafka::Consumer;", "`alert` imports `kafka`"),
        ("src/rules/mod.rs", "fn f() -> crate::event::Outcome { todo() }", "`rules` imports `event`"),
        ("src/rules/mod.rs", "fn f() { let _ = vec![crate::event::Outcome::all()]; }", "`rules` imports `event`"),
        ("src/scheduler/mod.rs", "mod deep { use super::super::rules::Mode; }", "`scheduler` imports `rules`"),
        ("src/telemetry/http.rs", "use crate::worker::*;", "`telemetry` imports `worker`"),
        ("src/worker/mod.rs", "use crate::cli::Context as Other;", "`worker` imports `cli`"),
        ("src/main.rs", "fn main() { alert_responder::worker::run() }", "`main` imports `worker`"),
        ("src/config/mod.rs", "use crate::kafka::Consumer;", "only settings types"),
        ("src/utils/mod.rs", "use crate::alert::Alert;", "`utils` is not in the import table"),
        ("src/worker/mod.rs", "use rdkafka::Message;", "the crate `rdkafka`"),
        ("src/worker/mod.rs", "fn f(error: reqwest::Error) {}", "the crate `reqwest`"),
        ("src/scheduler/mod.rs", "use backoff::ExponentialBackoff;", "the crate `backoff`"),
        ("src/worker/mod.rs", "fn f() { prometheus::default_registry(); }", "the crate `prometheus`"),
        ("src/rules/mod.rs", "fn f() { println!(\"x\"); }", "prints with `println!`"),
        ("src/rules/mod.rs", "fn f() { write(std::io::stdout()); }", "writes to standard output"),
        ("src/kafka/mod.rs", "fn f() { tokio::spawn(g()); }", "spawns"),
        ("src/kafka/mod.rs", "fn f() { std::thread::spawn(g); }", "spawns"),
        ("src/kafka/mod.rs", "fn f(set: &mut S) { set.spawn(g()); }", "spawns"),
        ("src/kafka/mod.rs", "fn f() { select! { _ = set.spawn(g()) => {} } }", "spawns"),
        ("src/kafka/mod.rs", "#[cfg(test)] mod tests { #[test] #[ignore] fn f() {} }", "is ignored"),
        ("src/kafka/mod.rs", "#[cfg(not(test))] mod real { use crate::cli::Cli; }", "`kafka` imports `cli`"),
        ("src/kafka/mod.rs", &"\n".repeat(401), "401 lines"),
        ("src/kafka/mod.rs", "fn {", "src/kafka/mod.rs: "),
    ] {
        let found = check(path, source, false);
        assert!(found.iter().any(|fault| fault.contains(expected)), "{path}: {source}: {found:?}");
        assert_eq!(found.len(), 1, "{path}: {source}: {found:?}");
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    for (path, source) in [
        ("src/rules/mod.rs", "use crate::alert::Alert; use crate::rules::Mode; use super::rules::decision;"),
        ("src/kafka/consumer.rs", "use super::Settings; use rdkafka::Message; use crate::event::ScanEvent;"),
        ("src/scheduler/retry.rs", "use backoff::ExponentialBackoff;"),
        ("src/config/mod.rs", "use crate::kafka::Settings as KafkaSettings; use crate::rules::Mode;"),
        ("src/worker/mod.rs", "fn f(set: &mut S) { set.spawn(g()); }"),
        ("src/kafka/mod.rs", "#[cfg(test)] mod tests { use crate::cli::Cli; fn f() { println!(); spawn.spawn(); } }"),
        ("src/kafka/mod.rs", "#[cfg(test)] use crate::cli::Cli;"),
        ("src/scheduler/mod.rs", "fn f(backoff: u32) -> u32 { backoff }"),
        ("src/alert/mod.rs", "fn f() { panic!(\"see crate::kafka::x\"); }"),
        ("src/cli/mod.rs", "fn f() { println!(); std::io::stdout(); }"),
    ] {
        assert_eq!(check(path, source, false), Vec::<String>::new(), "{path}: {source}");
    }
}
