//! LZ4 compression.
//!
//! lz4_flex looks for repetitions by a hash of as many bytes as a machine word has, in the machine's order. So machines of
//! 64 bits with little-endian words all give the same bytes; others give other bytes, which any machine reads.

pub(crate) use lz4_flex::block::get_maximum_output_size as max_compressed_len;

/// Compresses one payload after the other; keeps a table from one to the next to save its allocation, and nothing else.
pub(crate) struct Lz4 {
    table: lz4_flex::block::CompressTable,
}

impl Lz4 {
    pub(crate) fn new() -> Self {
        Self { table: lz4_flex::block::CompressTable::large() }
    }

    /// Compresses `payload` into the start of `out`, which has room for [`max_compressed_len`] bytes, and returns how many
    /// it took; `None` if there is less room. O(length of the payload).
    pub(crate) fn compress(&mut self, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        if out.len() < max_compressed_len(payload.len()) {
            return None;
        }
        lz4_flex::block::compress_into_with_table(payload, out, &mut self.table).ok()
    }
}
