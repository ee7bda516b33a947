//! Any bytes as a Kafka record: it is decoded, or refused with a place, without a panic, and the same way every time.

#![no_main]

use alert_responder::alert::{DecodeOptions, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let options = DecodeOptions { keep_raw: true, ..DecodeOptions::default() };
    match decode(bytes, &options) {
        Ok(alerts) => {
            assert!(alerts.len() <= options.limits.max_alerts_per_record);
            for decoded in &alerts {
                assert!(!decoded.alert.id.is_empty());
                assert!(decoded.alert.devices.len() <= options.limits.max_devices_per_alert);
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(decode(bytes, &options).err(), Some(error));
        }
    }
});
