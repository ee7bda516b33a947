//! The `alert-responder` program.

use std::process::ExitCode;

use alert_responder::cli::{self, Cli, Context};
use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cli::report_usage(&error),
    };
    match cli::run(&cli.command, &mut Context::of_process(cli.output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error),
    }
}
