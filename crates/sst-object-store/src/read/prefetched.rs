//! Pieces of objects that were asked for before they are read.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

use crate::StoreError;

/// Bytes of pieces that are held at most, of all objects of a [`StoreFiles`](super::StoreFiles).
const MAX_HELD: usize = 64 << 20;

/// A range of an object that is being read.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) range: Range<u64>,
    /// Length of the range.
    len: usize,
    state: Mutex<State>,
    arrived: Condvar,
    held: Arc<AtomicUsize>,
}

#[derive(Debug)]
enum State {
    Waiting,
    Here(Bytes),
    /// It could not be read, after as many attempts as there are. The first reader is told.
    Failed(StoreError),
    /// It had to make room, or a reader was told that it could not be read: another reader asks for
    /// it again.
    Gone,
}

/// All pieces, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    queue: Mutex<VecDeque<Weak<Piece>>>,
    held: Arc<AtomicUsize>,
}

/// Every state behind these locks is a valid one, so that of a thread that panicked is too.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pieces {
    /// A piece that is to be read. The oldest ones make room for it. `None` if it is longer than
    /// all that may be held.
    pub(super) fn add(&self, range: Range<u64>) -> Option<Arc<Piece>> {
        let len = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        if len == 0 || len > MAX_HELD {
            return None;
        }
        let held = Arc::clone(&self.held);
        held.fetch_add(len, Ordering::Relaxed);
        let (state, arrived) = (Mutex::new(State::Waiting), Condvar::new());
        let piece = Arc::new(Piece { range, len, state, arrived, held });
        let mut queue = locked(&self.queue);
        queue.push_back(Arc::downgrade(&piece));
        // A piece that was read is gone already.
        while self.held.load(Ordering::Relaxed) > MAX_HELD || queue.front().is_some_and(is_read) {
            // Other threads may have counted pieces that are not queued yet.
            let Some(oldest) = queue.pop_front() else { break };
            if let Some(oldest) = oldest.upgrade() {
                oldest.give_up();
            }
        }
        Some(piece)
    }
}

fn is_read(piece: &Weak<Piece>) -> bool {
    piece.strong_count() == 0
}

impl Piece {
    /// Hands the bytes over to those who wait for them, or the error of reading them.
    pub(super) fn arrive(&self, bytes: Result<Bytes, StoreError>) {
        let mut state = locked(&self.state);
        // A piece that has made room stays away.
        if matches!(*state, State::Waiting) {
            match bytes {
                Ok(bytes) => *state = State::Here(bytes),
                Err(error) => *state = State::Failed(error),
            }
        }
        drop(state);
        self.arrived.notify_all();
    }

    /// Makes room for others.
    fn give_up(&self) {
        self.leave(&mut locked(&self.state));
        self.arrived.notify_all();
    }

    fn leave(&self, state: &mut State) {
        if !matches!(state, State::Gone) {
            self.held.fetch_sub(self.len, Ordering::Relaxed);
            *state = State::Gone;
        }
    }

    /// Whether it had to make room, or its error was told.
    pub(super) fn is_gone(&self) -> bool {
        matches!(*locked(&self.state), State::Gone)
    }

    /// Its bytes, which are waited for; `None` if they are gone.
    ///
    /// # Errors
    ///
    /// The error of reading them, once.
    pub(super) fn bytes(&self) -> Result<Option<Bytes>, StoreError> {
        let mut state = locked(&self.state);
        loop {
            match &*state {
                State::Here(bytes) => return Ok(Some(bytes.clone())),
                State::Gone => return Ok(None),
                State::Failed(_) => {
                    self.held.fetch_sub(self.len, Ordering::Relaxed);
                    return match std::mem::replace(&mut *state, State::Gone) {
                        State::Failed(error) => Err(error),
                        State::Waiting | State::Here(_) | State::Gone => Ok(None),
                    };
                }
                State::Waiting => {
                    state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !matches!(state, State::Gone) {
            self.held.fetch_sub(self.len, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_pieces_make_room_and_those_that_were_read_take_none() {
        let pieces = Pieces::default();
        let half = MAX_HELD as u64 / 2;
        let first = pieces.add(0..half).unwrap();
        let second = pieces.add(half..2 * half).unwrap();
        first.arrive(Ok(Bytes::from_static(b"first")));
        second.arrive(Ok(Bytes::from_static(b"second")));
        assert!(first.bytes().unwrap().is_some() && second.bytes().unwrap().is_some());
        drop(second);
        let third = pieces.add(0..half).unwrap();
        assert!(first.bytes().unwrap().is_some());
        let fourth = pieces.add(0..1).unwrap();
        assert!(first.bytes().unwrap().is_none());
        // Its error is told once.
        fourth.arrive(Err(StoreError::Cancelled));
        assert!(fourth.bytes().is_err() && fourth.bytes().unwrap().is_none());
        drop((first, third, fourth));
        assert_eq!(pieces.held.load(Ordering::Relaxed), 0);
        assert!(pieces.add(0..MAX_HELD as u64 + 1).is_none() && pieces.add(7..7).is_none());
    }
}
