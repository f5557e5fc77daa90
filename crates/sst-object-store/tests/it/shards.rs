//! Shards: the part of a commit that a range of hashes needs, with meta files of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use sst_amqf::QuotientFilter;
use sst_format::file_name::{FileKind, FileName};
use sst_format::meta_file::{MetaFile, MetaFileParts};
use sst_format::protection::LiveMeta;
use sst_merge::ShardMap;
use sst_object_store::{CancelToken, MirrorReport, Place, ShardNumber, Store, StoreError};
use sst_reader::{Monitor, ReadError, ReaderOptions, SstSet, hash_key, verify_directory};
use sst_writer::{EntryValue, PublishError, Publisher, PublisherOptions, WriterOptions};

use crate::support::{
    Scratch, commit, edit, files, memory, object, options, pull, push, store_on, verify,
};

fn shard(index: u32, count: u32) -> ShardNumber {
    ShardNumber::new(index, count).unwrap()
}

async fn pull_shard(
    store: &Store,
    directory: &Path,
    number: ShardNumber,
) -> Result<MirrorReport, StoreError> {
    sst_object_store::pull(store, directory, &options().shard(Some(number)), &Monitor::default())
        .await
}

/// All live entries of a directory.
fn entries(directory: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let set = SstSet::open(directory, &ReaderOptions::default()).unwrap();
    let entry = |entry: Result<(_, _), ReadError>| {
        let (key, value): (sst_reader::Slice<'_>, sst_reader::Slice<'_>) = entry.unwrap();
        (key.to_vec(), value.to_vec())
    };
    set.entries().map(entry).collect()
}

/// Checks that a directory is intact, knows which shard it holds, answers its keys as the whole
/// does, and refuses all others.
#[track_caller]
fn check_shard(directory: &Path, whole: &BTreeMap<Vec<u8>, Vec<u8>>, number: ShardNumber) {
    let options = ReaderOptions::default().filter(QuotientFilter::default());
    let report = verify_directory(directory, &options, &Monitor::default()).unwrap();
    assert!(report.is_intact(), "{:?}", report.damage);
    let held = report.shard.unwrap();
    assert_eq!((held.index, held.count), (number.index(), number.count()));
    let set = SstSet::open(directory, &options).unwrap();
    assert_eq!(set.shard(), Some(held));
    assert!(set.catalog().certificates.is_empty());
    let (own, other): (BTreeMap<_, _>, _) =
        whole.clone().into_iter().partition(|(key, _)| number.hashes().contains(hash_key(key)));
    assert_eq!(entries(directory), own);
    assert!(own.len() > 20 && (other.len() > 20 || number.count() == 1));
    let is_refusal = |error: &ReadError| {
        let (index, count) = (number.index(), number.count());
        matches!(error, ReadError::OfOtherShard { index: i, count: c, .. } if (*i, *c) == (index, count))
    };
    for (key, value) in &own {
        assert_eq!(set.get(key).unwrap().as_deref(), Some(&value[..]));
        assert_eq!(set.get_all(key).next().unwrap().unwrap().to_vec(), *value);
    }
    for key in other.keys() {
        assert!(is_refusal(&set.get(key).unwrap_err()));
        assert!(is_refusal(&set.contains_key(key).unwrap_err()));
        assert!(is_refusal(&set.get_all(key).next().unwrap().unwrap_err()));
    }
    let own: Vec<_> = own.keys().collect();
    assert!(set.multi_get(&own).unwrap().iter().all(Option::is_some));
    for foreign in other.keys().take(50) {
        assert!(is_refusal(&set.multi_get(&[own[0], foreign, own[1]]).unwrap_err()));
    }
}

