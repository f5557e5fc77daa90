//! Claims: the right to write objects under a block of numbers.
//!
//! A bucket has no lock. Numbers are divided into blocks of [`CLAIMED_NUMBERS`], and a writer owns
//! a block while it has the claim on it: the object `claims/NNNNNNNN`, named after the first number
//! of the block, which is created only if there is none, and changed only by a conditional request.
//! So two writers never write different bytes under one name.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use object_store::UpdateVersion;
use sst_format::SequenceNumber;
use sst_format::file_name::CLAIMS_FOLDER;
use sst_format::identity::CommitIdentity;
use sst_format::limits::CLAIMED_NUMBERS;

use crate::store::Written;
use crate::{Store, StoreError};

/// First line of a claim.
const TITLE: &str = "sst claim 1";

/// Longest claim in bytes: the owner's name is the only part without a length of its own.
const MAX_CLAIM_LEN: u64 = 64 << 10;

/// Attempts to take a claim that other writers change at the same time.
const ATTEMPTS: usize = 16;

/// A block of numbers, by its first number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NumberBlock(u32);

impl NumberBlock {
    /// The block of a number.
    pub(crate) const fn of(number: SequenceNumber) -> Self {
        Self(number.0 - number.0 % CLAIMED_NUMBERS)
    }

    /// The blocks that have a claim.
    pub(crate) async fn claimed(store: &Store) -> Result<Vec<Self>, StoreError> {
        let claims = store.list(Some(CLAIMS_FOLDER)).await?;
        let names = claims.iter().filter_map(|claim| claim.name.rsplit('/').next());
        Ok(names.filter_map(Self::from_name).collect())
    }

    /// The next block; `None` if this is the last one.
    pub(crate) fn next(self) -> Option<Self> {
        self.0.checked_add(CLAIMED_NUMBERS).map(Self)
    }

    /// Its first and its last number. There is no number 0.
    pub(crate) fn range(self) -> (u32, u32) {
        (self.0.max(1), self.0 + (CLAIMED_NUMBERS - 1))
    }

    /// Its first number.
    pub(crate) const fn first(self) -> SequenceNumber {
        SequenceNumber(self.0)
    }

    /// The block with a claim of this name, relative to the folder of claims.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let first = name.parse().ok()?;
        let block = Self::of(SequenceNumber(first));
        (block.0 == first && block.name() == name).then_some(block)
    }

    /// The name of its claim, relative to the folder of claims.
    fn name(self) -> String {
        format!("{:08}", self.0)
    }

    /// The name of its claim.
    pub(crate) fn object_name(self) -> String {
        format!("{CLAIMS_FOLDER}/{}", self.name())
    }
}

/// The owner of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A mirror of a commit. Every mirror of the same commit writes the same bytes, so they may
    /// share a claim, and a mirror that was interrupted can be taken up at once.
    Mirror { sequence: SequenceNumber, checksum: u32 },
    /// A writer of commits, by a random number.
    Publisher(u64),
    /// A collection of garbage, by a random number.
    Collector(u64),
}

/// The content of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    owner: Owner,
    /// Whether the owner has finished, so that others may have the claim.
    is_done: bool,
}

/// A claim that is held.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    block: NumberBlock,
    content: Content,
    version: UpdateVersion,
}

/// A claim as it was found.
#[derive(Clone, Debug)]
pub(crate) struct FoundClaim {
    content: Option<Content>,
    version: UpdateVersion,
    /// Time since it was written last, by the clock of the store and our own.
    age: Duration,
}

impl Owner {
    /// The owner for a mirror of a commit.
    pub(crate) fn mirror(commit: CommitIdentity) -> Result<Self, StoreError> {
        match commit {
            CommitIdentity::Protected { sequence, checksum, .. } => {
                Ok(Self::Mirror { sequence, checksum })
            }
            // `Bare`; the enum may grow in another crate.
            _ => Err(StoreError::internal("only protected commits are mirrored")),
        }
    }

