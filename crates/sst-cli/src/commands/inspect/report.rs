//! The report of `sst inspect`. Its fields are the fields of the JSON output.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use sst_amqf::{EarlierEncoding, QuotientFilter};
use sst_format::block::Encoding;
use sst_reader::{
    BlockInfo, BlockRole, Catalog, CatalogTable, Corruption, FileLabel, ReadError,
    StaticSortedFile, TableInfo,
};

/// A directory and its tables, or one table without its directory.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) path: String,
    /// `None` for a table without its directory.
    pub(super) directory: Option<Directory>,
    pub(super) tables: Vec<Table>,
    /// The sums over all tables.
    pub(super) total: TableParts,
    /// Errors of tables that could not be read.
    pub(super) damage: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Directory {
    /// The highest committed sequence number.
    pub(super) commit: u32,
    pub(super) protected: bool,
    pub(super) families: Vec<u32>,
    /// Sequence numbers of the live meta files, newest first.
    pub(super) meta_files: Vec<u32>,
    pub(super) blobs: Vec<Blob>,
}

#[derive(Debug, Serialize)]
pub(super) struct Blob {
    pub(super) number: u32,
    pub(super) bytes: u64,
    /// Uncompressed length of the value; `None` if the blob is stored uncompressed.
    pub(super) uncompressed_bytes: Option<u32>,
}

#[derive(Debug, Serialize)]
pub(super) struct Table {
    pub(super) file: String,
    /// The table's description in the meta file; `None` for a table without its directory.
    pub(super) description: Option<Description>,
    pub(super) bytes: u64,
    pub(super) entries: u64,
    pub(super) block_count: u16,
    pub(super) min_hash: String,
    pub(super) max_hash: String,
    /// `None` if it has none.
    pub(super) filter: Option<Filter>,
    #[serde(flatten)]
    pub(super) parts: TableParts,
    /// All blocks, if `--blocks` is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) block_list: Vec<Block>,
}

#[derive(Debug, Serialize)]
pub(super) struct Description {
    pub(super) family: u32,
    /// `None` if no meta file describes the table yet.
    pub(super) meta_file: Option<u32>,
    pub(super) flags: String,
    pub(super) protected: bool,
}

/// A filter in the meta file.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Filter {
    /// The filter of the format.
    Quotient(QuotientFigures),
    /// One of an earlier release, which lookups do not use.
    Earlier {
        bytes: u64,
        /// The releases that wrote it.
        releases: &'static str,
    },
}

