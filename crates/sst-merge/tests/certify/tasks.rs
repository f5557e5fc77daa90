//! Tasks read back what they have written, and a driver certifies their commit without reading it.

use std::path::Path;

use sst_format::content_digest::ContentDigest;
use sst_merge::{MergeError, Monitor, certify_task};
use sst_reader::{ReaderOptions, SstSet};
use sst_writer::publish::{FragmentOverlap, JobId, TaskOptions, TaskReport, TaskWriter};
use sst_writer::table::hash_key;
use sst_writer::{EntryValue, Publisher, PublisherOptions, WriterOptions};

/// Rows 0 to 99 of one of `parts` ranges of hashes, a tenth of them in blobs, in two tables.
fn write(directory: &Path, part: u64, parts: u64) -> TaskReport {
    let options = TaskOptions::new(JobId(5)).digest(true);
    let mut task = TaskWriter::open(directory, options).unwrap();
    let of = |hash: u64| (u128::from(hash) * u128::from(parts)) >> 64 == u128::from(part);
    let mut rows: Vec<_> = (0..100).map(|i| format!("key {i}")).collect();
    rows.retain(|key| of(hash_key(key.as_bytes())));
    rows.sort_by_key(|key| hash_key(key.as_bytes()));
    for rows in rows.chunks(rows.len().div_ceil(2)) {
        let mut table = task.create_table(WriterOptions::default()).unwrap();
        for key in rows {
            if key.ends_with('7') {
                let blob = task.create_blob(value(key)).unwrap();
                table.add((key.as_str(), EntryValue::Blob(blob))).unwrap();
            } else {
                table.add((key.as_str(), value(key).as_slice())).unwrap();
            }
        }
        task.add_table(table.finish().unwrap()).unwrap();
    }
    task.finish().unwrap()
}

fn value(key: &str) -> Vec<u8> {
    key.repeat(100).into_bytes()
}

fn certificate(directory: &Path) -> ContentDigest {
    let set = SstSet::open(directory, &ReaderOptions::default()).unwrap();
    let stated = set.certificate().unwrap();
    let monitor = Monitor::default();
    assert_eq!(set.content_digest(&monitor).unwrap(), stated);
    // Many machines can read one set.
    let mut sum = ContentDigest::default();
    for (min, max) in [(0, 1 << 62), ((1 << 62) + 1, u64::MAX - 1), (u64::MAX, u64::MAX)] {
        sum.combine(&set.content_digest_of(min..=max, &monitor).unwrap());
    }
    assert_eq!(sum, stated);
    for i in 0..100 {
        let key = format!("key {i}");
        let found = set.get(key.as_bytes()).unwrap();
        assert_eq!(found.unwrap().as_ref(), value(&key).as_slice(), "{key}");
    }
    stated
}

#[test]
fn a_commit_has_the_certificate_that_its_tasks_add_up_to() {
    let monitor = Monitor::default();
    let mut certificates = Vec::new();
    for parts in [1, 3] {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let reports: Vec<_> = (0..parts)
            .map(|part| {
                let mut report = write(directory, part, parts);
                certify_task(directory, &mut report, &monitor).unwrap();
                TaskReport::from_bytes(&report.to_bytes().unwrap()).unwrap()
            })
            .collect();
        let mut publisher = Publisher::open(directory, PublisherOptions::default()).unwrap();
        let mut commit = publisher.begin();
        commit.replace_all();
        for report in &reports {
            commit.add_task(report, FragmentOverlap::Refuse).unwrap();
        }
        let mut prepared = commit.prepare().unwrap();
        assert!(prepared.certify_tasks());
        prepared.publish(&monitor).unwrap();
        certificates.push(certificate(directory));
        // On top of it the digests say nothing: entries may hide each other.
        let mut report = write(directory, 0, 1);
        certify_task(directory, &mut report, &monitor).unwrap();
        let mut commit = publisher.begin();
        commit.add_task(&report, FragmentOverlap::Refuse).unwrap();
        assert!(!commit.prepare().unwrap().certify_tasks());
    }
    assert_eq!(certificates[0], certificates[1]);
}

#[test]
fn a_task_finds_that_the_device_does_not_hold_what_it_wrote() {
    let monitor = Monitor::default();
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut report = write(directory, 0, 1);
    let other = write(directory, 0, 2);
    // Another table, whole and with every checksum right.
    let name =
        |report: &TaskReport| directory.join(format!("{:08}.sst", report.tables[1].sequence.0));
    std::fs::copy(name(&other), name(&report)).unwrap();
    report.tables[1].meta = other.tables[1].meta.clone();
    report.blobs.extend(&other.blobs);
    let error = certify_task(directory, &mut report, &monitor);
    assert!(matches!(error, Err(MergeError::Content { .. })), "{error:?}");
    assert_eq!(report.content, None);
    // The digests are not part of the bytes.
    let mut sent = TaskReport::from_bytes(&other.to_bytes().unwrap()).unwrap();
    let error = certify_task(directory, &mut sent, &monitor);
    assert!(matches!(error, Err(MergeError::NoDigests)), "{error:?}");
}
