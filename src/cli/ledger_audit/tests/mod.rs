//! Logs written by hand: a clean life, and one planted violation for each check. And logs that the real scheduler wrote.

mod broker;
mod builder;
mod clean;
mod driven;
mod guards;
mod limits;
mod planted;
mod topics;
mod world;

/// A request for a device, for tests of what a record tells.
pub(super) fn a_request(device: &crate::event::DeviceRef) -> crate::event::Requested {
    let mut log = builder::Log::empty();
    log.requested("r10");
    match log.records.remove(0).1.body {
        crate::event::EventBody::Requested(body) => crate::event::Requested { device: device.clone(), ..body },
        other => panic!("{other:?}"),
    }
}
