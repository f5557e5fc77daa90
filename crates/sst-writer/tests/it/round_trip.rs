//! Random entries, written and read back.

use proptest::prelude::*;
use sst_writer::file::{AtomicFile, Sink};
use sst_writer::table::{Compression, write_static_sorted_file};
use sst_writer::{Entry, StreamingSstWriter, WriteError, WriterOptions};

use crate::support::{Row, Value, blocks, numbered, read, sorted, write};

fn value() -> impl Strategy<Value = Value> {
    let bytes = |max: usize| {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..=max),
            (any::<u8>(), 0..=max).prop_map(|(byte, len)| vec![byte; len]),
        ]
    };
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..=8).prop_map(Value::Inline),
        4 => bytes(600).prop_map(Value::Small),
        1 => bytes(20_000).prop_map(Value::Small),
        1 => bytes(9000).prop_map(Value::Medium),
        1 => any::<u32>().prop_map(Value::Blob),
        1 => Just(Value::Deleted),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    let short = prop::collection::vec(any::<u8>(), 0..=32);
    let long = prop::collection::vec(any::<u8>(), 33..=300);
    let huge = (33_usize..20_000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
    // Few distinct hashes, so that there are runs of equal hashes.
    let colliding = (0..20_u64, long.clone(), value());
    prop_oneof![
        6 => (short, value()).prop_map(|(key, value)| Row::new(key, value)),
        3 => (long, value()).prop_map(|(key, value)| Row::new(key, value)),
        1 => (huge, value()).prop_map(|(key, value)| Row::new(key, value)),
        2 => colliding.prop_map(|(hash, key, value)| Row::with_hash(hash << 59, key, value)),
    ]
}

/// Writes the rows that the writer accepts, in order. Returns them, the table, and its rows read
/// back.
fn accepted(rows: &[Row], options: WriterOptions) -> Option<(Vec<Row>, Vec<u8>, Vec<Row>)> {
    let mut writer = StreamingSstWriter::new(Vec::new(), options);
    let mut accepted = Vec::new();
    for row in rows {
        let has_room = writer.has_room_for(row);
        match writer.add(row) {
            Ok(()) => {
                assert!(has_room);
                accepted.push(row.clone());
            }
            Err(error) => assert!(!error.is_capacity() && !matches!(error, WriteError::Poisoned)),
        }
    }
    if accepted.is_empty() {
        return None;
    }
    let finished = writer.finish().unwrap();
    let read = read(&finished.output, &finished.meta);
    Some((accepted, finished.output, read))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Accepted entries are read back unchanged, in both modes and with both compressions; refused
    /// entries have no effect.
    #[test]
    fn accepted_entries_are_read_back(
        rows in prop::collection::vec(row(), 1..400),
        shuffled in any::<bool>(),
        multi_value in any::<bool>(),
        is_raw in any::<bool>(),
    ) {
        let compression = if is_raw { Compression::None } else { Compression::Lz4 };
        let options =
            || WriterOptions::default().multi_value(multi_value).compression(compression);
        let rows = if shuffled { rows } else { sorted(rows) };
        let Some((kept, bytes, found)) = accepted(&rows, options()) else { return Ok(()) };
        prop_assert_eq!(&found, &kept);
        prop_assert_eq!(&write(&kept, options()).output, &bytes);
    }
}

#[test]
fn uncompressed_tables_hold_every_block_raw() {
    let rows = numbered(3000, |i| match i % 3 {
        0 => Value::Small(vec![0; 500]),
        1 => Value::Medium(vec![0; 5000]),
        _ => Value::Inline(vec![0; 8]),
    });
    let finished = write(&rows, WriterOptions::default().compression(Compression::None));
    for block in blocks(&finished.output, finished.meta.block_count) {
        assert_eq!(block.header.encoding, sst_format::block::Encoding::Raw);
    }
    assert_eq!(read(&finished.output, &finished.meta), rows);
    let compressed = write(&rows, WriterOptions::default());
    assert!(compressed.output.len() * 10 < finished.output.len());
}

