//! A directory of our store.

use std::path::Path;

use sst_reader::{ReadValue, SstSet};
use sst_writer::table::Compression;
use sst_writer::{Monitor, Publisher, PublisherOptions};

use super::name_of;
use super::sst_table::{fits_one_table, reader_options, writer_options};
use crate::store::{BenchError, Contender, OpenStore, Session, Store};
use crate::workload::Data;

/// Our store, for data that needs several files.
pub struct SstDirectory {
    compression: Compression,
}

impl SstDirectory {
    /// Directories whose tables use this compression.
    #[must_use]
    pub const fn new(compression: Compression) -> Self {
        Self { compression }
    }
}

/// Number of entries per file. It is far below every limit, whatever the length of the values.
const ENTRIES_PER_TABLE: usize = 2_500_000;

impl Contender for SstDirectory {
    fn name(&self) -> &'static str {
        name_of(self.compression)
    }

    fn setup(&self) -> &'static str {
        match self.compression {
            Compression::None => {
                "a directory, values stored raw; otherwise as one file; building includes fsync"
            }
            _ => "a directory, LZ4; otherwise as one file; building includes fsync",
        }
    }

    fn supports(&self, data: &Data) -> bool {
        !fits_one_table(data)
    }

    fn build(&self, data: &Data, dir: &Path) -> Result<(), BenchError> {
        let mut publisher = Publisher::open(dir, PublisherOptions::default())?;
        let mut commit = publisher.begin();
        let mut rows = data.iter().peekable();
        while rows.peek().is_some() {
            let mut table = commit.create_table(writer_options(self.compression))?;
            rows.by_ref().take(ENTRIES_PER_TABLE).try_for_each(|row| table.add(row))?;
            commit.add_table(table.finish()?)?;
        }
        commit.publish(&Monitor::default())?;
        Ok(())
    }

    fn open<'d>(
        &self,
        _: &'d Data,
        dir: &Path,
        cache: u64,
    ) -> Result<Box<dyn Store + 'd>, BenchError> {
        Ok(Box::new(SstSet::open(dir, &reader_options(cache))?))
    }
}

impl OpenStore for SstSet {
    type Session<'a> = &'a SstSet;

    fn session(&self) -> Result<Self::Session<'_>, BenchError> {
        Ok(self)
    }
}

impl Session for &SstSet {
    #[inline]
    fn find(&mut self, key: &[u8], mut visit: impl FnMut(&[u8])) -> Result<(), BenchError> {
        if let Some(value) = SstSet::get(self, key)? {
            visit(&value);
        }
        Ok(())
    }

    fn find_many(
        &mut self,
        keys: &[&[u8]],
        mut visit: impl FnMut(&[u8]),
    ) -> Result<(), BenchError> {
        SstSet::multi_get(self, keys)?.iter().flatten().for_each(|value| visit(value));
        Ok(())
    }

    fn scan(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<bool, BenchError> {
        for entry in self.iter() {
            let entry = entry?;
            if let ReadValue::Value(value) = &entry.value {
                visit(&entry.key, value);
            }
        }
        Ok(true)
    }
}
