//! A producer whose queue keeps the order of the calls.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};

use super::client::{LogContext, blocking};
use super::error::KafkaError;

/// A record to be written.
pub(super) struct NewRecord<'a> {
    pub(super) topic: &'a str,
    /// `None`: by the key.
    pub(super) partition: Option<i32>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: Option<&'a [u8]>,
    pub(super) headers: OwnedHeaders,
    /// When the record says that it was made, in milliseconds since 1970; `None`: now.
    pub(super) timestamp: Option<i64>,
}

/// Shared by everything that writes; cheap to clone.
#[derive(Clone)]
pub(super) struct RecordProducer {
    producer: FutureProducer<LogContext>,
}

impl std::fmt::Debug for RecordProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordProducer").finish_non_exhaustive()
    }
}

impl RecordProducer {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, KafkaError> {
        let producer =
            config.create_with_context(LogContext::of(config)).map_err(|error| KafkaError::client(&error))?;
        Ok(Self { producer })
    }

    /// Puts a record into the queue. Records for one partition arrive in the order of these calls.
    pub(super) fn enqueue(&self, record: NewRecord<'_>) -> Result<Delivery, KafkaError> {
        let topic: Arc<str> = record.topic.into();
        let mut message = FutureRecord::<[u8], [u8]>::to(&topic).headers(record.headers);
        message.partition = record.partition;
        message.key = record.key;
        message.payload = record.payload;
        message.timestamp = record.timestamp;
        match self.producer.send_result(message) {
            Ok(future) => Ok(Delivery { future, topic: Arc::clone(&topic), producer: self.producer.clone() }),
            Err((error, _)) => Err(self.fatal().unwrap_or_else(|| KafkaError::produced(&topic, &error))),
        }
    }

    pub(super) fn fatal(&self) -> Option<KafkaError> {
        fatal(&self.producer)
    }

    /// Waits until everything in the queue is acknowledged or has failed, at most for `budget`. Whether it came to that.
    pub(super) async fn flush(&self, budget: Duration) -> bool {
        let producer = self.producer.clone();
        matches!(blocking(move || producer.flush(budget)).await, Ok(Ok(())))
    }
}

fn fatal(producer: &FutureProducer<LogContext>) -> Option<KafkaError> {
    producer.client().fatal_error().map(|(code, reason)| KafkaError::ProducerFatal(format!("{code}: {reason}")))
}

/// A record on its way: resolves to its partition and offset once every in-sync replica has it.
///
/// Dropping it does not take the record back while anything else holds the producer: its writer, or another delivery. Whoever
/// drops the last of them drops the records that are still in its queue or under way.
#[must_use = "a record counts as written only once this has resolved"]
pub struct Delivery {
    future: DeliveryFuture,
    topic: Arc<str>,
    producer: FutureProducer<LogContext>,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Future for Delivery {
    /// Partition and offset.
    type Output = Result<(i32, i64), KafkaError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.future).poll(context)) {
            Ok(Ok(delivery)) => Ok((delivery.partition, delivery.offset)),
            Ok(Err((error, _))) => {
                Err(fatal(&self.producer).unwrap_or_else(|| KafkaError::produced(&self.topic, &error)))
            }
            Err(_) => Err(KafkaError::Closed),
        })
    }
}