    fn to_text(self) -> String {
        match self {
            Self::Mirror { sequence, checksum } => format!("mirror {sequence} {checksum:08x}"),
            Self::Publisher(number) => format!("publisher {number:016x}"),
            Self::Collector(number) => format!("collector {number:016x}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let owner = match words.next()? {
            "mirror" => Self::Mirror {
                sequence: SequenceNumber(words.next()?.parse().ok()?),
                checksum: u32::from_str_radix(words.next()?, 16).ok()?,
            },
            "publisher" => Self::Publisher(u64::from_str_radix(words.next()?, 16).ok()?),
            "collector" => Self::Collector(u64::from_str_radix(words.next()?, 16).ok()?),
            _ => return None,
        };
        words.next().is_none().then_some(owner)
    }
}

impl Content {
    /// The text of a claim. The time is for people; ages are those of the object.
    fn encode(&self, block: NumberBlock) -> Bytes {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 states no time that would help anyone.
        let seconds = since.map_or(0, |since| since.as_secs());
        let state = if self.is_done { "done" } else { "open" };
        let owner = self.owner.to_text();
        let text = format!(
            "{TITLE}\nfirst {}\ncount {CLAIMED_NUMBERS}\nowner {owner}\ntime {seconds}\nstate {state}\n",
            block.0
        );
        text.into()
    }

    /// Parses the text of a claim. `None` if a later build wrote it, or it is damaged.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = str::from_utf8(bytes).ok()?.lines();
        if lines.next()? != TITLE {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let (_first, _count) = (field("first")?, field("count")?);
        let owner = Owner::parse(field("owner")?)?;
        let _time = field("time")?;
        let is_done = match field("state")? {
            "open" => false,
            "done" => true,
            _ => return None,
        };
        Some(Self { owner, is_done })
    }
}

impl FoundClaim {
    /// Reads a claim; `None` if there is none.
    pub(crate) async fn read(
        store: &Store,
        block: NumberBlock,
    ) -> Result<Option<Self>, StoreError> {
        let Some(object) = store.read(&block.object_name(), MAX_CLAIM_LEN).await? else {
            return Ok(None);
        };
        Ok(Some(Self {
            content: Content::parse(&object.bytes),
            version: object.version,
            // A claim of the future counts as new, which spares what it protects.
            age: object.modified.elapsed().unwrap_or(Duration::ZERO),
        }))
    }

    /// Whether there is a claim whose owner has not finished.
    pub(crate) async fn is_held(store: &Store, block: NumberBlock) -> Result<bool, StoreError> {
        let found = Self::read(store, block).await?;
        Ok(found.is_some_and(|found| !found.content.is_some_and(|content| content.is_done)))
    }

    /// Whether its owner may still be at work.
    pub(crate) fn is_in_force(&self, grace: Duration) -> bool {
        !self.content.is_some_and(|content| content.is_done) && self.age < grace
    }

    /// The owner; `None` if the claim cannot be read.
    pub(crate) fn owner(&self) -> Option<Owner> {
        self.content.map(|content| content.owner)
    }
}

impl Claim {
    /// Takes the claim on a block.
    ///
    /// A claim of another owner is taken over if that owner has finished, if it was written longer
    /// than `grace` ago, or if `may_take_over` says so of its owner.
    ///
    /// # Errors
    ///
    /// [`StoreError::Claimed`] if another owner is at work.
    pub(crate) async fn take<R>(
        store: &Store,
        block: NumberBlock,
        owner: Owner,
        grace: Duration,
        may_take_over: impl Fn(Owner) -> R,
    ) -> Result<Self, StoreError>
    where
        R: Future<Output = Result<bool, StoreError>>,
    {
        let content = Content { owner, is_done: false };
        let bytes = content.encode(block);
        let name = block.object_name();
        for _ in 0..ATTEMPTS {
            let written = match FoundClaim::read(store, block).await? {
                None => store.create(&name, bytes.clone()).await?,
                Some(found) => {
                    if found.is_in_force(grace) && found.owner() != Some(owner) {
                        let is_free = match found.owner() {
                            Some(other) => may_take_over(other).await?,
                            None => false,
                        };
                        if !is_free {
                            return Err(claimed(store, &name, found.owner()));
                        }
                    }
                    // Also if it is ours: its age starts again.
                    store.update(&name, bytes.clone(), found.version).await?
                }
            };
            if let Written::Done(version) = written {
                return Ok(Self { block, content, version });
            }
            // Another writer was faster, or the answer to our own request was lost. Reading the
            // claim again tells which.
        }
        Err(claimed(store, &name, None))
    }

