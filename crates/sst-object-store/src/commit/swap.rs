//! The replacement of `CURRENT`, the commit point of a bucket.

use bytes::Bytes;
use sst_format::SequenceNumber;
use sst_format::current::Current;
use sst_format::file_name::CURRENT_FILE_NAME;

use super::{CurrentObject, MAX_CURRENT_LEN};
use crate::store::Written;
use crate::{Store, StoreError};

/// How often a store may refuse to replace a `CURRENT` that is still the one that was read. S3
/// answers so while another request is under way. A store that always does knows no conditions.
const MAX_REFUSED: u32 = 5;

/// The result of replacing `CURRENT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swap {
    /// It is ours.
    Done,
    /// It is another writer's. `is_doubtful` if it may have been ours in between, because an answer
    /// was lost.
    Lost { is_doubtful: bool },
}

/// Replaces `CURRENT` by that of commit `sequence`, if it is still `before`. The caller has claimed
/// the number, so nobody else writes the same bytes.
///
/// Whatever the store answers, `CURRENT` is then read: the answer to a request that has happened
/// may be lost.
///
/// # Errors
///
/// [`StoreError::Request`]: `CURRENT` was read after that, and is the one before.
/// [`StoreError::Doubtful`]: it could not be read. [`StoreError::NoConditions`].
pub(crate) async fn replace_current(
    store: &Store,
    before: Option<&CurrentObject>,
    sequence: SequenceNumber,
) -> Result<Swap, StoreError> {
    let bytes = Bytes::copy_from_slice(&Current::encode(sequence, crc32fast::hash));
    let object = || store.object(CURRENT_FILE_NAME);
    let mut is_doubtful = false;
    for _ in 0..MAX_REFUSED {
        let written = match before {
            None => store.create(CURRENT_FILE_NAME, bytes.clone()).await,
            Some(before) => {
                store.update(CURRENT_FILE_NAME, bytes.clone(), before.version.clone()).await
            }
        };
        let failed = match written {
            Ok(Written::Done(_)) => return Ok(Swap::Done),
            Ok(Written::Refused { is_doubtful: now }) => {
                is_doubtful |= now;
                None
            }
            Err(error @ StoreError::Request { .. }) => {
                is_doubtful = true;
                Some(error)
            }
            Err(error) => return Err(error),
        };
        let found = match store.read(CURRENT_FILE_NAME, MAX_CURRENT_LEN).await {
            Ok(found) => found,
            Err(error) if !is_doubtful => return Err(error),
            Err(error) => {
                let source = Box::new(failed.unwrap_or(error));
                return Err(StoreError::Doubtful { object: object(), source });
            }
        };
        if found.as_ref().is_some_and(|found| found.bytes == bytes) {
            return Ok(Swap::Done);
        }
        let is_unchanged = match (&found, before) {
            (Some(found), Some(before)) => found.version == before.version,
            (None, None) => true,
            _ => false,
        };
        if !is_unchanged {
            return Ok(Swap::Lost { is_doubtful });
        }
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Err(StoreError::NoConditions { object: object() })
}
