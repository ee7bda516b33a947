//! Why a command did not succeed, and the exit code that says so.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::config::ConfigErrors;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Fine.
    Fine = 0,
    /// Unexpected: the world did not play along, or a bug.
    Unexpected = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration or the rules are invalid.
    Invalid = 3,
    /// The worker stopped with work left after its grace period. Nothing is lost; it goes on at the next start.
    WorkLeft = 4,
    /// The input had errors: records that do not decode, tests that failed, a balance that does not hold.
    InputErrors = 5,
    /// Interrupted a second time while stopping.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Anything that is nobody's fault in particular.
    #[error("{0:#}")]
    Unexpected(#[from] anyhow::Error),
    /// The command line is well-formed and makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The configuration is invalid.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// The rules are invalid; one message per line.
    #[error("{0}")]
    Rules(String),
    /// The input had errors.
    #[error("{0}")]
    InputErrors(String),
    /// The result could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// What is wrong has been said already, as the command's result or in the log.
    #[error("")]
    Reported(Exit),
}

impl CliError {
    /// The exit code. A reader that went away (`… | head`) is no failure.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unexpected(_) => Exit::Unexpected,
            Self::Usage(_) => Exit::Usage,
            Self::Config(_) | Self::Rules(_) => Exit::Invalid,
            Self::InputErrors(_) => Exit::InputErrors,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Fine,
            Self::Output(_) => Exit::Unexpected,
            Self::Reported(exit) => *exit,
        }
    }

    /// What to say on standard error; nothing where all is said. Each kind tells its causes in its own text.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let is_said = self.exit() == Exit::Fine || matches!(self, Self::Reported(_));
        (!is_said).then(|| self.to_string())
    }
}

/// Says on standard error what went wrong and returns the exit code.
#[must_use]
pub fn report(error: &CliError) -> ExitCode {
    if let Some(message) = error.message() {
        // Nobody can be told that standard error is closed.
        drop(writeln!(io::stderr(), "alert-responder: {message}"));
    }
    error.exit().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigError, Place};

    #[test]
    fn every_error_has_its_documented_code() {
        let broken_pipe = io::Error::from(io::ErrorKind::BrokenPipe);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        for (error, code) in [
            (CliError::Unexpected(anyhow::anyhow!("x")), 1),
            (CliError::Usage("x".into()), 2),
            (CliError::Config(ConfigErrors(Vec::new())), 3),
            (CliError::Rules("x".into()), 3),
            (CliError::Reported(Exit::WorkLeft), 4),
            (CliError::InputErrors("x".into()), 5),
            (CliError::Reported(Exit::Interrupted), 130),
            (CliError::Output(broken_pipe), 0),
            (CliError::Output(full), 1),
            (CliError::Reported(Exit::InputErrors), 5),
        ] {
            assert_eq!(error.exit() as u8, code, "{error:?}");
        }
    }

    #[test]
    fn causes_are_told_once() {
        let error = anyhow::anyhow!("connection refused").context("cannot reach kafka:9092");
        let message = CliError::Unexpected(error).message();
        assert_eq!(message.as_deref(), Some("cannot reach kafka:9092: connection refused"));
        let fault = |message: &str| ConfigError { place: Place::Whole, message: message.to_owned() };
        let faults = ConfigErrors(vec![fault("no broker"), fault("no tenant")]);
        assert_eq!(
            CliError::Config(faults).message().as_deref(),
            Some("configuration: no broker\nconfiguration: no tenant")
        );
        let full = io::Error::other("the disk is full");
        assert_eq!(CliError::Output(full).message().as_deref(), Some("cannot write the output: the disk is full"));
        assert_eq!(CliError::Reported(Exit::Invalid).message(), None);
        assert_eq!(CliError::Output(io::ErrorKind::BrokenPipe.into()).message(), None);
    }
}
