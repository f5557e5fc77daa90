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
    let mut seen = None;
    loop {
        ticks.tick().await;
        let here = Arc::clone(&service);
        let last = seen.clone();
        // Files are read, which may take a while: not on a thread that answers.
        let looked = tokio::task::spawn_blocking(move || look(&here, last));
        match looked.await {
            Ok(current) => seen = current,
            Err(error) => error!(%error, "reloading failed"),
        }
    }
}

/// Reloads if `CURRENT` has changed since the last successful look. Returns its contents after a
/// success.
fn look(service: &Service, seen: Option<Vec<u8>>) -> Option<Vec<u8>> {
    // Read before the commit is opened: should another one come in between, the next look will find
    // it.
    let current = match service.current() {
        Ok(current) => current,
        Err(error) => {
            service.metrics.reload_failures.inc();
            error!(error = &error as &dyn Error, "cannot read CURRENT");
            return seen;
        }
    };
    if seen.as_ref() == Some(&current) {
        return seen;
    }
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
            return seen;
        }
    }
    Some(current)
}
