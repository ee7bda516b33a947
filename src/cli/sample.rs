//! `sample`: as many alerts as you like, of all formats, the same for the same options.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::time::{duration, moment};
use super::{CliError, Context};
use crate::simulator::machine_id_of;

/// Entra tenant of the alerts that tell one: the demo's.
const TENANT: &str = "1228d172-029d-54e1-81c4-e82adcba5353";

/// Write made-up alerts, one record per line: for `rules backtest`, `produce` and load tests.
///
/// Most are of no interest to any rule. Some devices are noisier than others, some alerts are sent twice, and now and then
/// an outbreak hits many devices within minutes.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How many records.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    pub count: u64,
    /// How many devices there are.
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub devices: u32,
    /// Time of the first alert (RFC 3339), or `now`: for a worker that runs, which takes old alerts for too old.
    #[arg(long, value_name = "TIME", default_value = "2026-05-04T08:00:00Z", value_parser = moment_or_now)]
    pub start: Timestamp,
    /// Time from the first alert to the last.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub over: Duration,
    /// Another seed makes other alerts.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

fn moment_or_now(text: &str) -> Result<Timestamp, String> {
    if text == "now" { Ok(Timestamp::now()) } else { moment(text) }
}

/// Runs the command.
///
/// # Errors
/// [`CliError::Output`].
pub fn run(args: &Args, context: &mut Context) -> Result<(), CliError> {
    let mut out = std::io::BufWriter::with_capacity(1 << 18, &mut context.out);
    write(args, &mut out)?;
    Ok(out.flush()?)
}

