//! The runtimes of this crate.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{io, thread};

use tokio::runtime::{Builder, Runtime};

use crate::StoreError;

/// Threads that run tasks, beside those that wait for the file system. They wait for answers, so
/// two of them serve many callers.
const WORKERS: usize = 2;

/// Highest number of threads that wait for the file system. Each reserves the address space of a
/// stack, so that tokio's own limit of 512 is a gigabyte.
const WAITING_THREADS: usize = 32;

/// Threads beside the workers without which nothing goes on: one that takes the place of a worker
/// while its task waits, and one that reads files.
const SPARE_THREADS: usize = 2;

/// A thread that waits for the file system stays for the life of the runtime.
const KEEP_ALIVE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Starts a runtime.
///
/// tokio panics if the system grants no thread to a runtime that has none, and lets work wait
/// for ever if all that it has are busy. So the threads are tried first, and those without which
/// nothing goes on are started at once.
///
/// # Errors
///
/// [`StoreError::Runtime`] if the system grants no threads.
pub(crate) fn start() -> Result<Runtime, StoreError> {
    let failed = |source| StoreError::Runtime { source };
    try_threads(WORKERS + SPARE_THREADS).map_err(failed)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(WAITING_THREADS)
        .thread_keep_alive(KEEP_ALIVE)
        .enable_all()
        .build();
    let runtime = runtime.map_err(failed)?;
    // They start together: one that has ended would do the work of the next.
    let start = Arc::new(Mutex::new(()));
    let held = start.lock();
    for _ in 0..SPARE_THREADS {
        let start = Arc::clone(&start);
        drop(runtime.spawn_blocking(move || drop(start.lock())));
    }
    drop(held);
    Ok(runtime)
}

/// Starts threads, so that all of them are there at one time, and ends them.
fn try_threads(count: usize) -> io::Result<()> {
    let end = Mutex::new(());
    thread::scope(|scope| {
        let _held = end.lock();
        let mut threads = 0..count;
        threads.try_for_each(|_| {
            thread::Builder::new().spawn_scoped(scope, || drop(end.lock())).map(drop)
        })
    })
}
