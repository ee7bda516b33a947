use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::layers::{Merged, Sections, merge};
use super::*;

/// Everything that a room's settings may be made of.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Sample {
    mode: Mode,
    broker: Broker,
    guard: Guard,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Broker {
    /// Where to begin.
    bootstrap_servers: String,
    topics: Vec<String>,
    partition: Option<u16>,
    ledger: Ledger,
    librdkafka: BTreeMap<String, String>,
    #[serde(skip_serializing, deserialize_with = "secret")]
    #[schemars(with = "Option<String>")]
    password: Option<SecretString>,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            bootstrap_servers: "localhost:9092".to_owned(),
            topics: vec!["alerts".to_owned()],
            partition: None,
            ledger: Ledger::default(),
            librdkafka: BTreeMap::new(),
            password: None,
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Ledger {
    /// One broker is enough.
    allow_single_replica: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Guard {
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    #[schemars(with = "String")]
    cooldown: Duration,
    reserve: f64,
    protected: Vec<Protected>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { cooldown: Duration::from_secs(3600), reserve: 0.1, protected: Vec::new() }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Protected {
    name: String,
    #[serde(default)]
    reason: Option<String>,
}

impl Sections for Sample {
    fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if self.broker.topics.is_empty() {
            faults.push(("broker", "topics is empty; name one".to_owned()));
        }
        if self.guard.reserve > 1.0 {
            faults.push(("guard", "`reserve` must be at most 1".to_owned()));
        }
        faults
    }
}

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (format!("ALERT_RESPONDER__{name}"), (*value).to_owned())).collect()
}

fn read(text: &str, variables: &[(&str, &str)]) -> Result<Merged<Sample>, ConfigErrors> {
    merge(Some(("c.yaml", text)), &environment(variables), |_| true)
}

