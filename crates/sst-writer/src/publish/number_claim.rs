//! Claims on blocks of numbers of a directory (FORMAT.md section 14).
//!
//! The lock of a directory keeps other publishers out. Tasks of one job that write files into one
//! directory, on a file system that machines share, hold no lock: each claims a block of numbers by
//! creating a file, which only one of them can.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sst_format::SequenceNumber;
use sst_format::file_name::CLAIMS_FOLDER;
use sst_format::limits::CLAIMED_NUMBERS;

use crate::file::directory::{create_directory, remove};
use crate::publish::commit_record::numbered_files;
use crate::publish::directory_lock::DirectoryLock;
use crate::publish::directory_state::read_current;
use crate::{AtomicFile, FileError, FileOperation, FileSystem, OsFileSystem, PublishError};

/// A block of numbers of a directory that is claimed: files with these numbers are the caller's to
/// write. [`Publisher::open`](crate::Publisher::open) spares them as long as the claim is younger
/// than [`PublisherOptions::claim_grace`](crate::PublisherOptions::claim_grace), and no other
/// writer uses the numbers.
///
/// A claim that is dropped stays, and so do its files: a commit may be about to name them. It ends
/// when it is released, or by its age.
///
/// # Examples
///
/// ```
/// use sst_writer::publish::NumberClaim;
///
/// let directory = tempfile::tempdir()?;
/// let one = NumberClaim::take(directory.path())?;
/// let other = NumberClaim::take(directory.path())?;
/// assert!(one.numbers().end() < other.numbers().start());
/// one.release()?;
/// other.release()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NumberClaim {
    file_system: Arc<dyn FileSystem>,
    path: PathBuf,
    first: u32,
    owner: u64,
}

impl NumberClaim {
    /// Claims a block of numbers above all that are claimed or in use.
    ///
    /// The first claim of a directory creates the folder of claims under the directory's lock: from
    /// then on, its publishers claim their own numbers too.
    ///
    /// # Errors
    ///
    /// [`PublishError::Locked`] if a publisher has opened the directory before there were claims;
    /// [`PublishError::NumbersExhausted`]; [`PublishError::File`].
    pub fn take(directory: impl AsRef<Path>) -> Result<Self, PublishError> {
        Self::take_in(Arc::new(OsFileSystem), directory)
    }

