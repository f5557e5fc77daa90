//! One load of the input.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::thread;

use sha2::{Digest, Sha256};
use sst_amqf::QuotientFilter;
use sst_writer::bulk::BulkSummary;
use sst_writer::{
    BulkError, BulkLoader, BulkOptions, Monitor, Publisher, PublisherOptions, WriterOptions,
};

use sst_benches::bulk::Input;

/// The error of a failed load.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Loads the input. Each thread adds its part of the records.
pub(crate) fn run(
    input: &Input,
    budget: usize,
    threads: usize,
    directory: &Path,
) -> Result<BulkSummary, Error> {
    let mut publisher = Publisher::open(directory, PublisherOptions::default())?;
    let options = BulkOptions::default()
        .memory_budget(budget)
        .threads(threads)
        .writer(WriterOptions::default().filter(QuotientFilter::default()));
    let loader = BulkLoader::new(&mut publisher, options, &Monitor::default())?;
    thread::scope(|scope| {
        let parts = threads as u64;
        let threads: Vec<_> = (0..parts)
            .map(|part| {
                // All threads put records into one stream, and the position of a record is its
                // number in the input. So the result doesn't depend on the number of threads.
                let mut handle = loader.handle(0);
                scope.spawn(move || {
                    input.read_part(part, parts, |number, key, value| {
                        handle.put_at(number, key, value).map_err(Error::from)
                    })?;
                    handle.finish().map_err(Error::from)
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(BulkError::Failed.into())))
    })?;
    Ok(loader.finish()?)
}

/// Returns the SHA-256 of each file of a directory in hex. The lock file is left out.
pub(crate) fn checksums(directory: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut sums = BTreeMap::new();
    for file in fs::read_dir(directory)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name == sst_writer::publish::LOCK_FILE_NAME {
            continue;
        }
        let mut hasher = Sha256::new();
        let mut reader = io::BufReader::with_capacity(1 << 20, File::open(file.path())?);
        while let bytes @ [_, ..] = io::BufRead::fill_buf(&mut reader)? {
            let len = bytes.len();
            hasher.update(bytes);
            io::BufRead::consume(&mut reader, len);
        }
        let sum = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        sums.insert(name, sum);
    }
    Ok(sums)
}
