//! The answers of a store.

use std::time::SystemTime;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, GetResult, GetResultPayload, UpdateVersion};

/// A whole object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    pub(crate) version: UpdateVersion,
    pub(crate) modified: SystemTime,
}

/// The first bytes of an object.
#[derive(Clone, Debug)]
pub(crate) struct ObjectStart {
    pub(crate) bytes: Bytes,
    /// The length of the whole object.
    pub(crate) len: u64,
    pub(crate) version: UpdateVersion,
}

/// The last bytes of an object.
#[cfg(feature = "read")]
#[derive(Clone, Debug)]
pub(crate) struct ObjectEnd {
    pub(crate) bytes: Bytes,
    pub(crate) version: ObjectVersion,
}

/// Tells whether an object is still the one that was read before.
#[cfg(feature = "read")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectVersion {
    pub(crate) len: u64,
    /// `None` if the store states none: then the time must tell.
    pub(crate) e_tag: Option<String>,
    modified: SystemTime,
}

#[cfg(feature = "read")]
impl ObjectVersion {
    pub(super) fn of(meta: object_store::ObjectMeta) -> Self {
        Self { len: meta.size, e_tag: meta.e_tag, modified: meta.last_modified.into() }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.len == other.len
            && match (&self.e_tag, &other.e_tag) {
                (None, None) => self.modified == other.modified,
                (one, other) => one == other,
            }
    }

    /// The ETag, if a request can be made conditional with it: not with a weak one.
    pub(super) fn condition(&self) -> Option<&str> {
        self.e_tag.as_deref().filter(|tag| !tag.starts_with("W/"))
    }
}

/// An object in a list.
#[derive(Clone, Debug)]
pub(crate) struct ListedObject {
    /// Its name, relative to the root of the [`Store`].
    pub(crate) name: String,
    pub(crate) len: u64,
    pub(crate) modified: SystemTime,
}

/// The result of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// The object now has the bytes.
    Done(UpdateVersion),
    /// The condition does not hold. `is_doubtful` if an attempt before had no answer: the reason
    /// may be this very write: an attempt that has happened, but whose answer was lost. So a caller
    /// reads the object, and compares.
    Refused { is_doubtful: bool },
}

/// Collects the bytes of an answer, and stops behind those that it has announced: a server may send
/// without an end.
pub(super) async fn collect(answer: GetResult, expected: u64) -> Result<Bytes, Error> {
    if matches!(answer.payload, GetResultPayload::File(..)) {
        return answer.bytes().await;
    }
    let mut stream = answer.into_stream();
    let Some(first) = stream.try_next().await? else { return Ok(Bytes::new()) };
    if first.len() as u64 >= expected {
        return Ok(first);
    }
    let mut bytes = Vec::from(first);
    while let Some(next) = stream.try_next().await? {
        bytes.extend_from_slice(&next);
        if bytes.len() as u64 > expected {
            break;
        }
    }
    Ok(bytes.into())
}

pub(super) fn too_long(path: &Path, len: u64, limit: u64) -> Error {
    let source = format!("{len} bytes where there are {limit} at most").into();
    Error::Precondition { path: path.to_string(), source }
}
