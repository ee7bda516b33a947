//! `dead-letters list`.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::Serialize;

use super::{Selection, excerpt, one_line, read};
use crate::cli::{CliError, ConfigArgs, Context, OutputFormat, load_sections, runtime};
use crate::kafka::KeptRecord;

/// Characters of the value that are shown.
const EXCERPT: usize = 120;

/// Options of `dead-letters list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Which ones.
    #[command(flatten)]
    pub selection: Selection,
    /// Most that are shown, the latest ones; all are counted.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub limit: usize,
    /// The configuration: the topic.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// One letter, for programs.
#[derive(Debug, Serialize)]
struct Line {
    partition: i32,
    offset: i64,
    time: Option<Timestamp>,
    reason: String,
    detail: String,
    source_topic: String,
    source_partition: i32,
    source_offset: i64,
    replays: u32,
    position_only: bool,
    excerpt: String,
}

impl Line {
    fn of(letter: KeptRecord) -> Self {
        Self {
            excerpt: excerpt(letter.payload.as_deref(), EXCERPT),
            partition: letter.partition,
            offset: letter.offset,
            time: letter.time,
            reason: letter.reason,
            detail: letter.detail,
            source_topic: letter.source_topic,
            source_partition: letter.source_partition,
            source_offset: letter.source_offset,
            replays: letter.replays,
            position_only: letter.position_only,
        }
    }

    fn text(&self) -> String {
        let time = self.time.map_or_else(|| "-".to_owned(), |time| time.to_string());
        let again = if self.replays > 0 { format!(" (replayed {} times)", self.replays) } else { String::new() };
        one_line(&format!(
            "{}@{}  {time}  {}{again}  from {} {}@{}: {}  {}",
            self.partition,
            self.offset,
            self.reason,
            self.source_topic,
            self.source_partition,
            self.source_offset,
            self.detail,
            self.excerpt
        ))
    }
}

pub(super) fn run(args: &ListArgs, context: &mut Context) -> Result<(), CliError> {
    let config = load_sections(args.config.config.as_deref(), &["kafka"], context)?;
    let (mut shown, mut count) = (VecDeque::new(), 0_u64);
    let reading = read(&config.kafka, &args.selection, Timestamp::now(), |letter| {
        count += 1;
        shown.push_back(Line::of(letter));
        if shown.len() > args.limit {
            shown.pop_front();
        }
    });
    runtime()?.block_on(reading).map_err(anyhow::Error::new)?;
    for line in &shown {
        match context.output {
            OutputFormat::Json => context.json_line(line)?,
            OutputFormat::Text => context.line(line.text())?,
        }
    }
    if context.output == OutputFormat::Text {
        context.line(format!("{count} dead letters, {} shown", shown.len()))?;
    }
    Ok(())
}
