//! What a command needs of its surroundings: the environment, and where its result goes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::CliError;

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document, or one per line where results come one by one.
    Json,
}

/// The surroundings of a command. Results go to `out`, talk goes to the log on standard error.
pub struct Context {
    /// How results are shown.
    pub output: OutputFormat,
    /// The environment variables.
    pub environment: BTreeMap<String, String>,
    /// Standard output.
    pub out: Box<dyn Write + Send>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment holds secrets.
        f.debug_struct("Context").field("output", &self.output).finish_non_exhaustive()
    }
}

impl Context {
    /// The surroundings of this process. Variables that are not UTF-8 are none of ours and left out.
    #[must_use]
    pub fn of_process(output: OutputFormat) -> Self {
        let variables = std::env::vars_os();
        let environment =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { output, environment: environment.collect(), out: Box::new(io::stdout()) }
    }

    /// Writes one line of text.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub fn line(&mut self, line: impl std::fmt::Display) -> Result<(), CliError> {
        Ok(writeln!(self.out, "{line}")?)
    }

    /// Writes one JSON document, indented.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        self.line(text)
    }

    /// Writes one JSON document on one line, for results that come one by one.
    ///
    /// # Errors
    /// [`CliError::Output`].
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.line(text)
    }
}
