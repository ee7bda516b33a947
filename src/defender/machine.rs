//! The device, which the API calls machine.

use std::net::IpAddr;

use serde_json::Value;

use super::text::clean;

/// Whether `text` has the form of a Defender machine id: 40 hexadecimal digits. Bring it to lower case before use. A GUID
/// with dashes is almost surely an Entra device id in the wrong place.
#[must_use]
pub fn is_machine_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A device as Microsoft's page on the machine resource has it; everything but the id may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Machine id, in lower case.
    pub id: String,
    /// Name; sometimes short, sometimes in upper case.
    pub name: Option<String>,
    /// Operating system, an open word such as `Windows11`.
    pub os: Option<String>,
    /// Device group (`rbacGroupName`); none for a device in no group.
    pub group: Option<String>,
    /// Machine tags; none of them is not the same as an answer that does not tell them (`None`).
    pub tags: Option<Vec<String>>,
    /// Risk score: `None`, `Informational`, `Low`, `Medium`, `High`.
    pub risk: Option<String>,
    /// Last known addresses.
    pub ips: Vec<IpAddr>,
    /// `Active`, `Inactive`, …
    pub health_status: Option<String>,
    /// `Onboarded`, …
    pub onboarding_status: Option<String>,
    /// Entra device id.
    pub aad_device_id: Option<String>,
    /// The id that this one was merged into.
    pub merged_into: Option<String>,
    /// Whether the device is excluded from views.
    pub is_excluded: bool,
}

impl Machine {
    /// Reads one machine. Fields of an unexpected type count as absent.
    ///
    /// # Errors
    /// When there is no id.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        let text = |key: &str| {
            value.get(key).and_then(Value::as_str).map(|text| clean(text, 300)).filter(|text| !text.is_empty())
        };
        let list = |key: &str| value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut ips: Vec<IpAddr> = text("lastIpAddress").and_then(|ip| ip.parse().ok()).into_iter().collect();
        for address in list("ipAddresses") {
            let ip = address.get("ipAddress").and_then(Value::as_str).and_then(|ip| ip.parse().ok());
            ips.extend(ip.filter(|ip| !ips.contains(ip)));
        }
        Ok(Self {
            id: text("id").ok_or("a machine without id")?.to_ascii_lowercase(),
            name: text("computerDnsName"),
            os: text("osPlatform"),
            group: text("rbacGroupName"),
            tags: value
                .get("machineTags")
                .and_then(Value::as_array)
                .and_then(|tags| tags.iter().map(|tag| tag.as_str().map(|tag| clean(tag, 300))).collect()),
            risk: text("riskScore"),
            ips,
            health_status: text("healthStatus"),
            onboarding_status: text("onboardingStatus"),
            aad_device_id: text("aadDeviceId"),
            merged_into: text("mergedIntoMachineId"),
            is_excluded: value.get("isExcluded").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_are_not_told_are_not_none() {
        let tags = |told: &str| {
            let value: Value = serde_json::from_str(&format!("{{\"id\": \"a\"{told}}}")).unwrap();
            Machine::from_value(&value).unwrap().tags
        };
        assert_eq!(tags(", \"machineTags\": []"), Some(Vec::new()));
        assert_eq!(tags(", \"machineTags\": [\" Lab \"]"), Some(vec!["Lab".to_owned()]));
        for told in ["", ", \"machineTags\": null", ", \"machineTags\": \"Lab\"", ", \"machineTags\": [7, \"Lab\"]"] {
            assert_eq!(tags(told), None, "{told}");
        }
    }

    #[test]
    fn ids_are_forty_hexadecimal_digits() {
        assert!(is_machine_id("2eeb1689b274fc8f816c48ac9219e820fc4de080"));
        assert!(is_machine_id("2EEB1689B274FC8F816C48AC9219E820FC4DE080"));
        for bad in
            ["", "349f2c58-095a-5a0b-9c82-7f6c55c016de", "2eeb1689b274fc8f816c48ac9219e820fc4de08", "../machines"]
        {
            assert!(!is_machine_id(bad), "{bad}");
        }
        assert!(!is_machine_id(&"é".repeat(20)));
    }
}
