//! Hostile directories: `CURRENT`, meta files and blobs with false contents and correct checksums.

use std::fs;
use std::path::Path;

use byteorder::{BigEndian, ByteOrder};
use sst_conformance::{TestEntry, TestValue};
use sst_format::block::{BlockHeader, Encoding};
use sst_format::current::Current;
use sst_format::meta_file::MetaFile;
use sst_format::{FormatError, SequenceNumber};
use sst_reader::{Catalog, Corruption, ReadError, ReaderOptions, SstSet, verify_directory};

use sst_torture::allocations::{peak_of, read_limit};
use sst_torture::model::database::{Changes, Database, Expected};
use sst_torture::model::meta_bytes::{LISTED_META_LEN, MetaLayout, repair};
use sst_torture::model::outcome::Outcome;
use sst_torture::model::{corpus, files, inline, numbered, reader_options, sorted, without_panic};

/// The end of the filter area according to a meta file's own counts.
fn filters_end(meta: &[u8]) -> usize {
    MetaLayout::of(meta).filters.end
}

/// Reads a directory in every way and verifies it. Checks that this does not panic and stays within
/// the memory limit. Returns the outcome of opening and reading, and whether verification finds it
/// intact.
fn read_all(
    dir: &Path,
    expected: &Expected,
    options: &ReaderOptions,
    what: &str,
) -> (Result<Outcome, ReadError>, bool) {
    let size: u64 = files(dir).iter().map(|path| path.metadata().unwrap().len()).sum();
    let (reads, peak) = peak_of(|| {
        without_panic(|| {
            let outcome = SstSet::open(dir, options).map(|set| expected.judge(&set));
            (outcome, verify_directory(dir, options, &sst_reader::Monitor::default()))
        })
    });
    let Some((outcome, report)) = reads else { panic!("{what}: panic") };
    let damage = report.as_ref().map_or(&[][..], |report| &report.damage);
    let read_error = outcome.as_ref().map_or_else(Some, |outcome| outcome.error.as_ref());
    for error in read_error.into_iter().chain(damage) {
        assert!(error.is_corruption() || error.is_unknown_version(), "{what}: {error}");
    }
    assert!(peak <= read_limit(size), "{what}: {peak} bytes for a directory of {size}");
    let is_intact = report.is_ok_and(|report| report.is_intact());
    (outcome, is_intact)
}

fn cause(error: &ReadError) -> &Corruption {
    match error {
        ReadError::Corrupt { cause, .. } => cause,
        error => panic!("{error}"),
    }
}

#[test]
fn a_meta_file_that_lists_another_over_and_over() {
    // The older meta file has filters of some KB. Listed 1,000 times, it would take MB to keep.
    let mut database = Database::new();
    database.commit(Changes::table(numbered(3000, |_| inline(1))));
    database.commit(Changes::table(numbered(1, |_| inline(2))));
    let (dir, expected, options) = (database.dir(), database.expected(), reader_options());
    let path = dir.join("00000004.meta");
    let mut meta = fs::read(&path).unwrap();
    let (list, core) = {
        let parsed = MetaFile::parse(&meta, crc32fast::hash).unwrap();
        let list = parsed.protection().unwrap().head().unwrap().live_metas().range();
        (usize::try_from(list.start).unwrap(), usize::try_from(list.end).unwrap())
    };
    let count = core + 12;
    assert_eq!(meta[count..count + 4], [0, 0, 0, 2]);
    BigEndian::write_u32(&mut meta[count..], 1001);
    let record: Vec<u8> = meta[list..list + LISTED_META_LEN].repeat(999);
    meta.splice(list..list, record);
    repair(&mut meta);
    fs::write(&path, &meta).unwrap();
    let error = read_all(dir, &expected, &options, "listed over and over").0.unwrap_err();
    assert!(matches!(cause(&error), Corruption::Format(FormatError::OutOfOrder { .. })), "{error}");
}

