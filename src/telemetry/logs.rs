//! The log: one line per event on standard error.
//!
//! JSON has `timestamp` (RFC 3339, UTC), `level`, `message`, `target`, the event's fields beside them, and the fields of the
//! spans around it under `span`.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{LogFormat, Settings, TelemetryError};

/// What is known of the place the log goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogTarget {
    /// Whether a person looks at it.
    pub is_terminal: bool,
    /// Whether `NO_COLOR` is set to something.
    pub no_color: bool,
}

impl LogTarget {
    /// Standard error of this process; `no_color` is the value of `NO_COLOR`.
    #[must_use]
    pub fn stderr(no_color: Option<&str>) -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), no_color: no_color.is_some_and(|value| !value.is_empty()) }
    }
}

/// A subscriber that writes to `writer`.
///
/// # Errors
/// [`TelemetryError::LogLevel`].
pub fn subscriber<W>(
    settings: &Settings,
    target: LogTarget,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.log_level)?;
    let text = match settings.log_format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => target.is_terminal,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    if text {
        let colour = target.is_terminal && !target.no_color;
        return Ok(Box::new(registry.with(layer.with_ansi(colour))));
    }
    let layer = layer.json().flatten_event(true).with_current_span(true).with_span_list(false);
    Ok(Box::new(registry.with(layer)))
}

/// Installs the log of this process on standard error. Once per process, by the command that runs.
///
/// # Errors
/// [`TelemetryError::LogLevel`], or [`TelemetryError::LogInstalled`] the second time.
pub fn init(settings: &Settings, no_color: Option<&str>) -> Result<(), TelemetryError> {
    let subscriber = subscriber(settings, LogTarget::stderr(no_color), std::io::stderr)?;
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(level: &str, format: LogFormat, target: LogTarget) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let settings = Settings { log_level: level.to_owned(), log_format: format, ..Settings::default() };
        let subscriber = subscriber(&settings, target, move || writer.clone()).expect("a level");
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("record", topic = "alerts", partition = 3);
            let _inside = span.enter();
            tracing::info!(alert_id = "3212", outcome = "scanned", "Alert ended.");
            tracing::debug!("Detail.");
        });
        let bytes = buffer.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    const PIPE: LogTarget = LogTarget { is_terminal: false, no_color: false };
    const TERMINAL: LogTarget = LogTarget { is_terminal: true, no_color: false };

    #[test]
    fn json_has_one_object_per_line_with_stable_fields() {
        let text = log("debug", LogFormat::Auto, PIPE);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2);
        let line = &lines[0];
        assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"Alert ended.".into()));
        assert_eq!((&line["alert_id"], &line["outcome"]), (&"3212".into(), &"scanned".into()));
        assert_eq!((&line["span"]["topic"], &line["span"]["partition"]), (&"alerts".into(), &3.into()));
        assert_eq!(line["target"], "alert_responder::telemetry::logs::tests");
        let timestamp = line["timestamp"].as_str().expect("a text");
        assert!(timestamp.ends_with('Z') && timestamp.parse::<jiff::Timestamp>().is_ok(), "{timestamp}");
    }

    #[test]
    fn the_level_filters() {
        assert_eq!(log("info", LogFormat::Json, PIPE).lines().count(), 1);
        assert_eq!(log("warn", LogFormat::Json, PIPE), "");
        assert_eq!(log("warn,alert_responder=debug", LogFormat::Json, PIPE).lines().count(), 2);
    }

    #[test]
    fn colour_only_on_a_terminal_and_without_no_color() {
        let colour = "\u{1b}[";
        assert!(log("info", LogFormat::Auto, TERMINAL).contains(colour));
        assert!(!log("info", LogFormat::Text, PIPE).contains(colour));
        assert!(!log("info", LogFormat::Text, LogTarget { no_color: true, ..TERMINAL }).contains(colour));
        assert!(!log("info", LogFormat::Json, TERMINAL).contains(colour));
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        let settings = Settings { log_level: "chatty=very".to_owned(), ..Settings::default() };
        assert!(matches!(subscriber(&settings, PIPE, io::sink), Err(TelemetryError::LogLevel(_))));
        assert_eq!(settings.validate().len(), 1);
    }
}