fn faults(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    read(text, variables).expect_err("it is refused").0.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_at_all_gives_the_defaults() {
    for text in ["", "# only a comment\n", "broker:\n", "---\n"] {
        let (sample, _) = read(text, &[]).expect("fine");
        assert_eq!(sample.broker.bootstrap_servers, "localhost:9092", "{text:?}");
        assert_eq!(sample.mode, Mode::Shadow);
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let text =
        "mode: live\nbroker:\n  bootstrap_servers: file:1\n  topics: [a, b]\n  ledger: {allow_single_replica: true}\n";
    let variables = [("BROKER__BOOTSTRAP_SERVERS", "env:2"), ("BROKER__PARTITION", "7")];
    let (sample, places) = read(text, &variables).expect("fine");
    assert_eq!(sample.mode, Mode::Live);
    assert_eq!(sample.broker.bootstrap_servers, "env:2");
    assert_eq!(sample.broker.topics, ["a", "b"]);
    assert_eq!(sample.broker.partition, Some(7));
    assert!(sample.broker.ledger.allow_single_replica);
    assert_eq!(
        places["broker.bootstrap_servers"].to_string(),
        "environment ALERT_RESPONDER__BROKER__BOOTSTRAP_SERVERS"
    );
    assert_eq!(places["broker.ledger.allow_single_replica"].to_string(), "c.yaml:5:34");
    assert!(!places.contains_key("guard.cooldown"));
}

#[test]
fn variables_are_read_by_the_type_of_their_key() {
    let variables = [
        ("BROKER__TOPICS", "one, two"),
        ("BROKER__LIBRDKAFKA", "{socket.keepalive.enable: true, client.rack: 01}"),
        ("BROKER__LEDGER__ALLOW_SINGLE_REPLICA", "true"),
        ("BROKER__PASSWORD", "null"),
        ("GUARD__COOLDOWN", "6h"),
        ("GUARD__RESERVE", "0.25"),
        ("GUARD__PROTECTED", "[{name: dc-01}]"),
        ("MODE", ""),
    ];
    let (sample, _) = read("mode: live", &variables).expect("fine");
    assert_eq!(sample.broker.topics, ["one", "two"]);
    assert_eq!(sample.broker.librdkafka["socket.keepalive.enable"], "true");
    assert_eq!(sample.broker.librdkafka["client.rack"], "01");
    assert_eq!(sample.broker.password.expect("set").expose_secret(), "null");
    assert_eq!(sample.guard.cooldown, Duration::from_secs(6 * 3600));
    assert_eq!(sample.guard.protected[0].name, "dc-01");
    assert_eq!(sample.mode, Mode::Live, "an empty variable is not set");
}

#[test]
fn a_text_is_taken_as_it_was_written() {
    let (sample, _) = read("broker: {bootstrap_servers: 0123, password: true}", &[]).expect("fine");
    assert_eq!(sample.broker.bootstrap_servers, "0123");
    assert_eq!(sample.broker.password.expect("set").expose_secret(), "true");
}

#[test]
fn every_fault_is_reported_at_once_with_its_place() {
    let text = "\
moed: live
mode: Live
bootstrap_servers: x
broker:
  bootstrap_server: x
  topics: alerts
  partition: 70000
  ledger:
    allow_single_replica: yes
guard:
  cooldown: 6 fortnights
  reserve: 2
  protected:
    - {name: dc-01, why: asked}
";
    let found = faults(text, &[("BROKER__TOPIC", "x"), ("GUARD__RESERVE", "lots"), ("BROKER__PASWORD", "hunter2")]);
    let expected = [
        "c.yaml:1:1: unknown key `moed`; did you mean `mode`?",
        "c.yaml:2:7: `mode` must be `shadow` or `live`, not `Live`; did you mean `live`?",
        "c.yaml:3:1: unknown key `bootstrap_servers`; did you mean `broker.bootstrap_servers`?",
        "c.yaml:5:3: unknown key `broker.bootstrap_server`; did you mean `bootstrap_servers`?",
        "c.yaml:6:11: `broker.topics` must be a list, not a single value",
        "c.yaml:9:27: `broker.ledger.allow_single_replica` must be `true` or `false`, not `yes`",
        "c.yaml:14:21: unknown key `guard.protected[0].why`; known here: name, reason",
        "environment ALERT_RESPONDER__BROKER__PASWORD: unknown key; did you mean `ALERT_RESPONDER__BROKER__PASSWORD`?",
        "environment ALERT_RESPONDER__BROKER__TOPIC: unknown key; did you mean `ALERT_RESPONDER__BROKER__TOPICS`?",
        "environment ALERT_RESPONDER__GUARD__RESERVE: `guard.reserve` must be a number, not `lots`",
        "c.yaml:7:14: `broker.partition`: invalid value: integer `70000`, expected u16",
    ];
    assert_eq!(found.iter().take(expected.len()).collect::<Vec<_>>(), expected, "{found:#?}");
    let rest: Vec<_> = found.iter().skip(expected.len()).collect();
    assert!(rest.iter().any(|fault| fault.starts_with("c.yaml:11:13: `guard.cooldown`: ")), "{rest:#?}");
    assert!(rest.iter().any(|fault| *fault == "c.yaml:12:12: `guard.reserve` must be at most 1"), "{rest:#?}");
    assert_eq!(rest.len(), 2, "{rest:#?}");
    assert!(!found.concat().contains("hunter2"));
}

#[test]
fn rooms_messages_get_their_full_key_and_place() {
    assert_eq!(faults("broker: {topics: []}", &[]), ["c.yaml:1:18: broker.topics is empty; name one"]);
    assert_eq!(
        faults("", &[("GUARD__RESERVE", "3")]),
        ["environment ALERT_RESPONDER__GUARD__RESERVE: `guard.reserve` must be at most 1"]
    );
}

#[test]
fn yaml_that_is_none_is_refused_with_its_place() {
    for (text, expected) in [
        ("mode: live\nmode: live\n", "c.yaml:2:1: `mode` is given twice; the first is on line 1"),
        ("mode: live\n---\nmode: live\n", "c.yaml:3:1: a second document"),
        ("mode: &m live\nbroker: {bootstrap_servers: *m}\n", "c.yaml:2:29: YAML aliases are not supported"),
        ("mode: [live\n", "c.yaml:1:7: not valid YAML: unclosed bracket"),
        ("- a\n", "c.yaml:1:1: the configuration must hold keys and values, not a list"),
        ("broker:\n  bootstrap_servers:\n", "`broker.bootstrap_servers` is empty"),
    ] {
        let found = faults(text, &[]);
        assert!(found.iter().any(|fault| fault.contains(expected)), "{text:?}: {found:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let error = Config::load(Some(Path::new("/nowhere/c.yaml")), &BTreeMap::new()).expect_err("no such file");
    assert!(error.to_string().starts_with("/nowhere/c.yaml: cannot read the configuration: "), "{error}");
    assert_eq!(error.code(), "invalid_config");
}

#[test]
fn rows_show_origins_and_no_secret() {
    let text = "broker:\n  password: hunter2\n  librdkafka: {sasl.password: hunter3, client.id: me}\n";
    let (sample, places) = read(text, &[("MODE", "live")]).expect("fine");
    let keys = schema::keys(&schema::json_schema::<Sample>());
    let rows = print::rows(&keys, &sample, &places);
    let row = |key: &str| rows.iter().find(|row| row.key == key).expect("it is listed");
    assert_eq!(row("mode").origin, "environment");
    assert_eq!(row("mode").place.as_deref(), Some("ALERT_RESPONDER__MODE"));
    assert_eq!(row("broker.password").value, print::REDACTED);
    assert_eq!(row("broker.librdkafka").place.as_deref(), Some("c.yaml:3:15"));
    assert_eq!((row("guard.cooldown").origin, &row("guard.cooldown").place), ("default", &None));
    assert_eq!(row("guard.cooldown").value, "1h");
    let text = serde_json::to_string(&rows).expect("plain data");
    assert!(!text.contains("hunter"), "{text}");
    assert!(text.contains("client.id"), "{text}");
}

#[test]
fn a_secret_that_is_not_set_shows_as_not_set() {
    let (sample, places) = read("", &[]).expect("fine");
    let keys = schema::keys(&schema::json_schema::<Sample>());
    let rows = print::rows(&keys, &sample, &places);
    let row = rows.iter().find(|row| row.key == "broker.password").expect("it is listed");
    assert_eq!(row.value, serde_json::Value::Null);
}

#[test]
fn keys_tell_types_defaults_and_meanings() {
    let keys = schema::keys(&schema::json_schema::<Sample>());
    let key = |path: &str| keys.iter().find(|key| key.path == path).expect("it is listed");
    assert_eq!(key("mode").kind, "`shadow` or `live`");
    assert_eq!(key("broker.topics").kind, "list of string");
    assert_eq!(key("broker.partition").kind, "integer");
    assert_eq!(key("broker.librdkafka").kind, "map");
    assert_eq!(key("broker.ledger.allow_single_replica").meaning, "One broker is enough.");
    assert_eq!(key("guard.cooldown").default, Some("1h".into()));
    assert!(key("broker.password").secret);
    assert_eq!(key("broker.bootstrap_servers").environment_name(), "ALERT_RESPONDER__BROKER__BOOTSTRAP_SERVERS");
}

#[test]
fn the_real_configuration_has_its_sections_and_a_meaning_for_every_key() {
    let keys = Config::keys();
    for path in ["mode", "halted", "kafka.bootstrap_servers", "rules.directory", "telemetry.listen"] {
        assert!(keys.iter().any(|key| key.path == path), "{path}");
    }
    let silent: Vec<_> = keys.iter().filter(|key| key.meaning.is_empty()).map(|key| &key.path).collect();
    assert!(silent.is_empty(), "keys without a meaning: {silent:?}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", value in ".{0,40}") {
        let variables = environment(&[("BROKER__TOPICS", &value), ("BROKER__LIBRDKAFKA", &value), ("GUARD__RESERVE", &value)]);
        drop(merge::<Sample>(Some(("c.yaml", &text)), &variables, |_| true));
    }

    #[test]
    fn a_text_given_by_variable_arrives_unchanged(value in "[^\\x00]{1,60}") {
        let (sample, _) = read("", &[("BROKER__BOOTSTRAP_SERVERS", &value)]).expect("any text");
        proptest::prop_assert_eq!(sample.broker.bootstrap_servers, value);
    }
}
