//! `alert-responder produce FILE|-`: alerts from a file of JSON lines onto the alerts topic.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;
use tokio::io::{AsyncBufRead, BufReader};

use super::{CliError, Context, Exit, OutputFormat};
use crate::kafka::{KafkaError, ProduceReport, Settings, produce_lines};

/// Writes alerts to Kafka, one record per line.
#[derive(Debug, Clone, clap::Args)]
pub struct ProduceArgs {
    /// File with one JSON document per line; `-` reads standard input.
    pub file: PathBuf,
    /// Topic to write to [default: the alerts topic of the configuration].
    #[arg(long)]
    pub topic: Option<String>,
}

/// What became of the lines, as JSON.
#[derive(Serialize)]
struct Told<'a> {
    topic: &'a str,
    produced: u64,
    failed: u64,
    /// The first of them.
    failures: Vec<Failure>,
}

#[derive(Serialize)]
struct Failure {
    line: u64,
    error: String,
}

impl ProduceArgs {
    fn topic<'a>(&'a self, settings: &'a Settings) -> &'a str {
        self.topic.as_deref().unwrap_or(&settings.alerts_topic)
    }
}

/// Runs the command and tells what happened.
///
/// # Errors
/// As for [`produce`]; lines that were not written (5).
pub async fn run(args: &ProduceArgs, settings: &Settings, context: &mut Context) -> Result<(), CliError> {
    let report = produce(args, settings).await?;
    tell(context, args.topic(settings), &report)?;
    if report.failed == 0 { Ok(()) } else { Err(CliError::Reported(Exit::InputErrors)) }
}

/// Writes the lines.
///
/// # Errors
/// The file cannot be read, the settings are wrong, or the producer failed for good.
pub async fn produce(args: &ProduceArgs, settings: &Settings) -> anyhow::Result<ProduceReport> {
    let input: Box<dyn AsyncBufRead + Unpin + Send> = if args.file.as_os_str() == "-" {
        Box::new(BufReader::new(tokio::io::stdin()))
    } else {
        let file = tokio::fs::File::open(&args.file).await;
        Box::new(BufReader::new(file.with_context(|| format!("cannot open {}", args.file.display()))?))
    };
    Ok(produce_lines(settings, args.topic(settings), input).await?)
}

fn tell(context: &mut Context, topic: &str, report: &ProduceReport) -> Result<(), CliError> {
    let (produced, failed) = (report.produced, report.failed);
    if context.output == OutputFormat::Json {
        let failure = |(line, error): &(u64, KafkaError)| Failure { line: *line, error: error.to_string() };
        let failures = report.failures.iter().map(failure).collect();
        return context.json(&Told { topic, produced, failed, failures });
    }
    for (line, error) in &report.failures {
        context.line(format_args!("line {line}: {error}"))?;
    }
    let told = report.failures.len() as u64;
    if failed > told {
        context.line(format_args!("… and {} more", failed - told))?;
    }
    context.line(format_args!("{produced} records written to `{topic}`, {failed} failed"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<Vec<u8>>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_became_of_the_lines_is_told_in_either_form() {
        let report = ProduceReport { produced: 3, failed: 2, failures: vec![(4, KafkaError::QueueFull)] };
        let told = |output| {
            let out = Out::default();
            let mut context = Context { output, environment: BTreeMap::new(), out: Box::new(out.clone()) };
            tell(&mut context, "alerts", &report).unwrap();
            let bytes = out.0.lock().unwrap().clone();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(
            told(OutputFormat::Text),
            "line 4: the producer's queue is full\n… and 1 more\n3 records written to `alerts`, 2 failed\n"
        );
        let json: serde_json::Value = serde_json::from_str(&told(OutputFormat::Json)).unwrap();
        let failure = serde_json::json!({"line": 4, "error": "the producer's queue is full"});
        assert_eq!(json, serde_json::json!({"topic": "alerts", "produced": 3, "failed": 2, "failures": [failure]}));
    }
}
