//! Where a `Writer` writes its tables and blobs: a directory, or a bucket.

use std::io;
use std::path::{Path, PathBuf};

use self_cell::MutBorrow;
use sst_format::file_name::FileKind;
use sst_format::monitor::Monitor;
use sst_format::protection::BlobRecord;
use sst_format::{BlobNumber, SequenceNumber};
use sst_object_store::Place;
use sst_writer::blob::encode_blob;
use sst_writer::file::RemoteFile;
use sst_writer::publish::{Commit, CommitInfo, TableWriter, TaskTable};
use sst_writer::table::{Compression, Finished, HashedEntry};
use sst_writer::{PublishError, Publisher, StreamingSstWriter, WriterOptions};

use crate::bucket_commit::{BucketCommit, WrittenObjects};
use crate::errors::Error;
use crate::place::place_of;
use crate::target::{Mode, PublishPlan, Published, error_after, publisher_of};

/// Entries and bytes after which a table ends, as for a load.
const MAX_TABLE_ENTRIES: u64 = 1 << 22;
const MAX_TABLE_BYTES: u64 = 256 << 20;

self_cell::self_cell!(
    /// A commit, and the publisher that it borrows.
    struct OwnedCommit {
        owner: MutBorrow<Publisher>,

        #[not_covariant]
        dependent: OpenCommit,
    }
);

/// A commit, until it is published.
type OpenCommit<'p> = Option<Commit<'p>>;

/// A commit of a `Writer`, and the table that is being written.
pub(crate) enum WriterOutput {
    Directory(Box<DirectoryOutput>),
    Bucket(Box<BucketOutput>),
}

/// A commit to a directory. If it is dropped, nothing of it stays.
pub(crate) struct DirectoryOutput {
    // Before the commit, which removes the files of tables that it does not have.
    table: Option<TableWriter>,
    commit: OwnedCommit,
    options: WriterOptions,
    directory: PathBuf,
    before: Option<SequenceNumber>,
    tables: u64,
}

/// A commit to a bucket, to which tables are uploaded while they are written.
pub(crate) struct BucketOutput {
    table: Option<(SequenceNumber, StreamingSstWriter<Box<dyn RemoteFile>>)>,
    commit: BucketCommit,
    options: WriterOptions,
    tables: Vec<TaskTable>,
    blobs: Vec<BlobRecord>,
}

impl WriterOutput {
    pub(crate) fn begin(
        path: &Path,
        plan: PublishPlan,
        options: WriterOptions,
    ) -> Result<Self, Error> {
        Ok(match place_of(path)? {
            Place::Directory(directory) => {
                Self::Directory(Box::new(DirectoryOutput::begin(directory, plan, options)?))
            }
            Place::Bucket(store) => Self::Bucket(Box::new(BucketOutput {
                table: None,
                commit: BucketCommit::begin(&store, plan)?,
                options,
                tables: Vec::new(),
                blobs: Vec::new(),
            })),
        })
    }

    pub(crate) const fn has_table(&self) -> bool {
        match self {
            Self::Directory(output) => output.table.is_some(),
            Self::Bucket(output) => output.table.is_some(),
        }
    }

    /// Whether the table that is being written is to end.
    pub(crate) fn is_full(&self) -> bool {
        let (entries, bytes) = (MAX_TABLE_ENTRIES, MAX_TABLE_BYTES);
        match self {
            Self::Directory(output) => {
                output.table.as_ref().is_some_and(|table| table.is_full(entries, bytes))
            }
            Self::Bucket(output) => {
                output.table.as_ref().is_some_and(|(_, table)| table.is_full(entries, bytes))
            }
        }
    }

    /// Adds an entry to the table that is being written, or to a new one.
    pub(crate) fn add(&mut self, entry: HashedEntry<'_>) -> Result<(), Error> {
        match self {
            Self::Directory(output) => Ok(output.table()?.add(entry)?),
            Self::Bucket(output) => Ok(output.table()?.add(entry)?),
        }
    }

    pub(crate) fn create_blob(&mut self, value: &[u8]) -> Result<BlobNumber, Error> {
        match self {
            Self::Directory(output) => output.with_commit(|commit| commit.create_blob(value)),
            Self::Bucket(output) => output.create_blob(value),
        }
    }

    /// Finishes the table that is being written, if there is one.
    pub(crate) fn end_table(&mut self) -> Result<(), Error> {
        match self {
            Self::Directory(output) => output.end_table(),
            Self::Bucket(output) => output.end_table(),
        }
    }

