//! Condition (j): scanning all entries of a set of overlapping tables.

use std::hint::black_box;

use sst_reader::SstSet;

use crate::counters::Counters;
use crate::figures::Figures;
use crate::tables::{TABLES, dir, options};
use crate::{Result, Scope};

#[expect(clippy::cast_precision_loss, reason = "a count of entries")]
pub(crate) fn round(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    for tables in TABLES {
        let set = SstSet::open(dir(scope, "overlapping", tables).as_path(), &options())?;
        set.open_all()?;
        let start = Counters::now()?;
        let mut count = 0;
        for entry in set.iter() {
            black_box(entry?.hash);
            count += 1;
        }
        let taken = start.taken()?;
        if count != scope.entries {
            return Err(format!("walked {count} of {} entries", scope.entries).into());
        }
        figures.add(format!("j walk {tables}, ns"), taken.processor_ns / count as f64)?;
    }
    Ok(())
}
