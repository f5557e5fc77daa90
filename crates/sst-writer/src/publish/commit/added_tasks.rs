//! The tasks whose tables are part of a commit.

use std::path::Path;
use std::sync::Arc;

use crate::publish::FragmentOverlap;
use crate::publish::number_claim::NumberClaim;
use crate::publish::task::{TaskReport, TaskTables};
use crate::{FileError, FileSystem, PublishError};

/// The tasks whose tables were added to a commit.
#[derive(Debug, Default)]
pub(super) struct AddedTasks {
    claims: Vec<NumberClaim>,
    tables: TaskTables,
}

/// The claims of a task, and whether its tables overlap those of other tasks.
pub(super) struct CheckedTask {
    claims: Vec<NumberClaim>,
    overlaps: bool,
}

impl AddedTasks {
    /// Fails if the claims of a task are no longer its own, or if its tables overlap those of other
    /// tasks and must not.
    pub(super) fn checked(
        &self,
        report: &TaskReport,
        file_system: &Arc<dyn FileSystem>,
        directory: &Path,
        overlap: FragmentOverlap,
    ) -> Result<CheckedTask, PublishError> {
        let claim = |first: &u32| {
            NumberClaim::of_owner(Arc::clone(file_system), directory, *first, report.owner)
        };
        let claims: Vec<_> = report.claims.iter().map(claim).collect();
        claims.iter().try_for_each(NumberClaim::check)?;
        let overlaps = self.tables.overlap(report, overlap)?;
        Ok(CheckedTask { claims, overlaps })
    }

    /// Adds a task.
    pub(super) fn add(&mut self, report: &TaskReport, checked: CheckedTask) {
        let CheckedTask { claims, overlaps } = checked;
        self.claims.extend(claims);
        self.tables.add(report, overlaps);
    }

    /// Their tables.
    pub(super) const fn tables(&self) -> &TaskTables {
        &self.tables
    }

    /// Fails if a claim is no longer a task's own.
    pub(super) fn check(&self) -> Result<(), PublishError> {
        self.claims.iter().try_for_each(NumberClaim::check)
    }

    /// Releases all claims, because a commit names their files. Returns the first numbers of their
    /// blocks, and the errors of claims that could not be removed; those end by their age.
    pub(super) fn release(&mut self) -> (Vec<u32>, Vec<FileError>) {
        let released = self.claims.iter().map(NumberClaim::first).collect();
        let left = self.claims.drain(..).map(NumberClaim::remove);
        (released, left.filter_map(Result::err).collect())
    }
}