#[tokio::test]
async fn shards_have_their_keys_and_refuse_others() {
    let scratch = Scratch::new();
    let (db, store) = (scratch.path("db"), memory());
    commit(&db, 1, false);
    commit(&db, 2, false);
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    let whole = entries(&db);
    for count in 1..=3 {
        let map = ShardMap::by_hash(count);
        for index in 0..count {
            let directory = scratch.path(&format!("shard{index}of{count}"));
            pull_shard(&store, &directory, shard(index, count)).await.unwrap();
            check_shard(&directory, &whole, shard(index, count));
            let mut ranges = map.ranges();
            let range = ranges.nth(index as usize).unwrap().unwrap();
            let hashes = shard(index, count).hashes();
            assert_eq!((hashes.min, hashes.max), (*range.start(), *range.end()));
        }
    }
}

/// Publishes tables of disjoint ranges of hashes, each with a blob, in a commit of several meta
/// files.
fn commit_disjoint(directory: &Path, tables: usize, seed: u8) {
    let limits = sst_format::meta_head::MetaLimits::default().filter_bytes(200);
    let options = PublisherOptions::default().meta_limits(limits).keep_generations(2);
    let mut publisher = Publisher::open(directory, options).unwrap();
    let mut commit = publisher.begin();
    commit.replace_all();
    let mut keys: Vec<[u8; 4]> = (0..600u32).map(u32::to_be_bytes).collect();
    keys.sort_unstable_by_key(|key| hash_key(key));
    for keys in keys.chunks(keys.len().div_ceil(tables)) {
        let blob = commit.create_blob([seed; 9000]).unwrap();
        let options = WriterOptions::default().filter(QuotientFilter::default());
        let mut table = commit.create_table(options).unwrap();
        for (i, key) in keys.iter().enumerate() {
            let value = match i {
                0 => EntryValue::Blob(blob),
                _ => EntryValue::Inline(&key[..]),
            };
            table.add((key, value)).unwrap();
        }
        commit.add_table(table.finish().unwrap()).unwrap();
    }
    commit.publish(&Monitor::default()).unwrap();
}

#[tokio::test]
async fn only_what_the_range_needs_is_read_and_copied() {
    let scratch = Scratch::new();
    let (db, copy) = (scratch.path("db"), scratch.path("copy"));
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    commit_disjoint(&db, 16, 1);
    push(&db, &store).await.unwrap();
    let whole = entries(&db);
    pull_shard(&store, &copy, shard(1, 4)).await.unwrap();
    check_shard(&copy, &whole, shard(1, 4));
    // Without what the shard does not need, meta files among it, another pull does the same.
    let (needed, all) = (files(&copy), files(&db));
    let unneeded: BTreeSet<_> = all.keys().filter(|name| !needed.contains_key(*name)).collect();
    let of_kind = |kind: &str| unneeded.iter().filter(|name| name.ends_with(kind)).count();
    assert!(of_kind(".meta") >= 2 && of_kind(".sst") >= 9 && of_kind(".blob") >= 9);
    for name in unneeded {
        objects.delete(&object(name)).await.unwrap();
    }
    let again = scratch.path("again");
    pull_shard(&store, &again, shard(1, 4)).await.unwrap();
    assert_eq!(files(&again), needed);
    for (name, bytes) in &needed {
        assert_eq!(name.ends_with(".meta"), all[name] != *bytes, "{name}");
    }
}

