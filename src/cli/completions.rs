//! `completions`: the completion script of a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, CliError, Context};

/// Options of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    pub shell: Shell,
}

/// Runs the command.
///
/// # Errors
/// [`CliError::Output`].
pub fn run(args: &Args, context: &mut Context) -> Result<(), CliError> {
    // The generator panics where it cannot write, so it writes into memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "alert-responder", &mut script);
    Ok(context.out.write_all(&script)?)
}
