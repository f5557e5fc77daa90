//! Walking a set as pairs of key and value.

use super::{SetIter, SstSet};
use crate::{FileLabel, IterEntry, ReadError, ReadValue, Slice};

/// Iterator over the live entries of a set as pairs of key and value, in (hash, key) order: blobs
/// are read, and tombstones hide. It ends after the first error.
///
/// ```no_run
/// use sst_reader::{ReaderOptions, SstSet};
///
/// let set = SstSet::open("unicode.db", &ReaderOptions::default())?;
/// for entry in &set {
///     let (key, value) = entry?;
///     println!("{}: {}", key.escape_ascii(), value.escape_ascii());
/// }
/// # Ok::<(), sst_reader::ReadError>(())
/// ```
pub struct SetEntries<'a> {
    entries: SetIter<'a>,
    set: &'a SstSet,
}

impl<'a> SetEntries<'a> {
    pub(super) const fn new(entries: SetIter<'a>, set: &'a SstSet) -> Self {
        Self { entries, set }
    }

    fn pair(&self, entry: IterEntry<'a>) -> Result<(Slice<'a>, Slice<'a>), ReadError> {
        match entry.value {
            ReadValue::Value(value) => Ok((entry.key, value)),
            ReadValue::Blob(number) => Ok((entry.key, self.set.read_blob(number)?)),
            ReadValue::Deleted => {
                let label = FileLabel::new(&self.set.catalog().dir);
                Err(ReadError::internal(&label, "live entries are no tombstones"))
            }
        }
    }
}

impl<'a> Iterator for SetEntries<'a> {
    type Item = Result<(Slice<'a>, Slice<'a>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some(entry.and_then(|entry| self.pair(entry)))
    }
}

impl<'a> IntoIterator for &'a SstSet {
    type Item = Result<(Slice<'a>, Slice<'a>), ReadError>;
    type IntoIter = SetEntries<'a>;

    fn into_iter(self) -> SetEntries<'a> {
        self.entries()
    }
}
