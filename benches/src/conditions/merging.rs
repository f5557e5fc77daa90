//! Condition (j): merging overlapping tables into one.

use sst_merge::{MergeOptions, merge_into_commit};
use sst_writer::{Publisher, PublisherOptions};

use crate::counters::Counters;
use crate::figures::Figures;
use crate::names::{inputs, publish};
use crate::tables::{TABLES, dir, options};
use crate::{Result, Scope};

#[expect(clippy::cast_precision_loss, reason = "a count of entries")]
pub(crate) fn round(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    for tables in TABLES {
        let out = tempfile::tempdir_in(scope.dir)?;
        let mut inputs = inputs(&options());
        inputs.add_directory(dir(scope, "overlapping", tables).as_path(), 0)?;
        let merge_options = MergeOptions::default();
        let start = Counters::now()?;
        let mut publisher = Publisher::open(out.path(), PublisherOptions::default())?;
        let mut commit = publisher.begin();
        commit.replace_all();
        // Commits older than `Monitor` take a closure here. `cargo xtask conditions` sets this
        // `cfg` when it builds one of them.
        #[cfg(sst_before_monitor)]
        merge_into_commit(&inputs, &mut commit, &merge_options, &mut |_| {
            std::ops::ControlFlow::Continue(())
        })?;
        #[cfg(not(sst_before_monitor))]
        {
            let monitor = sst_writer::Monitor::default();
            merge_into_commit(&inputs, &mut commit, &merge_options, &monitor)?;
        }
        publish(commit)?;
        let ns = start.elapsed()?.processor_ns / scope.entries as f64;
        figures.add(format!("j merge {tables}, ns"), ns)?;
    }
    Ok(())
}
