//! The one table of a merge goes into a file of its own.

use std::path::Path;
use std::sync::Arc;

use sst_format::{BlobNumber, SstMeta};
use sst_reader::Catalog;
use sst_writer::file::AtomicFile;
use sst_writer::table::ShortKey;
use sst_writer::{StreamingSstWriter, WriterOptions};

use super::Target;
use crate::MergeError;

/// One table in a file on its own.
pub(crate) struct FileTarget<'t> {
    path: &'t Path,
    options: WriterOptions,
    /// Whether a table has been started.
    has_table: bool,
    finished: Option<SstMeta>,
}

impl<'t> FileTarget<'t> {
    pub(crate) const fn new(path: &'t Path, options: WriterOptions) -> Self {
        Self { path, options, has_table: false, finished: None }
    }

    /// The description of the table, if there was any entry.
    pub(crate) fn finish(self) -> Option<SstMeta> {
        self.finished
    }
}

impl Target for FileTarget<'_> {
    type Table = StreamingSstWriter<AtomicFile>;

    fn create_table(&mut self) -> Result<Self::Table, MergeError> {
        if std::mem::replace(&mut self.has_table, true) {
            return Err(MergeError::TooLargeForOneTable);
        }
        Ok(StreamingSstWriter::create(self.path, self.options.clone())?)
    }

    fn finish_table(&mut self, table: Self::Table) -> Result<u64, MergeError> {
        let meta = table.finish()?.meta;
        let file_size = meta.file_size;
        self.finished = Some(meta);
        Ok(file_size)
    }

    fn copy_blob(
        &mut self,
        _: &Arc<Catalog>,
        _: BlobNumber,
        key: &[u8],
    ) -> Result<BlobNumber, MergeError> {
        Err(MergeError::BlobInLoneTable { key: ShortKey::new(key) })
    }
}
