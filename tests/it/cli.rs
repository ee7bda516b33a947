//! The program as people and scripts use it: exit codes, messages, outputs.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use alert_responder::config::Config;
use tempfile::TempDir;

use crate::documents::assert_checked_in;

/// Every key without a default that works; each test adds its own.
const COMPLETE: &[(&str, &str)] = &[
    ("kafka.bootstrap_servers", "localhost:9092"),
    ("defender.tenant_id", "1228d172-029d-54e1-81c4-e82adcba5353"),
    ("defender.client_id", "11111111-2222-3333-4444-555555555555"),
    ("defender.client_secret", "hunter2"),
];

/// Those of [`COMPLETE`] that there are, as variables.
fn complete() -> Vec<(String, &'static str)> {
    let keys = Config::keys();
    let known = COMPLETE.iter().filter_map(|(path, value)| Some((keys.iter().find(|key| key.path == *path)?, *value)));
    known.map(|(key, value)| (key.environment_name(), value)).collect()
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alert-responder"));
    command.args(arguments).env_clear().envs(complete()).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

fn file(directory: &TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, text).expect("it can be written");
    path.display().to_string()
}

/// The starter rules.
fn rules() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/rules")
}

#[test]
fn version_and_help_are_fine() {
    let (code, out, err) = run(&mut program(&["--version"]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with(concat!("alert-responder ", env!("CARGO_PKG_VERSION"), " (revision ")), "{out}");
    let (code, out, _) = run(&mut program(&["--help"]));
    assert_eq!(code, 0);
    for word in ["check", "config", "completions", "--output", "Exit codes: 0 fine, 1 unexpected, 2 usage"] {
        assert!(out.contains(word), "{word}: {out}");
    }
}

#[test]
fn a_wrong_command_line_is_usage() {
    for arguments in [&[][..], &["fly"], &["check", "--fast"], &["config", "print", "--output", "xml"]] {
        let (code, out, err) = run(&mut program(arguments));
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains("Usage:") || err.contains("possible values"), "{err}");
    }
}

#[test]
fn an_invalid_configuration_is_told_in_full() {
    let directory = TempDir::new().expect("a directory");
    let path = file(&directory, "c.yaml", "mode: lvie\nkafka:\n  bootstrap_server: x\ntelemetry:\n  listen: nowhere\n");
    let (code, out, err) =
        run(program(&["config", "print", "--config", &path]).env("ALERT_RESPONDER__TELEMETRY__LOG_LEVL", "x"));
    assert_eq!((code, out.as_str()), (3, ""));
    let expected = format!(
        "alert-responder: {path}:1:7: `mode` must be `shadow` or `live`, not `lvie`; did you mean `live`?\n\
         {path}:3:3: unknown key `kafka.bootstrap_server`; did you mean `bootstrap_servers`?\n\
         environment ALERT_RESPONDER__TELEMETRY__LOG_LEVL: unknown key; did you mean `ALERT_RESPONDER__TELEMETRY__LOG_LEVEL`?\n\
         {path}:5:11: `telemetry.listen`: invalid socket address syntax\n"
    );
    assert_eq!(err, expected);
}

#[test]
fn print_shows_values_with_their_origin() {
    let directory = TempDir::new().expect("a directory");
    let path = file(&directory, "c.yaml", "mode: shadow\nrules: {directory: /etc/rules}\n");
    let (_, out, _) =
        run(program(&["config", "print"]).env("ALERT_RESPONDER_CONFIG", &path).env("ALERT_RESPONDER__HALTED", "true"));
    for line in [
        format!("mode = \"shadow\"  # file {path}:1:7"),
        "halted = true  # environment ALERT_RESPONDER__HALTED".to_owned(),
        format!("rules.directory = \"/etc/rules\"  # file {path}:2:20"),
        "telemetry.log_format = \"auto\"  # default".to_owned(),
    ] {
        assert!(out.lines().any(|found| found == line), "{line}\n{out}");
    }
    assert!(!out.contains("hunter2"), "{out}");
    let (code, out, _) = run(&mut program(&["config", "print", "--output", "json", "--config", &path]));
    let rows: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let rows = rows.as_array().expect("a list");
    let expected =
        serde_json::json!({"key": "mode", "value": "shadow", "origin": "file", "place": format!("{path}:1:7")});
    assert_eq!(code, 0);
    assert!(rows.contains(&expected), "{rows:?}");
}

#[test]
fn schema_is_the_checked_in_one() {
    let (code, out, _) = run(&mut program(&["config", "schema"]));
    assert_eq!(code, 0);
    assert_checked_in("schemas/config.schema.json", &out);
}

