//! Operations on the files of a directory, with errors that name them.

use std::io;
use std::path::Path;

use super::atomic_file::directory_of;
use super::{FileError, FileOperation, FileSystem};

/// Removes a file. A missing file is no error.
pub(crate) fn remove(file_system: &dyn FileSystem, path: &Path) -> Result<(), FileError> {
    match file_system.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::at(path, FileOperation::Remove)(error))
        }
        _ => Ok(()),
    }
}

/// Creates a directory and its missing parents, and makes their names durable.
pub(crate) fn create_directory(
    file_system: &dyn FileSystem,
    directory: &Path,
) -> Result<(), FileError> {
    let mut missing = Vec::new();
    for path in directory.ancestors() {
        // The last ancestor of a relative path is empty, and means the current directory, which
        // exists.
        let is_root = path.as_os_str().is_empty();
        let inspect_error = FileError::at(path, FileOperation::Inspect);
        if is_root || file_system.is_directory(path).map_err(inspect_error)? {
            break;
        }
        missing.push(path);
    }
    if missing.is_empty() {
        return Ok(());
    }
    file_system
        .create_directory(directory)
        .map_err(FileError::at(directory, FileOperation::CreateDirectory))?;
    for parent in missing.into_iter().map(directory_of) {
        file_system
            .sync_directory(parent)
            .map_err(FileError::at(parent, FileOperation::SyncDirectory))?;
    }
    Ok(())
}

/// Names of the files in a directory, sorted. Names that are not UTF-8 are not of the format, and
/// are left out.
pub(crate) fn list(
    file_system: &dyn FileSystem,
    directory: &Path,
) -> Result<Vec<String>, FileError> {
    let names =
        file_system.list(directory).map_err(FileError::at(directory, FileOperation::List))?;
    let mut names: Vec<_> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

/// Whether there is a regular file at `path`.
pub(crate) fn is_file(file_system: &dyn FileSystem, path: &Path) -> Result<bool, FileError> {
    file_system.is_file(path).map_err(FileError::at(path, FileOperation::Inspect))
}

/// Removes a regular file. Anything else of that name is not ours and stays, which is no error.
pub(crate) fn remove_file(file_system: &dyn FileSystem, path: &Path) -> Result<(), FileError> {
    if is_file(file_system, path)? { remove(file_system, path) } else { Ok(()) }
}
