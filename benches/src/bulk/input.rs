//! A file of unsorted records, stored back to back: keys of 16 random bytes, and values of 100
//! bytes, of which the second half is compressible.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::random::Random;

/// Length of a key in bytes.
pub const KEY_LEN: usize = 16;
/// Length of a value in bytes.
const VALUE_LEN: usize = 100;
/// Length of a record in bytes.
pub const RECORD_LEN: usize = KEY_LEN + VALUE_LEN;

/// A file of records.
#[derive(Clone, Debug)]
pub struct Input {
    /// Path of the file.
    pub path: PathBuf,
    /// Number of records.
    pub records: u64,
}

impl Input {
    /// Writes a file of records. The same number of records always gives the same bytes.
    ///
    /// # Errors
    ///
    /// The error of the file system.
    pub fn generate(path: &Path, records: u64) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let mut random = Random::new(1);
        let mut record = [0; RECORD_LEN];
        for _ in 0..records {
            let (head, tail) = record.split_at_mut(KEY_LEN + VALUE_LEN / 2);
            random.fill(head);
            let word = random.word().to_be_bytes();
            tail.iter_mut().zip(word.iter().cycle()).for_each(|(byte, word)| *byte = *word);
            out.write_all(&record)?;
        }
        out.into_inner()?.sync_all()?;
        Ok(Self { path: path.to_owned(), records })
    }

    /// Passes the records of one of `parts` equal parts to `take`, each with its number.
    ///
    /// # Errors
    ///
    /// The error of the file system, or the first error of `take`.
    pub fn read_part<E: From<io::Error>>(
        &self,
        part: u64,
        parts: u64,
        mut take: impl FnMut(u64, &[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (from, to) = (self.records * part / parts, self.records * (part + 1) / parts);
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(from * RECORD_LEN as u64))?;
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut record = [0; RECORD_LEN];
        for number in from..to {
            file.read_exact(&mut record)?;
            let (key, value) = record.split_at(KEY_LEN);
            take(number, key, value)?;
        }
        Ok(())
    }
}
