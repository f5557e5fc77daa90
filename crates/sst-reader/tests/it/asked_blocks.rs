//! The order in which lookups of many keys ask for blocks, as a store of files sees it.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sst_reader::{FileStore, FileStoreError, RangedFile, ReaderOptions, SstSet, hash_key};

use crate::support::{Directory, Value, numbered};

/// What a store was told to do with a range of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Asked(Range<u64>),
    Read(Range<u64>),
}

/// A store of the files of a directory, which takes note of the calls for its tables.
#[derive(Clone, Debug, Default)]
struct Store(Arc<Mutex<Vec<Call>>>);

#[derive(Debug)]
struct File {
    bytes: Vec<u8>,
    /// `None` if it is no table.
    calls: Option<Arc<Mutex<Vec<Call>>>>,
}

impl File {
    fn note(&self, call: Call) {
        if let Some(calls) = &self.calls {
            calls.lock().unwrap().push(call);
        }
    }
}

impl FileStore for Store {
    fn serves(&self, _: &Path) -> bool {
        true
    }

    fn open(&self, path: &Path) -> Result<Arc<dyn RangedFile>, FileStoreError> {
        let bytes = std::fs::read(path).map_err(|_| FileStoreError::Missing)?;
        let is_table = path.extension().is_some_and(|extension| extension == "sst");
        Ok(Arc::new(File { bytes, calls: is_table.then(|| Arc::clone(&self.0)) }))
    }

    fn list(&self, _: &Path) -> Result<Vec<String>, FileStoreError> {
        Err(FileStoreError::Unsupported)
    }
}

impl RangedFile for File {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn version(&self) -> Option<&str> {
        None
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), FileStoreError> {
        self.note(Call::Read(offset..offset + buffer.len() as u64));
        let start = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.bytes[start..start + buffer.len()]);
        Ok(())
    }

    fn prefetch(&self, range: Range<u64>) {
        self.note(Call::Asked(range));
    }
}

#[test]
fn many_keys_of_a_new_table_ask_for_each_block_once_and_before_any_is_read() {
    // More key blocks than a group of keys that are in memory has keys.
    let entries = numbered(0..1_600, |i| Value::Small(i.to_be_bytes().repeat(25)));
    let directory = Directory::of(&entries);
    let mut keys: Vec<_> = entries.iter().map(|(key, _)| key).collect();
    keys.sort_by_key(|key| hash_key(key));
    // One of each key block.
    let keys: Vec<_> = keys.into_iter().step_by(40).collect();
    let store = Store::default();
    let options = ReaderOptions::default().files(Arc::new(store.clone()));
    let set = SstSet::open(directory.path(), &options).unwrap();
    set.open_all().unwrap();
    store.0.lock().unwrap().clear();

    assert_eq!(set.multi_get(&keys).unwrap().iter().flatten().count(), keys.len());
    let calls = store.0.lock().unwrap().clone();
    let asked = |calls: &[Call]| -> Vec<Range<u64>> {
        let ranges = calls.iter().filter_map(|call| match call {
            Call::Asked(range) => Some(range.clone()),
            Call::Read(_) => None,
        });
        ranges.collect()
    };
    let (first, rest) = calls.split_at(keys.len());
    let key_blocks = asked(first);
    assert_eq!(key_blocks.len(), keys.len(), "all key blocks are asked for first: {calls:?}");
    let mut blocks = [key_blocks, asked(rest)].concat();
    let last_asked = calls.iter().rposition(|call| matches!(call, Call::Asked(_))).unwrap();
    let reads: Vec<_> = calls.iter().filter(|call| matches!(call, Call::Read(_))).collect();
    assert_eq!(reads.len(), blocks.len(), "each block is read once: {calls:?}");
    for value_block in &blocks[keys.len()..] {
        let read = calls.iter().position(|call| *call == Call::Read(value_block.clone())).unwrap();
        assert!(read > last_asked, "a value is read before all are asked for: {calls:?}");
    }
    let count = blocks.len();
    blocks.sort_by_key(|range| range.start);
    blocks.dedup();
    assert_eq!(blocks.len(), count, "a block is asked for twice: {calls:?}");
}
