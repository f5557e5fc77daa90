//! Damage beyond single bits: truncation to every length, appended bytes, zeroed sectors, bursts,
//! blocks and files in the wrong place, and missing files.

use sst_reader::Access;

use super::damage_cases::DamageCases;
use crate::model::corpus;
use crate::model::damage::{Damage, blocks};
use crate::model::subject::Subject;
use crate::{Context, Protection, Row, Suite};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "other damage",
    about: "truncates, appends, zeroes sectors, bursts, swaps blocks and files, and removes files",
    run,
};

const SWAPPED: &str = "two blocks swapped";
const FOREIGN: &str = "a block from another file";
const STALE: &str = "a stale file under a new name";
const MISSING: &str = "a missing file";

/// The name of the directory with files that no commit refers to. It is used only for stale files.
const REPLACED: &str = "replaced";

fn run(context: &Context) -> Vec<Row> {
    let mut subjects = Vec::new();
    for protection in [Protection::Protected, Protection::Bare] {
        let tables = context.pick(corpus::small_tables(), corpus::large_tables());
        subjects.extend(tables.iter().map(|(name, t)| Subject::of_table(name, t, protection)));
        let directories = corpus::directories();
        subjects
            .extend(directories.iter().map(|(name, d)| Subject::of_directory(name, d, protection)));
        let replaced = corpus::replaced();
        subjects.push(Subject::of_directory(REPLACED, &replaced, protection));
    }
    let mut cases = DamageCases::new(&subjects);
    for (i, subject) in subjects.iter().enumerate().filter(|(_, s)| s.name != REPLACED) {
        for file in 0..subject.files.len() {
            add_sizes(&mut cases, context, (i, file), subject);
        }
    }
    add_places(&mut cases, context, &subjects);
    let rows = cases.rows(|test, protection| match (test, protection) {
        (STALE, Protection::Protected) => {
            Some("harmless where no commit refers to the replaced file any more".to_owned())
        }
        (_, Protection::Protected | Protection::NotApplicable) => None,
        (SWAPPED | FOREIGN, _) => Some("nothing binds a block to its place".to_owned()),
        (STALE, _) => Some("nothing binds a file to its name".to_owned()),
        (MISSING, _) => Some("a meta file that is gone takes its tables with it".to_owned()),
        _ => Some(
            "meta files and CURRENT have no checksum, and a size that becomes 0 passes for a raw block"
                .to_owned(),
        ),
    });
    let mut rows = context.run(rows, &cases);
    rows.sort_by_key(|row| row.protection == Protection::Bare);
    rows
}

/// Adds damages to the bytes of one file.
fn add_sizes(
    cases: &mut DamageCases<'_>,
    context: &Context,
    place: (usize, usize),
    subject: &Subject,
) {
    let bytes = &subject.files[place.1].bytes;
    let access = if place.0.is_multiple_of(2) { Access::Map } else { Access::Read };
    let seed = context.random("bursts", (place.0 << 16) + place.1).word();
    let count = context.pick(100, 100 + bytes.len());
    cases.add("every truncation", place, access, Damage::Truncations);
    cases.add("1 to 64 bytes appended", place, access, Damage::Appended);
    cases.add("a sector of 512 bytes zeroed", place, access, Damage::Sectors(512));
    cases.add("a sector of 4096 bytes zeroed", place, access, Damage::Sectors(4096));
    cases.add("a burst of 2 to 32 bits", place, access, Damage::Bursts { count, seed });
    if subject.is_directory() {
        cases.add(MISSING, place, access, Damage::Missing);
    }
}

/// Adds blocks and files in the wrong place.
fn add_places(cases: &mut DamageCases<'_>, context: &Context, subjects: &[Subject]) {
    let tables = subjects.iter().flat_map(|subject| &subject.files);
    let mut all: Vec<Vec<u8>> = tables.flat_map(blocks).map(<[u8]>::to_vec).collect();
    all.sort();
    all.dedup();
    let every = (all.len() / context.pick(50, 400)).max(1);
    let some: Vec<_> = all.iter().step_by(every).cloned().collect();
    for (i, subject) in subjects.iter().enumerate() {
        for (j, file) in subject.files.iter().enumerate() {
            let access = Access::Map;
            if !file.blocks.is_empty() && subject.name != REPLACED {
                // Blocks of the same length as an own one do not change the length of the file:
                // only the protection section detects them.
                let is_alike =
                    |block: &&Vec<u8>| file.blocks.iter().any(|b| b.len() == block.len());
                let mut foreign: Vec<_> = all.iter().filter(is_alike).take(100).cloned().collect();
                foreign.extend(some.iter().cloned());
                let own = blocks(file);
                foreign.retain(|block| !own.contains(&block.as_slice()));
                cases.add(SWAPPED, (i, j), access, Damage::Swaps);
                cases.add(FOREIGN, (i, j), access, Damage::Foreign(foreign));
            }
            if subject.is_directory() {
                let others = subject.files.iter().filter(|other| other.name != file.name);
                let stale = others.map(|other| other.bytes.clone()).collect();
                cases.add(STALE, (i, j), access, Damage::Stale(stale));
            }
        }
    }
}