    /// Takes the claim on a block without a claim. `None` if another writer has one.
    pub(crate) async fn take_new(
        store: &Store,
        block: NumberBlock,
        owner: Owner,
    ) -> Result<Option<Self>, StoreError> {
        let content = Content { owner, is_done: false };
        let bytes = content.encode(block);
        if let Written::Done(version) = store.create(&block.object_name(), bytes).await? {
            return Ok(Some(Self { block, content, version }));
        }
        // The answer to our own request may be lost.
        let found = FoundClaim::read(store, block).await?;
        let ours = found.filter(|found| found.content == Some(content));
        Ok(ours.map(|found| Self { block, content, version: found.version }))
    }

    /// The claim of a writer of commits on a block, which it must still hold.
    ///
    /// # Errors
    ///
    /// [`StoreError::Claimed`] if it was lost to another owner, or its owner has finished.
    pub(crate) async fn held_by(
        store: &Store,
        block: NumberBlock,
        owner: u64,
    ) -> Result<Self, StoreError> {
        let content = Content { owner: Owner::Publisher(owner), is_done: false };
        let found = FoundClaim::read(store, block).await?;
        let other = found.as_ref().and_then(FoundClaim::owner);
        match found.filter(|found| found.content == Some(content)) {
            Some(found) => Ok(Self { block, content, version: found.version }),
            None => Err(claimed(store, &block.object_name(), other)),
        }
    }

    /// Takes the claim once more, so that its age starts again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Claimed`] if it was lost to another owner.
    pub(crate) async fn renew(&mut self, store: &Store) -> Result<(), StoreError> {
        self.check(store).await?;
        let never = |_| std::future::ready(Ok(false));
        // The claim is in force, so another owner does not get it.
        let owner = self.content.owner;
        *self = Self::take(store, self.block, owner, Duration::MAX, never).await?;
        Ok(())
    }

    /// Fails if the claim was lost to another owner.
    pub(crate) async fn check(&self, store: &Store) -> Result<(), StoreError> {
        let found = FoundClaim::read(store, self.block).await?;
        let owner = found.as_ref().and_then(FoundClaim::owner);
        if owner != Some(self.content.owner) {
            return Err(claimed(store, &self.block.object_name(), owner));
        }
        Ok(())
    }

    /// Removes a claim that is held.
    pub(crate) async fn remove(self, store: &Store) -> Result<(), StoreError> {
        store.remove(&self.block.object_name()).await
    }

    /// The block of the claim.
    pub(crate) const fn block(&self) -> NumberBlock {
        self.block
    }

    /// Tells other writers that they may have the claim. A claim that another mirror of the same
    /// commit has written meanwhile stays as it is.
    pub(crate) async fn release(self, store: &Store) -> Result<(), StoreError> {
        let bytes = Content { is_done: true, ..self.content }.encode(self.block);
        store.update(&self.block.object_name(), bytes, self.version).await.map(drop)
    }
}

fn claimed(store: &Store, name: &str, owner: Option<Owner>) -> StoreError {
    let owner = owner.map_or_else(|| "another writer".to_owned(), Owner::to_text);
    StoreError::Claimed { object: store.object(name), owner }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_texts_that_can_be_read() {
        let block = NumberBlock::of(SequenceNumber(130));
        assert_eq!(block.object_name(), "claims/00000128");
        assert_eq!(NumberBlock::from_name("00000128"), Some(block));
        for name in ["00000129", "128", "x", "", "00000128.meta"] {
            assert_eq!(NumberBlock::from_name(name), None, "{name}");
        }
        let mirror = Owner::Mirror { sequence: SequenceNumber(9), checksum: 0x0bad };
        for owner in [mirror, Owner::Collector(7), Owner::Publisher(u64::MAX)] {
            for is_done in [false, true] {
                let content = Content { owner, is_done };
                let bytes = content.encode(block);
                assert_eq!(Content::parse(&bytes), Some(content));
                for len in 0..bytes.len() - 1 {
                    assert_eq!(Content::parse(&bytes[..len]), None);
                }
            }
        }
    }
}
