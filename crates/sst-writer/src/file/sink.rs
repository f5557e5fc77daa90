//! The output of a table writer.

use std::io;

/// The output to which a table is written.
///
/// A sink gets the bytes in pieces that end at multiples of 256 KiB. The last piece may end
/// elsewhere, and each value of 256 KiB or more is a piece of its own.
///
/// Every [`io::Write`] is a sink. [`AtomicFile`](crate::file::AtomicFile) is a sink that appears
/// under its name only when it is finished.
pub trait Sink {
    /// The result of a finished sink, for example a buffer with the bytes of the table.
    type Output;

    /// Appends all of `bytes`.
    ///
    /// # Errors
    ///
    /// The error of the output. The writer does not use the sink after that.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Ends the output. No more bytes follow.
    ///
    /// # Errors
    ///
    /// The error of the output. The table is then lost.
    fn finish(self) -> io::Result<Self::Output>;
}

/// Passes every piece on, and flushes at the end.
impl<W: io::Write> Sink for W {
    type Output = W;

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self)
    }
}