/// Turns a directory of one commit into the form that the original writes: without protection.
fn unprotect(dir: &Path, meta: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(dir.join(meta)).unwrap();
    bytes.truncate(filters_end(&bytes));
    change(&mut bytes);
    fs::write(dir.join(meta), &bytes).unwrap();
    let current = fs::read(dir.join("CURRENT")).unwrap();
    fs::write(dir.join("CURRENT"), &current[..4]).unwrap();
}

#[test]
fn a_table_that_is_described_over_and_over() {
    // A table of many small blocks. Each opened copy keeps 4 bytes per block for the offset.
    let database = Database::of_table(numbered(2000, |_| TestValue::Medium(vec![])));
    let (dir, expected, options) = (database.dir(), database.expected(), reader_options());
    unprotect(dir, "00000002.meta", |meta| {
        assert_eq!(meta[8..16], [0, 0, 0, 0, 0, 0, 0, 1]);
        BigEndian::write_u32(&mut meta[12..], 3000);
        // Remove the filters, so that all records are equal.
        let mut record = meta[16..54].to_vec();
        record[34..].fill(0);
        meta.truncate(16);
        meta.extend(record.repeat(3000));
        meta.extend([0; 4]);
    });
    let (outcome, is_intact) = read_all(dir, &expected, &options, "described over and over");
    assert!(outcome.unwrap().is_right() && is_intact);
    assert_eq!(Catalog::read(dir).unwrap().tables.len(), 1);
}

#[test]
fn a_current_that_lies() {
    let database = corpus::history();
    let (dir, expected, options) = (database.dir(), database.expected(), reader_options());
    let sequence = Catalog::read(dir).unwrap().commit.0;
    for lie in [0, 1, sequence - 1, sequence + 1, u32::MAX] {
        let bytes = Current::encode(SequenceNumber(lie), crc32fast::hash);
        fs::write(dir.join("CURRENT"), bytes).unwrap();
        let error = read_all(dir, &expected, &options, "CURRENT").0.unwrap_err();
        assert_eq!(*cause(&error), Corruption::Missing, "{lie}");
        // Without a checksum, `CURRENT` may only name a commit of the original.
        fs::write(dir.join("CURRENT"), &bytes[..4]).unwrap();
        read_all(dir, &expected, &options, "short CURRENT").0.ok();
    }
    fs::write(dir.join("CURRENT"), sequence.to_be_bytes()).unwrap();
    let error = read_all(dir, &expected, &options, "CURRENT without its checksum").0.unwrap_err();
    assert!(matches!(cause(&error), Corruption::ProtectionMismatch { .. }), "{error}");
}

#[test]
fn a_meta_file_that_belongs_elsewhere() {
    let database = corpus::history();
    let (dir, expected, options) = (database.dir(), database.expected(), reader_options());
    let sequence = Catalog::read(dir).unwrap().commit.0;
    // The newest meta file under the next number. The file itself states that it belongs to another
    // commit.
    let (this, next) = (format!("{sequence:08}.meta"), format!("{:08}.meta", sequence + 1));
    fs::copy(dir.join(this), dir.join(next)).unwrap();
    let current = Current::encode(SequenceNumber(sequence + 1), crc32fast::hash);
    fs::write(dir.join("CURRENT"), current).unwrap();
    let error = read_all(dir, &expected, &options, "renamed").0.unwrap_err();
    let commit = SequenceNumber(sequence);
    let expected = Corruption::Format(FormatError::WrongPart { commit });
    assert_eq!(*cause(&error), expected);
}

