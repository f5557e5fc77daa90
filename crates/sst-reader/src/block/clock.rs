//! A clock of open files: it chooses which of them are closed when there are too many.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};

/// A file that can be opened again after it was closed.
pub(crate) trait Closable {
    /// Whether it was used since the last call.
    fn clear_use(&self) -> bool;

    /// Closes it. Returns whether it was open.
    fn close(&self) -> bool;
}

/// Open files in a clock: the hand closes the first one that was not used since it last came by.
pub(crate) struct Clock<T> {
    /// The hand is at the front. Files that no reader holds any more leave when the hand meets
    /// them.
    files: VecDeque<Weak<T>>,
}

impl<T> fmt::Debug for Clock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("files", &self.files.len()).finish()
    }
}

impl<T: Closable> Clock<T> {
    pub(crate) const fn new() -> Self {
        Self { files: VecDeque::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Adds a file that was opened. The hand meets it last.
    pub(crate) fn push(&mut self, file: &Arc<T>) {
        self.files.push_back(Arc::downgrade(file));
    }

    /// Drops the files that no reader holds any more.
    pub(crate) fn sweep(&mut self) {
        self.files.retain(|file| file.strong_count() > 0);
    }

    /// Closes files until at most `limit` are left, but not `newest`. Returns how many it closed.
    pub(crate) fn shrink_to(&mut self, limit: usize, newest: &Arc<T>) -> u64 {
        let mut closed = 0;
        // The hand goes round twice at most: the first time it takes away all marks of use.
        for _ in 0..self.files.len() * 2 {
            if self.files.len() <= limit {
                break;
            }
            closed += u64::from(self.advance(Some(newest)));
        }
        closed
    }

    /// Closes one file. `false` if none is open.
    pub(crate) fn close_one(&mut self) -> bool {
        (0..self.files.len() * 2).any(|_| self.advance(None))
    }

    /// Moves the hand by one file. Returns whether it closed it.
    fn advance(&mut self, newest: Option<&Arc<T>>) -> bool {
        // Neither an empty clock nor a file that no reader holds has anything to close.
        let Some(front) = self.files.pop_front() else { return false };
        let Some(file) = front.upgrade() else { return false };
        let is_newest = newest.is_some_and(|newest| Arc::ptr_eq(newest, &file));
        if file.clear_use() || is_newest {
            self.files.push_back(front);
            return false;
        }
        file.close()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct File {
        is_used: AtomicBool,
        is_open: AtomicBool,
    }

    impl Closable for File {
        fn clear_use(&self) -> bool {
            self.is_used.swap(false, Ordering::Relaxed)
        }

        fn close(&self) -> bool {
            self.is_open.swap(false, Ordering::Relaxed)
        }
    }

    #[test]
    fn the_hand_closes_the_first_file_that_was_not_used() {
        let files: Vec<_> = (0..4).map(|_| Arc::new(File::default())).collect();
        let mut clock = Clock::new();
        for file in &files {
            file.is_open.store(true, Ordering::Relaxed);
            clock.push(file);
        }
        let open =
            || files.iter().map(|file| file.is_open.load(Ordering::Relaxed)).collect::<Vec<_>>();
        files[0].is_used.store(true, Ordering::Relaxed);
        assert_eq!(clock.shrink_to(3, &files[3]), 1);
        assert_eq!(open(), [true, false, true, true]);
        // The newest file stays, used or not.
        assert_eq!(clock.shrink_to(1, &files[3]), 2);
        assert_eq!(open(), [false, false, false, true]);
        assert!(clock.close_one() && !clock.close_one());
    }

    #[test]
    fn dropped_files_leave_the_clock() {
        let (dropped, kept) = (Arc::new(File::default()), Arc::new(File::default()));
        let mut clock = Clock::new();
        clock.push(&dropped);
        clock.push(&kept);
        drop(dropped);
        assert_eq!((clock.shrink_to(1, &kept), clock.len()), (0, 1));
        clock.sweep();
        assert_eq!(clock.len(), 1);
    }
}
