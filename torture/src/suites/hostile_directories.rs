//! Hostile directories: meta files, lists of meta files and `CURRENT` with false fields and correct
//! checksums.

use std::fs;
use std::path::PathBuf;

use sst_format::SequenceNumber;
use sst_format::current::Current;
use sst_reader::{ReaderOptions, SstSet, verify_directory};
use tempfile::TempDir;

use crate::allocations::{read_limit, within};
use crate::model::database::{Database, Expected};
use crate::model::meta_bytes::{TRAILER_LEN, relist, repair};
use crate::model::{below, copy_files, corpus, files, reader_options, scratch};
use crate::{Cases, Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "hostile directories",
    about: "meta files and CURRENT with false contents and correct checksums",
    run,
};

/// Numbers that are likely to cause overflows.
const LIMITS: [u32; 8] = [0, 1, 0x7f, 0xff, 0xffff, 0xff_ffff, 0x7fff_ffff, u32::MAX];

/// Lies at one byte: each limit written in 1, 2 and 4 bytes, the byte plus and minus one, a byte
/// inserted and one removed.
const LIES_PER_BYTE: usize = 3 * LIMITS.len() + 4;

/// The directory under test: two meta files. The newer one lists the older one.
struct Subject {
    database: Database,
    expected: Expected,
    size: u64,
    newest: Vec<u8>,
    newest_name: String,
    older: Vec<u8>,
    older_name: String,
    older_sequence: u32,
}

impl Subject {
    fn new() -> Self {
        let database = corpus::history();
        let is_meta = |path: &PathBuf| path.extension().is_some_and(|e| e == "meta");
        let all = files(database.dir());
        let size = all.iter().map(|path| path.metadata().unwrap().len()).sum();
        let mut metas: Vec<PathBuf> = all.into_iter().filter(is_meta).collect();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let (newest, older) = (metas.pop().unwrap(), metas.pop().unwrap());
        let older_sequence = older.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        Self {
            expected: database.expected(),
            size,
            newest: fs::read(&newest).unwrap(),
            newest_name: name(&newest),
            older: fs::read(&older).unwrap(),
            older_name: name(&older),
            older_sequence,
            database,
        }
    }

    /// Number of bytes of a meta file that get lies: all except the magic number and the trailer,
    /// which is repaired.
    fn room(&self, is_newest: bool) -> usize {
        let len = if is_newest { self.newest.len() } else { self.older.len() };
        len - TRAILER_LEN - 8
    }
}

/// A copy of the directory for one thread.
struct Copy {
    dir: TempDir,
    options: ReaderOptions,
}

struct Lies<'a> {
    context: &'a Context,
    subject: Subject,
    random: usize,
}

const ROWS: [&str; 4] = [
    "lies in the newest meta file",
    "lies in a listed meta file",
    "several lies at random",
    "lying CURRENT",
];

fn run(context: &Context) -> Vec<Row> {
    let random = context.pick(4_000, 400_000);
    let lies = Lies { context, subject: Subject::new(), random };
    let rows = ROWS.map(|name| Row::new(name, Protection::Protected));
    context.run(rows.into(), &lies)
}

impl Lies<'_> {
    /// The row and the number of the lie of a case.
    fn lie(&self, case: usize) -> (usize, usize) {
        let step = self.context.pick(5, 1);
        let tried = |is_newest| (self.subject.room(is_newest) * LIES_PER_BYTE).div_ceil(step);
        let counts = [tried(true), tried(false), self.random, 40];
        let mut rest = case;
        for (row, count) in counts.into_iter().enumerate() {
            if rest < count {
                return (row, if row < 2 { rest * step } else { rest });
            }
            rest -= count;
        }
        (ROWS.len(), rest)
    }
}

