//! Members of the group that have nothing to do.

use super::intake::{PATIENCE, start};
use crate::support::broker::Broker;

#[tokio::test]
async fn a_member_without_a_partition_has_joined_all_the_same() {
    let broker = Broker::start(1).await;
    let first = start(&broker);
    first.watcher.until_owning(1).await;
    let second = start(&broker);
    for running in [&first, &second] {
        let mut joined = running.watcher.joined.subscribe();
        let joined = joined.wait_for(|joined| *joined);
        tokio::time::timeout(PATIENCE, joined).await.expect("it hears of it in time").unwrap();
    }
    // Neither took the partition from the other in vain, and it goes over when its owner leaves.
    first.watcher.until_owning(1).await;
    second.watcher.until_owning(0).await;
    first.stop().await;
    second.watcher.until_owning(1).await;
    second.stop().await;
}
