//! Reads inputs whose reads can block: pipes and terminals.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use sst_writer::monitor::CancelToken;

/// Number of bytes of one read.
const CHUNK_LEN: usize = 1 << 18;
/// Number of chunks that the thread may read ahead of the parser.
const CHUNKS: usize = 2;
/// Time between two checks for cancellation.
const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A pipe or terminal that is read by a separate thread. While the thread waits for input, a
/// cancellation still ends [`BackgroundReader::read`]. If the load is cancelled, the waiting thread
/// is not stopped; it ends with the process.
pub(super) struct BackgroundReader {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: io::Cursor<Vec<u8>>,
    is_at_end: bool,
    token: CancelToken,
}

impl BackgroundReader {
    /// Opens and reads a source on the new thread. Opening happens there too, since opening a named
    /// pipe blocks until another process opens it for writing. Fails if the system grants no
    /// thread.
    pub(super) fn new<R: Read>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        token: CancelToken,
    ) -> io::Result<Self> {
        let (sender, chunks) = sync_channel(CHUNKS);
        thread::Builder::new().name("input".to_owned()).spawn(move || {
            let end = match open() {
                Ok(source) => send_all(source, &sender),
                Err(error) => Err(error),
            };
            // An empty chunk marks the end. Sending fails if the load has ended and dropped the
            // receiver.
            _ = sender.send(end.map(|()| Vec::new()));
        })?;
        Ok(Self { chunks, chunk: io::Cursor::default(), is_at_end: false, token })
    }

    /// Waits for the next chunk, or for a cancellation.
    fn next_chunk(&self) -> io::Result<Vec<u8>> {
        loop {
            match self.chunks.recv_timeout(CANCEL_POLL_INTERVAL) {
                Ok(chunk) => return chunk,
                Err(RecvTimeoutError::Timeout) if self.token.is_cancelled() => {
                    return Err(io::Error::other("cancelled"));
                }
                Err(RecvTimeoutError::Timeout) => {}
                // The thread has ended without the mark of the end, so the input is incomplete.
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::Error::other(
                        "the thread that reads the input has ended early",
                    ));
                }
            }
        }
    }
}

/// Sends all chunks of a source, until the source ends or the receiver is dropped.
fn send_all(mut source: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        // The parser may have taken all memory by now.
        let mut chunk = Vec::new();
        chunk.try_reserve_exact(CHUNK_LEN).map_err(|_| io::ErrorKind::OutOfMemory)?;
        chunk.resize(CHUNK_LEN, 0);
        let len = match source.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        chunk.truncate(len);
        if sender.send(Ok(chunk)).is_err() {
            return Ok(());
        }
    }
}

impl Read for BackgroundReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.chunk.read(out)?;
        if len > 0 || out.is_empty() || self.is_at_end {
            return Ok(len);
        }
        let chunk = self.next_chunk()?;
        self.is_at_end = chunk.is_empty();
        self.chunk = io::Cursor::new(chunk);
        self.chunk.read(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader<R: Read>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
    ) -> (BackgroundReader, CancelToken) {
        let token = CancelToken::default();
        (BackgroundReader::new(open, token.clone()).unwrap(), token)
    }

    #[test]
    fn all_bytes_come_in_their_order() {
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * CHUNK_LEN + 5).collect();
        let copy = bytes.clone();
        let (mut reader, _) = reader(move || Ok(io::Cursor::new(copy)));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == bytes);
        assert_eq!(reader.read(&mut [0; 9]).unwrap(), 0);
    }

    #[test]
    fn a_cancellation_ends_the_wait() {
        let (_sender, never) = std::sync::mpsc::channel::<()>();
        let (mut reader, token) = reader(move || {
            // Blocks for as long as the test runs, since the sender lives that long.
            _ = never.recv();
            Ok(io::empty())
        });
        token.cancel();
        assert!(reader.read(&mut [0; 9]).is_err());
    }

    #[test]
    fn an_input_that_breaks_off_is_not_taken_for_its_end() {
        let (mut failing, _) = reader(|| Err::<io::Empty, _>(io::Error::other("no such input")));
        assert!(failing.read(&mut [0; 9]).is_err());
        let (mut panicking, _) = reader(|| -> io::Result<io::Empty> { panic!("on purpose") });
        assert!(panicking.read(&mut [0; 9]).is_err());
    }
}
