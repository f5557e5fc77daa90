//! The rule of live descriptions, on random chains of meta files.
//!
//! Every party answers as a model that asks the question of FORMAT.md about each description
//! separately: the function of `sst-format`, the reader, the writer, the merge, the gatherer, and
//! the second decoder. `cargo run --release -p sst-conformance --example chains` judges as many
//! chains as one likes; the same seed gives the same chain.

mod chain;
mod directory;
mod parties;

use std::ops::Range;

use sst_format::live::live_tables;

use crate::random_files::AnyError;
use crate::{CheckError, Row, fail};
use chain::Chain;
use parties::Worker;

pub(crate) use directory::write;
pub use parties::Party;

/// Number of chains on which a gate tries the function.
const CHAINS: u64 = 1_000_000;

/// Number of chains on which a gate tries the other parties, with and without protection.
const DIRECTORIES: u64 = 2_000;

/// Checks the function on a million chains, and the other parties on directories that are made of
/// some of them.
#[must_use]
pub fn check() -> Vec<Row> {
    check_some(CHAINS, DIRECTORIES)
}

/// Checks as [`check`] does, with other numbers of chains and of directories of each kind.
#[must_use]
pub fn check_some(chains: u64, directories: u64) -> Vec<Row> {
    let mut rows = vec![check_function(0..chains)];
    rows.extend(check_directories(0..directories));
    rows
}

/// Checks the function on the chains of these seeds.
#[must_use]
pub fn check_function(seeds: Range<u64>) -> Row {
    let mut row = Row::new("live descriptions: the rule");
    for seed in seeds {
        row.count(&format!("chain {seed}"), of_function(&Chain::random(seed)));
    }
    row
}

fn of_function(chain: &Chain) -> Result<(), CheckError> {
    let live = live_tables(&chain.metas);
    let found: Vec<_> = live.iter().map(|live| (live.meta.sequence, live.index)).collect();
    let expected: Vec<_> = chain.live().iter().map(|live| (live.meta, live.index)).collect();
    if found != expected {
        return fail(format!("{:?} gives {found:?}, expected {expected:?}", chain.metas));
    }
    Ok(())
}

/// Checks all parties in Rust on directories of the chains of these seeds, with and without
/// protection. One row for each party.
#[must_use]
pub fn check_directories(seeds: Range<u64>) -> Vec<Row> {
    let mut rows: Vec<(Party, Row)> = Party::ALL
        .map(|party| (party, Row::new(format!("live descriptions: {}", party.name()))))
        .into();
    let told = |error: AnyError| CheckError::new(error.to_string());
    let worker = match Worker::new() {
        Ok(worker) => worker,
        Err(error) => {
            let mut rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
            rows.iter_mut().for_each(|row| row.count("setup", fail(error.to_string())));
            return rows;
        }
    };
    for seed in seeds {
        for is_protected in [false, true] {
            let case = format!("chain {seed}, protected: {is_protected}");
            worker.judge(seed, is_protected, |party, result| {
                let row = rows.iter_mut().find(|(known, _)| *known == party);
                if let Some((_, row)) = row {
                    row.count(&case, result.map_err(told).and_then(|result| result));
                }
            });
        }
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The marks of the live descriptions of the chain with this seed, the oldest first, as every party
/// finds them in the flags.
pub(crate) fn expected_marks(seed: u64) -> Result<Vec<u32>, AnyError> {
    let live = Chain::random(seed).live();
    live.iter().map(|live| Ok(directory::mark(live.meta, live.index)?.0)).collect()
}