#[test]
fn check_reports_and_its_code_tells() {
    let directory = TempDir::new().expect("a directory");
    let good = file(&directory, "good.yaml", &format!("rules: {{directory: {}}}\n", rules()));
    let (code, out, err) = run(&mut program(&["check", "--config", &good]));
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("configuration") && out.contains("mode shadow"), "{out}");

    let missing = file(&directory, "missing.yaml", "rules: {directory: /nowhere}\n");
    let (code, out, _) = run(&mut program(&["check", "--config", &missing]));
    assert_eq!(code, 3);
    assert!(out.contains("/nowhere"), "{out}");

    let misspelt =
        "kafka: {ledger: {cluster: {bootstrap_servers: 'b:9092', librdkafka: {socket.timeout.msec: '1000'}}}}";
    let misspelt = file(&directory, "misspelt.yaml", &format!("rules: {{directory: {}}}\n{misspelt}\n", rules()));
    let (code, out, _) = run(&mut program(&["check", "--config", &misspelt]));
    assert_eq!(code, 3, "{out}");
    assert!(!out.contains("ok          configuration"), "{out}");
    assert!(out.contains("kafka.ledger.cluster: ") && out.contains("no property `socket.timeout.msec`"), "{out}");

    let bad = file(&directory, "bad.yaml", "mode: maybe\n");
    let (code, out, _) = run(&mut program(&["check", "--config", &bad, "--output", "json"]));
    let findings: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &findings[0]["state"]), (3, &"failed".into()), "{out}");
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, _) = run(&mut program(&["completions", shell]));
        assert_eq!(code, 0);
        assert!(out.contains("alert-responder"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child =
        program(&["config", "schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

/// Answers one request with `answer` and returns what was asked.
fn serve_once(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("it asks");
        let mut request = vec![0; 1024];
        let length = stream.read(&mut request).expect("a request");
        stream.write_all(answer.as_bytes()).expect("an answer");
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (address, server)
}

#[test]
fn healthcheck_asks_and_tells() {
    let (address, server) = serve_once("HTTP/1.1 200 OK\r\n\r\nok\n");
    assert_eq!(run(&mut program(&["healthcheck", "--address", &address])), (0, "ok\n".to_owned(), String::new()));
    assert!(server.join().expect("no panic").starts_with("GET /readyz HTTP/1.1\r\n"));

    let (address, server) = serve_once("HTTP/1.1 200 OK\r\n\r\nok\n");
    let (code, out, _) = run(&mut program(&["healthcheck", "--address", &address, "--output", "json"]));
    let answer: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &answer["status"], &answer["answer"]), (0, &200.into(), &"ok".into()), "{out}");
    server.join().expect("no panic");

    let (address, server) = serve_once("HTTP/1.1 503 Service Unavailable\r\n\r\n[-] group joined\nfailed\n");
    let (code, out, err) = run(program(&["healthcheck"]).env("ALERT_RESPONDER__TELEMETRY__LISTEN", &address));
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, format!("alert-responder: http://{address}/readyz says 503: [-] group joined, failed\n"));
    server.join().expect("no panic");

    let closed =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").to_string();
    let (code, _, err) = run(&mut program(&["healthcheck", "--address", &closed]));
    assert_eq!(code, 1);
    assert!(err.starts_with(&format!("alert-responder: cannot ask http://{closed}/readyz: ")), "{err}");
}

#[test]
fn rearm_says_that_it_wants_a_rule_or_all() {
    let (code, _, err) = run(&mut program(&["rearm"]));
    assert_eq!(code, 2);
    assert!(err.contains("--rule <ID>") && err.contains("--all"), "{err}");
    assert_eq!(run(&mut program(&["rearm", "--all", "--rule", "r-1"])).0, 2);
}

#[test]
fn no_help_tells_a_secret() {
    let (code, out, _) = run(program(&["simulator", "--help"]).env("SIMULATOR_CLIENT_SECRET", "hunter2"));
    assert_eq!(code, 0);
    assert!(out.contains("SIMULATOR_CLIENT_SECRET") && !out.contains("hunter2"), "{out}");
}

#[test]
fn decode_keeps_to_the_bounds_of_the_configuration() {
    let directory = TempDir::new().expect("a directory");
    let alert = |id: u8| format!(r#"{{"id": "{id}", "device": {{"id": "{}"}}}}"#, "a".repeat(40));
    let alerts = file(&directory, "alerts.json", &format!("[{}, {}]\n", alert(1), alert(2)));
    assert_eq!(run(&mut program(&["decode", &alerts])).0, 0);
    let narrow = file(&directory, "narrow.yaml", "alerts: {max_alerts_per_record: 1}\n");
    let (code, out, err) = run(&mut program(&["decode", &alerts, "--config", &narrow]));
    assert_eq!((code, out.as_str()), (5, ""), "{err}");
    assert!(err.contains("too_large"), "{err}");
}

#[test]
fn why_a_worker_does_not_start_is_told_once() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let directory = TempDir::new().expect("a directory");
    let config = format!("rules: {{directory: {}}}\ntelemetry: {{log_format: json, listen: '{address}'}}\n", rules());
    let (code, _, err) = run(&mut program(&["run", "--config", &file(&directory, "config.yaml", &config)]));
    assert_eq!(code, 3, "{err}");
    let lines: Vec<serde_json::Value> =
        err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
    let told = lines.iter().filter(|line| line.to_string().contains(&address)).count();
    assert_eq!(told, 1, "{err}");
}
