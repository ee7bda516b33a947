//! `check`: configuration, files and rules, without starting anything.

use std::path::Path;

use serde::Serialize;

use super::{CliError, ConfigArgs, Context, Exit, OutputFormat, runtime};
use crate::config::{Config, Loaded, Place};
use crate::defender::Client;
use crate::event::Mode;
use crate::kafka;
use crate::rules::RuleSet;

/// Options of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Also ask the brokers and the token endpoint. Nothing is changed there.
    #[arg(long)]
    pub online: bool,
}

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warning,
    Failed,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One check and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    /// One per fault, or one that says what was looked at.
    messages: Vec<String>,
}

impl Finding {
    fn new(check: &'static str, state: State, message: impl Into<String>) -> Self {
        Self { check, state, messages: vec![message.into()] }
    }
}

/// Runs the command.
///
/// # Errors
/// [`CliError::Reported`] with exit code 3 for an invalid configuration or rules, 1 where an online check failed.
pub fn run(args: &Args, context: &mut Context) -> Result<(), CliError> {
    let mut findings = Vec::new();
    match Config::load(args.config.config.as_deref(), &context.environment) {
        Err(errors) => {
            let messages = errors.0.into_iter().map(|error| match error.place {
                // The name of the check says as much.
                Place::Whole => error.message,
                _ => error.to_string(),
            });
            let messages = messages.collect();
            findings.push(Finding { check: "configuration", state: State::Failed, messages });
        }
        Ok(loaded) => {
            findings.push(
                refused_by_librdkafka(&loaded.config)
                    .unwrap_or_else(|| configuration(args.config.config.as_deref(), &loaded)),
            );
            findings.extend(files(&loaded));
            findings.push(rules(&loaded.config.rules.directory));
            if args.online {
                findings.extend(online(&loaded));
            }
        }
    }
    match context.output {
        OutputFormat::Json => context.json(&findings)?,
        OutputFormat::Text => {
            for finding in &findings {
                for message in &finding.messages {
                    context.line(format_args!("{:<11} {:<13} {message}", finding.state.as_str(), finding.check))?;
                }
            }
        }
    }
    exit(&findings)
}

fn exit(findings: &[Finding]) -> Result<(), CliError> {
    let failed = |names: &[&str]| {
        findings.iter().any(|finding| finding.state == State::Failed && names.contains(&finding.check))
    };
    if failed(&["configuration", "rules"]) {
        return Err(CliError::Reported(Exit::Invalid));
    }
    if findings.iter().any(|finding| finding.state == State::Failed) {
        return Err(CliError::Reported(Exit::Unexpected));
    }
    Ok(())
}

fn configuration(path: Option<&Path>, loaded: &Loaded) -> Finding {
    let set = loaded.rows().iter().filter(|row| row.origin != "default").count();
    let source = path.map_or_else(|| "defaults and environment".to_owned(), |path| path.display().to_string());
    let mode = loaded.config.mode.as_str();
    Finding::new("configuration", State::Ok, format!("{source}: {set} keys set, mode {mode}"))
}

/// librdkafka alone knows its properties, and says what it thinks of them when a client is made.
fn refused_by_librdkafka(config: &Config) -> Option<Finding> {
    let refused = kafka::refused_settings(&config.kafka);
    let messages: Vec<String> = refused.into_iter().map(|(key, error)| format!("{key}: {error}")).collect();
    (!messages.is_empty()).then_some(Finding { check: "configuration", state: State::Failed, messages })
}

/// Files that cannot be read are a warning: the check may run where the secrets are not.
fn files(loaded: &Loaded) -> Option<Finding> {
    let messages = loaded.unreadable_files();
    (!messages.is_empty()).then_some(Finding { check: "files", state: State::Warning, messages })
}

/// Loads the rule set; its tests are `rules check`'s business.
fn rules(directory: &Path) -> Finding {
    match RuleSet::load_dir(directory) {
        Err(errors) => Finding::new("rules", State::Failed, errors.to_string()),
        Ok(set) => {
            let live = set
                .rules()
                .iter()
                .filter(|rule| rule.response.as_ref().is_some_and(|response| response.mode == Mode::Live));
            let summary = format!("{}: {} rules, {} live", directory.display(), set.rules().len(), live.count());
            Finding::new("rules", State::Ok, summary)
        }
    }
}

/// Asks the brokers for the topics, and the token endpoint for a token. Creates nothing.
fn online(loaded: &Loaded) -> Vec<Finding> {
    let config = &loaded.config;
    match runtime() {
        Ok(runtime) => runtime.block_on(async { vec![topics(config).await, defender(config).await] }),
        Err(error) => vec![Finding::new("kafka", State::Failed, error.to_string())],
    }
}

async fn topics(config: &Config) -> Finding {
    let settings = kafka::Settings { create_topics: false, ..config.kafka.clone() };
    match kafka::ensure_topics(&settings).await {
        Err(error) => Finding::new("kafka", State::Failed, error.to_string()),
        Ok(report) if report.warnings.is_empty() => {
            let summary = format!("{}: topics are fit", settings.bootstrap_servers);
            Finding::new("kafka", State::Ok, summary)
        }
        Ok(report) => Finding { check: "kafka", state: State::Warning, messages: report.warnings },
    }
}

async fn defender(config: &Config) -> Finding {
    let roles = match Client::new(&config.defender) {
        Ok(client) => client.roles().await,
        Err(error) => Err(error),
    };
    match roles {
        Err(error) => Finding::new("defender", State::Failed, error.to_string()),
        Ok(roles) if !roles.scan => {
            let words = "the token has no Machine.Scan role; grant the application permission and admin consent";
            Finding::new("defender", State::Failed, words)
        }
        Ok(roles) if !roles.read => {
            let words = "the token has no Machine.Read.All role: lost answers cannot be resolved, scans not followed";
            Finding::new("defender", State::Warning, words)
        }
        Ok(roles) => Finding::new("defender", State::Ok, format!("a token with {}", roles.names.join(", "))),
    }
}
