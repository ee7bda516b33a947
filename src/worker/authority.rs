//! What the application may do at Defender, asked at start.

use std::time::Duration;

use super::calls::count_tokens;
use crate::defender::Client;
use crate::event::Mode;
use crate::telemetry::{Condition, Metrics};

/// Pauses between attempts to reach the login authority double from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_LAST: Duration = Duration::from_secs(30);

/// Asks what the application may do, so that a missing permission shows now and not at the first incident.
pub(super) async fn check_authority(client: &Client, metrics: &Metrics, mode: Mode, may_scan: &Condition) {
    let mut pause = RETRY_FIRST;
    loop {
        let roles = client.roles().await;
        count_tokens(client, metrics);
        match roles {
            Ok(roles) => {
                if !roles.scan {
                    tracing::error!(
                        roles = ?roles.names,
                        "The token has no Machine.Scan role: Defender will refuse every scan. Grant the application \
                         permission and admin consent."
                    );
                }
                if !roles.read {
                    tracing::warn!(
                        roles = ?roles.names,
                        "The token has no Machine.Read.All role: lost answers cannot be resolved, scans cannot be followed \
                         and devices cannot be looked up."
                    );
                }
                may_scan.set(roles.scan || mode == Mode::Shadow);
                return;
            }
            Err(error) => {
                tracing::warn!(%error, code = error.code(), retry_in = ?pause, "No token could be had; it is tried again.");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_LAST);
            }
        }
    }
}
