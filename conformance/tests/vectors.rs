//! The reference vectors, as `cargo test` runs them.

use std::path::Path;

use sst_conformance::{reader_vectors, vectors};

#[test]
fn reader_reads_every_reference_vector() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/reference");
    let cases = vectors::load(&dir).unwrap();
    assert_eq!(cases.len(), 44);
    for case in &cases {
        reader_vectors::check(case).unwrap();
    }
}
