//! `halt`, `resume` and `rearm`: orders that bind every replica.

use serde_json::{Value, json};

use super::orders::{Author, Target, Way, usage, write_one};
use super::{CliError, Context, OutputFormat};
use crate::event::ControlAction;
use crate::telemetry::{OrderBody, RearmBody};
use crate::worker::{caps_to_rearm, check_tripped};

/// Options of `halt`.
#[derive(Debug, clap::Args)]
pub struct HaltArgs {
    /// Which way the order goes.
    #[command(flatten)]
    pub way: Way,
    /// Who orders it.
    #[command(flatten)]
    pub author: Author,
    /// Why; it is recorded in the ledger.
    #[arg(long, value_name = "TEXT")]
    pub comment: String,
}

/// Options of `resume`.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// Which way the order goes.
    #[command(flatten)]
    pub way: Way,
    /// Who orders it.
    #[command(flatten)]
    pub author: Author,
    /// Why; it is recorded in the ledger.
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
}

/// Options of `rearm`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["rule", "all"]))]
pub struct RearmArgs {
    /// Which way the order goes.
    #[command(flatten)]
    pub way: Way,
    /// Who orders it.
    #[command(flatten)]
    pub author: Author,
    /// The rule whose cap begins to count anew.
    #[arg(long, value_name = "ID")]
    pub rule: Option<String>,
    /// Every cap that is tripped, and the cap on all rules together.
    #[arg(long)]
    pub all: bool,
    /// Why; it is recorded in the ledger.
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
}

/// Stops every scan and cancellation.
///
/// # Errors
/// A ledger or worker that did not take the order.
pub fn halt(args: &HaltArgs, context: &mut Context) -> Result<(), CliError> {
    let body = OrderBody { author: args.author.name(context)?, comment: Some(args.comment.clone()) };
    let answer = order(&args.way, body, ControlAction::Halted, ("halt", "/admin/halt"), context)?;
    show(
        context,
        &answer,
        "Halted: no call is made until somebody resumes; requests wait. The replica that dispatches obeys when it reads the order.",
    )
}

/// Goes on.
///
/// # Errors
/// A ledger or worker that did not take the order.
pub fn resume(args: &ResumeArgs, context: &mut Context) -> Result<(), CliError> {
    let body = OrderBody { author: args.author.name(context)?, comment: args.comment.clone() };
    let answer = order(&args.way, body, ControlAction::Resumed, ("resume", "/admin/resume"), context)?;
    let configured = answer.get("halted_by_configuration").and_then(Value::as_bool).unwrap_or(false);
    let word = if configured {
        "Resumed; but the configuration of this worker says `halted: true`, which no order overrules."
    } else {
        "Resumed. A replica whose configuration says `halted: true` stays halted."
    };
    show(context, &answer, word)
}

/// Lets tripped caps count anew.
///
/// # Errors
/// A ledger or worker that did not take the order.
pub fn rearm(args: &RearmArgs, context: &mut Context) -> Result<(), CliError> {
    let body = RearmBody {
        author: args.author.name(context)?,
        comment: args.comment.clone(),
        rule: args.rule.clone(),
        all: args.all,
    };
    let rule_id = body.rule().map_err(usage)?;
    let answer = match args.way.target(context)? {
        Target::Api { host, token } => Target::api(&host, token.as_ref(), "POST", "/admin/rearm", Some(&body))?,
        Target::Ledger(config) => {
            let state = Target::state(&config)?;
            let caps = match &rule_id {
                Some(rule) => {
                    check_tripped(&state, rule).map_err(CliError::Usage)?;
                    vec![rule_id.clone()]
                }
                None => caps_to_rearm(&state),
            };
            let orders =
                caps.iter().map(|cap| body.order().into_order(ControlAction::Rearmed { rule_id: cap.clone() }));
            let orders = orders.collect::<Result<Vec<_>, _>>().map_err(usage)?;
            let offsets = Target::write(&config, orders)?;
            let rules: Vec<&String> = caps.iter().flatten().collect();
            json!({ "order": "re-arm", "rules": rules, "offset": offsets.last() })
        }
    };
    let rules = answer.get("rules").and_then(Value::as_array).map_or(0, Vec::len);
    let word = match &rule_id {
        Some(rule) => format!("Re-armed rule {rule}."),
        None => format!("Re-armed the cap on all rules together and {rules} tripped rules."),
    };
    show(context, &answer, &word)
}

fn order(
    way: &Way,
    body: OrderBody,
    action: ControlAction,
    (name, path): (&str, &str),
    context: &Context,
) -> Result<Value, CliError> {
    let order = body.clone().into_order(action).map_err(usage)?;
    match way.target(context)? {
        Target::Api { host, token } => Target::api(&host, token.as_ref(), "POST", path, Some(&body)),
        Target::Ledger(config) => write_one(&config, name, order),
    }
}

fn show(context: &mut Context, answer: &Value, word: &str) -> Result<(), CliError> {
    match context.output {
        OutputFormat::Json => context.json(answer),
        OutputFormat::Text => {
            let offset = answer.get("offset").and_then(Value::as_i64);
            context.line(format!("{word}{}", offset.map_or_else(String::new, |at| format!(" (ledger offset {at})"))))
        }
    }
}
