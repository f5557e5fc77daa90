//! How the files of a directory are reached: through the file system, or through a store.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::regular::open_regular;
use super::{Access, FileIdentity, PositionedFile};
use crate::file_store::FileStore;

/// The way to the files of a catalog.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) access: Access,
    pub(crate) store: Option<Arc<dyn FileStore>>,
}

impl Files {
    /// The file system.
    pub(crate) const fn of_system(access: Access) -> Self {
        Self { access, store: None }
    }

    /// The store that serves a path; `None` for a path of the file system.
    fn store_of(&self, path: &Path) -> Option<&Arc<dyn FileStore>> {
        self.store.as_ref().filter(|store| store.serves(path))
    }

    /// How a file is reached once it is open: no file of a store can be mapped.
    pub(crate) fn access(&self, path: &Path) -> Access {
        match self.store_of(path) {
            Some(_) => Access::Read,
            None => self.access,
        }
    }

    /// Opens a file.
    pub(crate) fn open(&self, path: &Path) -> io::Result<(PositionedFile, FileIdentity)> {
        if let Some(store) = self.store_of(path) {
            let file = store.open(path)?;
            let identity = FileIdentity::of_stored(&*file);
            return Ok((PositionedFile::stored(file), identity));
        }
        let (file, metadata) = open_regular(path)?;
        Ok((PositionedFile::new(file, metadata.len()), FileIdentity::of(&metadata)))
    }

    /// Whether there is such a file.
    pub(crate) fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.store_of(path) {
            None => path.try_exists(),
            Some(store) => match store.open(path).map_err(io::Error::from) {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            },
        }
    }

    /// The names of the files in a directory, without those that are no UTF-8: no file of the
    /// format has such a name.
    pub(crate) fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        if let Some(store) = self.store_of(directory) {
            return Ok(store.list(directory)?);
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }
}
