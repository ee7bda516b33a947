//! What is wrong with a configuration: every fault, each with its place and its mend.

use std::fmt;

/// A place in a file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// Where a fault, or a value, comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The configuration file.
    File {
        /// The path as it was given.
        path: String,
        /// Where in it.
        at: Position,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        name: String,
    },
    /// The file as a whole, for example one that cannot be read.
    Path {
        /// The path as it was given.
        path: String,
    },
    /// The configuration as a whole: a default, or several keys that do not go together.
    Whole,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, at } => write!(f, "{path}:{}:{}", at.line, at.column),
            Self::Environment { name } => write!(f, "environment {name}"),
            Self::Path { path } => f.write_str(path),
            Self::Whole => f.write_str("configuration"),
        }
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// Where.
    pub place: Place,
    /// What, and what to do about it.
    pub message: String,
}

/// Every fault of a configuration, in the order of file, environment and the rest. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// Stable code for logs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "invalid_config"
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    /// One line per fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}
