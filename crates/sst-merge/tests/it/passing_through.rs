//! Blocks and blob files that are taken over in stored form.

use std::collections::BTreeMap;
use std::path::Path;

use sst_format::BlobNumber;
use sst_format::block::{BlockHeader, Encoding};
use sst_format::value_ref::ValueRef;
use sst_merge::{Inputs, MergeOptions, merge_into_commit};
use sst_reader::{Access, Catalog, ReaderOptions};
use sst_writer::table::{Compression, hash_key};
use sst_writer::{EntryValue, Monitor, Publisher, PublisherOptions, WriterOptions};

use crate::support::{Layer, Value, go_on, publish, publisher};

type ByKey = BTreeMap<Vec<u8>, Vec<u8>>;

/// The stored form of every medium value and every blob of a directory: header and bytes.
fn stored(dir: &Path) -> (ByKey, ByKey) {
    let catalog = Catalog::read(dir).unwrap();
    let (mut media, mut blobs) = (BTreeMap::new(), BTreeMap::new());
    for table in &catalog.tables {
        let table = catalog.open_table(table, &ReaderOptions::default()).unwrap();
        let mut cursor = table.cursor();
        let mut buffer = Vec::new();
        while let Some(entry) = cursor.next().unwrap() {
            let key = entry.key.to_vec();
            if let Some((header, bytes)) = entry.stored_medium(&mut buffer).unwrap() {
                let mut block = header.to_bytes().to_vec();
                block.extend_from_slice(bytes);
                media.insert(key, block);
            } else if let ValueRef::Blob(number) = entry.value_ref().unwrap() {
                blobs.insert(key, std::fs::read(catalog.blob_path(number)).unwrap());
            }
        }
    }
    (media, blobs)
}

/// A value that compresses, in a way that no other compressor of ours would choose: as literals
/// only.
fn unusual_lz4(value: &[u8]) -> Vec<u8> {
    let mut block = vec![0xf0];
    let mut rest = value.len() - 15;
    while rest >= 255 {
        block.push(255);
        rest -= 255;
    }
    block.push(u8::try_from(rest).unwrap());
    block.extend_from_slice(value);
    block
}

#[test]
fn medium_values_keep_their_stored_form() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, out) = (scratch.path().join("dir"), scratch.path().join("out"));
    let value = vec![b'x'; 20_000];
    let block = unusual_lz4(&value);
    let mut keys = ["as it is", "by the writer", "by somebody else"];
    keys.sort_by_key(|key| hash_key(key.as_bytes()));
    let mut source = publisher(&dir);
    let mut commit = source.begin();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    for key in keys {
        let lz4 = Encoding::Lz4 { uncompressed_len: u32::try_from(value.len()).unwrap() };
        let raw = |encoding, block| EntryValue::MediumStored {
            header: BlockHeader { encoding, checksum: crc32fast::hash(block) },
            block,
        };
        let value = match key {
            "as it is" => raw(Encoding::Raw, &value[..]),
            "by the writer" => EntryValue::Medium(&value),
            _ => raw(lz4, &block[..]),
        };
        table.add((key, value)).unwrap();
    }
    commit.add_table(table.finish().unwrap()).unwrap();
    commit.publish(&Monitor::default()).unwrap();
    for access in [Access::Map, Access::Read] {
        let mut inputs = Inputs::new(&ReaderOptions::default().access(access));
        inputs.add_directory(&dir, 0).unwrap();
        let mut publisher = publisher(&out);
        let mut commit = publisher.begin();
        commit.replace_all();
        // Were anything compressed anew, it would not be compressed at all.
        let writer = WriterOptions::default().compression(Compression::None);
        let options = MergeOptions::default().writer(writer);
        let report = merge_into_commit(&inputs, &mut commit, &options, &go_on()).unwrap();
        commit.publish(&Monitor::default()).unwrap();
        assert_eq!(report.stored_blocks, 3);
        let (before, after) = (stored(&dir), stored(&out));
        assert_eq!(before.0.len(), 3);
        assert_eq!(before, after);
    }
}

#[test]
fn blobs_are_copied_as_they_are_stored_once_each() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, out) = (scratch.path().join("dir"), scratch.path().join("out"));
    let mut source = publisher(&dir);
    let mut commit = source.begin();
    let blob = commit.create_blob([7; 100_000]).unwrap();
    let mut table = commit.create_table(WriterOptions::default()).unwrap();
    let mut keys = ["one", "two"];
    keys.sort_by_key(|key| hash_key(key.as_bytes()));
    for key in keys {
        table.add((key, EntryValue::Blob(blob))).unwrap();
    }
    commit.add_table(table.finish().unwrap()).unwrap();
    commit.publish(&Monitor::default()).unwrap();

    let mut inputs = Inputs::new(&ReaderOptions::default());
    inputs.add_directory(&dir, 0).unwrap();
    let options = PublisherOptions::default().blob_compression(Compression::None);
    let mut publisher = Publisher::open(&out, options).unwrap();
    let mut commit = publisher.begin();
    let report =
        merge_into_commit(&inputs, &mut commit, &MergeOptions::default(), &go_on()).unwrap();
    commit.publish(&Monitor::default()).unwrap();
    assert_eq!((report.blobs, report.copied_blobs), (2, 1));
    let (before, after) = (stored(&dir).1, stored(&out).1);
    assert_eq!(before.len(), 2);
    assert_eq!(before, after);
}

#[test]
fn blobs_of_the_own_directory_stay_where_they_are() {
    let scratch = tempfile::tempdir().unwrap();
    let blob = |byte| vec![Value::Blob(vec![byte; 100_000])];
    publish(
        scratch.path(),
        &[
            Layer::from([(b"stays".to_vec(), blob(1)), (b"goes".to_vec(), blob(2))]),
            Layer::from([(b"goes".to_vec(), vec![Value::Deleted])]),
        ],
    );
    let before = stored(scratch.path()).1;
    let mut inputs = Inputs::new(&ReaderOptions::default());
    inputs.add_directory(scratch.path(), 0).unwrap();
    let mut publisher = publisher(scratch.path());
    let mut commit = publisher.begin();
    commit.replace_all();
    let report =
        merge_into_commit(&inputs, &mut commit, &MergeOptions::default(), &go_on()).unwrap();
    drop(inputs);
    commit.publish(&Monitor::default()).unwrap();
    assert_eq!((report.blobs, report.copied_blobs), (1, 0));
    let after = stored(scratch.path()).1;
    assert_eq!(after.keys().collect::<Vec<_>>(), [b"stays"]);
    assert_eq!(after[&b"stays"[..]], before[&b"stays"[..]]);
    let catalog = Catalog::read(scratch.path()).unwrap();
    assert_eq!(catalog.blobs().unwrap().keys().collect::<Vec<_>>().len(), 1);
    assert_ne!(catalog.blobs().unwrap().keys().next(), Some(&BlobNumber(0)));
}
