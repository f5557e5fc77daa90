//! The limits of a mirror: memory, rate, cancellation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sst_format::monitor::{Cancelled, Monitor, Phase, Progress};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::MirrorOptions;
use crate::StoreError;
use crate::store::CANCEL_CHECK;

/// Every piece of a file passes the gate before it is read. So there is a bounded number of pieces
/// in memory, and they come at a bounded rate.
#[derive(Debug)]
pub(super) struct Gate {
    pieces: Arc<Semaphore>,
    rate: Option<Rate>,
    monitor: Monitor,
    total_bytes: u64,
    copied_bytes: AtomicU64,
}

/// A highest number of bytes in a second.
#[derive(Debug)]
struct Rate {
    bytes_per_second: u64,
    /// The time at which the bytes that were let through are due.
    due: Mutex<Instant>,
}

/// A place in memory for one piece. It is free again when this is dropped.
pub(super) type Permit = OwnedSemaphorePermit;

impl Gate {
    /// The gate of a mirror that copies `total_bytes`.
    pub(super) fn new(options: &MirrorOptions, monitor: &Monitor, total_bytes: u64) -> Self {
        let rate = options
            .bytes_per_second
            .map(|rate| Rate { bytes_per_second: rate.max(1), due: Mutex::new(Instant::now()) });
        Self {
            pieces: Arc::new(Semaphore::new(options.parallel.max(1))),
            rate,
            monitor: monitor.clone(),
            total_bytes,
            copied_bytes: AtomicU64::new(0),
        }
    }

    /// Waits until a piece of `len` bytes may be read.
    pub(super) async fn enter(&self, len: u64) -> Result<Permit, StoreError> {
        self.monitor.check()?;
        let permit = Arc::clone(&self.pieces).acquire_owned().await;
        // The error that has closed the gate is the one that is reported.
        let permit = permit.map_err(|_| StoreError::Cancelled)?;
        if let Some(rate) = &self.rate {
            rate.wait(len, &self.monitor).await?;
        }
        self.monitor.check()?;
        Ok(permit)
    }

    /// Lets no more pieces through.
    pub(super) fn close(&self) {
        self.pieces.close();
    }

    /// Reports that bytes have arrived.
    pub(super) fn arrived(&self, len: u64) -> Result<(), StoreError> {
        let copied = self.copied_bytes.fetch_add(len, Ordering::Relaxed) + len;
        let progress = Progress::new(Phase::Copy).bytes(copied);
        Ok(self.monitor.step(progress.total_bytes(Some(self.total_bytes)))?)
    }
}

impl Rate {
    async fn wait(&self, len: u64, monitor: &Monitor) -> Result<(), Cancelled> {
        let mut due = self.due.lock().await;
        let start = (*due).max(Instant::now());
        *due = start + Duration::from_secs_f64(len as f64 / self.bytes_per_second as f64);
        drop(due);
        // At a low rate a piece waits for hours.
        while Instant::now() < start {
            monitor.check()?;
            tokio::time::sleep_until(start.min(Instant::now() + CANCEL_CHECK)).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_come_at_the_rate() {
        let options = MirrorOptions::default().bytes_per_second(Some(1000));
        let gate = Gate::new(&options, &Monitor::default(), 0);
        let start = Instant::now();
        for _ in 0..5 {
            drop(gate.enter(500).await.unwrap());
        }
        // The first piece comes at once, each other one when the one before is paid for.
        assert_eq!(start.elapsed().as_millis(), 2000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_the_rate_can_be_cancelled() {
        let token = sst_format::monitor::CancelToken::default();
        let monitor = Monitor::default().cancel(token.clone());
        let options = MirrorOptions::default().bytes_per_second(Some(1));
        let gate = Gate::new(&options, &monitor, 0);
        drop(gate.enter(1 << 30).await.unwrap());
        let start = Instant::now();
        let cancel = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            token.cancel();
        };
        let (second, ()) = tokio::join!(gate.enter(1), cancel);
        assert!(matches!(second, Err(StoreError::Cancelled)));
        assert!(start.elapsed() < Duration::from_secs(6));
    }

    #[tokio::test]
    async fn no_more_pieces_than_allowed_are_in_memory() {
        let gate = Gate::new(&MirrorOptions::default().parallel(2), &Monitor::default(), 0);
        let (first, second) = (gate.enter(1).await.unwrap(), gate.enter(1).await.unwrap());
        assert_eq!(gate.pieces.available_permits(), 0);
        drop((first, second));
        assert_eq!(gate.pieces.available_permits(), 2);
    }
}
