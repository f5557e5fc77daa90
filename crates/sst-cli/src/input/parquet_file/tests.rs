use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};
use crate::input::Input;
use crate::progress::ProgressMode;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parquet").join(name)
}

/// Reads a file to its end: the number of entries, or the error.
fn read(file: &Path) -> Result<u64, InputError> {
    let Command::Load(load) = Cli::try_parse_from(["sst", "load", "-", "out"]).unwrap().command
    else {
        panic!("not a load");
    };
    let progress = |rows| ProgressMode::Hidden.entries(rows, "read");
    let file = File::open(file).unwrap();
    let mut input = Input::parquet(file, &load.input_options, progress)?;
    let (mut entry, mut entries) = (InputEntry::default(), 0);
    while input.read(&mut entry)? {
        entries += 1;
    }
    Ok(entries)
}

/// The distance between damaged bytes. All bytes were tried once, with every bit; that takes
/// minutes.
const STEP: usize = 101;

#[test]
fn no_damage_makes_it_panic() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("damaged.parquet");
    for name in ["zstd-2.parquet", "none-1.parquet"] {
        assert_eq!(read(&fixture(name)).unwrap(), 50);
        let intact = fs::read(fixture(name)).unwrap();
        let mut errors = 0;
        for offset in (0..intact.len()).step_by(STEP) {
            let mut bytes = intact.clone();
            bytes[offset] ^= 0xff;
            fs::write(&path, bytes).unwrap();
            errors += u64::from(read(&path).is_err());
            fs::write(&path, &intact[..offset]).unwrap();
            assert!(read(&path).is_err(), "{name} cut at {offset}");
        }
        assert!(errors > 0);
    }
}
