use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use secrecy::SecretString;

use super::client::{self, Cluster};
use super::settings::Settings;
use super::{ClusterSettings, KafkaError};

fn settings() -> Settings {
    Settings { bootstrap_servers: "localhost:9092".to_owned(), ..Settings::default() }
}

fn problems(change: impl FnOnce(&mut Settings)) -> String {
    let mut settings = settings();
    change(&mut settings);
    settings.validate().join("\n")
}

#[test]
fn the_defaults_want_nothing_but_a_broker() {
    assert_eq!(settings().validate(), Vec::<String>::new());
    assert!(Settings::default().validate().join("").contains("kafka.bootstrap_servers"));
}

#[test]
fn properties_that_promises_rest_on_are_refused_with_the_mend() {
    for (property, mend) in [("enable.auto.commit", "durable"), ("acks", "in-sync"), ("group.id", "kafka.group_id")] {
        let found = problems(|settings| {
            settings.librdkafka.insert(property.to_owned(), "x".to_owned());
        });
        assert!(found.contains(property) && found.contains(mend), "{found}");
    }
    let instance = problems(|settings| {
        settings.librdkafka.insert("group.instance.id".to_owned(), "x".to_owned());
    });
    assert!(instance.contains("`group.instance.id`") && instance.contains("leave it out"), "{instance}");
    let small = problems(|settings| {
        settings.librdkafka.insert("message.max.bytes".to_owned(), "1000000".to_owned());
    });
    assert!(small.contains("`message.max.bytes`: at least 1048576"), "{small}");
}

#[test]
fn a_secret_in_the_configuration_is_refused_under_each_of_its_names() {
    for property in [
        "ssl.key.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.jaas.config",
    ] {
        let found = problems(|settings| {
            settings.librdkafka.insert(property.to_owned(), "hunter2".to_owned());
        });
        assert!(found.contains("librdkafka_files") && !found.contains("hunter2"), "{found}");
    }
}

/// Silently overwritten, a property would seem to be heeded.
#[test]
fn every_property_that_the_worker_sets_is_refused_or_the_operators_word_counts() {
    let clients = |settings: &Settings| {
        let made = [
            client::producer(settings, Cluster::Alerts)?,
            client::consumer(settings, Cluster::Alerts)?,
            client::group_consumer(settings, Cluster::Alerts, "g")?,
        ];
        Ok::<_, KafkaError>(made)
    };
    let mut names = BTreeSet::from(["queue.buffering.max.ms".to_owned()]);
    for config in clients(&settings()).unwrap() {
        names.extend(config.config_map().into_keys().map(str::to_owned));
    }
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let mut settings = settings();
        settings.librdkafka.insert(name.clone(), "7654321".to_owned());
        if settings.validate().is_empty() {
            for config in clients(&settings).unwrap() {
                assert_eq!(config.get(&name), Some("7654321"), "{name}");
                assert!(config.get("linger.ms").is_none() || name != "queue.buffering.max.ms", "two names of one");
            }
        }
    }
}

#[test]
fn contradictions_are_named() {
    assert!(problems(|settings| settings.ledger.partition = 1).contains("kafka.ledger.partition"));
    assert!(problems(|settings| settings.alerts_topic = settings.ledger_topic.clone()).contains("three different"));
    assert!(problems(|settings| settings.revoke_budget = settings.session_timeout).contains("kafka.revoke_budget"));
    assert!(problems(|settings| settings.alerts_topic = "a b".to_owned()).contains("`a b` is no topic name"));
    assert!(
        problems(|settings| settings.ledger.cluster = Some(ClusterSettings::default()))
            .contains("kafka.ledger.cluster.bootstrap_servers")
    );
}

#[test]
fn a_secret_comes_from_its_file_and_is_never_written_out() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "hunter2").unwrap();
    let mut settings = settings();
    settings.sasl_password_file = Some(file.path().to_owned());
    let config = client::base(&settings, Cluster::Alerts).unwrap();
    assert_eq!(config.get("sasl.password"), Some("hunter2"));
    settings.sasl_password_file = None;
    settings.sasl_password = Some(SecretString::from("hunter3"));
    assert!(!serde_json::to_string(&settings).unwrap().contains("hunter3"));
    assert!(!format!("{settings:?}").contains("hunter3"));

    settings.sasl_password = None;
    settings.librdkafka_files.insert("ssl.key.password".to_owned(), PathBuf::from("/does/not/exist"));
    let error = client::base(&settings, Cluster::Alerts).unwrap_err();
    assert!(matches!(&error, KafkaError::SecretFile { key, .. } if key == "kafka (ssl.key.password)"), "{error}");
}

#[test]
fn settings_read_back_as_they_were_written() {
    let text = r#"{"bootstrap_servers": "a:1", "session_timeout": "30s", "sasl_password": "s", "ledger": {"retention": "336h"}}"#;
    let read: Settings = serde_json::from_str(text).unwrap();
    assert_eq!(read.ledger.retention.as_secs(), 14 * 24 * 3600);
    let again: Settings = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!(again.session_timeout, read.session_timeout);
    assert_eq!(again.ledger.retention, read.ledger.retention);
    assert!(serde_json::from_str::<Settings>(r#"{"bootstrap_server": "a:1"}"#).is_err());
}

#[test]
fn settings_that_librdkafka_refuses_are_found_without_a_broker() {
    let refused = |properties: &[(&str, &str)], password_file: Option<&str>| {
        let mut settings = settings();
        let owned = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        settings.librdkafka.extend(owned);
        settings.sasl_password_file = password_file.map(PathBuf::from);
        let refused = client::refused_settings(&settings);
        refused.into_iter().map(|(key, error)| format!("{key}: {error}")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(refused(&[("socket.timeout.ms", "1000")], None), "");
    let misspelt = ("socket.timeout.msec", "1000");
    assert!(refused(&[misspelt], None).starts_with("kafka: "), "{}", refused(&[misspelt], None));
    // Each value is fine; together they are not.
    let together = [("security.protocol", "sasl_plaintext"), ("sasl.mechanisms", "NONSENSE")];
    assert!(refused(&together, None).contains("NONSENSE"), "{}", refused(&together, None));
    let no_certificate = [("security.protocol", "ssl"), ("ssl.ca.location", "/nowhere/ca.pem")];
    assert_eq!(refused(&no_certificate, None), "", "it may be where the worker runs");
    assert!(refused(&[no_certificate[0], no_certificate[1], misspelt], None).contains("socket.timeout.msec"));
    assert_eq!(refused(&[misspelt], Some("/nowhere/password")), "", "its password may be where the worker runs");
}