    /// As [`NumberClaim::take`], with the caller's file system.
    ///
    /// # Errors
    ///
    /// As [`NumberClaim::take`].
    pub fn take_in(
        file_system: Arc<dyn FileSystem>,
        directory: impl AsRef<Path>,
    ) -> Result<Self, PublishError> {
        let directory = directory.as_ref();
        if !has_claims(&*file_system, directory)? {
            let lock = DirectoryLock::take(Arc::clone(&file_system), directory)?;
            create_directory(&*file_system, &directory.join(CLAIMS_FOLDER))?;
            drop(lock);
        }
        // Each `RandomState` has other keys.
        let owner = RandomState::new().hash_one(directory);
        loop {
            let first = next_block(&*file_system, directory)?;
            let path = claim_path(directory, first);
            let claim = Self { file_system: Arc::clone(&file_system), path, first, owner };
            match claim.create() {
                Ok(()) => return Ok(claim),
                // Another writer was faster.
                Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Creates the file of the claim, if there is none.
    fn create(&self) -> Result<(), FileError> {
        let mut file = AtomicFile::create_in(Arc::clone(&self.file_system), &self.path)?;
        file.write(self.text())?;
        file.persist()
    }

    /// The claimed numbers. There is no number 0.
    #[must_use]
    pub fn numbers(&self) -> RangeInclusive<u32> {
        self.first.max(1)..=self.first + (CLAIMED_NUMBERS - 1)
    }

    /// Starts the age of the claim again.
    ///
    /// # Errors
    ///
    /// [`PublishError::ClaimLost`] if it has ended by its age, and the numbers may be another
    /// writer's: then nothing under them may be published. [`PublishError::File`].
    pub fn renew(&self) -> Result<(), PublishError> {
        self.check()?;
        let mut file = AtomicFile::replacing(Arc::clone(&self.file_system), &self.path)?;
        file.write(self.text())?;
        file.replace(|| self.check())
    }

    /// Fails if the claim has been lost.
    ///
    /// # Errors
    ///
    /// As [`NumberClaim::renew`].
    pub fn check(&self) -> Result<(), PublishError> {
        let lost = || PublishError::ClaimLost { path: self.path.clone() };
        match self.file_system.read(&self.path) {
            Ok(bytes) if is_owned_by(&bytes, self.owner) => Ok(()),
            Ok(_) => Err(lost()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(lost()),
            Err(error) => Err(FileError::at(&self.path, FileOperation::Read)(error).into()),
        }
    }

    /// Ends the claim: files under its numbers that no commit names are leftovers from now on.
    ///
    /// # Errors
    ///
    /// [`PublishError::File`] if it cannot be removed. It then ends by its age.
    pub fn release(self) -> Result<(), PublishError> {
        Ok(remove(&*self.file_system, &self.path)?)
    }

    /// The text of the claim, as in a bucket.
    fn text(&self) -> String {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // The time is for people. A clock before 1970 states none that would help.
        let seconds = since.map_or(0, |since| since.as_secs());
        format!(
            "sst claim 1\nfirst {}\ncount {CLAIMED_NUMBERS}\nowner {}\ntime {seconds}\nstate open\n",
            self.first,
            owner_text(self.owner)
        )
    }
}

fn owner_text(owner: u64) -> String {
    format!("publisher {owner:016x}")
}

fn is_owned_by(claim: &[u8], owner: u64) -> bool {
    let line = format!("owner {}", owner_text(owner));
    str::from_utf8(claim).is_ok_and(|text| text.lines().any(|found| found == line))
}

fn claim_path(directory: &Path, first: u32) -> PathBuf {
    directory.join(CLAIMS_FOLDER).join(format!("{first:08}"))
}

const fn block_of(number: u32) -> u32 {
    number - number % CLAIMED_NUMBERS
}

/// Whether numbers of a directory are claimed.
pub(crate) fn has_claims(
    file_system: &dyn FileSystem,
    directory: &Path,
) -> Result<bool, FileError> {
    let folder = directory.join(CLAIMS_FOLDER);
    file_system.is_directory(&folder).map_err(FileError::at(&folder, FileOperation::Inspect))
}

/// The first numbers of the claimed blocks. Other files of the folder are none of ours.
fn claimed_blocks(
    file_system: &dyn FileSystem,
    directory: &Path,
) -> Result<BTreeSet<u32>, FileError> {
    let folder = directory.join(CLAIMS_FOLDER);
    let names = file_system.list(&folder).map_err(FileError::at(&folder, FileOperation::List))?;
    let blocks = names.iter().filter_map(|name| {
        let name = name.to_str()?;
        let first = name.parse().ok()?;
        (name.len() == 8 && block_of(first) == first).then_some(first)
    });
    Ok(blocks.collect())
}

/// The first number of the block above all that are claimed or in use.
fn next_block(file_system: &dyn FileSystem, directory: &Path) -> Result<u32, PublishError> {
    let claimed = claimed_blocks(file_system, directory)?.last().copied();
    let current = read_current(file_system, directory)?.map(|current| current.sequence.0);
    let present = numbered_files(file_system, directory)?.last().map(|file| file.sequence.0);
    let used = [claimed, current, present].into_iter().flatten().max();
    let next = used.map_or(Some(0), |used| block_of(used).checked_add(CLAIMED_NUMBERS));
    next.ok_or_else(|| PublishError::NumbersExhausted { directory: directory.to_owned() })
}

/// The blocks of a directory whose claims are in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClaimedBlocks(BTreeSet<u32>);

impl ClaimedBlocks {
    /// Reads the claims of a locked directory. Those that are older than `grace` are removed: their
    /// writers find that out before they publish.
    pub(crate) fn load(
        file_system: &dyn FileSystem,
        directory: &Path,
        grace: Duration,
    ) -> Result<Self, FileError> {
        let mut in_force = BTreeSet::new();
        if !has_claims(file_system, directory)? {
            return Ok(Self(in_force));
        }
        for first in claimed_blocks(file_system, directory)? {
            let path = claim_path(directory, first);
            let age = match file_system.modified(&path) {
                // A claim of the future counts as new, which spares what it protects.
                Ok(modified) => modified.elapsed().unwrap_or(Duration::ZERO),
                // It was released meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(FileError::at(&path, FileOperation::Inspect)(error)),
            };
            if age < grace {
                in_force.insert(first);
            } else {
                remove(file_system, &path)?;
            }
        }
        Ok(Self(in_force))
    }

    /// Whether a number is claimed.
    pub(crate) fn contains(&self, number: SequenceNumber) -> bool {
        self.0.contains(&block_of(number.0))
    }
}
