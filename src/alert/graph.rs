//! The security alert of Microsoft Graph, `alerts_v2` (Microsoft's pages on the resource types `alert` and `deviceEvidence`).
//!
//! Properties and kinds of evidence that we do not read are left alone: Microsoft adds some without notice.

use super::error::DecodeError;
use super::fields::Fields;
use super::limits::{DESCRIPTION_CHARS, TITLE_CHARS};
use super::mde::{file_info, severity};
use super::model::{Alert, Device, FileInfo, Mitre, Threat, User};
use super::own::check_device_count;
use super::settings::Settings;

/// One Graph alert. Every device evidence is a device, the main one first.
///
/// # Errors
/// `invalid` where a property that we read breaks the contract, `too_large` for too many devices.
pub(super) fn alert(fields: &Fields<'_, '_>, limits: &Settings) -> Result<Alert, DecodeError> {
    let evidence = evidence(fields)?;
    check_device_count(fields, "evidence", evidence.devices.len(), limits)?;
    let mut ranked = evidence.devices;
    // Stable: devices of the same rank stay in the order of the source.
    ranked.sort_by_key(|found| found.rank);
    let logged_on = ranked.iter().find_map(|found| found.user.clone());
    Ok(Alert {
        id: fields.required_identifier("id")?,
        title: fields.prose("title", TITLE_CHARS)?,
        description: fields.prose("description", DESCRIPTION_CHARS)?,
        severity: severity(fields)?,
        category: fields.word("category")?,
        status: fields.word("status")?,
        source: match fields.word("serviceSource")? {
            Some(source) => Some(source),
            None => fields.word("productName")?,
        },
        detection_source: fields.word("detectionSource")?,
        created_at: fields.timestamp("createdDateTime")?,
        tenant: fields.word("tenantId")?,
        incident_id: fields.identifier("incidentId")?,
        threat: Threat { name: fields.word("threatDisplayName")?, family: fields.word("threatFamilyName")? },
        mitre: Mitre { technique: fields.words("mitreTechniques")?.unwrap_or_default() },
        user: logged_on.or(evidence.user).unwrap_or_default(),
        file: evidence.file.unwrap_or_default(),
        devices: ranked.into_iter().map(|found| found.device).collect(),
        ..Alert::default()
    })
}

/// What the evidence says.
#[derive(Default)]
struct Evidence {
    devices: Vec<FoundDevice>,
    user: Option<User>,
    file: Option<FileInfo>,
}

struct FoundDevice {
    rank: Rank,
    device: Device,
    user: Option<User>,
}

/// How much a device is the one that the alert is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Primary,
    Compromised,
    Other,
}

fn evidence(fields: &Fields<'_, '_>) -> Result<Evidence, DecodeError> {
    let mut evidence = Evidence::default();
    fields.each_object("evidence", |item| {
        let odata_type = item.word("@odata.type")?.unwrap_or_default();
        let kind = odata_type.rsplit('.').next().unwrap_or_default();
        if kind.eq_ignore_ascii_case("deviceEvidence") {
            evidence.devices.push(found_device(&item)?);
        } else if kind.eq_ignore_ascii_case("userEvidence") && evidence.user.is_none() {
            evidence.user = item.object("userAccount")?.map(|account| user(&account)).transpose()?.flatten();
        } else if kind.eq_ignore_ascii_case("fileEvidence") && evidence.file.is_none() {
            evidence.file = item.object("fileDetails")?.map(|details| file_info(&details)).transpose()?;
        }
        Ok(())
    })?;
    Ok(evidence)
}

/// `azureAdDeviceId` is left out on purpose: it is another id, and the scan API does not take it.
fn found_device(item: &Fields<'_, '_>) -> Result<FoundDevice, DecodeError> {
    let mut logged_on = None;
    item.each_object("loggedOnUsers", |account| {
        if logged_on.is_none() {
            logged_on = user(&account)?;
        }
        Ok(())
    })?;
    Ok(FoundDevice {
        rank: rank(item)?,
        device: Device {
            id: item.word("mdeDeviceId")?,
            name: item.word("deviceDnsName")?,
            os: item.word("osPlatform")?,
            group: item.word("rbacGroupName")?,
            // These are tags of the evidence. Machine tags appear among them, but an empty list is no proof that the
            // machine has none, and a protection by tag must not take it for one.
            tags: item.words("tags")?.filter(|tags| !tags.is_empty()),
            risk: item.word("riskScore")?,
            ip: item.words("ipInterfaces")?.unwrap_or_default(),
        },
        user: logged_on,
    })
}

fn rank(item: &Fields<'_, '_>) -> Result<Rank, DecodeError> {
    let says = |key: &str, words: &[&str]| -> Result<bool, DecodeError> {
        let said = item.words(key)?.unwrap_or_default();
        Ok(said.iter().any(|role| words.iter().any(|word| role.eq_ignore_ascii_case(word))))
    };
    // The page says "Main device", the API `PrimaryDevice`.
    if says("detailedRoles", &["PrimaryDevice", "Primary device", "Main device"])? {
        return Ok(Rank::Primary);
    }
    Ok(if says("roles", &["compromised"])? { Rank::Compromised } else { Rank::Other })
}

/// An account that has a name.
fn user(account: &Fields<'_, '_>) -> Result<Option<User>, DecodeError> {
    let name = match account.word("accountName")? {
        Some(name) => Some(name),
        None => account.word("userPrincipalName")?,
    };
    let domain = account.word("domainName")?;
    Ok(name.map(|name| User { name: Some(name), domain }))
}
