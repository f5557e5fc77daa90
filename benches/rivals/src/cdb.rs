//! cdb, in the 64-bit form of the crate `cdb64`.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use ::cdb64::{Cdb, CdbHash, CdbWriter};
use sst_benches::store::{BenchError, Contender, OpenStore, Session, Store};
use sst_benches::workload::Data;

/// A hash table on disk: no compression, no checksums, no filter.
pub struct Cdb64;

/// Name of the file that `build` writes.
const FILE: &str = "table.cdb";

impl Contender for Cdb64 {
    fn name(&self) -> &'static str {
        "cdb"
    }

    fn setup(&self) -> &'static str {
        "cdb64 0.2, memory map; no compression, checksums or filter; copies each value"
    }

    fn is_cached(&self) -> bool {
        false
    }

    fn build(&self, data: &Data, dir: &Path) -> Result<(), BenchError> {
        let mut writer =
            CdbWriter::<_, CdbHash>::new(BufWriter::new(File::create(dir.join(FILE))?))?;
        for row in data.iter() {
            writer.put(row.key, row.value)?;
        }
        writer.finalize()?;
        Ok(())
    }

    fn open<'d>(&self, _: &'d Data, dir: &Path, _: u64) -> Result<Box<dyn Store + 'd>, BenchError> {
        Ok(Box::new(Open(Cdb::<File, CdbHash>::open_mmap(dir.join(FILE))?)))
    }
}

struct Open(Cdb<File, CdbHash>);

impl OpenStore for Open {
    type Session<'a> = &'a Open;

    fn session(&self) -> Result<Self::Session<'_>, BenchError> {
        Ok(self)
    }
}

impl Session for &Open {
    fn find(&mut self, key: &[u8], mut visit: impl FnMut(&[u8])) -> Result<(), BenchError> {
        if let Some(value) = self.0.get(key)? {
            visit(&value);
        }
        Ok(())
    }

    fn scan(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<bool, BenchError> {
        for entry in self.0.iter() {
            let (key, value) = entry?;
            visit(&key, &value);
        }
        Ok(true)
    }
}
