//! Where the alerts of a backtest come from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;

use super::RulesBacktestArgs;
use super::run::Play;
use crate::cli::decode::{is_blank, is_unfinished, read_line};
use crate::cli::{CliError, runtime};
use crate::config::Config;
use crate::kafka::{Cluster, RecordStream, ScanExtent};

/// Records of a topic that are held in memory, to be put in order of time.
const MOST_RECORDS: usize = 1_000_000;
/// Their bytes.
const MOST_BYTES: usize = 1 << 30;
/// Bytes read at a time.
const BUFFER: usize = 1 << 18;

/// Plays a file, line by line.
pub(super) fn file(path: Option<&Path>, play: &mut Play) -> Result<(), CliError> {
    let most = play.options().limits.max_record_bytes;
    let (mut input, size) = open(path)?;
    let mut progress = Progress::new(size);
    each_record(&mut *input, most, |record, read| {
        play.record(record, None);
        progress.show(play.records(), read);
    })?;
    progress.end();
    Ok(())
}

/// The input, and its size where it is known.
pub(super) fn open(path: Option<&Path>) -> Result<(Box<dyn BufRead>, Option<u64>), CliError> {
    match path.filter(|path| path.as_os_str() != "-") {
        None => Ok((Box::new(BufReader::with_capacity(BUFFER, io::stdin())), None)),
        Some(path) => {
            let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            let size = file.metadata().map(|metadata| metadata.len()).ok();
            Ok((Box::new(BufReader::with_capacity(BUFFER, file)), size))
        }
    }
}

/// Every record with the bytes read so far: lines, or the whole input where its first line is JSON that has not ended.
pub(super) fn each_record(
    input: &mut dyn BufRead,
    most: usize,
    mut record: impl FnMut(&[u8], u64),
) -> Result<(), CliError> {
    let mut line = Vec::new();
    let (mut read, mut first) = (0, true);
    while read_line(input, most, &mut line)? {
        read += line.len() as u64;
        if is_blank(&line) {
            continue;
        }
        if first && line.len() <= most && is_unfinished(&line) {
            let room = u64::try_from((most + 1).saturating_sub(line.len())).unwrap_or(u64::MAX);
            input.take(room).read_to_end(&mut line)?;
        }
        first = false;
        let bytes = line.strip_suffix(b"\n").unwrap_or(&line);
        record(bytes.strip_suffix(b"\r").unwrap_or(bytes), read);
    }
    Ok(())
}

/// Plays a stretch of the alerts topic in the order of time. Partitions come one by one, so the stretch is held in memory.
pub(super) fn topic(args: &RulesBacktestArgs, config: &Config, play: &mut Play) -> Result<(), CliError> {
    let kafka = &config.kafka;
    let mut records: Vec<(Option<Timestamp>, i32, i64, Vec<u8>)> = Vec::new();
    let mut bytes = 0;
    let read = async {
        let extent = ScanExtent::Everything;
        let mut stream = RecordStream::open(kafka, Cluster::Alerts, &kafka.alerts_topic, extent).await?;
        let mut progress = Progress::new(None);
        while let Some(record) = stream.next().await {
            let record = record?;
            let before =
                |limit: Option<Timestamp>| record.timestamp.zip(limit).is_some_and(|(time, limit)| time < limit);
            let after_end = args.until.is_some() && !before(args.until);
            if before(args.since) || after_end || args.from_offset.is_some_and(|from| record.offset < from) {
                continue;
            }
            let payload = record.payload.unwrap_or_default();
            bytes += payload.len();
            records.push((record.timestamp, record.partition, record.offset, payload));
            progress.show(records.len() as u64, 0);
            anyhow::ensure!(
                records.len() <= MOST_RECORDS && bytes <= MOST_BYTES,
                "more than {MOST_RECORDS} records or {MOST_BYTES} bytes: choose a shorter stretch with --since, --until or \
                 --from-offset"
            );
        }
        progress.end();
        Ok::<(), anyhow::Error>(())
    };
    runtime()?.block_on(read)?;
    records.sort_unstable_by_key(|(time, partition, offset, _)| (*time, *partition, *offset));
    for (time, _, _, payload) in records {
        play.record(&payload, time);
    }
    Ok(())
}

/// One line on standard error, rewritten; nothing where nobody looks.
struct Progress {
    shown: bool,
    size: Option<u64>,
    last: Instant,
}

impl Progress {
    fn new(size: Option<u64>) -> Self {
        Self { shown: io::stderr().is_terminal(), size, last: Instant::now() }
    }

    fn show(&mut self, records: u64, read: u64) {
        if !self.shown || !records.is_multiple_of(1_000) || self.last.elapsed() < Duration::from_millis(200) {
            return;
        }
        self.last = Instant::now();
        let part = self.size.filter(|size| *size > 0).map(|size| format!("{:>3} %  ", (read * 100 / size).min(100)));
        // Progress that nobody can read is no reason to stop.
        drop(write!(io::stderr(), "\r\x1b[K{}{records} records", part.unwrap_or_default()));
        drop(io::stderr().flush());
    }

    fn end(&self) {
        if self.shown {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}