    /// Publishes the commit, and returns the number of its tables too.
    pub(crate) fn publish(mut self, monitor: &Monitor) -> Result<(Published, u64), Error> {
        if let Err(error) = self.end_table() {
            self.abandon();
            return Err(error);
        }
        match self {
            Self::Directory(output) => {
                let tables = output.tables;
                Ok((output.publish(monitor)?, tables))
            }
            Self::Bucket(output) => {
                let BucketOutput { commit, tables, blobs, .. } = *output;
                let count = tables.len() as u64;
                let written = WrittenObjects { tables, blobs, unused: Vec::new() };
                Ok((commit.publish(written, monitor)?, count))
            }
        }
    }

    /// Gives the commit up: nothing of it stays.
    pub(crate) fn abandon(self) {
        match self {
            Self::Directory(output) => drop(output),
            Self::Bucket(output) => {
                let BucketOutput { commit, table, .. } = *output;
                // Its upload ends, so that no object appears behind the removal.
                drop(table);
                commit.discard();
            }
        }
    }
}

impl DirectoryOutput {
    fn begin(directory: PathBuf, plan: PublishPlan, options: WriterOptions) -> Result<Self, Error> {
        let publisher = publisher_of(&directory, plan)?;
        let before = publisher.current();
        let commit = OwnedCommit::new(MutBorrow::new(publisher), |publisher| {
            let mut commit = publisher.borrow_mut().begin_family(plan.family);
            if plan.mode == Mode::Replace {
                commit.replace_all();
            }
            Some(commit)
        });
        Ok(Self { table: None, commit, options, directory, before, tables: 0 })
    }

    fn with_commit<T>(
        &mut self,
        act: impl FnOnce(&mut Commit<'_>) -> Result<T, PublishError>,
    ) -> Result<T, Error> {
        self.commit.with_dependent_mut(|_, commit| match commit {
            Some(commit) => Ok(act(commit)?),
            None => Err(UNPUBLISHED),
        })
    }

    fn table(&mut self) -> Result<&mut TableWriter, Error> {
        let table = match self.table.take() {
            Some(table) => table,
            None => {
                let options = self.options.clone();
                self.with_commit(|commit| commit.create_table(options))?
            }
        };
        Ok(self.table.insert(table))
    }

    fn end_table(&mut self) -> Result<(), Error> {
        let Some(table) = self.table.take() else { return Ok(()) };
        let table = table.finish()?;
        self.with_commit(|commit| commit.add_table(table))?;
        self.tables += 1;
        Ok(())
    }

    fn publish(self, monitor: &Monitor) -> Result<Published, Error> {
        let Self { mut commit, directory, before, .. } = self;
        let published = commit.with_dependent_mut(|_, commit| match commit.take() {
            Some(commit) => Ok::<CommitInfo, Error>(sst_merge::publish(commit, monitor)?),
            None => Err(UNPUBLISHED),
        });
        let publisher = commit.into_owner().into_inner();
        let info = published
            .map_err(|error| error_after(&directory, publisher.is_poisoned(), before, error))?;
        Ok(Published { commit: info.commit, certificates: info.certificates })
    }
}

impl BucketOutput {
    fn create(&self, kind: FileKind) -> Result<(SequenceNumber, Box<dyn RemoteFile>), Error> {
        self.commit.output().create(kind).map_err(upload_error)
    }

    fn table(&mut self) -> Result<&mut StreamingSstWriter<Box<dyn RemoteFile>>, Error> {
        let table = match self.table.take() {
            Some(table) => table,
            None => {
                let (number, file) = self.create(FileKind::Sst)?;
                (number, StreamingSstWriter::new(file, self.options.clone()))
            }
        };
        Ok(&mut self.table.insert(table).1)
    }

    fn create_blob(&mut self, value: &[u8]) -> Result<BlobNumber, Error> {
        let (blob, bytes) = encode_blob(value, Compression::default())?;
        let (sequence, mut file) = self.create(FileKind::Blob)?;
        RemoteFile::write_all(&mut *file, &bytes).map_err(upload_error)?;
        RemoteFile::finish(file).map_err(upload_error)?;
        let number = BlobNumber(sequence.0);
        self.blobs.push(BlobRecord { number, file_size: blob.file_size, header: blob.header });
        Ok(number)
    }

    fn end_table(&mut self) -> Result<(), Error> {
        let Some((sequence, table)) = self.table.take() else { return Ok(()) };
        let Finished { meta, blobs, .. } = table.finish()?;
        self.tables.push(TaskTable::new(sequence, meta, blobs));
        Ok(())
    }
}

fn upload_error(error: io::Error) -> Error {
    Error::io("write to", Path::new("the bucket"), error)
}

const UNPUBLISHED: Error = Error::Internal("a commit is there until it is published");
