//! Oddities of a directory that are not damage.

use std::collections::{BTreeMap, BTreeSet};

use sst_amqf::EarlierEncoding;
use sst_format::file_name::{FileKind, FileName};
use sst_format::{BlobNumber, SequenceNumber};
use sst_reader::Catalog;

use super::present_files::PresentFiles;
use crate::error::CliError;
use crate::output::counted;
use crate::url;

/// Oddities of a directory, one line each. A protected directory needs only the checks of its
/// filters and of blobs that nothing lists: its chain of checksums covers everything else.
pub(super) fn notes(catalog: &Catalog) -> Result<Vec<String>, CliError> {
    let mut notes = filters(catalog);
    // Without a list, the other objects of a bucket are unknown.
    if url::is_url(&catalog.dir) {
        return Ok(notes);
    }
    if catalog.is_protected {
        notes.extend(listed_nowhere(catalog)?);
    } else {
        let present = PresentFiles::list(&catalog.dir, catalog.commit)?;
        let unread = present.unread.iter();
        notes.extend(unread.map(|file| format!("{file}: cannot be read, or is damaged")));
        // Without a `.del` file it is not known which meta files are live, and without a meta file
        // not which tables it names.
        if present.has_read_all(FileKind::Del) {
            notes.extend(described_twice(&present));
        }
        if present.has_read_all(FileKind::Meta) {
            notes.extend(described_nowhere(&present, catalog.commit));
        }
    }
    Ok(notes)
}

/// Filters in an earlier encoding, which lookups do not use.
fn filters(catalog: &Catalog) -> Vec<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for table in &catalog.tables {
        // A filter that cannot be read is damage, and is part of the report.
        let Ok(filter) = table.filter() else { continue };
        if let Some(encoding) = EarlierEncoding::of(filter.as_slice()) {
            *counts.entry(encoding.releases()).or_default() += 1;
        }
    }
    let line = |(releases, count): (&str, u64)| {
        let tables = counted(count, "table");
        format!("{tables} with filters of {releases}: they are not used, and lookups read more")
    };
    counts.into_iter().map(line).collect()
}

/// Tables that several live meta files describe. The newest description counts.
fn described_twice(present: &PresentFiles) -> Vec<String> {
    let mut by_table: BTreeMap<SequenceNumber, BTreeSet<SequenceNumber>> = BTreeMap::new();
    for meta in present.metas.iter().filter(|meta| !present.deleted.contains(&meta.sequence)) {
        for table in &meta.described {
            by_table.entry(*table).or_default().insert(meta.sequence);
        }
    }
    let several = by_table.into_iter().filter(|(_, metas)| metas.len() > 1);
    let line = |(table, metas): (SequenceNumber, BTreeSet<SequenceNumber>)| {
        let metas = metas.into_iter().map(|meta| name(meta, FileKind::Meta).to_string());
        let metas = metas.collect::<Vec<_>>().join(" and ");
        format!("{}: {metas} describe it; the newest counts", name(table, FileKind::Sst))
    };
    several.map(line).collect()
}

/// Tables with a number up to that of `CURRENT` that no meta file names.
fn described_nowhere(present: &PresentFiles, commit: SequenceNumber) -> Vec<String> {
    let mut named: BTreeSet<SequenceNumber> = BTreeSet::new();
    for meta in &present.metas {
        named.extend(meta.described.iter().chain(&meta.obsolete));
    }
    let tables = present.numbered().filter(|file| file.kind == FileKind::Sst);
    let unnamed = tables.filter(|file| file.sequence <= commit && !named.contains(&file.sequence));
    unnamed.map(|file| format!("{file}: no meta file names it")).collect()
}

/// Blobs with a number up to that of `CURRENT` that no meta file lists. A writer cannot tell whose
/// they are, and never removes them.
fn listed_nowhere(catalog: &Catalog) -> Result<Vec<String>, CliError> {
    // A list that cannot be read is damage, and is part of the report.
    let Ok(listed) = catalog.blobs() else { return Ok(Vec::new()) };
    let is_unlisted = |file: &FileName| {
        let number = BlobNumber(file.sequence.0);
        file.kind == FileKind::Blob
            && file.sequence <= catalog.commit
            && !listed.contains_key(&number)
    };
    let names = PresentFiles::names(&catalog.dir)?;
    if !names.numbered().any(|file| is_unlisted(&file)) {
        return Ok(Vec::new());
    }
    // Those of earlier commits, whose meta files are read whole.
    let present = PresentFiles::list(&catalog.dir, catalog.commit)?;
    if !present.has_read_all(FileKind::Meta) {
        return Ok(Vec::new());
    }
    let unlisted = present.numbered().filter(is_unlisted);
    let unlisted = unlisted.filter(|file| !present.blobs.contains(&BlobNumber(file.sequence.0)));
    Ok(unlisted
        .map(|file| format!("{file}: no meta file lists it, so it is never removed"))
        .collect())
}

fn name(sequence: SequenceNumber, kind: FileKind) -> FileName {
    FileName { sequence, kind }
}
