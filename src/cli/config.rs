//! `config print` and `config schema`.

use clap::Subcommand;

use super::{CliError, ConfigArgs, Context, OutputFormat};
use crate::config::{Config, Row};

/// What to show.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show every key with its value and where the value comes from. Secrets are redacted.
    Print(ConfigArgs),
    /// Show the JSON Schema of the configuration file (draft-07), for editors.
    Schema,
}

/// Runs the command.
///
/// # Errors
/// [`CliError::Config`], [`CliError::Output`].
pub fn run(command: &Command, context: &mut Context) -> Result<(), CliError> {
    match command {
        Command::Schema => context.json(&Config::schema()),
        Command::Print(args) => {
            let rows = args.load(context)?.rows();
            match context.output {
                OutputFormat::Json => context.json(&rows),
                OutputFormat::Text => rows.iter().try_for_each(|row| context.line(text(row))),
            }
        }
    }
}

fn text(row: &Row) -> String {
    let value = match &row.value {
        serde_json::Value::Null => "(not set)".to_owned(),
        serde_json::Value::String(text) if text == "<redacted>" => text.clone(),
        value => value.to_string(),
    };
    let place = row.place.as_ref().map(|place| format!(" {place}")).unwrap_or_default();
    format!("{} = {value}  # {}{place}", row.key, row.origin)
}
