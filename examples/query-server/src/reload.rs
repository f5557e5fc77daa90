//! Looks for new commits.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::service::Service;

/// Follows the commits of the directory, for ever. A failure leaves the server with the set it has,
/// and is tried again.
pub(crate) async fn follow(service: Arc<Service>, poll: Duration) {
    let mut ticks = interval(poll);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let here = Arc::clone(&service);
        // Files are read, which may take a while: not on a thread that answers.
        if let Err(error) = tokio::task::spawn_blocking(move || look(&here)).await {
            error!(%error, "reloading failed");
        }
    }
}

/// Goes over to the newest commit if it is another one. The set tells by the identity of the
/// commit: a directory that was swapped or restored may have a `CURRENT` of the same bytes. A look
/// at the same commit reads a few bytes.
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
                error = &error as &dyn Error,
                "cannot open the new commit, staying with the old one"
            );
        }
    }
}
