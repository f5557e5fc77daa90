//! Where the bytes of a table go.

use std::io;

/// Takes the bytes of a table, in pieces that end at multiples of 2 MiB, but for the last and for
/// values of 256 KiB and more, which are pieces of their own.
///
/// Every [`io::Write`] is a sink, and [`AtomicFile`](crate::file::AtomicFile) is one that appears
/// under its name only when it is finished.
pub trait Sink {
    /// What is left of the sink when all is written.
    type Output;

    /// Writes all of `bytes` behind what was written before.
    ///
    /// # Errors
    ///
    /// Whatever the output reports. The writer then uses the sink no more.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Ends the output: nothing more will be written.
    ///
    /// # Errors
    ///
    /// Whatever the output reports. The table must then be taken for lost.
    fn finish(self) -> io::Result<Self::Output>;
}

/// Writes through, and flushes at the end.
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
