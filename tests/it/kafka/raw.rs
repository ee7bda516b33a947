//! What no client library writes, by hand in Kafka's protocol: names of headers and commit metadata in Latin-1.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use alert_responder::event::DeadLetterReason;
use alert_responder::kafka::{Cluster, Settings, Tally, committed, read_all};

use super::intake::{balance, produce, start};
use crate::support::broker::Broker;

const PRODUCE: (i16, i16) = (0, 3);
const OFFSET_COMMIT: (i16, i16) = (8, 2);
/// The coordinator is being looked for, or loads.
const WORTH_A_RETRY: [i16; 3] = [14, 15, 16];

#[tokio::test]
async fn a_header_whose_name_is_not_utf8_is_no_poison() {
    let broker = Broker::start(1).await;
    let settings = &broker.settings;
    produce_raw(settings, &settings.alerts_topic, b"broken 0", (b"h\xf6he", b"12"));
    produce_raw(settings, &settings.alerts_topic, b"scan 1", (b"height", b"12"));
    produce(&broker, ["scan 2".to_owned()]).await;

    let records = read_all(settings, Cluster::Alerts, &settings.alerts_topic).await.unwrap();
    let headers: Vec<_> = records.iter().map(|record| record.headers.clone()).collect();
    assert_eq!(headers, [vec![], vec![("height".to_owned(), Some(b"12".to_vec()))], vec![]]);

    let running = start(&broker);
    running.watcher.until_decided(3).await;
    assert_eq!(*running.watcher.trouble.borrow(), Vec::<&str>::new());
    running.stop().await;
    let sum = balance(&broker).await;
    assert_eq!((sum.records, sum.requested), (3, 2));
    assert_eq!(sum.dead_lettered, [(DeadLetterReason::NotJson, 1)].into());
    let letters = read_all(settings, Cluster::Ledger, &settings.dead_letters_topic).await.unwrap();
    assert_eq!(letters[0].payload.as_deref(), Some(&b"broken 0"[..]), "the letter keeps what can be read");
}

#[tokio::test]
async fn commit_metadata_that_is_not_utf8_counts_as_foreign() {
    let broker = Broker::start(1).await;
    let settings = &broker.settings;
    produce(&broker, ["skip 0".to_owned(), "scan 1".to_owned()]).await;
    commit(settings, &settings.group_id, &settings.alerts_topic, 1, b"h\xf6he").await;
    let found = committed(settings, Cluster::Alerts, &settings.group_id, &settings.alerts_topic).await.unwrap();
    // Apache Kafka has put replacement characters into it by now; other brokers hand out what they were given.
    assert_eq!((found.len(), found[&0].offset), (1, 1));
    assert_eq!(Tally::from_metadata(&found[&0].metadata), None);
    let running = start(&broker);
    running.watcher.until_decided(1).await;
    running.stop().await;
    let found = committed(settings, Cluster::Alerts, &settings.group_id, &settings.alerts_topic).await.unwrap();
    assert_eq!(found[&0].offset, 2);
}

/// Appends one record with one header to partition 0.
fn produce_raw(settings: &Settings, topic: &str, payload: &[u8], header: (&[u8], &[u8])) {
    let batch = batch(payload, header);
    // No transaction, every in-sync replica, 10 s, one topic, one partition.
    let mut body = [&[0xff, 0xff, 0xff, 0xff][..], &10_000_i32.to_be_bytes(), &1_i32.to_be_bytes()].concat();
    text(&mut body, topic.as_bytes());
    body.extend([1_i32.to_be_bytes(), 0_i32.to_be_bytes(), length(batch.len())].concat());
    body.extend(batch);
    assert_eq!(request(settings, PRODUCE, &body, topic), 0);
}

/// Commits an offset of partition 0 from outside the group.
async fn commit(settings: &Settings, group: &str, topic: &str, offset: i64, metadata: &[u8]) {
    let mut body = Vec::new();
    text(&mut body, group.as_bytes());
    // No generation, no member, the broker's retention, one topic.
    body.extend([&(-1_i32).to_be_bytes()[..], &[0, 0], &(-1_i64).to_be_bytes(), &1_i32.to_be_bytes()].concat());
    text(&mut body, topic.as_bytes());
    body.extend([&1_i32.to_be_bytes()[..], &0_i32.to_be_bytes(), &offset.to_be_bytes()].concat());
    text(&mut body, metadata);
    for _ in 0..100 {
        match request(settings, OFFSET_COMMIT, &body, topic) {
            error if WORTH_A_RETRY.contains(&error) => tokio::time::sleep(Duration::from_millis(100)).await,
            error => return assert_eq!(error, 0),
        }
    }
    panic!("no coordinator");
}

/// The error code of the one partition in the answer.
fn request(settings: &Settings, (key, version): (i16, i16), body: &[u8], topic: &str) -> i16 {
    let address = settings.bootstrap_servers.split(',').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    // Header: correlation id 7, no name of the client.
    let head = [&key.to_be_bytes()[..], &version.to_be_bytes(), &7_i32.to_be_bytes(), &[0xff, 0xff]].concat();
    let size = length(head.len() + body.len());
    stream.write_all(&[&size[..], &head, body].concat()).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    // Correlation id, number of topics, name, number of partitions, partition.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    i16::from_be_bytes([answer[at], answer[at + 1]])
}

/// A record batch of version 2.
fn batch(payload: &[u8], (name, value): (&[u8], &[u8])) -> Vec<u8> {
    // Attributes, time and offset as the batch says; no key.
    let mut record = vec![0, 0, 0, 1];
    let mut part = |number: Option<usize>, bytes: &[u8]| {
        varint(&mut record, number.unwrap_or(bytes.len()));
        record.extend(bytes);
    };
    part(None, payload);
    part(Some(1), &[]);
    part(None, name);
    part(None, value);
    let mut checked = [&[0, 0][..], &0_i32.to_be_bytes()].concat();
    let now = jiff::Timestamp::now().as_millisecond().to_be_bytes();
    // Twice the time; producer, epoch and sequence are none; one record.
    checked.extend([&now[..], &now, &[0xff; 14], &1_i32.to_be_bytes()].concat());
    varint(&mut checked, record.len());
    checked.extend(record);
    let inner = [&(-1_i32).to_be_bytes()[..], &[2], &crc32c(&checked).to_be_bytes(), &checked].concat();
    [&0_i64.to_be_bytes()[..], &length(inner.len()), &inner].concat()
}

fn text(into: &mut Vec<u8>, text: &[u8]) {
    into.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    into.extend(text);
}

fn length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap().to_be_bytes()
}

/// Zigzag, of numbers that are not negative.
fn varint(into: &mut Vec<u8>, number: usize) {
    let mut rest = number * 2;
    while rest >= 0x80 {
        into.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    into.push(u8::try_from(rest).unwrap());
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}
