//! From the bytes of one record to its alerts.

use super::error::{DecodeError, DecodeReason, Position};
use super::fields::Fields;
use super::json::{check_depth, parse, refuse_duplicate_keys};
use super::model::{Alert, Format};
use super::path::Path;
use super::recognise::each_alert;
use super::settings::{DecodeOptions, Settings};
use super::{devices, graph, mde, own};

/// One alert of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Position of the alert in the record, from 0. With the record's offset it names an observation.
    pub index: u32,
    /// The alert.
    pub alert: Alert,
}

/// Decodes one record: an alert, an array of alerts, or a page (`{"value": [...]}`) of MDE or Graph alerts.
///
/// The format is told by the keys of each alert. An empty array or page is no error: it holds no alerts. If one alert of the
/// record is bad the whole record is refused, so that the dead letter can hold the original bytes and a replay after
/// mending repeats none of its alerts.
///
/// Checked in this order, the cheapest first: size, UTF-8 (a byte-order mark at the start is dropped), depth, JSON, format,
/// then the format's contract.
///
/// # Errors
/// One [`DecodeReason`] per step, with the place and the mend.
///
/// ```
/// use alert_responder::alert::{DecodeOptions, Severity, decode};
///
/// let record = br#"{"id": 3212, "severity": "High", "device": {"name": "ws-17"}}"#;
/// let decoded = decode(record, &DecodeOptions::default())?;
/// assert_eq!(decoded[0].alert.id, "3212");
/// assert_eq!(decoded[0].alert.severity, Severity::High);
///
/// let error = decode(br#"{"id": 3212, "severity": "Hihg"}"#, &DecodeOptions::default()).unwrap_err();
/// assert_eq!(error.code(), "invalid");
/// assert_eq!(error.position().to_string(), "/severity");
/// # Ok::<(), alert_responder::alert::DecodeError>(())
/// ```
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Vec<Decoded>, DecodeError> {
    let limits = &options.limits;
    if bytes.len() > limits.max_record_bytes {
        let detail =
            format!("{} bytes; at most {} are allowed (max_record_bytes)", bytes.len(), limits.max_record_bytes);
        return Err(DecodeError::record(DecodeReason::TooLarge, detail));
    }
    let text = text_of(bytes)?;
    check_depth(text, limits.max_depth)?;
    let record = parse(text)?;

    let mut decoded = Vec::new();
    each_alert(&record, limits.max_alerts_per_record, |json, path, format| {
        refuse_duplicate_keys(json, &path)?;
        let fields = Fields::of(json, path)?;
        let mut alert = match format {
            Format::AlertResponder => own::alert(&fields, limits)?,
            Format::MdeAlert => mde::alert(&fields)?,
            Format::GraphAlert => graph::alert(&fields, limits)?,
        };
        alert.format = format;
        alert.devices = devices::tidied(alert.devices);
        if options.keep_raw {
            alert.raw = json.to_value();
        }
        // No record of this size holds four thousand million alerts.
        let index = u32::try_from(decoded.len()).unwrap_or(u32::MAX);
        decoded.push(Decoded { index, alert });
        Ok(())
    })?;
    Ok(decoded)
}

/// Reads one alert of our own format as [`decode`] would, whatever other formats its keys are known from; the original is kept.
///
/// # Errors
/// The first breach of the contract, with its place.
pub fn decode_own(json: &serde_json::Value, limits: &Settings) -> Result<Alert, DecodeError> {
    let text = json.to_string();
    check_depth(&text, limits.max_depth)?;
    let record = parse(&text)?;
    let mut alert = own::alert(&Fields::of(&record, Path::ROOT)?, limits)?;
    alert.devices = devices::tidied(alert.devices);
    alert.raw = record.to_value();
    Ok(alert)
}

/// The record as text, without a byte-order mark.
fn text_of(bytes: &[u8]) -> Result<&str, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let detail = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            "this is UTF-16; send UTF-8"
        } else {
            "not UTF-8; send JSON in UTF-8, not compressed and not in Avro"
        };
        DecodeError::at(DecodeReason::NotUtf8, Position::Byte(error.valid_up_to()), detail)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}