impl Cases for Lies<'_> {
    type Worker = Copy;

    fn count(&self) -> usize {
        let step = self.context.pick(5, 1);
        let tried = |is_newest| (self.subject.room(is_newest) * LIES_PER_BYTE).div_ceil(step);
        tried(true) + tried(false) + self.random + 40
    }

    fn worker(&self) -> Copy {
        let dir = scratch();
        copy_files(self.subject.database.dir(), dir.path());
        Copy { dir, options: reader_options() }
    }

    fn row(&self, case: usize) -> usize {
        self.lie(case).0
    }

    fn name(&self, case: usize) -> String {
        let (row, lie) = self.lie(case);
        format!("{} {lie}", ROWS[row])
    }

    fn run(&self, copy: &mut Copy, case: usize) -> Verdict {
        let (row, lie) = self.lie(case);
        let Subject { newest, older, .. } = &self.subject;
        match row {
            0 => self.with_meta(copy, true, with_lie(newest, lie)),
            1 => self.with_meta(copy, false, with_lie(older, lie)),
            2 => {
                let mut random = self.context.random("directories", lie);
                let is_newest = below(&mut random, 2) == 0;
                let mut meta = if is_newest { newest.clone() } else { older.clone() };
                for _ in 0..=below(&mut random, 3) {
                    let room = meta.len() - TRAILER_LEN - 8;
                    let lie = below(&mut random, room * LIES_PER_BYTE);
                    meta = with_lie(&meta, lie);
                }
                self.with_meta(copy, is_newest, meta)
            }
            _ => self.with_current(copy, lie),
        }
    }
}

/// A meta file with one lie, before its checksums are repaired.
fn with_lie(meta: &[u8], lie: usize) -> Vec<u8> {
    let mut meta = meta.to_vec();
    let (at, lie) = (4 + lie / LIES_PER_BYTE, lie % LIES_PER_BYTE);
    let limit = LIMITS[lie % LIMITS.len()].to_be_bytes();
    match lie / LIMITS.len() {
        0 => meta[at] = limit[3],
        1 => meta[at..at + 2].copy_from_slice(&limit[2..]),
        2 => meta[at..at + 4].copy_from_slice(&limit),
        _ => match lie % 4 {
            0 => meta[at] = meta[at].wrapping_add(1),
            1 => meta[at] = meta[at].wrapping_sub(1),
            2 => meta.insert(at, 0xff),
            _ => drop(meta.remove(at)),
        },
    }
    meta
}

impl Lies<'_> {
    /// Writes a meta file into the directory, repairs all checksums over it, and reads the
    /// directory.
    fn with_meta(&self, copy: &Copy, is_newest: bool, mut meta: Vec<u8>) -> Verdict {
        let Subject { newest, newest_name, older, older_name, older_sequence, .. } = &self.subject;
        let (newest_path, older_path) =
            (copy.dir.path().join(newest_name), copy.dir.path().join(older_name));
        let checksum = repair(&mut meta);
        if is_newest {
            fs::write(&newest_path, &meta).unwrap();
        } else {
            let mut newest = newest.clone();
            relist(&mut newest, *older_sequence, checksum);
            fs::write(&newest_path, newest).unwrap();
            fs::write(&older_path, &meta).unwrap();
        }
        let verdict = self.read_all(copy);
        fs::write(&newest_path, newest).unwrap();
        fs::write(&older_path, older).unwrap();
        verdict
    }

    /// Writes another number into `CURRENT`, with a correct checksum or without one.
    fn with_current(&self, copy: &Copy, lie: usize) -> Verdict {
        let path = copy.dir.path().join("CURRENT");
        let intact = fs::read(&path).unwrap();
        let number = match lie / 2 {
            near if near < 12 => u32::try_from(near).unwrap(),
            limit => LIMITS[(limit - 12) % LIMITS.len()],
        };
        let bytes = Current::encode(SequenceNumber(number), crc32fast::hash);
        fs::write(&path, if lie.is_multiple_of(2) { &bytes[..] } else { &bytes[..4] }).unwrap();
        let verdict = self.read_all(copy);
        fs::write(&path, intact).unwrap();
        verdict
    }

    /// Reads everything. A lie with correct checksums may change answers, but must have no other
    /// effect.
    fn read_all(&self, copy: &Copy) -> Verdict {
        within(read_limit(self.subject.size), || {
            let set = SstSet::open(copy.dir.path(), &copy.options);
            let outcome = set.map(|set| self.subject.expected.judge(&set));
            let report =
                verify_directory(copy.dir.path(), &copy.options, &sst_reader::Monitor::default());
            let damage = match &report {
                Ok(report) => report.damage.as_slice(),
                Err(error) => std::slice::from_ref(error),
            };
            let first = match &outcome {
                Ok(outcome) => outcome.error.as_ref(),
                Err(error) => Some(error),
            };
            match first
                .into_iter()
                .chain(damage)
                .find(|error| !error.is_corruption() && !error.is_unknown_version())
            {
                Some(error) => {
                    Verdict::Wrong(format!("a lie passes for trouble of the system: {error}"))
                }
                None if damage.is_empty() => Verdict::Harmless,
                None => Verdict::Detected,
            }
        })
    }
}
