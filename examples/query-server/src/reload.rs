//! Checks for new commits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::causes::with_causes;
use crate::service::Service;

/// Follows the commits of the directory forever. After a failure the server keeps its set, and the
/// next tick tries again.
pub(crate) async fn follow(service: Arc<Service>, poll: Duration) {
    let mut ticks = interval(poll);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let here = Arc::clone(&service);
        // Reloading reads files and may take a while, so it does not run on a thread that answers
        // requests.
        if let Err(error) = tokio::task::spawn_blocking(move || look(&here)).await {
            error!(%error, "reloading failed");
        }
    }
}

/// Switches to the newest commit if it differs from the served one. The set compares the commits'
/// identities: a directory that was swapped or restored may have a `CURRENT` with the same bytes.
/// If the commit is the same, only a few bytes are read.
fn look(service: &Service) {
    match service.reload() {
        Ok(true) => {
            service.metrics.reloads.inc();
            info!(commit = service.commit(), "reloaded");
        }
        Ok(false) => {}
        Err(error) => {
            service.metrics.reload_failures.inc();
            error!(
                error = with_causes(&error),
                "cannot open the new commit, staying with the old one"
            );
        }
    }
}
