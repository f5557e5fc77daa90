//! The reference vectors, as tests for `cargo test`.

use std::path::Path;

use sst_conformance::{directories, reader_vectors, vectors};

#[test]
fn reader_reads_every_reference_vector() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/reference");
    let cases = vectors::load(&dir).unwrap();
    assert_eq!(cases.len(), 44);
    for case in &cases {
        reader_vectors::check(case).unwrap();
    }
}

#[test]
fn directories_of_the_original_decode_to_their_digests() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let rows = directories::check_all(&dir);
    let cases: Vec<u64> = rows.iter().map(|row| row.cases).collect();
    assert_eq!(cases, [116, 20]);
    for row in &rows {
        assert!(row.failures.is_empty(), "{:?}", row.failures);
    }
}
