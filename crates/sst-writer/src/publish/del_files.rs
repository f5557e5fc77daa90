//! `.del` files, which tell the original's readers what meta files a rollback has left out. Our own
//! readers do not need them: they read the list of live meta files.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use sst_format::SequenceNumber;
use sst_format::del_file::DelFile;
use sst_format::file_name::{FileKind, FileName};

use crate::file::directory::remove;
use crate::publish::commit_list::numbered_files;
use crate::publish::directory_state::DirectoryState;
use crate::publish::meta_state::{MetaReader, MetaState};
use crate::{AtomicFile, FileError, FileSystem, PublishError};

/// The meta files that the `.del` file of a commit names. Empty if there is no such file, `None` if
/// the file is damaged.
fn read(
    file_system: &dyn FileSystem,
    directory: &Path,
    sequence: SequenceNumber,
) -> Result<Option<BTreeSet<SequenceNumber>>, FileError> {
    let path = directory.join(FileName { sequence, kind: FileKind::Del }.to_string());
    let file = match MetaReader::open(file_system, &path) {
        Ok(file) => file,
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(BTreeSet::new()));
        }
        Err(error) => return Err(error),
    };
    if file.len > DelFile::max_len(sequence) {
        return Ok(None);
    }
    let bytes = file.read(0..file.len)?;
    // A length that is no multiple of 4 is all other damage that the format can tell.
    Ok(DelFile::parse(&bytes).ok().map(|del| del.sequences().collect()))
}

/// The meta files that the `.del` file of the directory's newest commit, `state`, names.
///
/// A damaged `.del` file stops nobody: it has no effect on our readers, and the meta files that are
/// there tell which of them it must have named. The next commit writes them to a file of its own.
pub(crate) fn read_newest(
    file_system: &dyn FileSystem,
    directory: &Path,
    state: &DirectoryState,
    newest: SequenceNumber,
) -> Result<BTreeSet<SequenceNumber>, PublishError> {
    if let Some(named) = read(file_system, directory, newest)? {
        return Ok(named);
    }
    let present = numbered_files(file_system, directory)?;
    Ok(to_name(file_system, directory, &present, state, newest))
}

/// The meta files that the `.del` file of the commit `state` must name: those among `present`, up
/// to `last`, that are not live in it and would change which tables are live if they counted.
///
/// The original's readers count every meta file that is there and not named. One that says nothing
/// new does not matter to them, and stays unnamed: the original's writer removes the files that are
/// named, and an earlier commit that is kept for a rollback needs its meta file. For example, a
/// commit that replaces all tables names them obsolete itself, so the meta files before it need not
/// be named.
pub(crate) fn to_name(
    file_system: &dyn FileSystem,
    directory: &Path,
    present: &BTreeSet<FileName>,
    state: &DirectoryState,
    last: SequenceNumber,
) -> BTreeSet<SequenceNumber> {
    let metas = present.iter().filter(|file| file.kind == FileKind::Meta);
    let unlisted = metas.map(|file| file.sequence);
    let unlisted = unlisted.filter(|meta| *meta <= last && !state.has_meta(*meta));
    // One that cannot be read now is named, to be on the safe side.
    let must_go = |meta: &SequenceNumber| {
        MetaState::load(file_system, directory, *meta)
            .map_or(true, |meta| state.is_changed_by(&meta.into()))
    };
    unlisted.filter(must_go).collect()
}

/// Takes the meta files of `state`, the commit that is about to become visible, out of the `.del`
/// files of earlier commits.
///
/// The original's writer removes what a `.del` file names, and a rollback may bring meta files back
/// that an earlier rollback has left out. This is done before the commit is visible: the names of
/// its directory are synced after it. If it does not become visible, the original's readers see its
/// content all the same, as if it were.
///
/// A damaged `.del` file may have named any meta file. It is replaced by one that names those that
/// the `.del` file of `state` names.
pub(crate) fn spare_live(
    file_system: &Arc<dyn FileSystem>,
    directory: &Path,
    present: &BTreeSet<FileName>,
    state: &DirectoryState,
) -> Result<(), PublishError> {
    for file in present.iter().filter(|file| file.kind == FileKind::Del) {
        let path = directory.join(file.to_string());
        let dead = match read(&**file_system, directory, file.sequence)? {
            Some(named) if !named.iter().any(|sequence| state.has_meta(*sequence)) => continue,
            Some(named) => {
                named.into_iter().filter(|sequence| !state.has_meta(*sequence)).collect()
            }
            None => state.rolled_back.clone(),
        };
        if dead.is_empty() {
            remove(&**file_system, &path)?;
        } else {
            let mut shorter = AtomicFile::replacing(Arc::clone(file_system), &path)?;
            shorter.write(DelFile::encode(dead))?;
            shorter.name_synced_later().replace(|| Ok::<_, PublishError>(()))?;
        }
    }
    Ok(())
}
