//! The digest of one range of an increment: of what was there, and what is to be added.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sst_object_store::Place;
use sst_reader::{Catalog, SstSet};
use sst_writer::publish::TaskReport;

use super::base::is_newest;
use super::hash_range;
use crate::blocking::Observer;
use crate::errors::Error;
use crate::place::{path_of, place_of, plain_options};

/// The digest of the live entries of range `range` of `ranges`, as they will be once the tables of
/// `report`, if there are any, lie on top of commit `base` of the place `path`: 48 bytes. Reads
/// every byte of them. Raises `ConflictError` if there is a newer commit.
#[pyfunction]
#[pyo3(signature = (path, report, *, base, range, ranges, family = 0))]
pub(crate) fn spark_range_digest<'py>(
    py: Python<'py>,
    path: &Bound<'py, PyAny>,
    report: Option<&[u8]>,
    base: Option<u32>,
    range: u32,
    ranges: u32,
    family: u32,
) -> Result<Bound<'py, PyBytes>, Error> {
    let place = place_of(&path_of(path)?)?;
    let hashes = hash_range(range, ranges)?;
    let digest = Observer::new(None)?.run(py, |monitor| {
        let report = report.map(TaskReport::from_bytes).transpose()?;
        let options = plain_options();
        let name = match &place {
            Place::Directory(directory) => directory.clone(),
            Place::Bucket(store) => store.name().into(),
        };
        let catalog = match base {
            None => Catalog::empty(&name),
            Some(_) => Catalog::read_with(&name, &options)?,
        };
        is_newest(&place, base, Some(catalog.commit))?;
        let tables = report.iter().flat_map(|report| &report.tables);
        let tables: Vec<_> = tables.map(|table| (table.sequence, table.meta.clone())).collect();
        let blobs = report.as_ref().map_or(&[][..], |report| &report.blobs);
        let catalog = catalog.followed_by(family, &tables, &[], blobs);
        let set = SstSet::from_catalog(catalog, family, &options);
        Ok(set.content_digest_of(hashes.min..=hashes.max, monitor)?)
    })?;
    Ok(PyBytes::new(py, &digest.to_bytes()))
}