/// The second decoder, which is in Python, reads a shard, and finds its entries and no others.
#[tokio::test]
async fn the_second_decoder_reads_a_shard() {
    let decoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/decoder/decode.py");
    let has_python = Command::new("python3").arg("--version").output().is_ok();
    if !decoder.exists() || !has_python {
        println!("NOT RUN: the second decoder needs python3 and the folder conformance");
        return;
    }
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    commit_disjoint(&db, 5, 1);
    commit(&db, 2, false);
    push(&db, &store).await.unwrap();
    for number in [shard(0, 3), shard(2, 3)] {
        let copy = copy.with_extension(number.index().to_string());
        pull_shard(&store, &copy, number).await.unwrap();
        let decoded = Command::new("python3").arg(&decoder).arg(&copy).output().unwrap();
        assert!(decoded.status.success(), "{}", String::from_utf8_lossy(&decoded.stderr));
        let lines = String::from_utf8(decoded.stdout).unwrap();
        let decoded = lines.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        // Headings have one column.
        let decoded = decoded.filter(|entry| entry.len() > 1 && entry.last() != Some(&"-"));
        let live: Vec<_> = decoded.collect();
        let in_range =
            |hash: &str| number.hashes().contains(u64::from_str_radix(hash, 16).unwrap());
        assert!(live.iter().all(|entry| in_range(entry[0])));
        assert_eq!(live.len(), entries(&copy).len());
    }
}

#[tokio::test]
async fn later_commits_add_what_is_new_and_generations_are_kept() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    let first = entries(&db);
    let report = pull_shard(&store, &copy, shard(0, 2)).await.unwrap();
    assert!(report.is_changed() && report.before.is_none());
    let before = files(&copy);
    commit(&db, 2, false);
    push(&db, &store).await.unwrap();
    // Two tables, a blob and a meta file; as many are there, and the old meta file is untouched.
    let report = pull_shard(&store, &copy, shard(0, 2)).await.unwrap();
    assert_eq!(report.copied_files, 4);
    assert!(report.kept_files >= 4);
    check_shard(&copy, &entries(&db), shard(0, 2));
    let after = files(&copy);
    assert!(before.iter().all(|(name, bytes)| name == "CURRENT" || after[name] == *bytes));
    let report = pull_shard(&store, &copy, shard(0, 2)).await.unwrap();
    assert!(!report.is_changed());
    assert_eq!(report.copied_files, 0);
    // A rollback in the source is one in the shard. All files are there.
    let kept = PublisherOptions::default().keep_generations(2);
    Publisher::open(&db, kept).unwrap().rollback(None, &Monitor::default()).unwrap();
    push(&db, &store).await.unwrap();
    let report = pull_shard(&store, &copy, shard(0, 2)).await.unwrap();
    assert_eq!(report.copied_files, 1);
    check_shard(&copy, &first, shard(0, 2));
}

#[tokio::test]
async fn a_shard_is_rolled_back_in_place_and_published_nowhere_else() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    let first = entries(&db);
    pull_shard(&store, &copy, shard(1, 2)).await.unwrap();
    commit(&db, 2, true);
    push(&db, &store).await.unwrap();
    pull_shard(&store, &copy, shard(1, 2)).await.unwrap();
    let set = SstSet::open(&copy, &ReaderOptions::default()).unwrap();
    let kept = PublisherOptions::default().keep_generations(2);
    let mut publisher = Publisher::open(&copy, kept).unwrap();
    publisher.rollback(None, &Monitor::default()).unwrap();
    let refused = publisher.begin().create_table(WriterOptions::default()).unwrap_err();
    assert!(matches!(refused, PublishError::OfShard { index: 1, count: 2, .. }));
    let mut emptied = publisher.begin();
    emptied.replace_all();
    assert!(matches!(emptied.publish(&Monitor::default()), Err(PublishError::OfShard { .. })));
    drop(publisher);
    check_shard(&copy, &first, shard(1, 2));
    let refreshed = set.refresh().unwrap().unwrap();
    assert_eq!(refreshed.shard().map(|shard| shard.source.0), Some(0));
    // It has gone its own way now.
    let conflict = pull_shard(&store, &copy, shard(1, 2)).await.unwrap_err();
    assert!(matches!(conflict, StoreError::Conflict { .. }));
}

