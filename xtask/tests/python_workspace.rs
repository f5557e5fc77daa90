//! The workspace of the Python wheel has the lints, the version and the dependencies of this one:
//! it is excluded, so that nothing here needs Python, and cannot inherit them.

use std::collections::BTreeMap;

/// The tables of a `Cargo.toml`, each with its lines, comments left out.
fn tables(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut tables: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            name = header;
            tables.entry(name).or_default();
        } else if !line.is_empty() && !line.starts_with('#') {
            tables.entry(name).or_default().push(line);
        }
    }
    tables
}

/// The lines `key = value` of a table.
fn pairs<'t>(table: &[&'t str]) -> BTreeMap<&'t str, &'t str> {
    table.iter().filter_map(|line| line.split_once(" = ")).collect()
}

/// The version that a dependency asks for: `"1.2"` or `{ version = "1.2", … }`.
fn version(value: &str) -> Option<&str> {
    let rest = match value.strip_prefix('{') {
        Some(table) => table.split_once("version = ")?.1,
        None => value,
    };
    rest.split('"').nth(1)
}

const ROOT: &str = include_str!("../../Cargo.toml");
const WHEEL: &str = include_str!("../../python/Cargo.toml");

#[test]
fn the_wheel_has_the_lints_of_the_root() {
    let (root, wheel) = (tables(ROOT), tables(WHEEL));
    for name in ["workspace.lints.rust", "workspace.lints.rustdoc", "workspace.lints.clippy"] {
        assert!(root[name].len() > 1, "{name}");
        assert_eq!(root[name], wheel[name], "{name}");
    }
    assert_eq!(wheel["lints"], ["workspace = true"]);
    let of_root = [include_str!("../../clippy.toml"), include_str!("../../rustfmt.toml")];
    let of_wheel =
        [include_str!("../../python/clippy.toml"), include_str!("../../python/rustfmt.toml")];
    assert_eq!(of_root, of_wheel);
}

#[test]
fn the_wheel_has_the_version_of_the_root() {
    let (root, wheel) = (tables(ROOT), tables(WHEEL));
    let (root, wheel) = (pairs(&root["workspace.package"]), pairs(&wheel["package"]));
    for key in ["version", "edition", "rust-version", "license"] {
        assert!(root.contains_key(key), "{key}");
        assert_eq!(root.get(key), wheel.get(key), "{key}");
    }
}

#[test]
fn the_wheel_has_the_dependencies_of_the_root() {
    let (root, wheel) = (tables(ROOT), tables(WHEEL));
    let (root, wheel) = (pairs(&root["workspace.dependencies"]), pairs(&wheel["dependencies"]));
    let mut compared = 0;
    for (name, value) in &wheel {
        if let Some(of_root) = root.get(name) {
            match name.strip_prefix("sst-") {
                Some(_) => assert!(value.contains("path = \"../crates/"), "{name}"),
                None => assert_eq!(version(value), version(of_root), "{name}"),
            }
            compared += 1;
        }
    }
    assert!(compared > 8, "{compared}");
}
