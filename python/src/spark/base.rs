//! The commit that a job starts from.

use sst_format::SequenceNumber;
use sst_format::file_name::CURRENT_FILE_NAME;
use sst_object_store::{Place, RemoteCommit, block_on};
use sst_reader::Catalog;

use crate::errors::Error;
use crate::place::plain_options;

/// The newest commit of a place; `None` if there is none.
pub(super) fn newest(place: &Place) -> Result<Option<Catalog>, Error> {
    let (name, has_commit) = match place {
        // A directory that a job has prepared has no commit before its first one.
        Place::Directory(directory) => {
            let current = directory.join(CURRENT_FILE_NAME);
            let has_commit = current.try_exists();
            let failed = |error| Error::io("inspect", &current, error);
            (directory.clone(), has_commit.map_err(failed)?)
        }
        Place::Bucket(store) => {
            (store.name().into(), block_on(RemoteCommit::read(store))?.is_some())
        }
    };
    if !has_commit {
        return Ok(None);
    }
    Ok(Some(Catalog::read_with(name, &plain_options())?))
}

/// Fails if the newest commit of a place is not `expected`: another writer was faster.
pub(super) fn is_newest(
    place: &Place,
    expected: Option<u32>,
    found: Option<SequenceNumber>,
) -> Result<(), Error> {
    // An empty catalog has the number 0, which no commit has.
    let found = found.filter(|found| found.0 != 0);
    match found.map(|found| found.0) == expected {
        true => Ok(()),
        false => Err(conflict(place, expected, found)),
    }
}

/// The error if another commit is the newest one.
pub(super) fn conflict(
    place: &Place,
    expected: Option<u32>,
    found: Option<SequenceNumber>,
) -> Error {
    let name = match place {
        Place::Directory(directory) => directory.display().to_string(),
        Place::Bucket(store) => store.name().to_owned(),
    };
    Error::Conflict { place: name, expected, found: found.map(|found| found.0) }
}
