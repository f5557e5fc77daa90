//! Flips every bit of a corpus of small files, one at a time: of tables in memory, and of whole
//! directories read through maps and positioned reads. Each mutant is read in every way and
//! verified.

use sst_reader::Access;

use super::damage_cases::DamageCases;
use crate::model::corpus;
use crate::model::damage::Damage;
use crate::model::region::Region;
use crate::model::subject::{Subject, SubjectFile};
use crate::{Context, Protection, Row, Suite};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "every bit",
    about: "flips every bit of a corpus of small files, protected and bare, counted by region",
    run,
};

/// About how many mutants a quick run tries for each protection.
const QUICK_MUTANTS: usize = 100_000;

fn run(context: &Context) -> Vec<Row> {
    let mut subjects = Vec::new();
    for protection in [Protection::Protected, Protection::Bare] {
        let tables = corpus::large_tables();
        subjects.extend(tables.iter().map(|(name, t)| Subject::of_table(name, t, protection)));
        let directories = corpus::directories();
        subjects
            .extend(directories.iter().map(|(name, d)| Subject::of_directory(name, d, protection)));
    }
    let bits = |subject: &Subject| usize::try_from(subject.size() * 8).unwrap();
    let total = subjects.iter().map(bits).sum::<usize>() / 2;
    // With an odd step, each bit position within a byte has its turn.
    let step = context.pick((total / QUICK_MUTANTS).max(1) | 1, 1);
    let mut cases = DamageCases::new(&subjects);
    for (i, subject) in subjects.iter().enumerate() {
        let accesses: &[Access] = match subject.is_directory() {
            true => &[Access::Map, Access::Read],
            false => &[Access::Map],
        };
        for (j, &access) in accesses.iter().enumerate() {
            for file in 0..subject.files.len() {
                // Each run flips all bits of small files, and of protected meta files in one way of
                // reading them.
                let SubjectFile { name, bytes, .. } = &subject.files[file];
                let is_asked = subject.protection == Protection::Protected && j == 0;
                let is_whole = bytes.len() < 64 || is_asked && name.ends_with(".meta");
                let step = if is_whole { 1 } else { step };
                let offset = (i + file + j + usize::try_from(context.seed() % 64).unwrap()) % step;
                cases.add_by_region((i, file), access, Damage::Bits { step, offset });
            }
        }
    }
    let size = total / 8;
    let files = subjects.iter().map(|subject| subject.files.len()).sum::<usize>() / 2;
    let rows = cases.rows(|test, protection| {
        let corpus =
            (test == Region::Payload.name() && protection == Protection::Protected).then(|| {
                format!(
                    "a corpus of {files} files, {size} bytes; one bit of {step} is flipped, and every \
                     bit of protected meta files"
                )
            });
        corpus.or_else(|| unnoticed(test, protection))
    });
    order(context.run(rows, &cases))
}

/// The reason why flips in a bare file may go unnoticed; `None` if they must not.
fn unnoticed(test: &str, protection: Protection) -> Option<String> {
    if protection == Protection::Protected {
        return None;
    }
    let is = |region: Region| region.name() == test;
    let text = if is(Region::SizeWord) || is(Region::BlobSizeWord) {
        "a compressed block of 2^k bytes whose size becomes 0 passes for a raw one"
    } else if is(Region::Meta) {
        "meta files have no checksum: ranges of hashes, lists of tables and families may lie"
    } else if is(Region::Filter) {
        "filters have no checksum: one that forgets a fingerprint hides its keys"
    } else if is(Region::Current) {
        "CURRENT has no checksum: it may name another commit"
    } else {
        return None;
    };
    Some(text.to_owned())
}

/// Sorts the rows: protected rows first, each kind in the order of the regions.
fn order(mut rows: Vec<Row>) -> Vec<Row> {
    let place = |row: &Row| Region::ALL.iter().position(|region| region.name() == row.test);
    rows.sort_by_key(|row| (row.protection == Protection::Bare, place(row)));
    rows
}
