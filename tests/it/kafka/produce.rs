//! Alerts from a file.

use alert_responder::cli::produce::{ProduceArgs, produce};
use alert_responder::kafka::{Cluster, read_all};

use crate::support::broker::Broker;

#[tokio::test]
async fn every_line_becomes_a_record_and_what_fails_is_named() {
    let broker = Broker::start(2).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut lines: String = (0..50).map(|number| format!("{{\"id\":\"{number}\"}}\r\n\n")).collect();
    // Line 101 is larger than a producer takes.
    lines.push_str(&"x".repeat(9 << 20));
    lines.push_str("\n{\"id\":\"last, without a line end\"}");
    std::fs::write(file.path(), lines).unwrap();
    let args = ProduceArgs { file: file.path().to_owned(), topic: None };
    let report = produce(&args, &broker.settings).await.unwrap();
    let failed: Vec<u64> = report.failures.iter().map(|(line, _)| *line).collect();
    assert_eq!((report.produced, report.failed, failed), (51, 1, vec![101]));

    let records = read_all(&broker.settings, Cluster::Alerts, &broker.settings.alerts_topic).await.unwrap();
    let mut payloads: Vec<_> = records.into_iter().map(|record| record.payload.unwrap()).collect();
    payloads.sort();
    let mut expected: Vec<_> = (0..50).map(|number| format!("{{\"id\":\"{number}\"}}").into_bytes()).collect();
    expected.push(b"{\"id\":\"last, without a line end\"}".to_vec());
    expected.sort();
    assert_eq!(payloads, expected);
}
