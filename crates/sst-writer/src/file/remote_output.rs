//! A place that is no directory of the file system, to which tables and blobs are written while
//! they are made.

use std::fmt::Debug;
use std::io;

use sst_format::SequenceNumber;
use sst_format::file_name::FileKind;

use super::Sink;

/// A place that is no directory of the file system, to which a load or a merge writes its tables
/// and blobs while it makes them: a bucket, for example. It gives each file its number.
///
/// Its operations may wait, for example for an upload.
pub trait RemoteOutput: Debug + Send + Sync {
    /// Starts a file under the next number.
    ///
    /// # Errors
    ///
    /// The error of the place.
    fn create(&self, kind: FileKind) -> io::Result<(SequenceNumber, Box<dyn RemoteFile>)>;
}

/// A file that is being written to a [`RemoteOutput`]. If it is dropped before it is finished,
/// nothing of it may stay.
pub trait RemoteFile: Debug + Send {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    ///
    /// The error of the place. The file is lost.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Ends the file, which is then complete and durable.
    ///
    /// # Errors
    ///
    /// The error of the place. The file is lost.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl Sink for Box<dyn RemoteFile> {
    type Output = ();

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).write_all(bytes)
    }

    fn finish(self) -> io::Result<()> {
        RemoteFile::finish(self)
    }
}
