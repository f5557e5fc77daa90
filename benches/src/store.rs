//! The interface of contenders, so that all are measured alike.

use crate::strings::Strings;
use crate::workload::{Data, Row};

/// Why something could not be measured: for people only, so any error will do.
pub type BenchError = Box<dyn std::error::Error + Send + Sync>;

/// Values that were found: their number, and the sum of the first and the last byte of each.
///
/// Every contender must look at both bytes of every value it finds, so that none can answer without
/// having fetched it; and since the sum is known beforehand, no wrong answer goes unseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Values.
    pub found: u64,
    /// Sum of the first and the last byte of each.
    pub sum: u64,
}

impl Tally {
    /// Counts one value.
    #[inline]
    pub fn count(&mut self, value: &[u8]) {
        self.found += 1;
        if let (Some(first), Some(last)) = (value.first(), value.last()) {
            self.sum += u64::from(*first) + u64::from(*last);
        }
    }

    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        self.found += other.found;
        self.sum += other.sum;
    }
}

/// Number of threads that build, and of files.
#[derive(Clone, Copy, Debug)]
pub enum Writers {
    /// One thread, one file.
    Alone,
    /// Two files, one for each half of the hashes, each written by a thread.
    TwoFiles,
}

/// A store that can be built from entries and opened: one for each way to configure it.
pub trait Contender {
    /// Its name, unique within a run.
    fn name(&self) -> &'static str;

    /// Its configuration in words.
    fn setup(&self) -> &'static str;

    /// Whether it has a cache whose size can be given. Without one it is not asked with a small
    /// cache.
    fn is_cached(&self) -> bool {
        true
    }

    /// Whether there are files to build and open; otherwise opening builds it in memory.
    fn has_files(&self) -> bool {
        true
    }

    /// Whether it writes its files itself, so that building can be measured.
    fn is_built(&self) -> bool {
        true
    }

    /// Whether it takes part in a workload.
    fn takes(&self, _data: &Data) -> bool {
        true
    }

    /// Writes all entries into the empty directory `dir` and closes it, without waiting for the
    /// disk.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn build(&self, data: &Data, dir: &std::path::Path) -> Result<(), BenchError>;

    /// Whether it can be written by two threads at once.
    fn has_two_writers(&self) -> bool {
        false
    }

    /// Writes all entries into the empty directory `dir` in one of these ways, and returns how long
    /// that took on the wall from when all threads were running. Asked only if it
    /// [can](Self::has_two_writers).
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn time_writers(
        &self,
        _data: &Data,
        _dir: &std::path::Path,
        _writers: Writers,
    ) -> Result<std::time::Duration, BenchError> {
        Err("not written by two threads".into())
    }

    /// Writes tables that stay apart, each newer than those before it, into the empty directory
    /// `dir`. The rows of a table come in the order of their keys. False, with nothing written, if
    /// the store keeps no tables apart.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn build_tables(
        &self,
        _tables: &[Vec<Row<'_>>],
        _dir: &std::path::Path,
    ) -> Result<bool, BenchError> {
        Ok(false)
    }

    /// Merges the tables that [`build_tables`](Self::build_tables) has written into one. False if
    /// the store keeps no tables apart.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn merge_tables(&self, _dir: &std::path::Path) -> Result<bool, BenchError> {
        Ok(false)
    }

    /// Work between building and opening that belongs to neither figure.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn publish(&self, _data: &Data, _dir: &std::path::Path) -> Result<(), BenchError> {
        Ok(())
    }

    /// Opens what [`build`](Self::build) has written, with a cache of `cache` bytes.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn open<'d>(
        &self,
        data: &'d Data,
        dir: &std::path::Path,
        cache: u64,
    ) -> Result<Box<dyn Store + 'd>, BenchError>;
}

/// An open store, for one thread at a time through [`Session`]s. Implement this; [`Store`] follows.
pub trait OpenStore: Sync {
    /// The state of a thread that looks things up, such as a read transaction.
    type Session<'a>: Session
    where
        Self: 'a;

