//! `silences`: requests that a person wants held back for a while.

mod preview;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::orders::{Author, Target, Way, usage, write_one};
use super::time::{duration, moment};
use super::{CliError, Context, OutputFormat};
use crate::event::{ControlAction, Silence, SilenceField, SilenceMatcher};
use crate::telemetry::{OrderBody, SilenceBody};
use crate::worker::silences_of;

/// The commands about silences.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Hold back what matches, for a while.
    Add(AddArgs),
    /// Show the silences in force or to come.
    List(ListArgs),
    /// End silences now.
    End(EndArgs),
    /// Show which requests of the recent past a silence would have held back.
    Preview(preview::PreviewArgs),
}

/// Options of `silences add`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("end").required(true).args(["lasts", "until"])))]
pub struct AddArgs {
    /// What it matches, all of it: `rule`, `device.id`, `device.name`, `device.group`, `device.tag`, `alert.id`, `alert.title` or
    /// `alert.severity`, `=`, and a value in which `*` stands for any text and `?` for one character.
    #[arg(value_name = "FIELD=VALUE", required = true, value_parser = matcher)]
    pub matchers: Vec<SilenceMatcher>,
    /// How long it is in force (`90m`, `2h`, `3d`).
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    pub lasts: Option<Duration>,
    /// Until when it is in force (RFC 3339).
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub until: Option<Timestamp>,
    /// From when it is in force (RFC 3339) [default: now].
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub starts: Option<Timestamp>,
    /// Why; it is recorded in the ledger.
    #[arg(long, value_name = "TEXT")]
    pub comment: String,
    /// Who orders it.
    #[command(flatten)]
    pub author: Author,
    /// Which way the order goes.
    #[command(flatten)]
    pub way: Way,
}

/// Options of `silences list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Whom to ask.
    #[command(flatten)]
    pub way: Way,
}

/// Options of `silences end`.
#[derive(Debug, clap::Args)]
pub struct EndArgs {
    /// Ids, or beginnings of ids that name one silence each.
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
    /// Why; it is recorded in the ledger.
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Who orders it.
    #[command(flatten)]
    pub author: Author,
    /// Which way the order goes.
    #[command(flatten)]
    pub way: Way,
}

/// Runs the command.
///
/// # Errors
/// A ledger or worker that cannot be asked or did not take the order.
pub fn run(command: &Command, context: &mut Context) -> Result<(), CliError> {
    match command {
        Command::Add(args) => add(args, context),
        Command::List(args) => list(args, context),
        Command::End(args) => end(args, context),
        Command::Preview(args) => preview::run(args, context),
    }
}

/// Reads `field=value`.
pub(super) fn matcher(text: &str) -> Result<SilenceMatcher, String> {
    let (name, value) = text.split_once('=').ok_or("write FIELD=VALUE, for example device.name=ws-*")?;
    let field = SilenceField::ALL.iter().copied().find(|field| field.as_str() == name.trim());
    let Some(field) = field else {
        let known: Vec<&str> = SilenceField::ALL.iter().map(|field| field.as_str()).collect();
        return Err(format!("no field `{name}`; there are {}", known.join(", ")));
    };
    let value = value.trim();
    if value.is_empty() {
        return Err(format!("`{name}` wants a value; `*` stands for any"));
    }
    Ok(SilenceMatcher { field, value: value.to_owned() })
}

fn add(args: &AddArgs, context: &mut Context) -> Result<(), CliError> {
    let body = SilenceBody {
        author: args.author.name(context)?,
        comment: args.comment.clone(),
        matchers: args.matchers.clone(),
        starts_at: args.starts,
        ends_at: args.until,
        lasts: args.lasts,
    };
    let id = Uuid::new_v4().simple().to_string();
    let silence = body.clone().into_silence(id, Timestamp::now()).map_err(usage)?;
    let answer = match args.way.target(context)? {
        Target::Api { host, token } => Target::api(&host, token.as_ref(), "POST", "/admin/silences", Some(&body))?,
        Target::Ledger(config) => {
            let order = OrderBody { author: silence.author.clone(), comment: Some(silence.comment.clone()) };
            let action = ControlAction::SilenceSet { silence: silence.clone() };
            let mut answer = write_one(&config, "set silence", order.into_order(action).map_err(usage)?)?;
            if let Some(answer) = answer.as_object_mut() {
                answer.insert("silence".to_owned(), json!(silence));
            }
            answer
        }
    };
    match (context.output, answer.get("silence").and_then(|silence| serde_json::from_value(silence.clone()).ok())) {
        (OutputFormat::Text, Some(silence)) => context.line(describe(&silence)),
        _ => context.json(&answer),
    }
}

