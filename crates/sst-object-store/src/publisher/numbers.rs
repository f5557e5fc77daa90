//! The numbers of a writer of a bucket.

use sst_format::SequenceNumber;
use tokio::sync::Mutex;

use crate::claims::{Claim, NumberBlock, Owner};
use crate::{Store, StoreError};

/// Allocates numbers out of blocks that this writer has claimed.
#[derive(Debug)]
pub(super) struct Numbers {
    store: Store,
    owner: Owner,
    state: Mutex<NumbersState>,
}

#[derive(Debug, Default)]
struct NumbersState {
    claims: Vec<Claim>,
    /// The next number, and the last one of its block. `None` without a block.
    rest: Option<(u32, u32)>,
}

impl Numbers {
    pub(super) fn new(store: &Store, owner: Owner) -> Self {
        Self { store: store.clone(), owner, state: Mutex::default() }
    }

    /// The next number above `above`. Claims another block if no number of the last one is left.
    pub(super) async fn next(&self, above: SequenceNumber) -> Result<SequenceNumber, StoreError> {
        let mut state = self.state.lock().await;
        loop {
            if let Some((next, last)) = state.rest {
                // Above the highest number there is none; the block ends before.
                let number = next.max(above.0.saturating_add(1));
                if number > above.0 && number <= last {
                    state.rest = (number < last).then(|| (number + 1, last));
                    return Ok(SequenceNumber(number));
                }
            }
            let claim = self.claim_block(above).await?;
            state.rest = Some(claim.block().range());
            state.claims.push(claim);
        }
    }

    /// Claims a block above all numbers that are claimed or were published.
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

    /// Fails if a claim was lost to another writer.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        for claim in &self.state.lock().await.claims {
            claim.check(&self.store).await?;
        }
        Ok(())
    }
}
