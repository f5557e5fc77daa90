//! The report of an operation that has published a commit.

use pyo3::prelude::*;
use sst_merge::MergeReport;

use crate::reports::PyCertificate;
use crate::target::Published;

/// The report of a merge, a gathering or a rollback.
#[pyclass(frozen, module = "sst_files", name = "CommitReport", get_all)]
pub(crate) struct CommitReport {
    /// Number of the commit; `None` if there was nothing to do.
    pub(crate) commit: Option<u32>,
    /// Entries that were written or copied; of a rollback 0.
    pub(crate) entries: u64,
    /// Entries that newer ones of their key have hidden, and that were left out.
    pub(crate) hidden: u64,
    /// Tombstones that were left out.
    pub(crate) dropped_tombstones: u64,
    /// Tables that were written or copied; of a rollback those that are live.
    pub(crate) tables: u64,
    /// Bytes of these tables; of a rollback 0.
    pub(crate) bytes: u64,
    /// The certificate, if there is one.
    pub(crate) certificate: Option<PyCertificate>,
}

#[pymethods]
impl CommitReport {
    fn __repr__(&self) -> String {
        let Self { entries, tables, bytes, .. } = self;
        let commit = self.commit.map_or("None".to_owned(), |commit| commit.to_string());
        format!("CommitReport(commit={commit}, entries={entries}, tables={tables}, bytes={bytes})")
    }
}

impl CommitReport {
    pub(crate) fn of_merge(report: &MergeReport, published: &Published, family: u32) -> Self {
        Self {
            commit: Some(published.commit.0),
            entries: report.entries,
            hidden: report.hidden,
            dropped_tombstones: report.dropped_tombstones,
            tables: report.tables,
            bytes: report.table_bytes,
            certificate: published.certificate(family),
        }
    }

    /// The report, with the commit that was published.
    pub(crate) fn of_commit(self, published: &Published, family: u32) -> Self {
        let (commit, certificate) = (Some(published.commit.0), published.certificate(family));
        Self { commit, certificate, ..self }
    }

    pub(crate) const fn nothing() -> Self {
        Self {
            commit: None,
            entries: 0,
            hidden: 0,
            dropped_tombstones: 0,
            tables: 0,
            bytes: 0,
            certificate: None,
        }
    }
}