#[tokio::test]
async fn other_targets_and_sources_are_refused() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    let bucket = Place::Bucket(memory());
    let of_shard = options().shard(Some(shard(0, 2)));
    let refused = sst_object_store::mirror(&store, &bucket, &of_shard, &Monitor::default())
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::ShardInBucket { .. }));
    pull_shard(&store, &copy, shard(0, 2)).await.unwrap();
    let shard_as_source = Store::from_directory(&copy).unwrap();
    let other = scratch.path("other");
    let refused = pull_shard(&shard_as_source, &other, shard(0, 2)).await.unwrap_err();
    assert!(matches!(refused, StoreError::SourceIsShard { .. }));
    // Another shard, and the whole, belong to another directory.
    for number in [Some(shard(1, 2)), Some(shard(0, 3)), None] {
        let refused =
            sst_object_store::pull(&store, &copy, &options().shard(number), &Monitor::default())
                .await;
        let is_refused = matches!(refused, Err(StoreError::HoldsShard { index: 0, count: 2, .. }));
        assert!(is_refused, "{number:?}");
    }
    // What holds everything takes no shard, also where its content may go.
    let whole = scratch.path("whole");
    sst_object_store::pull(&store, &whole, &options(), &Monitor::default()).await.unwrap();
    for replace in [false, true] {
        let of_shard = options().shard(Some(shard(0, 2))).replace(replace);
        let refused = sst_object_store::pull(&store, &whole, &of_shard, &Monitor::default()).await;
        assert!(matches!(refused, Err(StoreError::HoldsAll { .. })), "{refused:?}");
        let of_other = options().shard(Some(shard(1, 2))).replace(replace);
        let refused = sst_object_store::pull(&store, &copy, &of_other, &Monitor::default()).await;
        let is_refused = matches!(refused, Err(StoreError::HoldsShard { index: 0, count: 2, .. }));
        assert!(is_refused, "{refused:?}");
    }
    // A copy of a shard is a shard.
    pull(&shard_as_source, &other).await.unwrap();
    assert_eq!(files(&other), files(&copy));
    check_shard(&other, &entries(&db), shard(0, 2));
    assert!(matches!("2/2".parse::<ShardNumber>(), Err(sst_object_store::BadShardNumber)));
    assert_eq!("1/2".parse::<ShardNumber>().map(|number| number.to_string()), Ok("1/2".to_owned()));
}

/// A pull that was interrupted has left files, intact and damaged ones.
#[tokio::test]
async fn an_interrupted_pull_goes_on() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    for seed in 1..=3 {
        commit(&db, seed, false);
    }
    push(&db, &store).await.unwrap();
    pull_shard(&store, &copy, shard(0, 2)).await.unwrap();
    let whole = files(&copy);
    let names: Vec<_> = whole.keys().filter(|name| *name != "CURRENT").cloned().collect();
    for damaged in 0..names.len() {
        fs::remove_file(copy.join("CURRENT")).unwrap();
        fs::write(copy.join(".first-commit"), "").unwrap();
        let mut bytes = whole[&names[damaged]].clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(copy.join(&names[damaged]), bytes).unwrap();
        fs::remove_file(copy.join(&names[(damaged + 1) % names.len()])).unwrap();
        let report = pull_shard(&store, &copy, shard(0, 2)).await.unwrap();
        assert_eq!(report.copied_files, 2, "{}", names[damaged]);
        assert_eq!(files(&copy), whole);
    }
}

#[tokio::test]
async fn a_shard_of_a_damaged_source_is_not_published() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let objects = Arc::new(InMemory::new());
    let store = store_on(Arc::<InMemory>::clone(&objects));
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    for (name, bytes) in files(&db) {
        for at in (0..bytes.len()).step_by(bytes.len() / 7 + 1) {
            // Nothing is left of an earlier pull.
            let copy = scratch.path(&format!("{name}{at}"));
            edit(&*objects, &name, |bytes| bytes[at] ^= 4).await;
            let result = pull_shard(&store, &copy, shard(1, 2)).await;
            // A damaged number in `CURRENT` may be that of a commit that is not there.
            let is_refused = result.as_ref().is_err_and(StoreError::is_corruption);
            assert!(is_refused, "byte {at} of {name}: {result:?}");
            assert!(!copy.join("CURRENT").exists());
            edit(&*objects, &name, |bytes| bytes[at] ^= 4).await;
        }
    }
}