/// Writes the alerts.
///
/// # Errors
/// Of writing.
pub fn write(args: &Args, out: &mut dyn Write) -> std::io::Result<()> {
    let mut dice = StdRng::seed_from_u64(args.seed);
    let step = args.over.as_nanos() / u128::from(args.count.max(2) - 1);
    let mut outbreak = 0;
    for number in 0..args.count {
        let since = Duration::from_nanos(u64::try_from(step * u128::from(number)).unwrap_or(u64::MAX));
        let raised = args.start.saturating_add(since).unwrap_or(Timestamp::MAX);
        let raised = raised.round(jiff::Unit::Millisecond).unwrap_or(raised);
        if number == args.count / 2 || (outbreak == 0 && dice.random_range(0..5_000) == 0) {
            outbreak = (args.count / 10).min(60);
        }
        let kind = if outbreak > 0 {
            outbreak -= 1;
            &OUTBREAK
        } else {
            pick(&mut dice)
        };
        let device = Machine::any(&mut dice, args.devices);
        let id = 10_000 + number;
        let line = match dice.random_range(0..100) {
            0 => r#"{"hello": "world"}"#.to_owned(),
            1..25 => mde(id, kind, &device, raised),
            25..40 => graph(id, kind, &device, raised),
            _ => own(id, kind, &device, raised),
        };
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// What an alert is about.
struct Kind {
    weight: u32,
    category: &'static str,
    severity: &'static str,
    threat: Option<&'static str>,
    file: Option<(&'static str, &'static str)>,
    technique: &'static str,
}

const OUTBREAK: Kind = Kind {
    weight: 0,
    category: "Ransomware",
    severity: "High",
    threat: Some("Ransom:Win32/LockBit.A"),
    file: Some(("invoice.exe", r"C:\Users\Public")),
    technique: "T1486",
};

const KINDS: [Kind; 8] = [
    Kind { weight: 40, category: "SuspiciousActivity", severity: "Low", threat: None, file: None, technique: "T1082" },
    Kind {
        weight: 20,
        category: "InitialAccess",
        severity: "Informational",
        threat: None,
        file: None,
        technique: "T1566",
    },
    Kind { weight: 12, category: "Discovery", severity: "Medium", threat: None, file: None, technique: "T1087" },
    Kind {
        weight: 12,
        category: "Malware",
        severity: "Medium",
        threat: Some("Trojan:Win32/Wacatac.B!ml"),
        file: Some(("update.exe", r"C:\Users\ada\AppData\Local\Temp")),
        technique: "T1204.002",
    },
    Kind {
        weight: 6,
        category: "Malware",
        severity: "High",
        threat: Some("Backdoor:Win32/Remcos.GA!MTB"),
        file: Some(("svc.exe", r"C:\ProgramData")),
        technique: "T1204.002",
    },
    Kind {
        weight: 5,
        category: "UnwantedSoftware",
        severity: "Low",
        threat: Some("PUA:Win32/InstallCore"),
        file: Some(("setup.exe", r"C:\Users\ada\Downloads")),
        technique: "T1204.002",
    },
    Kind {
        weight: 3,
        category: "CredentialAccess",
        severity: "High",
        threat: Some("HackTool:Win32/Mimikatz.D"),
        file: Some(("mimikatz.exe", r"C:\Temp")),
        technique: "T1003.001",
    },
    Kind {
        weight: 2,
        category: "LateralMovement",
        severity: "Medium",
        threat: None,
        file: None,
        technique: "T1021.002",
    },
];

fn pick(dice: &mut StdRng) -> &'static Kind {
    let total: u32 = KINDS.iter().map(|kind| kind.weight).sum();
    let mut left = dice.random_range(0..total);
    for kind in &KINDS {
        if left < kind.weight {
            return kind;
        }
        left -= kind.weight;
    }
    &KINDS[0]
}

struct Machine {
    name: String,
    id: String,
    os: &'static str,
}

impl Machine {
    /// One in three alerts comes from the noisy tenth of the fleet.
    fn any(dice: &mut StdRng, devices: u32) -> Self {
        let range = if dice.random_range(0..3) == 0 { devices.div_ceil(10) } else { devices };
        let number = dice.random_range(0..range);
        let (prefix, os) = match number % 50 {
            0 => ("dc", "WindowsServer2022"),
            1..=5 => ("srv", "WindowsServer2022"),
            6 | 7 => ("mac", "macOS"),
            _ => ("ws", "Windows11"),
        };
        let name = format!("{prefix}-{number:04}");
        Self { id: machine_id_of(&name), name, os }
    }
}

fn own(id: u64, kind: &Kind, device: &Machine, raised: Timestamp) -> String {
    let mut alert = json!({
        "id": id.to_string(),
        "title": format!("{} was detected", kind.category),
        "category": kind.category,
        "severity": kind.severity.to_lowercase(),
        "created_at": raised.to_string(),
        "mitre": {"technique": [kind.technique]},
        "device": {"id": device.id, "name": device.name, "os": device.os, "tags": ["office"]},
    });
    if let Some(threat) = kind.threat {
        alert["threat"] = json!({"name": threat});
    }
    if let Some((name, path)) = kind.file {
        alert["file"] = json!({"name": name, "path": path});
    }
    alert.to_string()
}

/// The alert resource of Defender for Endpoint.
fn mde(id: u64, kind: &Kind, device: &Machine, raised: Timestamp) -> String {
    let mut evidence = Vec::new();
    if let Some((name, path)) = kind.file {
        evidence.push(json!({"entityType": "File", "fileName": name, "filePath": path}));
    }
    json!({
        "id": format!("da{id}_1"),
        "incidentId": id / 7,
        "severity": kind.severity,
        "status": "New",
        "detectionSource": "WindowsDefenderAv",
        "category": kind.category,
        "title": format!("{} was detected", kind.category),
        "threatName": kind.threat,
        "alertCreationTime": raised.to_string(),
        "machineId": device.id,
        "computerDnsName": format!("{}.example.com", device.name),
        "aadTenantId": TENANT,
        "mitreTechniques": [kind.technique],
        "evidence": evidence,
    })
    .to_string()
}

/// A Microsoft Graph security alert.
fn graph(id: u64, kind: &Kind, device: &Machine, raised: Timestamp) -> String {
    let evidence: Value = json!([{
        "@odata.type": "#microsoft.graph.security.deviceEvidence",
        "mdeDeviceId": device.id,
        "deviceDnsName": format!("{}.example.com", device.name),
        "osPlatform": device.os,
        "detailedRoles": ["PrimaryDevice"],
    }]);
    json!({
        "@odata.type": "#microsoft.graph.security.alert",
        "id": format!("da{id}_2"),
        "status": "new",
        "severity": kind.severity.to_lowercase(),
        "serviceSource": "microsoftDefenderForEndpoint",
        "detectionSource": "antivirus",
        "tenantId": TENANT,
        "title": format!("{} was detected", kind.category),
        "category": kind.category,
        "threatDisplayName": kind.threat,
        "createdDateTime": raised.to_string(),
        "mitreTechniques": [kind.technique],
        "evidence": evidence,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{DecodeOptions, Format, decode};

    fn args(count: u64) -> Args {
        let start = "2026-05-04T08:00:00Z".parse().unwrap();
        Args { count, devices: 50, start, over: Duration::from_secs(3600), seed: 1 }
    }

    fn lines(args: &Args) -> Vec<String> {
        let mut out = Vec::new();
        write(args, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_same_options_make_the_same_alerts_in_every_format() {
        let made = lines(&args(500));
        assert_eq!(made, lines(&args(500)));
        assert_ne!(made, lines(&Args { seed: 2, ..args(500) }));
        let decoded: Vec<_> =
            made.iter().filter_map(|line| decode(line.as_bytes(), &DecodeOptions::default()).ok()).collect();
        assert!((480..500).contains(&decoded.len()), "{}", decoded.len());
        for format in Format::ALL {
            assert!(decoded.iter().flatten().any(|alert| alert.alert.format == format), "{format:?}");
        }
        assert!(
            decoded.iter().flatten().all(|alert| alert.alert.devices.len() == 1 && alert.alert.created_at.is_some())
        );
    }

    #[test]
    fn it_starts_at_a_moment_or_now() {
        assert_eq!(moment_or_now("2026-05-04T08:00:00Z"), Ok(args(1).start));
        let before = Timestamp::now();
        let now = moment_or_now("now").unwrap();
        assert!((before..=Timestamp::now()).contains(&now), "{now}");
        assert!(moment_or_now("soon").is_err());
    }

    /// `UPDATE_DOCS=1` writes it anew.
    #[test]
    fn the_sample_that_ships_is_what_the_command_makes() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/samples/alerts.ndjson");
        let made =
            lines(&Args { count: 400, devices: 60, over: Duration::from_secs(8 * 3600), ..args(0) }).join("\n") + "\n";
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &made).unwrap();
        }
        assert!(std::fs::read_to_string(file).unwrap_or_default() == made, "run the tests with UPDATE_DOCS=1");
    }
}
