//! Directories: commits, their chain of checksums, certificates, verification, unprotected ones.

use std::fs;

use sst_format::file_name::FileKind;
use sst_reader::{
    Access, CancelToken, Catalog, Corruption, Monitor, ReadError, ReaderOptions, SstSet,
    verify_directory,
};

use crate::support::{Commit, Directory, Table, certificate, numbered, small};

fn three_commits() -> Directory {
    let mut directory = Directory::new();
    directory.blob(1, b"a value in a file of its own");
    for range in [0..200, 100..300, 50..60] {
        let table = Table::new(&numbered(range.clone(), |i| small(&format!("{i} of {range:?}"))));
        directory.commit(Commit { tables: &[table], ..Commit::default() });
    }
    directory
}

#[test]
fn a_catalog_tells_of_a_commit_without_its_tables() {
    let directory = three_commits();
    for table in [2, 4, 6] {
        fs::remove_file(directory.file(table, FileKind::Sst)).unwrap();
    }
    for access in [Access::Map, Access::Read] {
        let catalog =
            Catalog::read_with(directory.path(), &ReaderOptions::default().access(access)).unwrap();
        assert!(catalog.is_protected);
        assert_eq!(catalog.commit.0, 7);
        assert_eq!(catalog.meta_files.iter().map(|meta| meta.0).collect::<Vec<_>>(), [7, 5, 3]);
        let tables: Vec<_> =
            catalog.tables.iter().map(|t| (t.sequence.0, t.entry_count())).collect();
        assert_eq!(tables, [(6, Some(10)), (4, Some(200)), (2, Some(200))]);
        assert_eq!(catalog.blobs().unwrap().len(), 1);
        assert_eq!(catalog.certificate(0), None);
    }
}

#[test]
fn every_file_of_an_intact_directory_is_verified() {
    let directory = three_commits();
    let report =
        verify_directory(directory.path(), &ReaderOptions::default(), &Monitor::default()).unwrap();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.tables, report.entries, report.blobs), (3, 410, 1));
}

#[test]
fn damage_of_any_file_is_found_by_verification() {
    let files = [
        (1, FileKind::Blob),
        (2, FileKind::Sst),
        (3, FileKind::Meta),
        (4, FileKind::Sst),
        (7, FileKind::Meta),
    ];
    for (number, kind) in files {
        let directory = three_commits();
        directory.damage(number, kind, 20);
        let options = ReaderOptions::default();
        let report = verify_directory(directory.path(), &options, &Monitor::default()).unwrap();
        let damaged = directory.file(number, kind);
        let names_it = |error: &ReadError| error.is_corruption() && error.file().path() == damaged;
        assert!(report.damage.iter().any(names_it), "{number} {kind:?}: {report:?}");
    }
}

#[test]
fn a_cancelled_verification_says_so() {
    let directory = three_commits();
    let token = CancelToken::default();
    token.cancel();
    let monitor = Monitor::default().cancel(token);
    let cancelled = verify_directory(directory.path(), &ReaderOptions::default(), &monitor);
    assert!(matches!(cancelled, Err(ReadError::Cancelled { .. })), "{cancelled:?}");
}

#[test]
fn a_damaged_head_of_the_chain_opens_nothing() {
    let options = ReaderOptions::default();
    let directory = three_commits();
    directory.damage(5, FileKind::Meta, 30);
    assert!(SstSet::open(directory.path(), &options).unwrap_err().is_corruption());

    // A meta file that is intact, but not the one that the newest commit lists.
    let directory = three_commits();
    let mut other = Directory::new();
    other.blob(1, b"so that the meta file has the same number");
    let table = Table::new(&numbered(0..5, |_| small("another commit")));
    other.commit(Commit { tables: &[table], ..Commit::default() });
    fs::copy(other.file(3, FileKind::Meta), directory.file(3, FileKind::Meta)).unwrap();
    let error = SstSet::open(directory.path(), &options).unwrap_err();
    assert!(
        matches!(error, ReadError::Corrupt { cause: Corruption::NotTheListedFile { .. }, .. }),
        "{error:?}"
    );

    // CURRENT without its checksum claims an unprotected directory.
    let directory = three_commits();
    fs::write(directory.path().join("CURRENT"), 7_u32.to_be_bytes()).unwrap();
    let error = SstSet::open(directory.path(), &options).unwrap_err();
    assert!(
        matches!(error, ReadError::Corrupt { cause: Corruption::ProtectionMismatch { .. }, .. }),
        "{error:?}"
    );

    let directory = three_commits();
    fs::remove_file(directory.file(3, FileKind::Meta)).unwrap();
    let error = SstSet::open(directory.path(), &options).unwrap_err();
    assert!(matches!(error, ReadError::Corrupt { cause: Corruption::Missing, .. }), "{error:?}");
}

