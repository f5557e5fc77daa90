//! A model of a disk that loses power. Each effect that was not synced may be kept or lost,
//! independently of all others.
//!
//! The model is harsher than real file systems. The bytes of each write may be missing, cut in half
//! or zeros. Each name may exist without the content of its file, and the new name of a file may
//! exist with or without the old name. Only one guarantee is assumed: a name refers to one file,
//! the old or the new one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sst_conformance::SplitMix;

use super::recorder::Record;

/// The effect of a loss of power on a write that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Whole,
    Lost,
    /// Only the first half of the write is kept.
    Torn,
    /// The length is kept, but the bytes are zeros.
    Zeros,
}

const FATES: [Fate; 4] = [Fate::Whole, Fate::Lost, Fate::Torn, Fate::Zeros];

/// A file: its durable bytes, and the writes since the last sync.
#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Vec<u8>>,
}

/// A change of the directory's names.
#[derive(Clone, Debug)]
enum Change {
    Add { name: OsString, file: usize },
    Remove { name: OsString },
}

/// One directory on a disk.
#[derive(Clone, Debug)]
pub struct Disk {
    path: PathBuf,
    files: Vec<File>,
    /// Indexes of the files created since, by the number that the recorder gave them.
    numbered: BTreeMap<u64, usize>,
    /// Durable names.
    names: BTreeMap<OsString, usize>,
    /// Changes of names that are not durable yet.
    changes: Vec<Change>,
    /// Whether the directory exists: not, perhaps, or durably.
    is_there: Presence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    No,
    Perhaps,
    Yes,
}

/// Chooses one of the states that a loss of power can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The state with this number, below [`Disk::outcomes`]. State 0 keeps all effects.
    Number(u64),
    /// The state in which each effect has its worst fate.
    Worst,
    /// A random state from this seed, for disks with more states than can be numbered.
    Drawn(u64),
}

impl Outcome {
    /// Returns a function that chooses one of `ways` fates, effect by effect.
    fn chooser(self) -> impl FnMut(u64) -> u64 {
        let (mut rest, mut random) = match self {
            Self::Number(number) => (number, None),
            Self::Worst => (u64::MAX, None),
            Self::Drawn(seed) => (0, Some(SplitMix::new(seed))),
        };
        move |ways| match (&mut random, self) {
            (Some(random), _) => random.word() % ways,
            (None, Self::Worst) => ways - 1,
            (None, _) => {
                let choice = rest % ways;
                rest /= ways;
                choice
            }
        }
    }
}

/// The files of a directory; `None` if the directory does not exist.
pub type Image = Option<BTreeMap<OsString, Vec<u8>>>;

impl Disk {
    /// A disk with the directory `path` as it is now, all of it durable.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let mut disk = Self {
            path: path.to_owned(),
            files: Vec::new(),
            numbered: BTreeMap::new(),
            names: BTreeMap::new(),
            changes: Vec::new(),
            is_there: if path.is_dir() { Presence::Yes } else { Presence::No },
        };
        for entry in path.read_dir().into_iter().flatten() {
            let entry = entry.unwrap();
            disk.names.insert(entry.file_name(), disk.files.len());
            let durable = std::fs::read(entry.path()).unwrap();
            disk.files.push(File { durable, pending: Vec::new() });
        }
        disk
    }

    /// Applies a recorded operation.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Create { directory, file } => {
                assert_eq!(*directory, self.path, "files are created where they stay");
                self.numbered.insert(*file, self.files.len());
                let name = temporary_name(*file);
                self.changes.push(Change::Add { name, file: self.files.len() });
                self.files.push(File::default());
            }
            Record::Write { file, bytes } => {
                let file = self.numbered[file];
                self.files[file].pending.push(bytes.clone());
            }
            Record::Sync { file } => {
                let file = &mut self.files[self.numbered[file]];
                file.durable.extend(file.pending.drain(..).flatten());
            }
            Record::Name { file, path } => {
                let name = path.file_name().unwrap().to_owned();
                self.changes.push(Change::Add { name, file: self.numbered[file] });
                self.changes.push(Change::Remove { name: temporary_name(*file) });
            }
            Record::Discard { file } => {
                self.changes.push(Change::Remove { name: temporary_name(*file) });
            }
            Record::Remove { path } => {
                let name = path.file_name().unwrap().to_owned();
                self.changes.push(Change::Remove { name });
            }
            Record::CreateDirectory { .. } if self.is_there == Presence::No => {
                self.is_there = Presence::Perhaps;
            }
            Record::CreateDirectory { .. } => {}
            Record::SyncDirectory { directory } if *directory == self.path => {
                for change in std::mem::take(&mut self.changes) {
                    change.apply(&mut self.names);
                }
            }
            Record::SyncDirectory { directory } => {
                assert_eq!(Some(&**directory), self.path.parent());
                self.is_there = Presence::Yes;
            }
        }
    }

    /// For each effect that is not durable, the number of its possible fates.
    fn choices(&self) -> Vec<usize> {
        let writes = self.files.iter().flat_map(|file| &file.pending).map(|_| FATES.len());
        let presence = (self.is_there == Presence::Perhaps).then_some(2);
        writes.chain(self.changes.iter().map(|_| 2)).chain(presence).collect()
    }

    /// Number of states that a loss of power can leave, at most `u64::MAX`.
    #[must_use]
    pub fn outcomes(&self) -> u64 {
        self.choices().iter().fold(1, |product: u64, &ways| product.saturating_mul(ways as u64))
    }

    /// The files after a loss of power with this outcome.
    #[must_use]
    pub fn after_power_loss(&self, outcome: Outcome) -> Image {
        let mut choose = outcome.chooser();
        let contents: Vec<Vec<u8>> =
            self.files.iter().map(|file| file.content(&mut choose)).collect();
        let mut names = self.names.clone();
        for change in &self.changes {
            if choose(2) == 0 {
                change.apply(&mut names);
            }
        }
        let is_there = match self.is_there {
            Presence::No => false,
            Presence::Yes => true,
            Presence::Perhaps => choose(2) == 0,
        };
        let files = names.into_iter().map(|(name, file)| (name, contents[file].clone()));
        is_there.then(|| files.collect())
    }
}