impl Filter {
    /// Its length in bytes.
    pub(super) const fn bytes(&self) -> u64 {
        match self {
            Self::Quotient(filter) => filter.bytes,
            Self::Earlier { bytes, .. } => *bytes,
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct QuotientFigures {
    pub(super) bytes: u64,
    pub(super) fingerprints: u64,
    pub(super) bits_per_key: f64,
    pub(super) expected_false_positive_rate: f64,
    pub(super) quotient_bits: u8,
    pub(super) remainder_bits: u8,
}

/// The blocks of one or more tables.
#[derive(Debug, Default, Serialize)]
pub(super) struct TableParts {
    /// Blocks by kind.
    pub(super) blocks: BTreeMap<String, BlockGroup>,
    /// Entries by the kind of their value.
    pub(super) entry_kinds: BTreeMap<&'static str, u64>,
    /// Entries by the length of their key in bytes.
    pub(super) key_lengths: BTreeMap<usize, u64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct BlockGroup {
    pub(super) count: u64,
    pub(super) compressed: u64,
    pub(super) entries: u64,
    pub(super) stored_bytes: u64,
    pub(super) uncompressed_bytes: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Block {
    pub(super) index: u16,
    pub(super) kind: String,
    pub(super) entries: Option<u32>,
    pub(super) start: u32,
    pub(super) stored_bytes: u64,
    pub(super) uncompressed_bytes: u64,
    pub(super) compressed: bool,
    pub(super) checksum: String,
}

impl Report {
    pub(super) fn of_directory(catalog: &Catalog) -> Result<Self, ReadError> {
        let blob = |record: &sst_format::protection::BlobRecord| Blob {
            number: record.number.0,
            bytes: record.file_size,
            uncompressed_bytes: match record.header.encoding {
                Encoding::Raw => None,
                Encoding::Lz4 { uncompressed_len } => Some(uncompressed_len),
            },
        };
        let directory = Directory {
            commit: catalog.commit.0,
            protected: catalog.is_protected,
            families: catalog.families().into_iter().collect(),
            meta_files: catalog.meta_files.iter().map(|meta| meta.0).collect(),
            blobs: catalog.blobs()?.values().map(blob).collect(),
        };
        Ok(Self { directory: Some(directory), ..Self::of_table(&catalog.dir) })
    }

    pub(super) fn of_table(path: &Path) -> Self {
        Self {
            path: path.display().to_string(),
            directory: None,
            tables: Vec::new(),
            total: TableParts::default(),
            damage: Vec::new(),
        }
    }

    pub(super) fn add_table(
        &mut self,
        path: &Path,
        file: &StaticSortedFile,
        info: &TableInfo,
        described: Option<&CatalogTable>,
        with_block_list: bool,
    ) -> Result<(), ReadError> {
        let filter = described.map(|table| Filter::of(table, info.entry_count(), path));
        let parts = TableParts::of(info);
        self.total.absorb(&parts);
        let name = path.file_name().unwrap_or(path.as_os_str());
        self.tables.push(Table {
            file: name.display().to_string(),
            description: described.map(Description::of),
            bytes: file.file_size(),
            entries: info.entry_count(),
            block_count: file.block_count(),
            min_hash: format!("{:016x}", file.min_hash()),
            max_hash: format!("{:016x}", file.max_hash()),
            filter: filter.transpose()?.flatten(),
            parts,
            block_list: match with_block_list {
                true => info.blocks.iter().map(Block::of).collect(),
                false => Vec::new(),
            },
        });
        Ok(())
    }
}

impl Description {
    fn of(table: &CatalogTable) -> Self {
        Self {
            family: table.family,
            meta_file: table.meta_file.map(|meta| meta.0),
            flags: table.record.flags.to_string(),
            protected: table.is_protected(),
        }
    }
}

impl Filter {
    /// The filter of the table at `path`; `None` if it has none.
    fn of(table: &CatalogTable, entries: u64, path: &Path) -> Result<Option<Self>, ReadError> {
        let filter = table.filter()?;
        let bytes = filter.as_slice();
        if bytes.is_empty() {
            return Ok(None);
        }
        let len = bytes.len() as u64;
        if let Some(encoding) = EarlierEncoding::of(bytes) {
            return Ok(Some(Self::Earlier { bytes: len, releases: encoding.releases() }));
        }
        let info = QuotientFilter::info(bytes).map_err(|error| ReadError::Corrupt {
            file: FileLabel::new(path),
            block: None,
            cause: Corruption::Filter(error),
        })?;
        Ok(Some(Self::Quotient(QuotientFigures {
            bytes: len,
            fingerprints: info.fingerprint_count,
            bits_per_key: bytes.len() as f64 * 8.0 / entries.max(1) as f64,
            expected_false_positive_rate: info.expected_false_positive_rate(),
            quotient_bits: info.quotient_bits,
            remainder_bits: info.remainder_bits,
        })))
    }
}

impl TableParts {
    fn of(info: &TableInfo) -> Self {
        let mut blocks: BTreeMap<String, BlockGroup> = BTreeMap::new();
        for block in &info.blocks {
            let group = blocks.entry(kind(block)).or_default();
            group.count += 1;
            group.compressed += u64::from(block.header.encoding != Encoding::Raw);
            // Only key blocks have entries.
            group.entries += u64::from(block.entry_count.unwrap_or(0));
            group.stored_bytes += block.stored_len;
            group.uncompressed_bytes += block.payload_len;
        }
        let (entry_kinds, key_lengths) = (info.entry_kinds(), info.key_lens.clone());
        Self { blocks, entry_kinds, key_lengths }
    }

    fn absorb(&mut self, other: &Self) {
        for (kind, from) in &other.blocks {
            let group = self.blocks.entry(kind.clone()).or_default();
            group.count += from.count;
            group.compressed += from.compressed;
            group.entries += from.entries;
            group.stored_bytes += from.stored_bytes;
            group.uncompressed_bytes += from.uncompressed_bytes;
        }
        for (&kind, count) in &other.entry_kinds {
            *self.entry_kinds.entry(kind).or_default() += count;
        }
        for (&len, count) in &other.key_lengths {
            *self.key_lengths.entry(len).or_default() += count;
        }
    }
}

impl Block {
    fn of(block: &BlockInfo) -> Self {
        Self {
            index: block.index.0,
            kind: kind(block),
            entries: block.entry_count,
            start: block.start,
            stored_bytes: block.stored_len,
            uncompressed_bytes: block.payload_len,
            compressed: block.header.encoding != Encoding::Raw,
            checksum: format!("{:08x}", block.header.checksum),
        }
    }
}

/// The kind of a block in words: its role, and for a key block its entry format too.
pub(super) fn kind(block: &BlockInfo) -> String {
    match (block.role, block.key_block_kind) {
        (BlockRole::Keys, Some(kind)) => format!("keys, {}", kind.name()),
        (role, _) => role.name().to_owned(),
    }
}
