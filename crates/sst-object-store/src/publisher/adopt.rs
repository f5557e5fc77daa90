//! Adoption: tables of a directory that was written elsewhere become part of a commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sst_format::file_name::{FileKind, FileName};
use sst_format::filter::{FilterBytes, FilterPolicy};
use sst_format::identity::TableIdentity;
use sst_format::protection::BlobRecord;
use sst_format::value_ref::ValueRef;
use sst_format::{BlobNumber, SequenceNumber, SstMeta};
use sst_reader::{
    Access, BlockCache, Catalog, CatalogTable, ReadError, ReadValue, ReaderOptions,
    StaticSortedFile,
};
use sst_writer::{EntryValue, WriteError, WriterOptions};

use super::{AdoptOptions, FinishedObjectTable, ObjectCommit, ObjectTableWriter};
use crate::blocking::blocking;
use crate::commit::{CommitFile, Described};
use crate::upload::Upload;
use crate::{FileIdentity, Monitor, Place, RemoteCommit, Store, StoreError, StoreFiles};

/// Room for blocks, in bytes. Walks do not use the cache, only the opening of a table does.
const CACHE_CAPACITY: u64 = 1 << 20;
/// Hashes that a filter is given at a time.
const HASHES_AT_ONCE: usize = 1 << 10;

/// Sizes of a fragment that was adopted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdoptedFragment {
    /// Tables.
    pub tables: u64,
    /// Their entries, tombstones and entries hidden by newer ones included.
    pub entries: u64,
    /// Bytes of tables and blobs.
    pub bytes: u64,
    /// Blobs.
    pub blobs: u64,
    /// Tables that were written anew, since their blobs have other numbers here. The others are
    /// copies.
    pub rewritten: u64,
}

/// A fragment that is being adopted.
struct Fragment {
    store: Store,
    catalog: Arc<Catalog>,
    options: ReaderOptions,
    files: BTreeMap<FileName, (CommitFile, Described)>,
    /// Numbers here of the blobs that were copied, by their numbers in the fragment.
    copied: BTreeMap<BlobNumber, BlobNumber>,
}

impl Fragment {
    async fn open(place: &Place) -> Result<Self, StoreError> {
        let store = place.store()?;
        let commit = RemoteCommit::read(&store).await?;
        let commit =
            commit.ok_or_else(|| StoreError::NoCommit { place: store.name().to_owned() })?;
        let options =
            ReaderOptions::default().access(Access::Read).cache(BlockCache::new(CACHE_CAPACITY));
        let (dir, options) = match place {
            Place::Directory(directory) => (directory.clone(), options),
            Place::Bucket(store) => {
                (store.name().into(), options.files(Arc::new(StoreFiles::new(store))))
            }
        };
        let of = options.clone();
        let catalog = blocking(move || Ok(Catalog::read_with(dir, &of)?)).await?;
        if let Some(shard) = commit.shard() {
            let (place, index, count) = (store.name().to_owned(), shard.index, shard.count);
            return Err(StoreError::SourceIsShard { place, index, count });
        }
        if Some(commit.identity()) != catalog.identity() {
            return Err(StoreError::Changed { object: store.object("CURRENT") });
        }
        let (catalog, files) = (Arc::new(catalog), commit.keyed_files());
        Ok(Self { store, catalog, options, files, copied: BTreeMap::new() })
    }

    /// The blobs to which a table refers. Only tables of commits with blobs are read for it.
    async fn blobs_of(&self, table: &CatalogTable) -> Result<BTreeSet<BlobNumber>, StoreError> {
        let (catalog, options, table) =
            (Arc::clone(&self.catalog), self.options.clone(), table.clone());
        blocking(move || {
            let mut blobs = BTreeSet::new();
            if catalog.blobs()?.is_empty() {
                return Ok(blobs);
            }
            let file = catalog.open_table(&table, &options)?;
            let mut cursor = file.cursor();
            while let Some(entry) = cursor.next()? {
                if let ValueRef::Blob(number) = entry.value_ref()? {
                    blobs.insert(number);
                }
            }
            Ok(blobs)
        })
        .await
    }
}

impl Fragment {
    /// The identity of a table, which its commit lists.
    fn identity(&self, table: &CatalogTable) -> Result<TableIdentity, StoreError> {
        let name = FileName { sequence: table.sequence, kind: FileKind::Sst };
        match self.files.get(&name) {
            Some((CommitFile { identity: FileIdentity::Table(identity), .. }, _)) => Ok(*identity),
            _ => Err(StoreError::Internal("a commit lists the files of its tables")),
        }
    }

