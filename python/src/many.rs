//! Lookups of many keys at once.

use std::panic::resume_unwind;
use std::thread;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use sst_reader::{LiveSet, ReadError, SstSet};

use crate::arrow_array::Cells;
use crate::errors::Error;
use crate::keys::PresentKeys;

/// Keys of a call for which another thread is worth its start.
const KEYS_PER_THREAD: usize = 4096;

/// The values of keys as cells of an array, all of one commit.
pub(crate) fn cells_of(live: &LiveSet, keys: &PresentKeys<'_>) -> Result<Cells, ReadError> {
    live.with(|set| {
        if !keys.nulls.is_empty() {
            let values = set.multi_get(&keys.keys)?;
            let mut cells = Cells::with_capacity(keys.len(), bytes_in(&values));
            keys.with_nulls(values, |value| {
                cells.push(value.as_deref());
                Ok::<(), ReadError>(())
            })?;
            return Ok(cells);
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = (keys.len() / KEYS_PER_THREAD).min(cores);
        if threads < 2 {
            return part_of(set, &keys.keys);
        }
        let mut parts = keys.keys.chunks(keys.len().div_ceil(threads));
        thread::scope(|scope| {
            // There are keys, so there is a first part.
            let first = parts.next().unwrap_or(&[]);
            let start = |keys| {
                let work = move || part_of(set, keys);
                (keys, thread::Builder::new().spawn_scoped(scope, work))
            };
            let workers: Vec<_> = parts.map(start).collect();
            let mut all = part_of(set, first)?;
            for (keys, worker) in workers {
                let part = match worker {
                    // A panic of the reader is passed on, as if it had happened here.
                    Ok(worker) => worker.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    // The system grants no more threads.
                    Err(_) => part_of(set, keys),
                };
                all.append(&part?);
            }
            Ok(all)
        })
    })
}

/// The values of keys that are all there.
fn part_of(set: &SstSet, keys: &[&[u8]]) -> Result<Cells, ReadError> {
    let values = set.multi_get(keys)?;
    let mut cells = Cells::with_capacity(keys.len(), bytes_in(&values));
    for value in &values {
        cells.push(value.as_deref());
    }
    Ok(cells)
}

fn bytes_in<V: AsRef<[u8]>>(values: &[Option<V>]) -> usize {
    values.iter().flatten().map(|value| value.as_ref().len()).sum()
}

/// The values of keys as a list of `bytes` and `None`.
pub(crate) fn list_of<'py, V: AsRef<[u8]>>(
    py: Python<'py>,
    keys: &PresentKeys<'_>,
    values: Vec<Option<V>>,
) -> Result<Bound<'py, PyList>, Error> {
    let object = |value: Option<V>| value.map(|value| PyBytes::new(py, value.as_ref()));
    if keys.nulls.is_empty() {
        return Ok(PyList::new(py, values.into_iter().map(object))?);
    }
    let mut objects = Vec::with_capacity(keys.len());
    keys.with_nulls(values, |value| {
        objects.push(object(value));
        Ok::<(), Error>(())
    })?;
    Ok(PyList::new(py, objects)?)
}
