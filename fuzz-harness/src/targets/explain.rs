//! The annotated dump of any structure: it must end, and must report damage exactly if the parsers
//! do.

use sst_format::explain::{ExplainOptions, Subject, ValueSlice, explain};
use sst_format::key_block::KeyBlock;
use sst_format::meta_file::MetaFile;
use sst_reader::hash_key;

use crate::input::Input;
use crate::repair;

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (what, how) = (input.u8(), input.u8());
    let mut bytes = input.rest().to_vec();
    if what & 0x80 != 0 {
        // Bytes without room for a trailer are dumped unchanged.
        _ = repair::meta_file(&mut bytes);
    }
    let values = [
        ValueSlice { offset: 0, len: how.into() },
        ValueSlice { offset: how.into(), len: u32::from(how) << (what % 25) },
    ];
    let subject = match what & 7 {
        0 => Subject::Block,
        1 => Subject::KeyBlock,
        2 => Subject::IndexBlock { block_count: how.into() },
        3 => Subject::ValueBlock { values: &values },
        4 => Subject::OffsetTable,
        5 => Subject::MetaFile,
        6 => Subject::Current,
        _ => Subject::Blob,
    };
    let mut options = ExplainOptions::default();
    if how & 1 != 0 {
        options = options.crc32(crc32fast::hash).hash_key(hash_key);
    }
    options = match how & 6 {
        0 => options.full(),
        2 => options.limits(3, 2),
        4 => options.base(u64::MAX - 7),
        _ => options,
    };
    let mut text = String::new();
    let damage = explain(subject, &bytes, &options, &mut text);
    assert!(damage.is_ok(), "a string takes all text");
    assert_eq!(text.lines().any(|line| line.starts_with("error: ")), damage != Ok(None));
    let checked = how & 7 == 1;
    match subject {
        Subject::KeyBlock if checked => {
            let valid = KeyBlock::parse(&bytes).and_then(|block| block.validate(hash_key));
            assert_eq!(valid.is_ok(), damage == Ok(None), "{valid:?} {damage:?}");
        }
        Subject::MetaFile if checked => {
            let valid = MetaFile::parse(&bytes, crc32fast::hash);
            assert_eq!(valid.is_ok(), damage == Ok(None), "{valid:?} {damage:?}");
        }
        _ => {}
    }
}
