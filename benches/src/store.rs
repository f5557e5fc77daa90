//! The interface of contenders, so that all are measured in the same way.

use crate::strings::Strings;
use crate::workload::{Data, Row};

/// The reason why something could not be measured. Only people read it, so it may be any error.
pub type BenchError = Box<dyn std::error::Error + Send + Sync>;

/// The values that were found: their number, and the sum of the first and the last byte of each.
///
/// Every contender must read both bytes of every value that it finds, so no contender can answer
/// without fetching the value. The sum is known beforehand, so no wrong answer goes unnoticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of values.
    pub found: u64,
    /// Sum of the first and the last byte of each value.
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

/// Number of threads that build, each with its own file.
#[derive(Clone, Copy, Debug)]
pub enum Writers {
    /// One thread, one file.
    Alone,
    /// Two threads that write one file each, one for each half of the hashes.
    TwoFiles,
}

/// A store that can be built from entries and opened. There is one contender per configuration of a
/// store.
pub trait Contender {
    /// Returns the name, which is unique within a run.
    fn name(&self) -> &'static str;

    /// Returns a description of the configuration.
    fn setup(&self) -> &'static str;

    /// Returns whether the store has a cache with a configurable size. Otherwise it is not measured
    /// with the small cache.
    fn is_cached(&self) -> bool {
        true
    }

    /// Returns whether there are files to build and open. Otherwise `open` builds the store in
    /// memory.
    fn has_files(&self) -> bool {
        true
    }

    /// Returns whether the store writes its files itself, so that building can be measured.
    fn is_built(&self) -> bool {
        true
    }

    /// Returns whether the contender takes part in a workload.
    fn supports(&self, _data: &Data) -> bool {
        true
    }

    /// Writes all entries to the empty directory `dir` and closes the store, without waiting for
    /// the disk.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn build(&self, data: &Data, dir: &std::path::Path) -> Result<(), BenchError>;

    /// Returns whether two threads can write the store at once.
    fn has_two_writers(&self) -> bool {
        false
    }

    /// Writes all entries to the empty directory `dir` in one of these ways. Returns the wall-clock
    /// time from the moment when all threads were running. It is called only if
    /// [`has_two_writers`](Self::has_two_writers) returns `true`.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn time_writers(
        &self,
        _data: &Data,
        _dir: &std::path::Path,
        _writers: Writers,
    ) -> Result<std::time::Duration, BenchError> {
        Err("not written by two threads".into())
    }

    /// Writes separate tables, each newer than those before it, to the empty directory `dir`. The
    /// rows of a table are in the order of their keys. Returns `false`, and writes nothing, if the
    /// store cannot keep tables apart.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn build_tables(
        &self,
        _tables: &[Vec<Row<'_>>],
        _dir: &std::path::Path,
    ) -> Result<bool, BenchError> {
        Ok(false)
    }

    /// Merges the tables that [`build_tables`](Self::build_tables) has written into one. Returns
    /// `false` if the store cannot keep tables apart.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn merge_tables(&self, _dir: &std::path::Path) -> Result<bool, BenchError> {
        Ok(false)
    }

    /// Does the work between building and opening that belongs to neither figure.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn publish(&self, _data: &Data, _dir: &std::path::Path) -> Result<(), BenchError> {
        Ok(())
    }

    /// Opens the store that [`build`](Self::build) has written, with a cache of `cache` bytes.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn open<'d>(
        &self,
        data: &'d Data,
        dir: &std::path::Path,
        cache: u64,
    ) -> Result<Box<dyn Store + 'd>, BenchError>;
}

/// An open store. Each thread uses it through its own [`Session`]. Contenders implement this trait;
/// [`Store`] is implemented for all types that have it.
pub trait OpenStore: Sync {
    /// The state of a thread that does lookups, such as a read transaction.
    type Session<'a>: Session
    where
        Self: 'a;

    /// Returns the number of blocks so far that were not in the cache. `None` if the store does not
    /// count them.
    fn blocks_loaded(&self) -> Option<u64> {
        None
    }

    /// Starts a session.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn session(&self) -> Result<Self::Session<'_>, BenchError>;
}

/// The lookups of one thread.
pub trait Session {
    /// Looks up `key` and passes its value to `visit`, without a copy if the store allows that.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn find(&mut self, key: &[u8], visit: impl FnMut(&[u8])) -> Result<(), BenchError>;

    /// Looks up many keys at once, in any order, and passes the values of the present ones to
    /// `visit`.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn find_many(
        &mut self,
        keys: &[&[u8]],
        mut visit: impl FnMut(&[u8]),
    ) -> Result<(), BenchError> {
        keys.iter().try_for_each(|key| self.find(key, &mut visit))
    }

    /// Passes the keys and values of all entries to `visit`, in the store's order. Returns `false`
    /// if the store cannot scan.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn scan(&mut self, visit: impl FnMut(&[u8], &[u8])) -> Result<bool, BenchError>;
}

/// An open store that is measured in whole batches, so that one indirect call serves thousands of
/// lookups.
pub trait Store: Sync {
    /// See [`OpenStore::blocks_loaded`].
    fn blocks_loaded(&self) -> Option<u64>;

    /// Looks up keys one by one.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn get(&self, keys: &Strings) -> Result<Tally, BenchError>;

    /// Looks up keys in groups of `group`.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn multi_get(&self, keys: &Strings, group: usize) -> Result<Tally, BenchError>;

    /// Scans all entries and counts their values. `None` if the store cannot scan.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn scan(&self) -> Result<Option<Tally>, BenchError>;

    /// Looks up every key of `data` and compares the whole value. Then scans all entries, if the
    /// store can, and compares their number and their length.
    ///
    /// # Errors
    ///
    /// The error of the store, or an error that describes the first difference.
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
