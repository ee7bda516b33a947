//! `alert-responder produce FILE|-`: alerts from a file of JSON lines onto the alerts topic.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use tokio::io::{AsyncBufRead, BufReader};

use crate::kafka::{Settings, produce_lines};

/// Writes alerts to Kafka, one record per line.
#[derive(Debug, Clone, clap::Args)]
pub struct ProduceArgs {
    /// File with one JSON document per line; `-` reads standard input.
    pub file: PathBuf,
    /// Topic to write to [default: the alerts topic of the configuration].
    #[arg(long)]
    pub topic: Option<String>,
}

/// Runs the command and tells what happened on `out`. Whether every line was written.
///
/// # Errors
/// The file cannot be read, the settings are wrong, or the producer failed for good.
pub async fn produce(args: &ProduceArgs, settings: &Settings, out: &mut (dyn Write + Send)) -> anyhow::Result<bool> {
    let topic = args.topic.as_deref().unwrap_or(&settings.alerts_topic);
    let input: Box<dyn AsyncBufRead + Unpin + Send> = if args.file.as_os_str() == "-" {
        Box::new(BufReader::new(tokio::io::stdin()))
    } else {
        let file = tokio::fs::File::open(&args.file).await;
        Box::new(BufReader::new(file.with_context(|| format!("cannot open {}", args.file.display()))?))
    };
    let report = produce_lines(settings, topic, input).await?;
    for (line, error) in &report.failures {
        writeln!(out, "line {line}: {error}")?;
    }
    if report.failed > report.failures.len() as u64 {
        writeln!(out, "… and {} more", report.failed - report.failures.len() as u64)?;
    }
    writeln!(out, "{} records written to `{topic}`, {} failed", report.produced, report.failed)?;
    Ok(report.failed == 0)
}
