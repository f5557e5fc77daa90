//! Our writer on the reference's entries: it must write the same blocks in the same order, the same
//! index block, and the same description.

use sst_amqf::QuotientFilter;
use sst_format::block::Encoding;
use sst_format::{BlockIndex, SstMeta, TableFlags};
use sst_reader::{ReadError, ReaderOptions, StaticSortedFile};
use sst_writer::{StreamingSstWriter, WriteError, WriterOptions};

use crate::reader_vectors::check_contents;
use crate::vectors::Case;
use crate::{CheckError, fail};

/// Checks one vector.
///
/// # Errors
///
/// [`CheckError`] for the first difference.
pub fn check(case: &Case) -> Result<(), CheckError> {
    compare(case).map_err(|error| CheckError::new(format!("{}: {error}", case.name)))
}

fn compare(case: &Case) -> Result<(), CheckError> {
    let (meta, bytes) = write(case)?;
    let described = (meta.block_count, meta.min_hash, meta.max_hash, meta.flags.0);
    if described != (case.block_count, case.min_hash, case.max_hash, case.flags) {
        return fail(format!("description differs: {described:?}"));
    }
    if meta.protection.as_ref().map(|p| p.entry_count) != Some(case.entries.len() as u64) {
        return fail("number of entries differs");
    }
    if meta.filter.as_slice() != case.filter {
        return fail("filter differs");
    }
    let options = ReaderOptions::default().filter(QuotientFilter::default());
    let ours = StaticSortedFile::from_bytes("ours", bytes, Some(&meta), &options).map_err(read)?;
    let theirs = StaticSortedFile::from_bytes("reference", case.bytes.clone(), None, &options);
    compare_blocks(&ours, &theirs.map_err(read)?)?;
    check_contents(&case.entries, &case.absent, &ours)
}

fn write(case: &Case) -> Result<(SstMeta, Vec<u8>), CheckError> {
    let options = WriterOptions::default()
        .filter(QuotientFilter::default())
        .multi_value(case.multi_value)
        .flags(TableFlags(case.flags));
    let mut writer = StreamingSstWriter::new(Vec::new(), options);
    let refused = |error: WriteError| CheckError::new(error.to_string());
    for entry in &case.entries {
        writer.add(entry).map_err(refused)?;
    }
    let finished = writer.finish().map_err(refused)?;
    Ok((finished.meta, finished.output))
}

fn read(error: ReadError) -> CheckError {
    CheckError::new(error.to_string())
}

fn compare_blocks(ours: &StaticSortedFile, theirs: &StaticSortedFile) -> Result<(), CheckError> {
    let (our_info, their_info) = (ours.inspect().map_err(read)?, theirs.inspect().map_err(read)?);
    for (a, b) in our_info.blocks.iter().zip(&their_info.blocks) {
        let BlockIndex(i) = a.index;
        if (a.role, a.key_block_kind, a.entry_count) != (b.role, b.key_block_kind, b.entry_count) {
            return fail(format!("block {i} is {:?}, reference has {:?}", a.role, b.role));
        }
        // Compare the uncompressed payloads. The bytes of compressed blocks depend on the LZ4
        // encoder; those of raw blocks don't.
        if ours.block(a.index).map_err(read)? != theirs.block(b.index).map_err(read)? {
            return fail(format!("block {i} ({}) has other content", a.role.name()));
        }
        let is_raw = |encoding| encoding == Encoding::Raw;
        if is_raw(a.header.encoding) != is_raw(b.header.encoding) {
            return fail(format!("block {i} ({}) is stored otherwise", a.role.name()));
        }
        if is_raw(a.header.encoding) && a.header != b.header {
            return fail(format!("block {i} ({}) has another header", a.role.name()));
        }
    }
    if our_info.blocks.len() != their_info.blocks.len() {
        return fail(format!("{} blocks", our_info.blocks.len()));
    }
    Ok(())
}