#[test]
fn certificates_are_compared_with_the_live_entries() {
    let entries = numbered(0..100, |i| small(&i.to_string()));
    let other = numbered(0..100, |i| small(&(i / 99).to_string()));
    for (certified, is_right) in [(&entries, true), (&other, false)] {
        let mut directory = Directory::new();
        let certificates = [certificate(certified)];
        let tables = [Table::new(&entries)];
        let commit = Commit { tables: &tables, certificates: &certificates, ..Commit::default() };
        directory.commit(commit);
        let options = ReaderOptions::default();
        let set = SstSet::open(directory.path(), &options).unwrap();
        let monitor = Monitor::default();
        assert_eq!(set.certificate(), Some(certificates[0].content));
        assert_eq!(set.content_digest(&monitor).unwrap(), certificate(&entries).content);
        let verified = set.verify_certificate(&monitor).ok();
        assert_eq!(verified, is_right.then_some(Some(certificates[0].content)));
        let report = verify_directory(directory.path(), &options, &monitor).unwrap();
        assert_eq!((report.is_intact(), report.certificates), (is_right, u64::from(is_right)));
    }
}

#[test]
fn a_commit_without_protection_has_no_certificate_of_an_earlier_one() {
    let entries = numbered(0..50, |i| small(&i.to_string()));
    let mut directory = Directory::new();
    let certificates = [certificate(&entries)];
    let tables = [Table::new(&entries)];
    let commit = Commit { tables: &tables, certificates: &certificates, ..Commit::default() };
    directory.commit(commit);
    let certified = Catalog::read(directory.path()).unwrap();
    assert_eq!(certified.certificate(0), Some(certificates[0].content));
    // Another implementation makes commit 3, and has removed its meta file since.
    fs::write(directory.path().join("CURRENT"), 3_u32.to_be_bytes()).unwrap();
    let catalog = Catalog::read(directory.path()).unwrap();
    assert!(!catalog.is_protected && catalog.tables.len() == 1, "{catalog:?}");
    assert_eq!(catalog.certificate(0), None);
    let set = SstSet::open(directory.path(), &ReaderOptions::default()).unwrap();
    assert_eq!(set.verify_certificate(&Monitor::default()).unwrap(), None);
}

#[test]
fn a_table_is_described_by_its_directory_unless_that_is_missing_or_damaged() {
    let directory = Directory::of(&numbered(0..50, |_| small("a value")));
    let (table, current) = (directory.file(1, FileKind::Sst), directory.path().join("CURRENT"));
    let options = ReaderOptions::default();
    let around = || Catalog::around_table(&table, &options).map(|found| found.is_some());
    assert!(around().unwrap());
    assert!(Catalog::around_table(directory.file(2, FileKind::Sst), &options).unwrap().is_none());
    assert!(Catalog::around_table(directory.path().join("a.sst"), &options).unwrap().is_none());
    directory.damage(2, FileKind::Meta, 1);
    assert!(!around().unwrap());
    fs::remove_file(&current).unwrap();
    assert!(!around().unwrap());
    // The system cannot read it: it is unknown whether the table is protected.
    fs::create_dir(&current).unwrap();
    assert!(matches!(around(), Err(ReadError::Io { .. })), "{:?}", around());
}
