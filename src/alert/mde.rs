//! The alert resource of the Defender for Endpoint API (Microsoft's page "Alert resource type"), also known as MDE alert.
//!
//! Properties that we do not read are left alone: Microsoft adds some without notice.

use super::error::DecodeError;
use super::fields::Fields;
use super::limits::{DESCRIPTION_CHARS, PATH_CHARS, TITLE_CHARS};
use super::model::{Alert, Device, FileInfo, Mitre, Severity, Threat, User};

/// The format names no product; this is what Graph calls it, so that one rule fits both.
const SOURCE: &str = "microsoftDefenderForEndpoint";

/// One MDE alert. It names at most one device, and says nothing of its tags.
///
/// # Errors
/// `invalid` where a property that we read breaks the contract.
pub(super) fn alert(fields: &Fields<'_, '_>) -> Result<Alert, DecodeError> {
    let user = match fields.object("relatedUser")? {
        Some(user) => User { name: user.word("userName")?, domain: user.word("domainName")? },
        None => User::default(),
    };
    let device = Device {
        id: fields.word("machineId")?,
        name: fields.word("computerDnsName")?,
        group: fields.word("rbacGroupName")?,
        ..Device::default()
    };
    Ok(Alert {
        id: fields.required_identifier("id")?,
        title: fields.prose("title", TITLE_CHARS)?,
        description: fields.prose("description", DESCRIPTION_CHARS)?,
        severity: severity(fields)?,
        category: fields.word("category")?,
        status: fields.word("status")?,
        source: Some(SOURCE.to_owned()),
        detection_source: fields.word("detectionSource")?,
        created_at: fields.timestamp("alertCreationTime")?,
        tenant: fields.word("aadTenantId")?,
        incident_id: fields.identifier("incidentId")?,
        threat: Threat { name: fields.word("threatName")?, family: fields.word("threatFamilyName")? },
        mitre: Mitre { technique: fields.words("mitreTechniques")?.unwrap_or_default() },
        user,
        file: first_file(fields)?,
        devices: vec![device],
        ..Alert::default()
    })
}

/// A Microsoft severity. A word that we do not know is `Unspecified`: their lists grow, and an alert must not be lost for it.
pub(super) fn severity(fields: &Fields<'_, '_>) -> Result<Severity, DecodeError> {
    Ok(fields.word("severity")?.and_then(|word| Severity::from_word(&word)).unwrap_or_default())
}

/// `evidence` is there only if the producer asked for it.
fn first_file(fields: &Fields<'_, '_>) -> Result<FileInfo, DecodeError> {
    let mut file = None;
    fields.each_object("evidence", |evidence| {
        let is_file = evidence.word("entityType")?.is_some_and(|kind| kind.eq_ignore_ascii_case("file"));
        if is_file && file.is_none() {
            file = Some(file_info(&evidence)?);
        }
        Ok(())
    })?;
    Ok(file.unwrap_or_default())
}

/// The file that an object describes; both Microsoft formats use the same names.
pub(super) fn file_info(fields: &Fields<'_, '_>) -> Result<FileInfo, DecodeError> {
    Ok(FileInfo {
        name: fields.word("fileName")?,
        path: fields.text("filePath", PATH_CHARS)?,
        sha1: fields.word("sha1")?,
        sha256: fields.word("sha256")?,
    })
}
