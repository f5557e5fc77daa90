//! The findings of fuzzing, one test each: a description of the input, and the right result.

use sst_conformance::{TestEntry, TestValue};
use sst_reader::{Lookup, ReaderOptions, StaticSortedFile};
use sst_writer::{StreamingSstWriter, WriteError, WriterOptions};

/// Found by the target `write_read`: a table with two empty values of the empty key. The entries of
/// its key block have no bytes, which the reader took for damage.
#[test]
fn several_empty_values_of_the_empty_key() {
    for (count, ends_with_tombstone) in [(2, false), (2, true), (65_535, false)] {
        let mut writer =
            StreamingSstWriter::new(Vec::new(), WriterOptions::default().multi_value(true));
        for _ in 0..count {
            writer.add(TestEntry::new("", TestValue::Inline(Vec::new()))).unwrap();
        }
        if count == 65_535 {
            // One entry more than a key block may have. The writer continues with entries that have
            // bytes.
            let error = writer.add(TestEntry::new("", TestValue::Inline(Vec::new()))).unwrap_err();
            assert!(matches!(error, WriteError::RunTooLong { entry: 65_535, .. }));
        }
        if ends_with_tombstone {
            writer.add(TestEntry::new("", TestValue::Deleted)).unwrap();
        }
        let finished = writer.finish().unwrap();
        let options = ReaderOptions::default();
        let meta = Some(&finished.meta);
        let table = StaticSortedFile::from_bytes("table", finished.output, meta, &options).unwrap();
        assert!(table.verify(&sst_reader::Monitor::default()).unwrap().is_intact());
        assert!(matches!(table.get(b"").unwrap(), Lookup::Value(value) if value.is_empty()));
        let all = table.get_all(b"").unwrap().map(Result::unwrap).count();
        assert_eq!(all, count + usize::from(ends_with_tombstone));
        assert_eq!(table.iter().count(), all);
    }
}
