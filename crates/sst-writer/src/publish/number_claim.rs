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
use std::time::{SystemTime, UNIX_EPOCH};

use sst_format::file_name::CLAIMS_FOLDER;
use sst_format::limits::CLAIMED_NUMBERS;

use crate::file::directory::{create_directory, remove};
use crate::publish::commit_list::numbered_files;
use crate::publish::directory_lock::DirectoryLock;
use crate::publish::directory_state::read_current;
use crate::{AtomicFile, FileError, FileOperation, FileSystem, OsFileSystem, PublishError};

/// Attempts to create a claim whose temporary file another process takes for a leftover.
const ATTEMPTS: usize = 16;

/// A job: one driver, and tasks that write files under claims. The driver chooses the number and
/// hands it to all attempts of its tasks, so that it can end the claims of those that crashed:
/// [`Publisher::end_job`](crate::Publisher::end_job).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u32);

impl JobId {
    /// A number that no other job is likely to have.
    #[must_use]
    pub fn random() -> Self {
        Self(random_half())
    }

    /// An owner of claims: one attempt of a task of this job.
    #[must_use]
    pub fn new_owner(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(random_half())
    }

    /// The job of an owner.
    #[must_use]
    pub const fn of_owner(owner: u64) -> Self {
        Self((owner >> 32) as u32)
    }
}

/// 32 random bits.
fn random_half() -> u32 {
    // Each `RandomState` has other keys.
    let [.., a, b, c, d] = RandomState::new().hash_one(()).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

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
        Self::take_for(file_system, directory, JobId::random().new_owner())
    }

    /// As [`NumberClaim::take_in`], for this owner.
    pub(crate) fn take_for(
        file_system: Arc<dyn FileSystem>,
        directory: impl AsRef<Path>,
        owner: u64,
    ) -> Result<Self, PublishError> {
        let directory = directory.as_ref();
        create_claims_folder(&file_system, directory)?;
        let mut attempts = 0;
        loop {
            let first = next_block(&*file_system, directory)?;
            let claim = Self::of_owner(Arc::clone(&file_system), directory, first, owner);
            match claim.create() {
                Ok(()) => return Ok(claim),
                // Another writer was faster.
                Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {}
                // Its temporary file was removed before it had its name.
                Err(error)
                    if error.source.kind() == io::ErrorKind::NotFound && attempts < ATTEMPTS =>
                {
                    attempts += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The claim of an owner on the block that starts with `first`.
    pub(crate) fn of_owner(
        file_system: Arc<dyn FileSystem>,
        directory: &Path,
        first: u32,
        owner: u64,
    ) -> Self {
        Self { file_system, path: claim_path(directory, first), first, owner }
    }

    /// Creates the file of the claim, if there is none.
    fn create(&self) -> Result<(), FileError> {
        let mut file = AtomicFile::create_in(Arc::clone(&self.file_system), &self.path)?;
        file.write(self.text(State::Open))?;
        file.persist()
    }

    /// The first number of its block.
    pub(crate) const fn first(&self) -> u32 {
        self.first
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
        file.write(self.text(State::Open))?;
        file.replace(|| self.check())
    }

    /// Ends the claim of another: its owner finds out before it publishes. The file stays, so that
    /// it is still known whose the files under its numbers are.
    pub(crate) fn end(&self) -> Result<(), FileError> {
        let mut file = AtomicFile::replacing(Arc::clone(&self.file_system), &self.path)?;
        file.write(self.text(State::Done))?;
        file.replace(|| Ok(()))
    }

    /// Fails if the claim has been lost.
    ///
    /// # Errors
    ///
    /// As [`NumberClaim::renew`].
    pub fn check(&self) -> Result<(), PublishError> {
        let lost = || PublishError::ClaimLost { path: self.path.clone() };
        match self.file_system.read(&self.path) {
            Ok(bytes) if ClaimText::parse(&bytes).is_open_for(self.owner) => Ok(()),
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
        Ok(self.remove()?)
    }

    /// Removes the file of the claim.
    pub(crate) fn remove(self) -> Result<(), FileError> {
        remove(&*self.file_system, &self.path)
    }

    /// The text of the claim, as in a bucket.
    fn text(&self, state: State) -> String {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // The time is for people. A clock before 1970 states none that would help.
        let seconds = since.map_or(0, |since| since.as_secs());
        format!(
            "sst claim 1\nfirst {}\ncount {CLAIMED_NUMBERS}\nowner publisher {:016x}\ntime {seconds}\n{}\n",
            self.first,
            self.owner,
            state.line(),
        )
    }
}

/// The state of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Done,
}

impl State {
    const fn line(self) -> &'static str {
        match self {
            Self::Open => "state open",
            Self::Done => "state done",
        }
    }
}

/// What the file of a claim says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClaimText {
    /// `None` if a later build wrote the claim, or it is damaged, or none of ours has written it.
    pub(crate) owner: Option<u64>,
    /// Whether its owner has finished, or a publisher has ended the claim.
    pub(crate) is_done: bool,
}

impl ClaimText {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        // A text that is not understood is that of an unknown owner, who may be at work.
        let text = str::from_utf8(bytes).unwrap_or("");
        let owner = text.lines().find_map(|line| line.strip_prefix("owner publisher "));
        Self {
            owner: owner.and_then(|number| u64::from_str_radix(number, 16).ok()),
            is_done: text.lines().any(|line| line == State::Done.line()),
        }
    }

    fn is_open_for(self, owner: u64) -> bool {
        self == Self { owner: Some(owner), is_done: false }
    }
}

/// The path of the claim on a block.
pub(crate) fn claim_path(directory: &Path, first: u32) -> PathBuf {
    directory.join(CLAIMS_FOLDER).join(format!("{first:08}"))
}

/// The first number of the block of a number.
pub(crate) const fn block_of(number: u32) -> u32 {
    number - number % CLAIMED_NUMBERS
}

/// Creates the folder of claims of a directory, if there is none, under the directory's lock.
pub(crate) fn create_claims_folder(
    file_system: &Arc<dyn FileSystem>,
    directory: &Path,
) -> Result<(), PublishError> {
    if !has_claims(&**file_system, directory)? {
        let lock = DirectoryLock::take(Arc::clone(file_system), directory)?;
        create_directory(&**file_system, &directory.join(CLAIMS_FOLDER))?;
        drop(lock);
    }
    Ok(())
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
pub(crate) fn claimed_blocks(
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