impl File {
    fn content(&self, choose: &mut impl FnMut(u64) -> u64) -> Vec<u8> {
        let mut content = self.durable.clone();
        let mut end = content.len();
        for bytes in &self.pending {
            let fate = FATES[usize::try_from(choose(FATES.len() as u64)).unwrap()];
            let kept = match fate {
                Fate::Whole => &bytes[..],
                Fate::Torn => &bytes[..bytes.len() / 2],
                Fate::Lost | Fate::Zeros => &[],
            };
            if fate != Fate::Lost {
                // If an earlier write was lost, it leaves a hole of zeros.
                content.resize(end, 0);
                content.extend_from_slice(kept);
            }
            end += bytes.len();
            if fate == Fate::Zeros {
                content.resize(end, 0);
            }
        }
        content
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<OsString, usize>) {
        match self {
            Self::Add { name, file } => names.insert(name.clone(), *file),
            Self::Remove { name } => names.remove(name),
        };
    }
}

/// The name of a file that has no final name yet. Real temporary names are random too.
fn temporary_name(file: u64) -> OsString {
    format!(".sst-{file}-tmp").into()
}

/// Writes an image to a directory that does not exist yet.
pub fn materialize(image: &Image, directory: &Path) {
    let Some(files) = image else { return };
    std::fs::create_dir(directory).unwrap();
    for (name, content) in files {
        std::fs::write(directory.join(name), content).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(disk: &mut Disk, bytes: &[u8]) {
        disk.apply(&Record::Write { file: 0, bytes: bytes.to_vec() });
    }

    fn images(disk: &Disk) -> Vec<BTreeMap<OsString, Vec<u8>>> {
        let outcomes = (0..disk.outcomes()).map(Outcome::Number);
        outcomes.filter_map(|outcome| disk.after_power_loss(outcome)).collect()
    }

    #[test]
    fn where_outcomes_cannot_be_numbered_every_effect_is_still_by_chance() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let mut disk = Disk::of(&path);
        disk.apply(&Record::Create { directory: path.clone(), file: 0 });
        (0..40).for_each(|_| write(&mut disk, b"ab"));
        disk.apply(&Record::Name { file: 0, path: path.join("n") });
        assert_eq!(disk.outcomes(), u64::MAX);
        let drawn: Vec<_> =
            (0..100).filter_map(|seed| disk.after_power_loss(Outcome::Drawn(seed))).collect();
        let named = drawn.iter().filter(|files| files.contains_key(&OsString::from("n"))).count();
        assert!((20..80).contains(&named), "{named}");
        let is_empty = |image: Image| image.unwrap().is_empty();
        assert!(is_empty(disk.after_power_loss(Outcome::Worst)));
        assert!(!is_empty(disk.after_power_loss(Outcome::Number(0))));
    }

    #[test]
    fn what_is_not_synced_may_be_lost_and_what_is_may_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let mut disk = Disk::of(&path);
        assert_eq!(images(&disk), [BTreeMap::new()]);
        disk.apply(&Record::Create { directory: path.clone(), file: 0 });
        write(&mut disk, b"abcd");
        write(&mut disk, b"ef");
        assert_eq!(disk.outcomes(), 4 * 4 * 2);
        let contents: Vec<Vec<u8>> =
            images(&disk).into_iter().flat_map(BTreeMap::into_values).collect();
        for expected in [&b"abcdef"[..], b"", b"ab", b"\0\0\0\0ef", b"ab\0\0\0\0", b"abcde"] {
            assert!(contents.iter().any(|content| content == expected), "{expected:?}");
        }
        // A name without content, which a rename before a sync can leave.
        disk.apply(&Record::Name { file: 0, path: path.join("n") });
        assert!(
            images(&disk)
                .iter()
                .any(|files| files.get(&OsString::from("n")).is_some_and(Vec::is_empty))
        );
        disk.apply(&Record::Sync { file: 0 });
        disk.apply(&Record::SyncDirectory { directory: path });
        assert_eq!(images(&disk), [BTreeMap::from([("n".into(), b"abcdef".to_vec())])]);
    }
}
