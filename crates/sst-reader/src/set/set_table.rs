//! One table of a set: described from the start, opened when it is first needed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwapOption, Guard};
use sst_format::SequenceNumber;
use sst_format::filter::{Filter, FilterPolicy};

use super::open_files::OpenFiles;
use super::statistics::Tally;
use super::{Catalog, CatalogTable};
use crate::block::clock::Closable;
use crate::{Lookup, ReadError, ReaderOptions, StaticSortedFile};

/// The parts that opening a table needs.
#[derive(Clone, Copy)]
pub(super) struct Opening<'s> {
    pub(super) catalog: &'s Catalog,
    pub(super) options: &'s ReaderOptions,
    /// The bound on the number of open tables, if there is one.
    pub(super) open_files: Option<&'s OpenFiles>,
}

/// A table of a set.
#[derive(Clone)]
pub(super) struct SetTable {
    /// As the commit of the set describes it. The meta file of an earlier description may be gone.
    described: Arc<CatalogTable>,
    opened: Arc<OpenedTable>,
}

/// The open parts of a table. The sets of all commits that have the table share them, whichever
/// meta files describe it.
pub(super) struct OpenedTable {
    /// Opened on first use: most tables that do not hold a key are never opened for it.
    filter: OnceLock<Option<Box<dyn Filter>>>,
    file: Slot,
}

/// The open file.
#[expect(
    clippy::large_enum_variant,
    reason = "a table that is kept open is found without one more pointer; the other kind is rare"
)]
enum Slot {
    /// Once open, open as long as any set holds the table: values borrow from it.
    Kept(OnceLock<StaticSortedFile>),
    /// May be closed at any time: values own their share of it.
    Bounded { file: ArcSwapOption<StaticSortedFile>, used: AtomicBool },
}

/// An open table, for as long as it is looked at.
pub(super) enum TableInUse<'s> {
    Kept(&'s StaticSortedFile),
    Shared(Arc<StaticSortedFile>),
}

impl SetTable {
    /// A table that is not open yet. `is_bounded`: whether it may be closed again.
    pub(super) fn new(described: &CatalogTable, is_bounded: bool) -> Self {
        let file = if is_bounded {
            Slot::Bounded { file: ArcSwapOption::empty(), used: AtomicBool::new(false) }
        } else {
            Slot::Kept(OnceLock::new())
        };
        let opened = OpenedTable { filter: OnceLock::new(), file };
        Self { described: Arc::new(described.clone()), opened: Arc::new(opened) }
    }

    /// The same table as a later commit describes it. Its open file and filter stay open.
    pub(super) fn described_by(&self, described: &CatalogTable) -> Self {
        Self { described: Arc::new(described.clone()), opened: Arc::clone(&self.opened) }
    }

    #[inline]
    pub(super) fn sequence(&self) -> SequenceNumber {
        self.described.sequence
    }

    pub(super) fn described(&self) -> &CatalogTable {
        &self.described
    }

    /// The open parts, which other sets share.
    pub(super) const fn opened(&self) -> &Arc<OpenedTable> {
        &self.opened
    }

    /// Its lowest and its highest hash.
    #[inline]
    pub(super) fn hashes(&self) -> (u64, u64) {
        (self.described.record.min_hash, self.described.record.max_hash)
    }

    /// Whether its file is open now.
    pub(super) fn is_open(&self) -> bool {
        match &self.opened.file {
            Slot::Kept(file) => file.get().is_some(),
            Slot::Bounded { file, .. } => file.load().is_some(),
        }
    }

    /// Whether its filter, if it has one, allows `hash`.
    #[inline]
    pub(super) fn may_contain(&self, hash: u64, opening: Opening<'_>) -> Result<bool, ReadError> {
        Ok(self.filter(opening)?.is_none_or(|filter| filter.may_contain(hash)))
    }

    /// Its filter, if it has one.
    #[inline]
    pub(super) fn filter(&self, opening: Opening<'_>) -> Result<Option<&dyn Filter>, ReadError> {
        let filter = match self.opened.filter.get() {
            Some(filter) => filter,
            None => self.open_filter(opening)?,
        };
        Ok(filter.as_deref())
    }

    /// The table, if it is open and stays so.
    #[inline]
    fn kept(&self) -> Option<&StaticSortedFile> {
        match &self.opened.file {
            Slot::Kept(file) => file.get(),
            Slot::Bounded { .. } => None,
        }
    }

    #[cold]
    pub(super) fn open_filter(
        &self,
        opening: Opening<'_>,
    ) -> Result<&Option<Box<dyn Filter>>, ReadError> {
        let has_filter = self.described.filter_len() > 0;
        let policy = opening.options.filter.as_ref().filter(|_| has_filter);
        let open = |policy: &Arc<dyn FilterPolicy>| {
            let bytes = self.described.filter()?;
            let opened = match self.described.is_protected() {
                // The filter has a checksum, or its meta file has, and it was right.
                true => policy.open_verified(bytes),
                false => policy.open(bytes),
            };
            opened.map_err(|error| {
                let label = crate::FileLabel::new(self.described.path(&opening.catalog.dir));
                ReadError::corrupt(&label, error)
            })
        };
        let filter = policy.map(open).transpose()?;
        Ok(self.opened.filter.get_or_init(|| filter))
    }