/// A table that was dead when the shard was taken is live again after a rollback.
#[tokio::test]
async fn tables_that_come_back_are_found_or_the_shard_is_refused() {
    for has_blobs in [false, true] {
        let scratch = Scratch::new();
        let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
        let kept = || PublisherOptions::default().keep_generations(5);
        let mut publisher = Publisher::open(&db, kept()).unwrap();
        let mut first = publisher.begin();
        for table in 0..3u8 {
            let blob = first.create_blob([table; 9000]).unwrap();
            let mut keys: Vec<_> = (0..100u8).map(|i| [table, i]).collect();
            keys.sort_unstable_by_key(|key| hash_key(key));
            let mut writer = first.create_table(WriterOptions::default()).unwrap();
            for (i, key) in keys.iter().enumerate() {
                let value = match has_blobs && i == 50 {
                    true => EntryValue::Blob(blob),
                    false => EntryValue::Inline(&key[..]),
                };
                writer.add((key, value)).unwrap();
            }
            first.add_table(writer.finish().unwrap()).unwrap();
        }
        first.publish(&Monitor::default()).unwrap();
        let whole = entries(&db);
        let table = publisher.live_tables().next().unwrap().1.sequence;
        let mut second = publisher.begin();
        second.obsolete(table).unwrap();
        second.publish(&Monitor::default()).unwrap();
        push(&db, &store).await.unwrap();
        pull_shard(&store, &copy, shard(0, 2)).await.unwrap();
        check_shard(&copy, &entries(&db), shard(0, 2));
        publisher.rollback(None, &Monitor::default()).unwrap();
        push(&db, &store).await.unwrap();
        let pulled = pull_shard(&store, &copy, shard(0, 2)).await;
        let fresh = scratch.path("fresh");
        pull_shard(&store, &fresh, shard(0, 2)).await.unwrap();
        check_shard(&fresh, &whole, shard(0, 2));
        if has_blobs {
            assert!(matches!(pulled, Err(StoreError::ShardOutgrown { .. })), "{pulled:?}");
        } else {
            pulled.unwrap();
            check_shard(&copy, &whole, shard(0, 2));
        }
    }
}

/// The source was restored to an earlier commit. The shard's meta files belong to a later one, and
/// are refused by name; nothing is published that verification would call damaged.
#[tokio::test]
async fn a_shard_of_a_restored_source_is_copied_anew_or_refused() {
    for commits_since in 1..4 {
        let scratch = Scratch::new();
        let (db, copy) = (scratch.path("db"), scratch.path("copy"));
        let (store, restored) = (memory(), memory());
        commit(&db, 1, false);
        commit(&db, 2, false);
        push(&db, &restored).await.unwrap();
        let earlier = entries(&db);
        for seed in 0..commits_since {
            commit(&db, 3 + seed, false);
        }
        push(&db, &store).await.unwrap();
        pull_shard(&store, &copy, shard(0, 2)).await.unwrap();
        let options = options().shard(Some(shard(0, 2))).replace(true);
        let pulled = sst_object_store::pull(&restored, &copy, &options, &Monitor::default()).await;
        match pulled {
            Ok(_) => check_shard(&copy, &earlier, shard(0, 2)),
            Err(StoreError::ShardOutgrown { .. }) => {
                check_shard(&copy, &entries(&db), shard(0, 2));
            }
            Err(error) => panic!("{error}"),
        }
        verify(&copy);
    }
}

