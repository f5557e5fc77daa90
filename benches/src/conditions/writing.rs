//! Condition (w): writing tables whose files are kept, so that the page cache grows, and tables
//! whose files are removed, so that the next table reuses memory that was just freed. Nothing warms
//! the memory beforehand.

use std::fs::{self, File};

use sst_amqf::QuotientFilter;
use sst_benches::workload::{Data, WORKLOADS};
use sst_writer::{StreamingSstWriter, WriterOptions};

use crate::counters::Counters;
use crate::figures::Figures;
use crate::{Result, Scope};

/// Number of files of one sample.
const FILES: usize = 4;

#[expect(clippy::cast_precision_loss, reason = "a count of entries")]
pub(crate) fn round(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    for workload in WORKLOADS.into_iter().filter(|workload| ["b", "d"].contains(&workload.name)) {
        // Each file has a tenth of the entries of the workload, in a quick run a hundredth.
        let workload = if scope.entries < 1_000_000 { workload.quick() } else { workload };
        let data = Data::new(workload.quick());
        for (name, is_kept) in [("kept", true), ("removed", false)] {
            let dir = tempfile::tempdir_in(scope.dir)?;
            let start = Counters::now()?;
            for number in 0..FILES {
                let path = dir.path().join(format!("{number}.sst"));
                let options = WriterOptions::default().filter(QuotientFilter::default());
                let mut writer = StreamingSstWriter::new(File::create(&path)?, options);
                data.iter().try_for_each(|row| writer.add(row))?;
                writer.finish()?;
                if !is_kept {
                    fs::remove_file(&path)?;
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
