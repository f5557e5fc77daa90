//! Bounds how many files this process has open for positioned reads.
//!
//! A walk over a directory reads one table of each layer at a time, and there may be more layers
//! than the process may have open files. The pool then closes the files that were not used lately,
//! and opens them again when they are read next.
//!
//! Example: with a limit of 64 open files the pool keeps 32, and a merge of 1,100 overlapping
//! tables opens most of them once for each block that it reads. Where the limit is not reached no
//! file is ever closed early.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwapOption, Guard};

use super::file_identity::FileIdentity;
use super::regular::open_regular;
use crate::FileLabel;
use crate::block::clock::{Clock, Closable};

/// The open files of this process: it is the process that has a limit.
static POOL: Mutex<Pool> = Mutex::new(Pool { clock: Clock::new(), swept_len: 0 });

/// A file of the pool, open or not.
pub(crate) struct PooledFile {
    label: FileLabel,
    /// Whether the file that is found under the name later is the same.
    identity: FileIdentity,
    file: ArcSwapOption<File>,
    /// Whether it was read since the hand of the clock came by.
    is_used: AtomicBool,
}

/// The files of the pool that are open, as far as readers hold them.
struct Pool {
    clock: Clock<PooledFile>,
    /// How many there were after the last sweep.
    swept_len: usize,
}

impl PooledFile {
    /// Takes over an open file, and closes another one if they are too many.
    pub(super) fn new(label: FileLabel, file: File, identity: FileIdentity) -> Arc<Self> {
        let file = ArcSwapOption::from_pointee(file);
        let pooled = Arc::new(Self { label, identity, file, is_used: AtomicBool::new(true) });
        Pool::opened(&pooled);
        pooled
    }

    /// The file, which is opened if it was closed.
    pub(super) fn open(self: &Arc<Self>) -> io::Result<impl Deref<Target = File>> {
        if !self.is_used.load(Ordering::Relaxed) {
            // A hint: nothing else is published through it.
            self.is_used.store(true, Ordering::Relaxed);
        }
        loop {
            if let Some(file) = FileInUse::of(self.file.load()) {
                return Ok(file);
            }
            self.reopen()?;
        }
    }

    /// The file, if it is open.
    pub(super) fn if_open(&self) -> Option<impl Deref<Target = File>> {
        FileInUse::of(self.file.load())
    }

    #[cold]
    fn reopen(self: &Arc<Self>) -> io::Result<()> {
        let (file, metadata) = open_regular(self.label.path())?;
        if FileIdentity::of(&metadata) != self.identity {
            // To a reader of the directory it is as if the file were gone.
            let error = "another file has taken its place";
            return Err(io::Error::new(io::ErrorKind::NotFound, error));
        }
        let before = self.file.compare_and_swap(&None::<Arc<File>>, Some(Arc::new(file)));
        if before.is_none() {
            Pool::opened(self);
        }
        Ok(())
    }
}

/// Does something that opens a file; where that fails for want of open files, files of the pool are
/// closed until it works, or until there are none.
pub(super) fn with_room<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    loop {
        match open() {
            Err(error) if is_for_want_of_files(&error) && Pool::lock().clock.close_one() => {}
            result => return result,
        }
    }
}

/// Whether the process, or the system, has too many open files.
#[cfg(unix)]
fn is_for_want_of_files(error: &io::Error) -> bool {
    /// `ENFILE` and `EMFILE`, which are the same on all systems that have them.
    const TOO_MANY: [i32; 2] = [23, 24];
    error.raw_os_error().is_some_and(|number| TOO_MANY.contains(&number))
}

#[cfg(not(unix))]
fn is_for_want_of_files(_: &io::Error) -> bool {
    false
}

/// An open file, for as long as it is looked at.
struct FileInUse(Arc<File>);

impl FileInUse {
    fn of(file: Guard<Option<Arc<File>>>) -> Option<Self> {
        Guard::into_inner(file).map(Self)
    }
}

impl Deref for FileInUse {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Closable for PooledFile {
    fn clear_use(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    fn close(&self) -> bool {
        self.file.swap(None).is_some()
    }
}

impl Pool {
    /// Every state of the pool is a valid one, so that of a thread that panicked is too.
    fn lock() -> MutexGuard<'static, Self> {
        POOL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a file was opened.
    fn opened(file: &Arc<PooledFile>) {
        let max = max_open();
        let mut pool = Self::lock();
        pool.clock.push(file);
        if pool.clock.len() > 2 * pool.swept_len + 64 || pool.clock.len() > max {
            pool.clock.sweep();
            pool.swept_len = pool.clock.len();
        }
        pool.clock.shrink_to(max, file);
    }
}

/// How many files the pool keeps open: of a low limit of the system half, of a high one three
/// quarters. The rest is for everything else that the process has open.
#[cfg(all(target_os = "linux", not(miri)))]
fn max_open() -> usize {
    const LOW: u64 = 256;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let max = limit.map(|limit| if limit <= LOW { limit / 2 } else { limit - limit / 4 });
    // No limit, or one that no address space can hold, bounds nothing.
    max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX).max(1)
}

/// Elsewhere files are closed when the system allows no more.
#[cfg(not(all(target_os = "linux", not(miri))))]
const fn max_open() -> usize {
    usize::MAX
}