    /// Builds the filter of a table that has none.
    async fn build_filter(
        &self,
        table: &CatalogTable,
        policy: &Arc<dyn FilterPolicy>,
        monitor: &Monitor,
    ) -> Result<FilterBytes, StoreError> {
        let (catalog, options, table) =
            (Arc::clone(&self.catalog), self.options.clone(), table.clone());
        let (policy, monitor) = (Arc::clone(policy), monitor.clone());
        blocking(move || {
            let file = catalog.open_table(&table, &options)?;
            let mut builder = policy.builder();
            let mut hashes = Vec::with_capacity(HASHES_AT_ONCE);
            let mut cursor = file.cursor();
            while let Some(entry) = cursor.next()? {
                hashes.push(entry.hash);
                if hashes.len() == HASHES_AT_ONCE {
                    monitor.check()?;
                    builder.add_hashes(&hashes);
                    hashes.clear();
                }
            }
            builder.add_hashes(&hashes);
            Ok(FilterBytes::new(builder.finish().map_err(WriteError::from)?))
        })
        .await
    }
}

impl ObjectCommit<'_> {
    /// Adopts the live tables of this commit's family out of another place: a directory or bucket
    /// that a task of a job has written. They count as added after the tables before them, in their
    /// own order.
    ///
    /// Files are copied as they are, and every byte is checked on its way against the fragment's
    /// commit. Blobs get numbers of this bucket, so tables that refer to blobs are written anew.
    /// The fragment must not change meanwhile. `monitor` can cancel it between two pieces.
    /// O(bytes); memory as for a table that is written.
    ///
    /// The rules are those of `sst_merge::Gatherer`: a table is adopted once, fragments that share
    /// hashes are refused unless `options` allow it, and tables keep their filters.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoCommit`]; [`StoreError::NotAFragment`], [`StoreError::SourceIsShard`],
    /// [`StoreError::FragmentTwice`], [`StoreError::FragmentsOverlap`]; [`StoreError::Read`],
    /// [`StoreError::WrongChecksum`] and others if the fragment is damaged; as
    /// [`ObjectCommit::create_table`]. Drop the commit then.
    pub async fn adopt(
        &mut self,
        fragment: &Place,
        options: &AdoptOptions,
        monitor: &Monitor,
    ) -> Result<AdoptedFragment, StoreError> {
        let mut fragment = Fragment::open(fragment).await?;
        let mut adopted = AdoptedFragment::default();
        let catalog = Arc::clone(&fragment.catalog);
        let family = self.change.family();
        let of_family = catalog.tables.iter().filter(|table| table.family == family);
        let tables: Vec<_> = of_family.collect();
        let place = fragment.store.name();
        if tables.is_empty() && !catalog.tables.is_empty() {
            return Err(StoreError::NotAFragment { place: place.to_owned(), family });
        }
        let identities = tables.iter().map(|table| fragment.identity(table));
        let identities = identities.collect::<Result<Vec<_>, _>>()?;
        self.adopted.add(place, identities.into_iter(), options.overlap)?;
        // The catalog has the newest table first.
        for table in tables.into_iter().rev() {
            monitor.check()?;
            let blobs = fragment.blobs_of(table).await?;
            let mut described = table.meta()?;
            if let Some(policy) = &options.filter
                && described.filter.as_slice().is_empty()
            {
                described.filter = fragment.build_filter(table, policy, monitor).await?;
            }
            let protected = StoreError::Internal("a commit of a bucket is protected");
            adopted.entries += table.entry_count().ok_or(protected)?;
            adopted.tables += 1;
            let finished = match blobs.is_empty() {
                true => self.copy_table(&fragment, table, described, monitor).await?,
                false => {
                    for blob in blobs {
                        if !fragment.copied.contains_key(&blob) {
                            let copy = self.copy_blob(&fragment, blob, monitor).await?;
                            adopted.blobs += 1;
                            adopted.bytes += copy.file_size;
                            fragment.copied.insert(blob, copy.number);
                        }
                    }
                    adopted.rewritten += 1;
                    self.rewrite_table(&fragment, table, described).await?
                }
            };
            adopted.bytes += finished.meta.file_size;
            self.add_table(finished);
        }
        Ok(adopted)
    }

    /// Copies a table that refers to no blobs.
    async fn copy_table(
        &self,
        fragment: &Fragment,
        table: &CatalogTable,
        meta: SstMeta,
        monitor: &Monitor,
    ) -> Result<FinishedObjectTable, StoreError> {
        let from = FileName { sequence: table.sequence, kind: FileKind::Sst };
        let sequence = self.copy_file(fragment, from, monitor).await?;
        Ok(FinishedObjectTable { sequence, meta, blobs: Vec::new() })
    }

    async fn copy_blob(
        &mut self,
        fragment: &Fragment,
        number: BlobNumber,
        monitor: &Monitor,
    ) -> Result<BlobRecord, StoreError> {
        let listed = fragment.catalog.blob_record(number)?;
        let protected = StoreError::Internal("a commit of a bucket has records of its blobs");
        let listed = *listed.ok_or(protected)?;
        let from = FileName { sequence: SequenceNumber(number.0), kind: FileKind::Blob };
        let number = BlobNumber(self.copy_file(fragment, from, monitor).await?.0);
        let record = BlobRecord { number, ..listed };
        self.made_blobs.insert(number, record);
        Ok(record)
    }

    /// Copies a file under a number of this bucket, and checks each byte of it.
    async fn copy_file(
        &self,
        fragment: &Fragment,
        from: FileName,
        monitor: &Monitor,
    ) -> Result<SequenceNumber, StoreError> {
        let publisher = &*self.publisher;
        let listed = StoreError::Internal("a commit lists the files of its tables");
        let (file, described) = fragment.files.get(&from).ok_or(listed)?;
        let object = || fragment.store.object(&from.to_string());
        let mut check = described.check(file, &fragment.store).await?;
        let sequence = publisher.numbers.next(SequenceNumber(0)).await?;
        let name = FileName { sequence, kind: from.kind }.to_string();
        let piece_len = publisher.options.piece_len.max(1) as u64;
        let upload = Upload::start(&publisher.store, name, file.len <= piece_len).await?;
        let mut upload = upload.of_new_number();
        let mut start = 0;
        while start < file.len {
            let end = file.len.min(start + piece_len);
            let piece = async {
                monitor.check()?;
                let place = Arc::clone(&publisher.places).acquire_owned().await;
                let place =
                    place.map_err(|_| StoreError::Internal("places in memory stay open"))?;
                let from = from.to_string();
                let bytes = fragment.store.read_range(&from, start..end, file.len).await?;
                check.update(&bytes).map_err(|defect| defect.of(object()))?;
                Ok((bytes, place))
            };
            let (bytes, place) = match piece.await {
                Ok(piece) => piece,
                Err(error) => {
                    upload.abort().await;
                    return Err(error);
                }
            };
            upload = upload.write(bytes, place).await?;
            start = end;
        }
        if let Err(defect) = check.finish() {
            upload.abort().await;
            return Err(defect.of(object()));
        }
        upload.finish().await?;
        Ok(sequence)
    }

    /// Writes a table anew, with the numbers that its blobs have here.
    async fn rewrite_table(
        &self,
        fragment: &Fragment,
        table: &CatalogTable,
        meta: SstMeta,
    ) -> Result<FinishedObjectTable, StoreError> {
        let options = WriterOptions::default().multi_value(true).flags(meta.flags);
        let writer = self.create_table(options).await?;
        let (catalog, options) = (Arc::clone(&fragment.catalog), fragment.options.clone());
        let (table, copied) = (table.clone(), fragment.copied.clone());
        blocking(move || {
            let file = catalog.open_table(&table, &options)?;
            let mut finished = rewritten(&file, writer, &copied)?;
            // The keys are the same, so the filter is too.
            finished.meta.filter = meta.filter;
            Ok(finished)
        })
        .await
    }
}

/// Writes the entries of a table to another one, each in its class, with other numbers of blobs.
fn rewritten(
    file: &StaticSortedFile,
    mut writer: ObjectTableWriter,
    copied: &BTreeMap<BlobNumber, BlobNumber>,
) -> Result<FinishedObjectTable, StoreError> {
    let mut cursor = file.cursor();
    while let Some(entry) = cursor.next()? {
        let (key, class) = (entry.key, entry.value_ref()?);
        let found: Result<ReadValue<&[u8]>, ReadError> = entry.into_value();
        let value = match (class, found?) {
            (ValueRef::Small { .. }, ReadValue::Value(value)) => EntryValue::Small(value),
            (ValueRef::Medium(_), ReadValue::Value(value)) => EntryValue::Medium(value),
            (_, ReadValue::Value(value)) => EntryValue::Inline(value),
            (_, ReadValue::Deleted) => EntryValue::Deleted,
            (_, ReadValue::Blob(number)) => {
                let copy = copied.get(&number).copied();
                let copy =
                    copy.ok_or_else(|| StoreError::internal("the blobs of a table are copied"))?;
                EntryValue::Blob(copy)
            }
        };
        writer.add((key, value))?;
    }
    writer.finish()
}
