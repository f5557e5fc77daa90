//! Reports and facts that Python gets.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use sst_format::content_digest::ContentDigest;
use sst_reader::{Catalog, SetStatistics, VerifyReport};
use sst_writer::publish::CommitKind;

use crate::errors::{Error, damage};

/// A digest of the live entries of a family. Two directories with equal digests have the same
/// entries, however they lie in tables.
#[pyclass(frozen, eq, hash, module = "sst_files", name = "Certificate", get_all)]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PyCertificate {
    /// The family.
    family: u32,
    /// Number of entries.
    entries: u64,
    /// Bytes of their keys and values.
    bytes: u64,
    /// 64 hexadecimal digits.
    digest: String,
}

impl PyCertificate {
    pub(crate) fn new(family: u32, digest: &ContentDigest) -> Self {
        let (entries, bytes) = (digest.entries(), digest.bytes());
        Self { family, entries, bytes, digest: format!("{digest:x}") }
    }
}

#[pymethods]
impl PyCertificate {
    pub(crate) fn __repr__(&self) -> String {
        let Self { family, entries, bytes, digest } = self;
        format!("Certificate(family={family}, entries={entries}, bytes={bytes}, digest='{digest}')")
    }
}

/// What a verification has found.
#[pyclass(frozen, module = "sst_files", name = "VerifyReport", get_all)]
pub(crate) struct PyVerifyReport {
    /// Tables that were checked.
    tables: u64,
    /// Blocks of these.
    blocks: u64,
    /// Entries of these, those that others hide included.
    entries: u64,
    /// Blob files.
    blobs: u64,
    /// Bytes that were checked.
    bytes: u64,
    /// Certificates that were compared with the entries.
    certificates: u64,
    /// All damage, as exceptions that are not raised.
    damage: Py<PyList>,
}

impl PyVerifyReport {
    pub(crate) fn new(py: Python<'_>, report: &VerifyReport) -> PyResult<Self> {
        let damaged = report.damage.iter().map(|error| damage(py, error));
        let damaged = damaged.collect::<PyResult<Vec<_>>>()?;
        Ok(Self {
            tables: report.tables,
            blocks: report.blocks,
            entries: report.entries,
            blobs: report.blobs,
            bytes: report.bytes,
            certificates: report.certificates,
            damage: PyList::new(py, damaged)?.unbind(),
        })
    }
}

#[pymethods]
impl PyVerifyReport {
    /// Whether there is no damage.
    #[getter]
    fn is_intact(&self, py: Python<'_>) -> bool {
        self.damage.bind(py).is_empty()
    }

    /// Raises the first damage, if there is any.
    fn raise_for_damage(&self, py: Python<'_>) -> Result<(), Error> {
        match self.damage.bind(py).iter().next() {
            Some(first) => Err(PyErr::from_value(first).into()),
            None => Ok(()),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let Self { tables, entries, bytes, .. } = self;
        let damage = self.damage.bind(py).len();
        format!("VerifyReport(tables={tables}, entries={entries}, bytes={bytes}, damage={damage})")
    }
}

/// Counters of a set; they only grow. A snapshot may have counted a lookup that is under way in
/// part.
#[pyclass(frozen, module = "sst_files", name = "Statistics", get_all)]
pub(crate) struct PyStatistics {
    /// Keys looked up.
    lookups: u64,
    /// Lookups that found a value.
    hits: u64,
    /// Lookups that found none.
    misses: u64,
    /// Lookups that ended at a tombstone.
    tombstones: u64,
    /// Lookups that failed.
    errors: u64,
    /// Tables that a filter ruled out.
    filter_skips: u64,
    /// Tables that were asked.
    tables_asked: u64,
    /// Tables that were asked in vain.
    false_positives: u64,
    /// Table files opened.
    tables_opened: u64,
    /// Table files closed again.
    tables_closed: u64,
    /// Blocks that were read into the cache.
    cache_blocks_loaded: u64,
    /// Bytes of memory that the cache uses.
    cache_used: u64,
    /// Bytes of memory that it may use.
    cache_capacity: u64,
}

impl PyStatistics {
    pub(crate) fn new(statistics: &SetStatistics) -> Self {
        Self {
            lookups: statistics.lookups,
            hits: statistics.hits,
            misses: statistics.misses,
            tombstones: statistics.tombstones,
            errors: statistics.errors,
            filter_skips: statistics.filter_skips,
            tables_asked: statistics.tables_asked,
            false_positives: statistics.false_positives,
            tables_opened: statistics.tables_opened,
            tables_closed: statistics.tables_closed,
            cache_blocks_loaded: statistics.cache.blocks_loaded,
            cache_used: statistics.cache.used,
            cache_capacity: statistics.cache.capacity,
        }
    }
}

#[pymethods]
impl PyStatistics {
    fn __repr__(&self) -> String {
        let Self { lookups, hits, misses, errors, .. } = self;
        format!("Statistics(lookups={lookups}, hits={hits}, misses={misses}, errors={errors})")
    }
}

/// The name of a kind of commits.
pub(crate) fn kind_name(kind: CommitKind) -> String {
    match kind {
        CommitKind::Load => "load".to_owned(),
        CommitKind::Append => "append".to_owned(),
        CommitKind::Merge => "merge".to_owned(),
        CommitKind::Rollback => "rollback".to_owned(),
        other => format!("kind {}", other.number()),
    }
}

/// The facts of a catalog, as `sst_files.inspect` documents them.
pub(crate) fn inspect_catalog<'py>(
    py: Python<'py>,
    catalog: &Catalog,
) -> Result<Bound<'py, PyDict>, Error> {
    let facts = PyDict::new(py);
    facts.set_item("path", catalog.dir.display().to_string())?;
    facts.set_item("commit", catalog.commit.0)?;
    facts.set_item("kind", catalog.kind.map(kind_name))?;
    facts.set_item("is_protected", catalog.is_protected)?;
    facts.set_item("shard", catalog.shard.map(|shard| (shard.index, shard.count)))?;
    facts.set_item("families", catalog.families().into_iter().collect::<Vec<_>>())?;
    let meta_files = catalog.meta_files.iter().map(|number| number.0);
    facts.set_item("meta_files", meta_files.collect::<Vec<_>>())?;
    let certificates = catalog.certificates.iter();
    let certificates = certificates
        .map(|it| Bound::new(py, PyCertificate::new(it.family, &it.content)))
        .collect::<PyResult<Vec<_>>>()?;
    facts.set_item("certificates", certificates)?;
    let tables = PyList::empty(py);
    for table in &catalog.tables {
        let fact = PyDict::new(py);
        fact.set_item("sequence", table.sequence.0)?;
        fact.set_item("family", table.family)?;
        fact.set_item("entries", table.entry_count())?;
        fact.set_item("bytes", table.record.file_size)?;
        fact.set_item("blocks", table.record.block_count)?;
        fact.set_item("min_hash", table.record.min_hash)?;
        fact.set_item("max_hash", table.record.max_hash)?;
        fact.set_item("filter_bytes", table.filter_len())?;
        tables.append(fact)?;
    }
    facts.set_item("tables", tables)?;
    Ok(facts)
}