    /// The number of blocks that were not in its cache so far; `None` if it does not count them.
    fn blocks_loaded(&self) -> Option<u64> {
        None
    }

    /// Starts a session.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn session(&self) -> Result<Self::Session<'_>, BenchError>;
}

/// Lookups by one thread.
pub trait Session {
    /// Looks `key` up and shows its value to `visit`, without copying it if the store allows that.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn find(&mut self, key: &[u8], visit: impl FnMut(&[u8])) -> Result<(), BenchError>;

    /// Looks many keys up at once, in whatever order, and shows the values of those that are there.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn find_many(
        &mut self,
        keys: &[&[u8]],
        mut visit: impl FnMut(&[u8]),
    ) -> Result<(), BenchError> {
        keys.iter().try_for_each(|key| self.find(key, &mut visit))
    }

    /// Shows keys and values of all entries, in the store's order. False if the store cannot do
    /// that.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn scan(&mut self, visit: impl FnMut(&[u8], &[u8])) -> Result<bool, BenchError>;
}

/// An open store, measured in whole batches, so that one indirect call serves thousands of lookups.
pub trait Store: Sync {
    /// See [`OpenStore::blocks_loaded`].
    fn blocks_loaded(&self) -> Option<u64>;

    /// Looks keys up one by one.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn get(&self, keys: &Strings) -> Result<Tally, BenchError>;

    /// Looks keys up in groups of `group`.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn multi_get(&self, keys: &Strings, group: usize) -> Result<Tally, BenchError>;

    /// Walks all entries; values only are counted. `None` if the store cannot do that.
    ///
    /// # Errors
    ///
    /// Whatever the store reports.
    fn scan(&self) -> Result<Option<Tally>, BenchError>;

    /// Looks up every key of `data` and compares the whole value; walks all entries and compares
    /// their number.
    ///
    /// # Errors
    ///
    /// Whatever the store reports, and every difference.
    fn verify(&self, data: &Data) -> Result<(), BenchError>;
}

impl<T: OpenStore> Store for T {
    fn blocks_loaded(&self) -> Option<u64> {
        OpenStore::blocks_loaded(self)
    }

    fn get(&self, keys: &Strings) -> Result<Tally, BenchError> {
        let mut session = self.session()?;
        let mut tally = Tally::default();
        for key in keys.iter() {
            session.find(key, |value| tally.count(value))?;
        }
        Ok(tally)
    }

    fn multi_get(&self, keys: &Strings, group: usize) -> Result<Tally, BenchError> {
        let mut session = self.session()?;
        let mut tally = Tally::default();
        let mut asked = Vec::with_capacity(group);
        for key in keys.iter() {
            asked.push(key);
            if asked.len() == group {
                session.find_many(&asked, |value| tally.count(value))?;
                asked.clear();
            }
        }
        session.find_many(&asked, |value| tally.count(value))?;
        Ok(tally)
    }

    fn scan(&self) -> Result<Option<Tally>, BenchError> {
        let mut tally = Tally::default();
        let is_walked = self.session()?.scan(|_, value| tally.count(value))?;
        Ok(is_walked.then_some(tally))
    }

    fn verify(&self, data: &Data) -> Result<(), BenchError> {
        let mut session = self.session()?;
        for row in data.iter() {
            let mut matches = 0;
            session.find(row.key, |value| matches += usize::from(value == row.value))?;
            if matches != 1 {
                return Err(format!("{}: not its value", row.key.escape_ascii()).into());
            }
        }
        let mut walked = (0, 0);
        let is_walked = session.scan(|key, value| {
            walked.0 += 1;
            walked.1 += key.len() + value.len();
        })?;
        if !is_walked || walked == (data.entries(), data.byte_len()) {
            Ok(())
        } else {
            Err(format!("a scan gave {walked:?} entries and bytes").into())
        }
    }
}
