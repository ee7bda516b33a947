//! A broker inside the process, for demos and tests: librdkafka's mock cluster.
//!
//! It forgets: about 5 MiB are kept per partition, the oldest records are dropped without a word, and nothing survives the
//! process. It answers no admin calls, so its topics are created here. Never feed it alerts that matter.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::mocking::MockCluster;

use super::error::KafkaError;
use super::settings::Settings;

/// A mock cluster of one broker on a loopback port, which lives until this is dropped.
#[derive(Debug)]
pub struct EmbeddedBroker {
    bootstrap_servers: String,
    /// `None` ends the thread, as does dropping the sender.
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    SetUp { up: bool, done: mpsc::Sender<()> },
}

impl EmbeddedBroker {
    /// Starts a broker with these topics: name and number of partitions.
    ///
    /// # Errors
    /// librdkafka refuses a topic, or no port can be had.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self, KafkaError> {
        let topics: Vec<(String, i32)> = topics.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let (orders, receive_orders) = mpsc::channel();
        let (report, reported) = mpsc::channel();
        // The cluster must stay on the thread that made it.
        let thread = std::thread::Builder::new()
            .name("kafka-embedded".to_owned())
            .spawn(move || live(&topics, &report, &receive_orders))
            .map_err(|error| KafkaError::Client(format!("cannot start a thread: {error}")))?;
        let bootstrap_servers = reported.recv().map_err(|_| KafkaError::Closed)??;
        Ok(Self { bootstrap_servers, orders: Some(orders), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Settings that reach it, with the short waits that it needs. `change` what else should differ.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = Settings {
            bootstrap_servers: self.bootstrap_servers.clone(),
            embedded: true,
            // It holds every fetch for the whole wait, even when there is data.
            fetch_wait_max: Duration::from_millis(5),
            session_timeout: Duration::from_secs(6),
            revoke_budget: Duration::from_secs(3),
            delivery_timeout: Duration::from_secs(10),
            librdkafka: BTreeMap::from([
                ("reconnect.backoff.ms".to_owned(), "20".to_owned()),
                ("reconnect.backoff.max.ms".to_owned(), "200".to_owned()),
            ]),
            ..Settings::default()
        };
        settings.ledger.allow_single_replica = true;
        settings
    }

    /// Cuts the broker off, or lets it be reached again. For tests of outages.
    pub fn set_up(&self, up: bool) {
        let (done, finished) = mpsc::channel();
        if let Some(orders) = &self.orders
            && orders.send(Order::SetUp { up, done }).is_ok()
        {
            let _ignored = finished.recv();
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn live(topics: &[(String, i32)], report: &mpsc::Sender<Result<String, KafkaError>>, orders: &mpsc::Receiver<Order>) {
    let made = MockCluster::new(1).and_then(|cluster| {
        for (name, partitions) in topics {
            cluster.create_topic(name, *partitions, 1)?;
        }
        Ok(cluster)
    });
    match made {
        Err(error) => drop(report.send(Err(KafkaError::client(&error)))),
        Ok(cluster) => {
            drop(report.send(Ok(cluster.bootstrap_servers())));
            while let Ok(Order::SetUp { up, done }) = orders.recv() {
                let result = if up { cluster.broker_up(1) } else { cluster.broker_down(1) };
                if let Err(error) = result {
                    tracing::warn!(%error, up, "The embedded broker did not obey.");
                }
                let _ignored = done.send(());
            }
        }
    }
}
