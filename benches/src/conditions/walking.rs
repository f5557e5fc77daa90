//! Condition (j): scanning all entries of a set of overlapping tables, with entries that are
//! returned and with entries that are lent.

use std::hint::black_box;

use sst_reader::SstSet;

use crate::counters::Counters;
use crate::figures::Figures;
use crate::tables::{TABLES, dir, options};
use crate::{Result, Scope};

pub(crate) fn round(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    for tables in TABLES {
        let set = SstSet::open(dir(scope, "overlapping", tables).as_path(), &options())?;
        set.open_all()?;
        measure(scope, figures, &format!("j walk {tables}"), || {
            let mut count = 0;
            for entry in set.iter() {
                black_box(entry?.hash);
                count += 1;
            }
            Ok(count)
        })?;
        measure(scope, figures, &format!("j cursor {tables}"), || lent(&set))?;
    }
    #[cfg(not(sst_before_monitor))]
    table(scope, figures)?;
    Ok(())
}

/// One table on its own, whose cursor had another form before.
#[cfg(not(sst_before_monitor))]
fn table(scope: Scope<'_>, figures: &mut Figures) -> Result<()> {
    let catalog = sst_reader::Catalog::read(dir(scope, "overlapping", 1))?;
    let [table] = catalog.tables.as_slice() else { return Err("there is one table".into()) };
    let table = catalog.open_table(table, &options())?;
    measure(scope, figures, "j table cursor", || {
        let mut cursor = table.cursor();
        let mut count = 0;
        while let Some(entry) = cursor.next()? {
            black_box(entry.hash);
            count += 1;
        }
        Ok(count)
    })
}

#[cfg(not(sst_before_monitor))]
fn lent(set: &SstSet) -> Result<usize> {
    let mut cursor = set.cursor();
    let mut count = 0;
    while let Some(entry) = cursor.next()? {
        black_box(entry.hash);
        count += 1;
    }
    Ok(count)
}

/// Sets of that time had the iterator only.
#[cfg(sst_before_monitor)]
fn lent(set: &SstSet) -> Result<usize> {
    let mut count = 0;
    for entry in set.iter() {
        black_box(entry?.hash);
        count += 1;
    }
    Ok(count)
}

#[expect(clippy::cast_precision_loss, reason = "a count of entries")]
fn measure(
    scope: Scope<'_>,
    figures: &mut Figures,
    name: &str,
    walk: impl Fn() -> Result<usize>,
) -> Result<()> {
    let start = Counters::now()?;
    let count = walk()?;
    let cost = start.elapsed()?;
    if count != scope.entries {
        return Err(format!("walked {count} of {} entries", scope.entries).into());
    }
    figures.add(format!("{name}, ns"), cost.processor_ns / count as f64)
}
