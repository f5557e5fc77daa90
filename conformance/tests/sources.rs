//! The checks of the source text, as separate tests.

use std::path::Path;

use sst_conformance::{Row, comments, dependencies, folders};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn assert_ok(row: &Row) {
    assert!(row.cases > 0 && row.failures.is_empty(), "{row:#?}");
}

#[test]
fn arrows_point_one_way() {
    assert_ok(&dependencies::check(root()));
}

#[test]
fn folders_have_no_circles() {
    assert_ok(&folders::check(root()));
}

#[test]
fn comments_keep_to_their_columns() {
    assert_ok(&comments::check(root()));
}
