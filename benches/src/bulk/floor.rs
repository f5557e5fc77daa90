//! The work that every load must do: read the input, sort its hashes, compress the bytes and write
//! them once.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::Path;
use std::thread;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use sst_writer::table::hash_key;

use sst_benches::bulk::Input;

/// Number of bytes of values per compressed block, as in a table.
const BLOCK_LEN: usize = 8 << 10;
/// Output is written in pieces of this many bytes.
const PIECE_LEN: usize = 256 << 10;

/// Does this work, with one part of the input per thread, and syncs the output to disk.
pub(crate) fn run(input: &Input, threads: u64, directory: &Path) -> io::Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|part| scope.spawn(move || load_part(input, part, threads, directory)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread has panicked")))
        })
    })
}

fn load_part(input: &Input, part: u64, parts: u64, directory: &Path) -> io::Result<()> {
    let mut file = File::create(directory.join(part.to_string()))?;
    let mut hashes: Vec<(u64, u64)> = Vec::new();
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let mut out = Vec::with_capacity(2 * PIECE_LEN);
    let mut table = CompressTable::large();
    input.read_part(part, parts, |number, key, value| {
        hashes.push((hash_key(key), number));
        keys.extend_from_slice(key);
        values.extend_from_slice(value);
        if values.len() >= BLOCK_LEN {
            compress(&values, &mut table, &mut out)?;
            values.clear();
        }
        if keys.len() >= 2 * BLOCK_LEN {
            out.extend_from_slice(&keys);
            keys.clear();
        }
        if out.len() >= PIECE_LEN {
            file.write_all(&out)?;
            out.clear();
        }
        Ok::<_, io::Error>(())
    })?;
    out.extend_from_slice(&keys);
    out.extend_from_slice(&values);
    file.write_all(&out)?;
    hashes.sort_unstable();
    black_box(&hashes);
    file.sync_all()
}

/// Appends the compressed form of `block`.
fn compress(block: &[u8], table: &mut CompressTable, out: &mut Vec<u8>) -> io::Result<()> {
    let at = out.len();
    out.resize(at + get_maximum_output_size(block.len()), 0);
    let (_, room) = out.split_at_mut(at);
    let len = compress_into_with_table(block, room, table).map_err(io::Error::other)?;
    out.truncate(at + len);
    Ok(())
}