fn silences(target: &Target) -> Result<Vec<Silence>, CliError> {
    match target {
        Target::Api { host, token } => {
            let answer = Target::api(host, token.as_ref(), "GET", "/admin/silences", None::<&Value>)?;
            let silences = answer.get("silences").cloned().unwrap_or_default();
            Ok(serde_json::from_value(silences).map_err(anyhow::Error::new)?)
        }
        Target::Ledger(config) => Ok(silences_of(&Target::state(config)?, Timestamp::now())),
    }
}

fn list(args: &ListArgs, context: &mut Context) -> Result<(), CliError> {
    let silences = silences(&args.way.target(context)?)?;
    if context.output == OutputFormat::Json {
        return context.json(&json!({ "silences": silences }));
    }
    if silences.is_empty() {
        return context.line("No silence is in force or to come.");
    }
    silences.iter().try_for_each(|silence| context.line(describe(silence)))
}

fn end(args: &EndArgs, context: &mut Context) -> Result<(), CliError> {
    let target = args.way.target(context)?;
    let known = silences(&target)?;
    let body = OrderBody { author: args.author.name(context)?, comment: args.comment.clone() };
    // All are looked for before the first is ended.
    let ids = args.ids.iter().map(|id| named(&known, id)).collect::<Result<Vec<_>, _>>()?;
    for id in ids {
        let answer = match &target {
            Target::Api { host, token } => {
                Target::api(host, token.as_ref(), "DELETE", &format!("/admin/silences/{id}"), Some(&body))?
            }
            Target::Ledger(config) => {
                let action = ControlAction::SilenceEnded { silence_id: id.clone() };
                write_one(config, "end silence", body.clone().into_order(action).map_err(usage)?)?
            }
        };
        match context.output {
            OutputFormat::Json => context.json_line(&answer)?,
            OutputFormat::Text => context.line(format!("Ended the silence {id}."))?,
        }
    }
    Ok(())
}

/// The silence with this id, or the only one whose id begins so.
fn named(known: &[Silence], id: &str) -> Result<String, CliError> {
    let mut fitting = known.iter().filter(|silence| silence.id.starts_with(id) && !id.is_empty());
    match (fitting.next(), fitting.next()) {
        (Some(silence), None) => Ok(silence.id.clone()),
        (Some(_), Some(_)) => Err(CliError::Usage(format!("`{id}` begins more than one id; write more of it"))),
        (None, _) => Err(CliError::Usage(format!(
            "no silence `{id}` is in force or to come; `silences list` shows those that are"
        ))),
    }
}

fn describe(silence: &Silence) -> String {
    let matchers: Vec<String> =
        silence.matchers.iter().map(|matcher| format!("{}={}", matcher.field, matcher.value)).collect();
    let line = format!(
        "{}  {} to {}  {}  {}: {}",
        silence.id,
        silence.starts_at,
        silence.ends_at,
        matchers.join(" "),
        silence.author,
        silence.comment
    );
    // Texts of others: none may command a terminal.
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_is_a_field_and_a_value() {
        let read = matcher("device.name = ws-* ").expect("a matcher");
        assert_eq!((read.field, read.value.as_str()), (SilenceField::DeviceName, "ws-*"));
        assert_eq!(matcher("alert.title=a=b").expect("a matcher").value, "a=b");
        for (text, word) in [("device.name", "FIELD=VALUE"), ("device=ws", "device.name"), ("rule=", "wants a value")] {
            assert!(matcher(text).expect_err("refused").contains(word), "{text}");
        }
    }

    #[test]
    fn an_id_may_be_cut_short_as_long_as_it_names_one() {
        let silence = |id: &str| Silence {
            id: id.to_owned(),
            matchers: Vec::new(),
            starts_at: Timestamp::UNIX_EPOCH,
            ends_at: Timestamp::UNIX_EPOCH,
            author: String::new(),
            comment: "\u{1b}[2J".to_owned(),
        };
        let known = [silence("abc1"), silence("abd2")];
        assert_eq!(named(&known, "abc").expect("one"), "abc1");
        for id in ["ab", "x", ""] {
            assert!(named(&known, id).is_err(), "{id}");
        }
        assert!(!describe(&known[0]).contains('\u{1b}'));
    }
}
