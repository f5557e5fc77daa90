//! Following a source.

use std::time::Duration;

use tokio::time::Instant;

use super::{MirrorOptions, MirrorReport, mirror};
use crate::store::CANCEL_CHECK;
use crate::{Monitor, Place, RemoteCommit, Store, StoreError};

/// The shortest time between two looks at the source.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Keeps a target at the newest commit of a source: mirrors it, and again whenever the source has
/// another commit, until `monitor` cancels it.
///
/// It looks every `interval`, but at most 100 times in a second, with two small requests. `observe`
/// is called after each mirror, and with each error that may pass, such as a source that cannot be
/// reached: the target then stays at the commit that it has. It returns the error that ended it:
/// [`StoreError::Cancelled`], or one that does not pass, such as [`StoreError::Conflict`].
pub async fn follow(
    source: &Store,
    target: &Place,
    options: &MirrorOptions,
    interval: Duration,
    monitor: &Monitor,
    mut observe: impl FnMut(Result<&MirrorReport, &StoreError>),
) -> StoreError {
    let mut commit = None;
    loop {
        let step = async {
            let now = RemoteCommit::newest_identity(source).await?;
            if now.is_some() && now == commit {
                return Ok(None);
            }
            mirror(source, target, options, monitor).await.map(Some)
        };
        match step.await {
            Ok(Some(report)) => {
                commit = Some(report.commit);
                observe(Ok(&report));
            }
            Ok(None) => {}
            Err(error) if may_pass(&error) => observe(Err(&error)),
            Err(error) => return error,
        }
        let next = Instant::now() + interval.max(SHORTEST_INTERVAL);
        while Instant::now() < next {
            if let Err(cancelled) = monitor.check() {
                return cancelled.into();
            }
            tokio::time::sleep_until(next.min(Instant::now() + CANCEL_CHECK)).await;
        }
    }
}

/// Whether an error may go away without anyone changing the options.
const fn may_pass(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Request { .. }
            | StoreError::Runtime { .. }
            | StoreError::NoCommit { .. }
            | StoreError::Changed { .. }
            | StoreError::Doubtful { .. }
            | StoreError::Claimed { .. }
            | StoreError::Missing { .. }
            | StoreError::Format { .. }
            | StoreError::WrongChecksum { .. }
            | StoreError::WrongBytes { .. }
            | StoreError::WrongLen { .. }
    )
}
