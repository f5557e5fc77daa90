//! Writes a table of a fragment anew, since its blobs have other numbers in the commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use sst_format::{BlobNumber, SstMeta};
use sst_reader::Catalog;
use sst_writer::WriterOptions;
use sst_writer::publish::{Commit, TableWriter};

use crate::output::{Target, copy_listed, copy_once};
use crate::{MergeError, Monitor};

/// Takes the entries of one table of a fragment.
pub(super) struct RewrittenTable<'c, 'p, 'f> {
    pub(super) commit: &'c mut Commit<'p>,
    pub(super) monitor: &'f Monitor,
    /// The description of the table of the fragment.
    pub(super) description: SstMeta,
    /// Numbers of copied blobs, by the numbers in the fragment.
    pub(super) copied: &'f mut BTreeMap<BlobNumber, BlobNumber>,
}

impl Target for RewrittenTable<'_, '_, '_> {
    type Table = TableWriter;

    fn create_table(&mut self) -> Result<TableWriter, MergeError> {
        let options = WriterOptions::default().multi_value(true).flags(self.description.flags);
        Ok(self.commit.create_table(options)?)
    }

    fn finish_table(&mut self, table: TableWriter) -> Result<u64, MergeError> {
        // The keys are the same, so the filter is too.
        let table = table.finish()?.with_filter(self.description.filter.clone());
        let file_size = table.meta().file_size;
        self.commit.add_table(table)?;
        Ok(file_size)
    }

    fn copy_blob(
        &mut self,
        catalog: &Arc<Catalog>,
        number: BlobNumber,
        _: &[u8],
    ) -> Result<BlobNumber, MergeError> {
        let Self { commit, copied, monitor, .. } = self;
        copy_once(copied, number, || copy_listed(commit, catalog, number, monitor))
    }
}