#[test]
fn pairs_are_entries() {
    let mut writer = StreamingSstWriter::new(Vec::new(), WriterOptions::default());
    let pairs = [("a", vec![1; 8]), ("b", vec![2; 9]), ("c", vec![3; 4097])];
    let mut sorted: Vec<_> = pairs.iter().collect();
    sorted.sort_by_key(|pair| pair.key_hash());
    sorted.iter().for_each(|pair| writer.add(pair).unwrap());
    let finished = writer.finish().unwrap();
    let mut rows = read(&finished.output, &finished.meta);
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    let expected = [
        Row::new("a", Value::Inline(vec![1; 8])),
        Row::new("b", Value::Small(vec![2; 9])),
        Row::new("c", Value::Medium(vec![3; 4097])),
    ];
    assert_eq!(rows, expected);
}

/// Records the lengths of the pieces that a writer passes to its sink.
#[derive(Debug, Default)]
struct Pieces(Vec<usize>);

impl Sink for Pieces {
    type Output = Vec<usize>;

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.push(bytes.len());
        Ok(())
    }

    fn finish(self) -> std::io::Result<Vec<usize>> {
        Ok(self.0)
    }
}

#[test]
fn output_comes_in_pieces_of_one_length() {
    const PIECE: usize = 256 << 10;
    let options = || WriterOptions::default().compression(Compression::None);
    let pieces_of = |rows: Vec<Row>| {
        let mut writer = StreamingSstWriter::new(Pieces::default(), options());
        rows.into_iter().for_each(|row| writer.add(row).unwrap());
        writer.finish().unwrap().output
    };
    let small = |i: u32| Value::Small(i.to_be_bytes().repeat(150));
    let pieces = pieces_of(numbered(20_000, small));
    let (_, all_but_last) = pieces.split_last().unwrap();
    assert!(all_but_last.len() > 2);
    assert!(all_but_last.iter().all(|&len| len == PIECE));

    // A large value is a piece of its own; later pieces end where they would end without it.
    let pieces = pieces_of(numbered(20_000, |i| match i {
        9000 => Value::Medium(vec![7; PIECE + 1]),
        _ => small(i),
    }));
    let large = pieces.iter().position(|&len| len == PIECE + 1).unwrap();
    let mut end = 0;
    let ends: Vec<usize> = pieces
        .iter()
        .map(|len| {
            end += len;
            end
        })
        .collect();
    let whole = |ends: &[usize]| ends.iter().all(|end| end.is_multiple_of(PIECE));
    assert!(large > 2 && large + 3 < ends.len());
    assert!(whole(&ends[..large - 1]) && whole(&ends[large + 1..ends.len() - 1]));
}

#[test]
fn files_hold_the_same_bytes() {
    let rows = numbered(5000, |i| Value::Small(i.to_be_bytes().repeat(9)));
    let expected = write(&rows, WriterOptions::default());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("table");
    let finished = write_static_sorted_file(&rows, &path, WriterOptions::default()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), expected.output);
    assert_eq!(finished.meta.file_size, expected.meta.file_size);

    let other = directory.path().join("other");
    let file = AtomicFile::create(&other).unwrap();
    let mut writer = StreamingSstWriter::new(file, WriterOptions::default());
    rows.iter().for_each(|row| writer.add(row).unwrap());
    writer.finish().unwrap();
    assert_eq!(std::fs::read(&other).unwrap(), expected.output);
}

#[test]
fn blob_numbers_are_gathered() {
    let rows = numbered(50, |i| if i == 3 { Value::Deleted } else { Value::Blob(i % 7) });
    let finished = write(&rows, WriterOptions::default());
    let numbers: Vec<_> = finished.blobs.iter().map(|blob| blob.0).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
}