    /// Looks up a key of its range, filter first. The value borrows from a table that is kept open,
    /// and owns its share of one that may be closed.
    #[inline]
    pub(super) fn lookup(
        &self,
        hash: u64,
        key: &[u8],
        opening: Opening<'_>,
        tally: &mut Tally,
    ) -> Result<Lookup<'_>, ReadError> {
        let filter = self.filter(opening)?;
        if let Some(file) = self.kept() {
            return match file.lookup_through(filter, hash, key)? {
                Some(found) => {
                    tally.tables_asked += 1;
                    Ok(found)
                }
                None => {
                    tally.filter_skips += 1;
                    Ok(Lookup::NotFound)
                }
            };
        }
        if filter.is_some_and(|filter| !filter.may_contain(hash)) {
            tally.filter_skips += 1;
            return Ok(Lookup::NotFound);
        }
        tally.tables_asked += 1;
        match self.open(opening, tally)? {
            TableInUse::Kept(file) => file.lookup_unfiltered(hash, key),
            TableInUse::Shared(file) => file.lookup_unfiltered(hash, key).map(Lookup::into_owned),
        }
    }

    /// [`SetTable::lookup`], if that needs nothing that may wait. `None` means unknown.
    #[inline]
    pub(super) fn lookup_ready(
        &self,
        hash: u64,
        key: &[u8],
    ) -> Option<Result<Lookup<'_>, ReadError>> {
        let filter = self.opened.filter.get()?;
        self.kept()?.lookup_ready(filter.as_deref(), hash, key)
    }

    /// The open table.
    pub(super) fn open(
        &self,
        opening: Opening<'_>,
        tally: &mut Tally,
    ) -> Result<TableInUse<'_>, ReadError> {
        match &self.opened.file {
            Slot::Kept(file) => match file.get() {
                Some(file) => Ok(TableInUse::Kept(file)),
                None => self.open_kept(file, opening, tally).map(TableInUse::Kept),
            },
            Slot::Bounded { file, used } => match Guard::into_inner(file.load()) {
                Some(file) => {
                    mark(used);
                    Ok(TableInUse::Shared(file))
                }
                None => self.open_bounded(file, used, opening, tally).map(TableInUse::Shared),
            },
        }
    }

    #[cold]
    fn open_kept<'s>(
        &self,
        file: &'s OnceLock<StaticSortedFile>,
        opening: Opening<'_>,
        tally: &mut Tally,
    ) -> Result<&'s StaticSortedFile, ReadError> {
        let opened = self.open_file(opening)?;
        tally.tables_opened += 1;
        // Where two threads open it at once, the first one's stays.
        Ok(file.get_or_init(|| opened))
    }

    #[cold]
    fn open_bounded(
        &self,
        file: &ArcSwapOption<StaticSortedFile>,
        used: &AtomicBool,
        opening: Opening<'_>,
        tally: &mut Tally,
    ) -> Result<Arc<StaticSortedFile>, ReadError> {
        let opened = Arc::new(self.open_file(opening)?);
        tally.tables_opened += 1;
        mark(used);
        let before = file.compare_and_swap(std::ptr::null(), Some(Arc::clone(&opened)));
        if let Some(theirs) = Guard::into_inner(before) {
            return Ok(theirs);
        }
        if let Some(open_files) = opening.open_files {
            tally.tables_closed += open_files.opened(&self.opened);
        }
        Ok(opened)
    }

    fn open_file(&self, opening: Opening<'_>) -> Result<StaticSortedFile, ReadError> {
        let Opening { catalog, options, .. } = opening;
        // The filter is opened, and asked, by itself.
        let meta = self.described.meta_without_filter()?;
        crate::telemetry::opening_table(&catalog.dir, self.sequence());
        let path = self.described.path(&catalog.dir);
        catalog.opened(StaticSortedFile::open(path, &meta, options))
    }
}

impl OpenedTable {
    /// Its filter, or that it has none; `None` if it was not opened yet.
    pub(super) fn filter(&self) -> Option<Option<&dyn Filter>> {
        self.filter.get().map(Option::as_deref)
    }
}

impl Closable for OpenedTable {
    fn clear_use(&self) -> bool {
        match &self.file {
            // A table that is kept open is in use for as long as it is open.
            Slot::Kept(_) => true,
            Slot::Bounded { used, .. } => used.swap(false, Ordering::Relaxed),
        }
    }

    fn close(&self) -> bool {
        match &self.file {
            Slot::Kept(_) => false,
            Slot::Bounded { file, .. } => file.swap(None).is_some(),
        }
    }
}

/// Marks a table as used. Only the first use after the hand of the clock came by writes: the mark
/// is a hint, and nothing else is published through it.
#[inline]
fn mark(used: &AtomicBool) {
    if !used.load(Ordering::Relaxed) {
        used.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl SetTable {
    /// A table without a file.
    pub(super) fn stub(sequence: u32, (min_hash, max_hash): (u64, u64)) -> Self {
        Self::new(&CatalogTable::stub(sequence, min_hash, max_hash), false)
    }
}
