//! The requirements of the original's readers, beyond intact files (FORMAT.md, "Requirements of
//! the original's readers").

use std::collections::BTreeSet;

use sst_amqf::EarlierEncoding;
use sst_format::SequenceNumber;
use sst_format::file_name::{CURRENT_FILE_NAME, FileKind, FileName};
use sst_format::live::live_tables;
use sst_reader::{Catalog, CatalogTable, Meter, Monitor, Phase, Progress};

use super::present_files::PresentFiles;
use crate::error::CliError;
use crate::notation::Bytes;
use crate::store::reader_options;

/// Number of families that Turbopack uses.
const FAMILIES: u32 = 4;
/// The family in which a key may have several values.
const MULTI_VALUE_FAMILY: u32 = 3;
/// The log file that Turbopack writes.
const LOG_FILE_NAME: &str = "LOG";
/// Number of bytes of a key that are shown.
const SHOWN_KEY_LEN: usize = 32;

/// Reasons why Turbopack of Next.js 16.3.0 would not read a directory correctly, one line each;
/// empty if it would. Time: O(bytes of all key blocks).
pub(super) fn objections(catalog: &Catalog, monitor: &Monitor) -> Result<Vec<String>, CliError> {
    let present = PresentFiles::list(&catalog.dir, catalog.commit)?;
    let mut objections = unknown_files(&present);
    objections.extend(other_live_tables(catalog, &present));
    let mut meter = Meter::new(monitor, Progress::new(Phase::Verify));
    for table in catalog.tables.iter().rev() {
        let name = FileName { sequence: table.sequence, kind: FileKind::Sst };
        let reasons = [family(table), filter(table)?, several_values(catalog, table, &mut meter)?];
        objections.extend(reasons.into_iter().flatten().map(|reason| format!("{name}: {reason}")));
    }
    Ok(objections)
}

/// Turbopack refuses a directory with a file whose name it does not know. It ignores names that
/// start with a dot.
fn unknown_files(present: &PresentFiles) -> Vec<String> {
    let is_known = |name: &str| {
        [CURRENT_FILE_NAME, LOG_FILE_NAME].contains(&name)
            || name.starts_with('.')
            || FileName::parse(name).is_some()
    };
    let unknown = present.names.iter().filter(|name| !is_known(name));
    unknown
        .map(|name| format!("{name}: unknown file: Turbopack then opens nothing in the directory"))
        .collect()
}

/// Turbopack does not know our list of live meta files. For it, all meta files up to `CURRENT` are
/// live except those that a `.del` file lists.
fn other_live_tables(catalog: &Catalog, present: &PresentFiles) -> Vec<String> {
    let mut metas = present.metas.clone();
    metas.retain(|meta| !present.deleted.contains(&meta.sequence));
    let for_it: BTreeSet<SequenceNumber> =
        live_tables(&metas).iter().map(|live| live.sequence).collect();
    let for_us: BTreeSet<SequenceNumber> =
        catalog.tables.iter().map(|table| table.sequence).collect();
    let line = |(table, what): (&SequenceNumber, &str)| {
        format!("{}: {what}", FileName { sequence: *table, kind: FileKind::Sst })
    };
    let more = for_it.difference(&for_us).map(|table| (table, "live for Turbopack only"));
    let less = for_us.difference(&for_it).map(|table| (table, "live, but not for Turbopack"));
    more.chain(less).map(line).collect()
}

fn family(table: &CatalogTable) -> Option<String> {
    let family = table.family;
    (family >= FAMILIES)
        .then(|| format!("in family {family}; Turbopack has families 0 to {}", FAMILIES - 1))
}

/// Turbopack cannot open a table without a filter.
fn filter(table: &CatalogTable) -> Result<Option<String>, CliError> {
    let filter = table.filter()?;
    Ok(match (filter.as_slice(), EarlierEncoding::of(filter.as_slice())) {
        ([], _) => Some("has no filter: `sst merge --in-place` writes one".to_owned()),
        (_, Some(encoding)) => {
            Some(format!("its filter is of {}: `sst merge` writes another", encoding.releases()))
        }
        (_, None) => None,
    })
}

/// Turbopack loops forever if a key has several values in a family where it expects one.
fn several_values(
    catalog: &Catalog,
    table: &CatalogTable,
    meter: &mut Meter,
) -> Result<Option<String>, CliError> {
    if table.family == MULTI_VALUE_FAMILY {
        return Ok(None);
    }
    let file = catalog.open_table(table, &reader_options())?;
    let mut last: Option<Vec<u8>> = None;
    let mut entries = 0;
    let mut cursor = file.cursor();
    while let Some(entry) = cursor.next()? {
        entries += 1;
        meter.at(entries, 0).map_err(sst_merge::MergeError::from)?;
        match &mut last {
            Some(last) if last == entry.key => {
                let shown = entry.key.get(..SHOWN_KEY_LEN).unwrap_or(entry.key);
                let shown = Bytes::escaped(shown);
                return Ok(Some(format!(
                    "several values of one key, `{shown}`, in family {}, where Turbopack expects one",
                    table.family
                )));
            }
            Some(last) => {
                last.clear();
                last.extend_from_slice(entry.key);
            }
            None => last = Some(entry.key.to_vec()),
        }
    }
    Ok(None)
}
