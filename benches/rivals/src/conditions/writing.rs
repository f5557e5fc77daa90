//! Condition (w): writing files that are kept, so that the page cache grows, and files that are
//! removed.

use std::fs;

use sst_benches::workload::{Data, WORKLOADS};

use crate::counters::Counters;
use crate::figures::Figures;
use crate::{Result, Scope};

/// Number of files of one sample, equal to that for our store.
const FILES: usize = 4;

pub(crate) fn round(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    for workload in WORKLOADS.into_iter().filter(|workload| ["b", "d"].contains(&workload.name)) {
        // Each file has a tenth of the entries of the workload, in a quick run a hundredth.
        let workload = if scope.entries < 1_000_000 { workload.quick() } else { workload };
        let data = Data::new(workload.quick());
        // Sorts before the measurement, for stores that need their entries in the order of the
        // keys.
        data.sort_by_key();
        for (name, is_kept) in [("kept", true), ("removed", false)] {
            let dir = tempfile::tempdir_in(scope.dir)?;
            let start = Counters::now()?;
            for number in 0..FILES {
                let path = dir.path().join(number.to_string());
                fs::create_dir(&path)?;
                scope.store.build(&data, &path)?;
                if !is_kept {
                    fs::remove_dir_all(&path)?;
                }
            }
            let cost = start.elapsed()?;
            let entries = (FILES * data.entries()) as f64;
            let label = format!("w {} {name}", workload.name);
            figures.add(format!("{label}, ns"), cost.processor_ns / entries)?;
            figures.add(format!("{label}, ns wall"), cost.wall_ns / entries)?;
        }
    }
    Ok(())
}