#[tokio::test]
async fn a_follower_of_a_shard_reaches_each_commit() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    let token = CancelToken::default();
    let monitor = Monitor::default().cancel(token.clone());
    let options = options().shard(Some(shard(1, 2)));
    let reached = tokio::sync::Notify::new();
    let observe = |event: Result<&MirrorReport, &StoreError>| {
        event.unwrap();
        reached.notify_one();
    };
    let place = Place::Directory(copy.clone());
    let interval = std::time::Duration::from_millis(1);
    let follow = sst_object_store::follow(&store, &place, &options, interval, &monitor, observe);
    let steps = async {
        for seed in 2..=4 {
            reached.notified().await;
            check_shard(&copy, &entries(&db), shard(1, 2));
            commit(&db, seed, seed == 3);
            push(&db, &store).await.unwrap();
        }
        reached.notified().await;
        token.cancel();
    };
    let (end, ()) = tokio::join!(follow, steps);
    assert!(matches!(end, StoreError::Cancelled));
    check_shard(&copy, &entries(&db), shard(1, 2));
}

/// The meta files of a shard say which blobs belong to which table, as those of the source do.
#[tokio::test]
async fn a_shard_tells_the_blobs_of_each_table() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("copy"), memory());
    commit(&db, 1, false);
    push(&db, &store).await.unwrap();
    pull_shard(&store, &copy, shard(0, 1)).await.unwrap();
    for directory in [&db, &copy] {
        let bytes = fs::read(directory.join("00000004.meta")).unwrap();
        let meta = MetaFile::parse(&bytes, crc32fast::hash).unwrap();
        let head = meta.protection().unwrap();
        let counts: Vec<u32> = head.head().unwrap().blob_counts().unwrap().collect();
        assert_eq!(counts, [1, 1], "{}", directory.display());
        assert_eq!(head.blobs().count(), 2);
    }
}

/// Lists of meta files before version 3 state no families. A shard states those of the meta files.
#[tokio::test]
async fn a_shard_of_a_commit_of_an_older_build_lists_its_family() {
    let scratch = Scratch::new();
    let (db, copy, store) = (scratch.path("db"), scratch.path("shard"), memory());
    let mut publisher = Publisher::open(&db, PublisherOptions::default()).unwrap();
    let mut commit = publisher.begin_family(5);
    let mut keys: Vec<_> = (0..100u8).map(|i| [i]).collect();
    keys.sort_unstable_by_key(|key| hash_key(key));
    let mut writer = commit.create_table(WriterOptions::default()).unwrap();
    for key in &keys {
        writer.add((key, EntryValue::Inline(&key[..]))).unwrap();
    }
    commit.add_table(writer.finish().unwrap()).unwrap();
    let sequence = commit.publish(&Monitor::default()).unwrap().commit;
    drop(publisher);
    let path = db.join(FileName { sequence, kind: FileKind::Meta }.to_string());
    let bytes = fs::read(&path).unwrap();
    let described = MetaFile::parse(&bytes, crc32fast::hash).unwrap().described().unwrap();
    let described = described.iter();
    let tables = described.map(|it| (it.record.sequence, it.description(&bytes).unwrap()));
    let parts = MetaFileParts {
        family: 5,
        obsolete: &[],
        tables: &tables.collect::<Vec<_>>(),
        live_metas: &[LiveMeta { sequence, checksum: 0 }],
        blobs: &[],
        certificates: &[],
    };
    fs::write(&path, parts.encode(crc32fast::hash).unwrap().0).unwrap();
    push(&db, &store).await.unwrap();
    pull_shard(&store, &copy, shard(0, 2)).await.unwrap();
    let options = ReaderOptions::default();
    let report = verify_directory(&copy, &options, &Monitor::default()).unwrap();
    assert!(report.is_intact(), "{:?}", report.damage);
    let set = SstSet::open_range(&copy, 5, 0..=u64::MAX / 2, &options).unwrap();
    let own = keys.iter().filter(|key| hash_key(&key[..]) <= u64::MAX / 2).count();
    assert!(own > 20 && set.iter().count() == own);
}
