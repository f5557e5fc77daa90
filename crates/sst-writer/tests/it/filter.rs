//! A filter receives the hashes of all entries, and its bytes are in the table's description.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sst_format::filter::{Filter, FilterBuilder, FilterBytes, FilterError, FilterPolicy};
use sst_writer::{StreamingSstWriter, WriteError, WriterOptions};

use crate::support::{Value, numbered, write};

/// A filter whose bytes are the hashes themselves. It can be told to panic or to fail.
#[derive(Clone, Copy, Debug, Default)]
struct AllHashes {
    panics: bool,
    fails: bool,
}

#[derive(Debug)]
struct Builder(AllHashes, Vec<u8>);

impl FilterPolicy for AllHashes {
    fn builder(&self) -> Box<dyn FilterBuilder> {
        Box::new(Builder(*self, Vec::new()))
    }

    fn open(&self, _: FilterBytes) -> Result<Box<dyn Filter>, FilterError> {
        Err(FilterError::new("not to be opened"))
    }
}

impl FilterBuilder for Builder {
    fn add_hashes(&mut self, hashes: &[u64]) {
        assert!(!self.0.panics, "on purpose");
        self.1.extend(hashes.iter().flat_map(|hash| hash.to_be_bytes()));
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, FilterError> {
        if self.0.fails { Err(FilterError::new("on purpose")) } else { Ok(self.1) }
    }
}

#[test]
fn filter_gets_every_hash_in_order() {
    for count in [1, 511, 512, 513, 2000] {
        let rows = numbered(count, |_| Value::Deleted);
        let finished = write(&rows, WriterOptions::default().filter(AllHashes::default()));
        let expected: Vec<_> = rows.iter().flat_map(|row| row.hash.to_be_bytes()).collect();
        assert_eq!(finished.meta.filter.as_slice(), expected);
        let without = write(&rows, WriterOptions::default());
        assert_eq!(without.meta.filter.as_slice(), b"");
        assert_eq!(without.output, finished.output);
    }
}

#[test]
fn filter_that_fails_or_panics_loses_the_table() {
    let options = WriterOptions::default().filter(AllHashes { fails: true, panics: false });
    let mut writer = StreamingSstWriter::new(Vec::new(), options);
    writer.add(("k", "v")).unwrap();
    assert!(matches!(writer.finish().unwrap_err(), WriteError::Filter(_)));

    let options = WriterOptions::default().filter(AllHashes { panics: true, fails: false });
    let mut writer = StreamingSstWriter::new(Vec::new(), options);
    let rows = numbered(2000, |_| Value::Deleted);
    let mut add = |row| catch_unwind(AssertUnwindSafe(|| writer.add(row).unwrap()));
    assert!(rows.iter().any(|row| add(row).is_err()));
    assert!(matches!(writer.finish().unwrap_err(), WriteError::Poisoned));
}
