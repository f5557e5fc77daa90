//! Names and signatures of our libraries that older commits have otherwise. `cargo xtask
//! conditions` sets `sst_before_monitor` when it builds such a commit.

use sst_format::SstMeta;
use sst_merge::Inputs;
use sst_reader::{CatalogTable, ReaderOptions};
#[cfg(sst_before_monitor)]
pub(crate) use sst_writer::{Commit, hash_key};
#[cfg(not(sst_before_monitor))]
pub(crate) use sst_writer::{publish::Commit, table::hash_key};

use crate::Result;

/// Publishes a commit.
pub(crate) fn publish(commit: Commit<'_>) -> Result<()> {
    #[cfg(not(sst_before_monitor))]
    commit.publish(&sst_writer::Monitor::default())?;
    #[cfg(sst_before_monitor)]
    commit.publish()?;
    Ok(())
}

/// Inputs of a merge that are read with these options.
pub(crate) fn inputs(options: &ReaderOptions) -> Inputs {
    #[cfg(not(sst_before_monitor))]
    return Inputs::new(options);
    #[cfg(sst_before_monitor)]
    Inputs::new(options.clone())
}

/// The description of a table of a catalog.
#[cfg_attr(sst_before_monitor, expect(clippy::unnecessary_wraps, reason = "as in later commits"))]
pub(crate) fn description(table: &CatalogTable) -> Result<SstMeta> {
    #[cfg(not(sst_before_monitor))]
    return Ok(table.meta()?);
    #[cfg(sst_before_monitor)]
    Ok(table.meta())
}
