//! LZ4 compression that gives the same bytes on every machine.
//!
//! lz4_flex looks for repetitions by a hash of as many bytes as a machine word has, in the machine's order, so what it finds
//! depends on the machine. Files are defined by what it does on 64-bit little-endian machines; on all others
//! [`portable`] does exactly that, at some cost in speed.

#[cfg(any(test, not(all(target_pointer_width = "64", target_endian = "little"))))]
mod portable;

pub(crate) use lz4_flex::block::get_maximum_output_size as max_compressed_len;

/// Compresses one payload after the other; keeps a table from one to the next to save its allocation, and nothing else.
pub(crate) struct Lz4 {
    #[cfg(all(target_pointer_width = "64", target_endian = "little"))]
    table: lz4_flex::block::CompressTable,
    #[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
    encoder: portable::Encoder,
}

impl Lz4 {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(all(target_pointer_width = "64", target_endian = "little"))]
            table: lz4_flex::block::CompressTable::large(),
            #[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
            encoder: portable::Encoder::new(),
        }
    }

    /// Compresses `payload` into the start of `out`, which has room for [`max_compressed_len`] bytes, and returns how many
    /// it took; `None` if there is less room. O(length of the payload).
    pub(crate) fn compress(&mut self, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        if out.len() < max_compressed_len(payload.len()) {
            return None;
        }
        #[cfg(all(target_pointer_width = "64", target_endian = "little"))]
        return lz4_flex::block::compress_into_with_table(payload, out, &mut self.table).ok();
        #[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
        return self.encoder.compress(payload, out);
    }
}
