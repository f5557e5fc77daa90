//! The numbers of a writer of a bucket.

use std::time::{Duration, Instant};

use sst_format::SequenceNumber;
use tokio::sync::Mutex;

use crate::claims::{Claim, NumberBlock, Owner};
use crate::{Store, StoreError};

/// Allocates numbers out of blocks that this writer has claimed.
#[derive(Debug)]
pub(super) struct Numbers {
    store: Store,
    owner: Owner,
    /// Age at which claims are renewed.
    renewal: Duration,
    state: Mutex<NumbersState>,
}

#[derive(Debug)]
struct NumbersState {
    claims: Vec<Claim>,
    /// When the claims were taken or renewed last, the oldest of them.
    since: Instant,
    /// The newest commit that is known: no block at or below it is claimed, whichever writer has
    /// put its files there.
    newest: SequenceNumber,
    /// The next number, and the last one of its block. `None` without a block.
    rest: Option<(u32, u32)>,
}

impl Numbers {
    pub(super) fn new(store: &Store, owner: Owner, renewal: Duration) -> Self {
        let state = NumbersState {
            claims: Vec::new(),
            since: Instant::now(),
            newest: SequenceNumber(0),
            rest: None,
        };
        Self { store: store.clone(), owner, renewal, state: Mutex::new(state) }
    }

    /// The next number above `above`. Claims another block if no number of the last one is left.
    pub(super) async fn next(&self, above: SequenceNumber) -> Result<SequenceNumber, StoreError> {
        let mut state = self.state.lock().await;
        state.renew_if_old(&self.store, self.renewal).await?;
        loop {
            if let Some((next, last)) = state.rest {
                // Above the highest number there is none; the block ends before.
                let number = next.max(above.0.saturating_add(1));
                if number > above.0 && number <= last {
                    state.rest = (number < last).then(|| (number + 1, last));
                    return Ok(SequenceNumber(number));
                }
            }
            let claim = self.claim_block(above.max(state.newest)).await?;
            if state.claims.is_empty() {
                state.since = Instant::now();
            }
            state.rest = Some(claim.block().range());
            state.claims.push(claim);
        }
    }

    /// Notes the newest commit.
    pub(super) async fn note_newest(&self, newest: SequenceNumber) {
        let mut state = self.state.lock().await;
        state.newest = state.newest.max(newest);
    }

    /// Claims a block above all that are claimed, and above this number.
    async fn claim_block(&self, above: SequenceNumber) -> Result<Claim, StoreError> {
        let claimed = NumberBlock::claimed(&self.store).await?;
        let mut block = claimed.into_iter().fold(NumberBlock::of(above), NumberBlock::max);
        loop {
            block = block.next().ok_or_else(|| StoreError::NumbersExhausted {
                place: self.store.name().to_owned(),
            })?;
            if let Some(claim) = Claim::take_new(&self.store, block, self.owner).await? {
                return Ok(claim);
            }
        }
    }

    /// Fails if a claim was lost to another writer. Claims that have grown old are renewed.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().await;
        state.renew_if_old(&self.store, self.renewal).await?;
        for claim in &state.claims {
            claim.check(&self.store).await?;
        }
        Ok(())
    }

    /// The first numbers of the claimed blocks, once all claims are renewed.
    pub(super) async fn renewed_claims(&self) -> Result<Vec<u32>, StoreError> {
        let mut state = self.state.lock().await;
        state.renew_if_old(&self.store, Duration::ZERO).await?;
        Ok(state.claims.iter().map(|claim| claim.block().first().0).collect())
    }

    /// Tells other writers that the numbers are done with.
    pub(super) async fn release(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock().await;
        state.rest = None;
        for claim in std::mem::take(&mut state.claims) {
            claim.release(&self.store).await?;
        }
        Ok(())
    }
}

impl NumbersState {
    async fn renew_if_old(&mut self, store: &Store, renewal: Duration) -> Result<(), StoreError> {
        if self.since.elapsed() < renewal {
            return Ok(());
        }
        let since = Instant::now();
        for claim in &mut self.claims {
            claim.renew(store).await?;
        }
        self.since = since;
        Ok(())
    }
}