#[test]
fn blobs_that_lie() {
    let mut database = Database::new();
    database.commit(Changes {
        tables: vec![sorted(vec![TestEntry::new("blob", TestValue::Blob(0))])],
        blobs: vec![vec![7; 5000]],
        ..Changes::default()
    });
    let (dir, expected, options) = (database.dir(), database.expected(), reader_options());
    unprotect(dir, "00000003.meta", |_| {});
    assert!(read_all(dir, &expected, &options, "no lie").0.unwrap().is_right());
    let path = dir.join("00000001.blob");
    let original = fs::read(&path).unwrap();
    let (header, stored) = BlockHeader::parse(&original).unwrap();
    assert_eq!(header.encoding, Encoding::Lz4 { uncompressed_len: 5000 });
    let most = u32::try_from(stored.len()).unwrap() * 255;
    for (size, is_possible) in
        [(4999, true), (5001, true), (1, true), (most, true), (most + 1, false), (u32::MAX, false)]
    {
        let encoding = Encoding::Lz4 { uncompressed_len: size };
        let lie = BlockHeader { encoding, ..header };
        fs::write(&path, [&lie.to_bytes()[..], stored].concat()).unwrap();
        let what = format!("blob of {size} bytes");
        let (outcome, is_intact) = read_all(dir, &expected, &options, &what);
        let error = outcome.unwrap().error.unwrap();
        match cause(&error) {
            Corruption::Decompression { .. } => assert!(is_possible, "{what}"),
            Corruption::Format(FormatError::ImpossibleRatio { .. }) => assert!(!is_possible),
            other => panic!("{what}: {other}"),
        }
        assert!(!is_intact);
    }
    for len in 0..8 {
        fs::write(&path, &original[..len]).unwrap();
        let error = read_all(dir, &expected, &options, "short blob").0.unwrap().error.unwrap();
        assert!(matches!(cause(&error), Corruption::Format(FormatError::TooShort { .. })));
    }
}

#[test]
fn lists_of_deleted_files_that_lie() {
    let database = Database::of_table(numbered(3, |_| inline(1)));
    let (dir, expected, options) = (database.dir(), database.expected(), reader_options());
    unprotect(dir, "00000002.meta", |_| {});
    let path = dir.join("00000001.del");
    for len in [1, 2, 3, 5, 4001] {
        fs::write(&path, vec![0; len]).unwrap();
        let error = read_all(dir, &expected, &options, "odd length").0.unwrap_err();
        let is_cut = matches!(cause(&error), Corruption::Format(FormatError::WrongLen { .. }));
        assert!(is_cut, "{error}");
    }
    // A `.del` file that names files which do not exist changes nothing.
    fs::write(&path, 99_u32.to_be_bytes().repeat(1000)).unwrap();
    assert!(read_all(dir, &expected, &options, "other files").0.unwrap().is_right());
    // A `.del` file that names the meta file makes its tables obsolete.
    fs::write(&path, 2_u32.to_be_bytes()).unwrap();
    assert!(Catalog::read(dir).unwrap().tables.is_empty());
}

#[test]
fn counts_of_meta_files_that_lie() {
    let database = Database::of_table(numbered(3, |_| inline(1)));
    let (dir, expected, options) = (database.dir(), database.expected(), reader_options());
    let path = dir.join("00000002.meta");
    let original = fs::read(&path).unwrap();
    assert!(MetaFile::parse(&original, crc32fast::hash).unwrap().protection().is_some());
    let head = MetaFile::parse(&original, crc32fast::hash).unwrap();
    let core = head.protection().unwrap().head().unwrap().live_metas().range().end;
    let core = usize::try_from(core).unwrap();
    // Positions of counts: obsolete tables, tables, blocks, end of a filter; in the core: meta
    // files, blobs; after the core's one table record: certificates, bytes of the extension.
    for at in [8, 12, 18, 50, 54, core + 12, core + 20, core + 48, core + 52] {
        for count in [0x7f_u32, 0xffff, 0x7fff_ffff, u32::MAX] {
            let mut meta = original.clone();
            BigEndian::write_u32(&mut meta[at..], count);
            repair(&mut meta);
            fs::write(&path, &meta).unwrap();
            let what = format!("{count} at byte {at}");
            let error = read_all(dir, &expected, &options, &what).0.unwrap_err();
            assert!(matches!(cause(&error), Corruption::Format(_)), "{what}: {error}");
        }
    }
}
