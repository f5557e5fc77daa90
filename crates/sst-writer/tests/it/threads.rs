//! Several threads at one table: the same bytes, the same errors, and nothing left behind.

use std::io;

use sst_writer::{Sink, StreamingSstWriter, WriteError, WriterOptions};

use crate::support::{Row, Value, numbered, read, sorted, write};

/// All kinds of values, enough of them that many batches are on their way at once. Half of each value repeats.
fn rows() -> Vec<Row> {
    let bytes = |i: u32, len: usize| {
        let noise = (0..).flat_map(|n| {
            sst_writer::hash_key(&[i, n].map(u32::to_be_bytes).concat()).to_be_bytes()
        });
        noise.take(len / 2).chain(std::iter::repeat(7)).take(len).collect::<Vec<_>>()
    };
    let row = |i: u32| {
        let value = match i % 11 {
            0 => Value::Medium(bytes(i, 5000 + i as usize % 40_000)),
            1 => Value::Inline(bytes(i, 8)),
            2 => Value::Deleted,
            3 => Value::Blob(i),
            4 => {
                let block = bytes(i, 6000);
                Value::Raw { uncompressed_size: 0, checksum: crc32fast::hash(&block), block }
            }
            _ => Value::Small(bytes(i, 10 + i as usize % 3000)),
        };
        Row::new(bytes(i, 16 + i as usize % 30), value)
    };
    let mut rows: Vec<Row> = (0..3000).map(row).collect();
    // More than may be on its way.
    rows.push(Row::new(*b"large", Value::Medium(bytes(1, 6 << 20))));
    sorted(rows)
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let rows = rows();
    let alone = write(&rows, WriterOptions::default());
    assert_eq!(read(&alone.output, &alone.meta).len(), rows.len());
    for threads in [0, 2, 3, 7] {
        let finished = write(&rows, WriterOptions::default().threads(threads));
        assert!(finished.output == alone.output, "{threads} threads");
        assert_eq!(finished.blobs, alone.blobs);
        let headers = |meta: sst_format::SstMeta| meta.protection.unwrap().block_headers;
        assert_eq!(headers(finished.meta), headers(alone.meta.clone()));
    }
}

#[test]
fn any_number_of_threads_calls_a_table_full_at_the_same_entry() {
    let rows = rows();
    let full_at = |threads, size| {
        let mut writer =
            StreamingSstWriter::new(io::sink(), WriterOptions::default().threads(threads));
        rows.iter().position(|row| {
            writer.add(row).unwrap();
            writer.is_full(u64::MAX, size)
        })
    };
    for size in [1, 100_000, 3_000_000, 5_000_000] {
        let alone = full_at(1, size);
        assert!(alone.is_some());
        assert_eq!(full_at(2, size), alone);
        assert_eq!(full_at(4, size), alone);
    }
}

#[test]
fn a_failing_output_is_reported() {
    struct Failing(usize);
    impl Sink for Failing {
        type Output = ();

        fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(())
        }

        fn finish(self) -> io::Result<()> {
            Ok(())
        }
    }
    let rows = rows();
    for room in [0, 1 << 20, 4 << 20] {
        let mut writer =
            StreamingSstWriter::new(Failing(room), WriterOptions::default().threads(3));
        let failure = rows.iter().find_map(|row| writer.add(row).err());
        assert!(matches!(failure, Some(WriteError::Io { .. })));
        assert!(matches!(writer.add(&rows[0]), Err(WriteError::Poisoned)));
        assert!(matches!(writer.finish(), Err(WriteError::Poisoned)));
    }
}

#[test]
fn a_table_that_is_given_up_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let rows = numbered(20_000, |i| Value::Small(vec![7; 10 + i as usize % 300]));
    for count in [0, 1, 10_000, 20_000] {
        let path = directory.path().join("table.sst");
        let mut writer =
            StreamingSstWriter::create(&path, WriterOptions::default().threads(4)).unwrap();
        rows[..count].iter().for_each(|row| writer.add(row).unwrap());
        drop(writer);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
