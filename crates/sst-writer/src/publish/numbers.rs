//! The sequence numbers of a directory.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sst_format::SequenceNumber;

use crate::publish::number_claim::NumberClaim;
use crate::{FileSystem, PublishError};

/// Allocates sequence numbers. Files of all kinds share one sequence.
#[derive(Debug)]
pub(crate) struct Numbers {
    directory: Arc<Path>,
    last: AtomicU32,
    /// Numbers that are left out, because the name of a directory, a link or a pipe has them. The
    /// publisher must not remove those.
    taken: BTreeSet<SequenceNumber>,
    /// In a directory whose numbers are claimed.
    claims: Option<OwnClaims>,
}

/// The claims of a publisher, one block after the other.
#[derive(Debug)]
struct OwnClaims {
    file_system: Arc<dyn FileSystem>,
    held: Mutex<Vec<NumberClaim>>,
}

impl Numbers {
    pub(crate) fn after(
        directory: &Path,
        last: SequenceNumber,
        taken: BTreeSet<SequenceNumber>,
    ) -> Self {
        Self { directory: directory.into(), last: AtomicU32::new(last.0), taken, claims: None }
    }

    /// Claims each block of numbers before it is used.
    pub(crate) fn claimed(self, file_system: Arc<dyn FileSystem>) -> Self {
        Self { claims: Some(OwnClaims { file_system, held: Mutex::default() }), ..self }
    }

    /// The next number.
    ///
    /// # Errors
    ///
    /// [`PublishError::NumbersExhausted`] if all are used up; [`PublishError`] if no block can be
    /// claimed.
    pub(crate) fn next(&self) -> Result<SequenceNumber, PublishError> {
        let next = |last: u32| {
            let mut rest = (last.checked_add(1)?..=u32::MAX).map(SequenceNumber);
            rest.find(|number| !self.taken.contains(number))
        };
        let exhausted =
            || PublishError::NumbersExhausted { directory: self.directory.to_path_buf() };
        match &self.claims {
            None => {
                let update = |last| next(last).map(|number| number.0);
                let before = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
                before.ok().and_then(next).ok_or_else(exhausted)
            }
            Some(claims) => {
                // Every state of the list is a valid one, so that of a thread that panicked is too.
                let mut held = claims.held.lock().unwrap_or_else(PoisonError::into_inner);
                loop {
                    let number = next(self.last.load(Ordering::Relaxed)).ok_or_else(exhausted)?;
                    if held.last().is_some_and(|claim| claim.numbers().contains(&number.0)) {
                        self.last.store(number.0, Ordering::Relaxed);
                        return Ok(number);
                    }
                    let file_system = Arc::clone(&claims.file_system);
                    let claim = NumberClaim::take_in(file_system, &self.directory)?;
                    // The block lies above all numbers that are in use.
                    let before = claim.numbers().start().saturating_sub(1);
                    self.last.fetch_max(before, Ordering::Relaxed);
                    held.push(claim);
                }
            }
        }
    }

    /// Passes over all numbers up to this one.
    pub(crate) fn raise(&self, number: SequenceNumber) {
        self.last.fetch_max(number.0, Ordering::Relaxed);
    }

    /// The first numbers of the blocks that are claimed.
    pub(crate) fn claimed_blocks(&self) -> BTreeSet<u32> {
        let held = self.claims.iter().map(|claims| claims.held.lock());
        let held = held.map(|held| held.unwrap_or_else(PoisonError::into_inner));
        held.flat_map(|held| held.iter().map(NumberClaim::first).collect::<Vec<_>>()).collect()
    }

    /// Fails if a claim was lost, because the publisher took longer than the grace period of
    /// another.
    pub(crate) fn check(&self) -> Result<(), PublishError> {
        // A directory without a folder of claims has none to lose: its lock is enough.
        let Some(claims) = &self.claims else { return Ok(()) };
        let held = claims.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().try_for_each(NumberClaim::renew)
    }
}

impl Drop for OwnClaims {
    fn drop(&mut self) {
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        for claim in held.drain(..) {
            // A claim that stays ends by its age.
            _ = claim.release();
        }
    }
}
