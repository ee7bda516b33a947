//! Orders by signal: SIGUSR1 pulls the kill switch. For whoever has a shell on the host and nothing else.
//!
//! No signal releases it: to go on wants somebody's name, which a signal does not carry. SIGUSR2 is caught only so that a slip
//! of the hand does not end the process.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::event::{Control, ControlAction};
use crate::telemetry::{AdminRequest, AdminVerb};

/// Listens for ever; returns only where signals cannot be heard.
pub(crate) async fn listen(name: String, requests: mpsc::Sender<AdminRequest>) {
    let heard = signal(SignalKind::user_defined1()).and_then(|one| Ok((one, signal(SignalKind::user_defined2())?)));
    let (mut halts, mut others) = match heard {
        Ok(heard) => heard,
        Err(error) => {
            tracing::warn!(%error, "SIGUSR1 cannot be heard; halt with the command or the admin API.");
            return;
        }
    };
    loop {
        tokio::select! {
            Some(()) = halts.recv() => {
                tracing::warn!("SIGUSR1: scans and cancellations are halted.");
                let (answer, _nobody_waits) = oneshot::channel();
                let order = Control {
                    control: ControlAction::Halted,
                    author: format!("SIGUSR1 at {name}"),
                    comment: Some("halted by signal".to_owned()),
                };
                if requests.send(AdminRequest { verb: AdminVerb::Order(order), answer }).await.is_err() {
                    return;
                }
            }
            Some(()) = others.recv() => {
                tracing::warn!("SIGUSR2 orders nothing; to go on, run `alert-responder resume`, which asks for an author.");
            }
            else => return,
        }
    }
}
