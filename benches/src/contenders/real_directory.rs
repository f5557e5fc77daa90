//! Data of workload (f): a directory that Turbopack wrote, and the character database of Unicode.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sst_reader::{Catalog, ReadValue, ReaderOptions, SstSet};

use super::sst_table::reader_options;
use crate::store::{BenchError, Contender, Store};
use crate::workload::Data;

/// The name of the workload that has a directory written by Turbopack.
const TURBOPACK: &str = "f: Turbopack";

/// Returns the folder of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn turbopack() -> PathBuf {
    workspace().join("conformance/vectors/turbopack-session")
}

/// Reads the entries of a cache directory of Turbopack, and those of the character database of
/// Unicode.
///
/// # Errors
///
/// An error if the files are missing or damaged.
pub fn real_data() -> Result<Vec<Data>, BenchError> {
    let (_, entries) = largest_family()?;
    let turbopack = Data::from_entries(TURBOPACK, "largest family of a cache directory", entries);
    let text = std::fs::read_to_string(workspace().join("data/UnicodeData.txt"))?;
    let lines = text.lines().filter_map(|line| line.split_once(';'));
    let entries = lines.map(|(code, rest)| (code.as_bytes().to_vec(), rest.as_bytes().to_vec()));
    let unicode =
        Data::from_entries("f: Unicode", "code point to the rest of its line", entries.collect());
    Ok(vec![turbopack, unicode])
}

/// Pairs of a key and a value.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Returns the number and the entries of the largest family in bytes. Only families with one value
/// per key are considered.
fn largest_family() -> Result<(u32, Entries), BenchError> {
    let catalog = Catalog::read(turbopack())?;
    let mut best = (0, Vec::new(), 0);
    for family in catalog.families() {
        let set = SstSet::open_family(turbopack(), family, &ReaderOptions::default())?;
        let mut entries = BTreeMap::new();
        let mut walked = 0;
        for entry in set.iter_all() {
            let entry = entry?;
            if let ReadValue::Value(value) = &entry.value {
                entries.insert(entry.key.to_vec(), value.to_vec());
                walked += 1;
            }
        }
        let bytes = entries.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        if walked == entries.len() && bytes > best.2 {
            best = (family, entries.into_iter().collect(), bytes);
        }
    }
    Ok((best.0, best.1))
}

/// The directory as Turbopack wrote it, without a build step.
pub struct RealDirectory;

impl Contender for RealDirectory {
    fn name(&self) -> &'static str {
        "sst as it is"
    }

    fn setup(&self) -> &'static str {
        "the directory that Turbopack wrote, opened as it is"
    }

    fn is_built(&self) -> bool {
        false
    }

    fn supports(&self, data: &Data) -> bool {
        data.name == TURBOPACK
    }

    fn build(&self, _: &Data, dir: &Path) -> Result<(), BenchError> {
        for file in std::fs::read_dir(turbopack())? {
            let file = file?;
            std::fs::copy(file.path(), dir.join(file.file_name()))?;
        }
        Ok(())
    }

    fn open<'d>(
        &self,
        _: &'d Data,
        dir: &Path,
        cache: u64,
    ) -> Result<Box<dyn Store + 'd>, BenchError> {
        let family = largest_family()?.0;
        Ok(Box::new(SstSet::open_family(dir, family, &reader_options(cache))?))
    }
}
