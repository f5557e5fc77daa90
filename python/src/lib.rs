//! The extension module `sst_files._native`: both sides of the SST crates for Python.
//!
//! | part | file |
//! |---|---|
//! | lookups | `open.rs`, `db.rs`, `open_arguments.rs`, `walk.rs`, `entry_batches.rs` |
//! | many keys | `keys.rs`, `many.rs`, `columns.rs`, `arrow_array.rs`, `arrow_batches.rs` |
//! | writing | `load.rs`, `record_source.rs`, `writer.rs`, `target.rs` |
//! | operations | `operations.rs`, `commit_report.rs`, `diff.rs`, `mirror.rs`, `reports.rs` |
//! | jobs of Spark | `spark/` |
//! | what all of them need | `errors.rs`, `blocking.rs`, `bytes_of.rs`, `place.rs`, `fork.rs` |
//! | all `unsafe` | `memory.rs` |
//!
//! Its documentation is that of the package `sst_files`.

mod arrow_array;
mod arrow_batches;
mod blocking;
mod bucket_commit;
mod bytes_of;
mod columns;
mod commit_report;
mod db;
mod diff;
mod entry_batches;
mod errors;
mod fork;
mod keys;
mod load;
mod many;
mod memory;
mod mirror;
mod open;
mod open_arguments;
mod open_set;
mod operations;
mod place;
mod record_source;
mod reports;
mod spark;
mod target;
mod walk;
mod writer;
mod writer_output;

use std::sync::atomic::{AtomicI64, Ordering};

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// Python aligns objects to 16 bytes, whatever their types ask for.
const fn fits_into_an_object<T>() {
    assert!(align_of::<T>() <= 16, "box the parts of it that ask for more");
}

const _: () = {
    fits_into_an_object::<arrow_array::ArrowArray>();
    fits_into_an_object::<arrow_array::ArrowBatch>();
    fits_into_an_object::<db::Db>();
    fits_into_an_object::<diff::Differences>();
    fits_into_an_object::<memory::ValueBuffer>();
    fits_into_an_object::<walk::EntryIterator>();
    fits_into_an_object::<walk::Scan>();
    fits_into_an_object::<writer::Writer>();
};

/// The interpreter that has imported this module; -1 before that.
static INTERPRETER: AtomicI64 = AtomicI64::new(-1);

/// Refuses all interpreters but the first: they would share its types, and with them its objects.
fn refuse_subinterpreters(py: Python<'_>) -> PyResult<()> {
    let number = memory::interpreter_number(py);
    match INTERPRETER.compare_exchange(-1, number, Ordering::Relaxed, Ordering::Relaxed) {
        Err(first) if first != number => {
            Err(PyImportError::new_err("sst_files works in one interpreter of a process only"))
        }
        _ => Ok(()),
    }
}

/// The extension module.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::refuse_subinterpreters(module.py())
    }

    #[pymodule_export]
    use crate::arrow_array::{ArrowArray, ArrowBatch};
    #[pymodule_export]
    use crate::blocking::PyProgress;
    #[pymodule_export]
    use crate::commit_report::CommitReport;
    #[pymodule_export]
    use crate::db::Db;
    #[pymodule_export]
    use crate::diff::{Difference, Differences, diff};
    #[pymodule_export]
    use crate::fork::_after_fork;
    #[pymodule_export]
    use crate::load::{LoadReport, load};
    #[pymodule_export]
    use crate::mirror::{PyMirrorReport, pull, push};
    #[pymodule_export]
    use crate::open::open;
    #[pymodule_export]
    use crate::operations::{
        certificate, compact, gather, gc, inspect, key_hash, key_shard, log, merge, rollback, run,
        verify,
    };
    #[pymodule_export]
    use crate::reports::{PyCertificate, PyStatistics, PyVerifyReport};
    #[pymodule_export]
    use crate::spark::job::{
        spark_begin_job, spark_commit, spark_end_job, spark_newest, spark_outline,
    };
    #[pymodule_export]
    use crate::spark::key_hashes::spark_key_hashes;
    #[pymodule_export]
    use crate::spark::range_digest::spark_range_digest;
    #[pymodule_export]
    use crate::spark::range_scan::{SparkBatches, spark_lookup, spark_scan};
    #[pymodule_export]
    use crate::spark::task::{SparkTaskReport, spark_write_task};
    #[pymodule_export]
    use crate::walk::Scan;
    #[pymodule_export]
    use crate::writer::{WriteReport, Writer};
}
