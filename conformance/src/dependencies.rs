//! Checks the dependency rule: `sst-format` depends on no crate; writer, reader and filter depend
//! only on `sst-format`; only `sst-merge` joins the two sides, and the façade `sst-files` has all
//! of them; of `sst-object-store` each feature has its own (ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::{CheckError, Row, fail};

/// The crates of the workspace on which each library, and each side of the example service, may
/// depend outside of its tests.
const ALLOWED: [(&str, &[&str]); 9] = [
    ("sst-format", &[]),
    ("sst-writer", &["sst-format"]),
    ("sst-reader", &["sst-format"]),
    ("sst-amqf", &["sst-format"]),
    ("sst-merge", &["sst-format", "sst-reader", "sst-writer"]),
    ("sst-files", &["sst-amqf", "sst-format", "sst-merge", "sst-reader", "sst-writer"]),
    ("sst-object-store", &["sst-format", "sst-reader", "sst-writer"]),
    ("sst-ingest", &["sst-amqf", "sst-writer"]),
    ("sst-query-server", &["sst-amqf", "sst-reader"]),
];

/// The crates of the workspace, beside those that it always has, that a feature of
/// `sst-object-store` adds, itself or through other features. So a query service builds no writer.
const OF_FEATURES: [(&str, &[&str]); 8] = [
    ("default", &["sst-reader", "sst-writer"]),
    ("read", &["sst-reader"]),
    ("publish", &["sst-writer"]),
    ("mirror", &["sst-reader", "sst-writer"]),
    ("aws", &[]),
    ("azure", &[]),
    ("gcp", &[]),
    ("http", &[]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    /// What each feature turns on.
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for a normal dependency, otherwise `build` or `dev`.
    kind: Option<String>,
}

/// Checks the dependencies in the workspace at `root`.
#[must_use]
pub fn check(root: &Path) -> Row {
    let mut row = Row::new("dependency arrows");
    match metadata(root) {
        Ok(metadata) => {
            for (name, allowed) in ALLOWED {
                row.count(name, check_crate(&metadata, name, allowed));
            }
            let name = "sst-object-store";
            row.count("features", check_all_features(&metadata, name));
            for (feature, expected) in OF_FEATURES {
                row.count(feature, check_feature(&metadata, name, feature, expected));
            }
        }
        Err(error) => row.count("cargo metadata", Err(error)),
    }
    row
}

fn metadata(root: &Path) -> Result<Metadata, CheckError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .output()
        .map_err(|error| CheckError::new(format!("cannot run cargo: {error}")))?;
    if !output.status.success() {
        return fail(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| CheckError::new(error.to_string()))
}

fn check_crate(metadata: &Metadata, name: &str, allowed: &[&str]) -> Result<(), CheckError> {
    let by_name: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let Some(package) = by_name.get(name) else { return fail("no such crate") };
    let shipped: BTreeSet<&str> = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
        .map(|dependency| dependency.name.as_str())
        .collect();
    // The format crate has no dependencies at all. Other crates may depend only on the listed
    // crates of the workspace, and on crates from outside.
    let forbidden: Vec<&str> = shipped
        .into_iter()
        .filter(|dependency| allowed.is_empty() || by_name.contains_key(dependency))
        .filter(|dependency| !allowed.contains(dependency))
        .collect();
    if !forbidden.is_empty() {
        return fail(format!("must not depend on {}", forbidden.join(", ")));
    }
    let missing = allowed
        .iter()
        .find(|&&expected| !package.dependencies.iter().any(|found| found.name == expected));
    missing.map_or(Ok(()), |missing| fail(format!("does not depend on {missing}")))
}

/// Checks that a feature of a crate adds these crates of the workspace, and no others.
/// Checks that [`OF_FEATURES`] has every feature of the crate.
fn check_all_features(metadata: &Metadata, name: &str) -> Result<(), CheckError> {
    let package = metadata.packages.iter().find(|package| package.name == name);
    let Some(package) = package else { return fail("no such crate") };
    let found: BTreeSet<&str> = package.features.keys().map(String::as_str).collect();
    match found == OF_FEATURES.iter().map(|(feature, _)| *feature).collect() {
        true => Ok(()),
        false => fail(format!("the features are {found:?}: not all of them are checked")),
    }
}

fn check_feature(
    metadata: &Metadata,
    name: &str,
    feature: &str,
    expected: &[&str],
) -> Result<(), CheckError> {
    let package = metadata.packages.iter().find(|package| package.name == name);
    let Some(package) = package else { return fail("no such crate") };
    let (mut open, mut seen, mut found) = (vec![feature], BTreeSet::new(), BTreeSet::new());
    while let Some(feature) = open.pop() {
        if !seen.insert(feature) {
            continue;
        }
        let Some(turned_on) = package.features.get(feature) else {
            return fail(format!("no feature {feature}"));
        };
        for other in turned_on {
            // `dep:crate` and `crate/feature` are about dependencies, the rest are features.
            let dependency = other.strip_prefix("dep:").or_else(|| Some(other.split_once('/')?.0));
            match dependency {
                None => open.push(other),
                Some(it) if metadata.packages.iter().any(|package| package.name == it) => {
                    found.insert(it);
                }
                Some(_) => {}
            }
        }
    }
    match found == expected.iter().copied().collect() {
        true => Ok(()),
        false => fail(format!("feature {feature} adds {found:?}, not {expected:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| Dependency {
                name: (*name).to_owned(),
                kind: kind.map(str::to_owned),
            })
            .collect();
        Package { name: name.to_owned(), dependencies, features: BTreeMap::new() }
    }

    #[test]
    fn a_feature_that_adds_too_much_is_found() {
        let mut buckets = package("buckets", &[]);
        let turned_on = [("read", "dep:sst-reader"), ("all", "read"), ("wrong", "sst-writer/x")];
        buckets.features =
            turned_on.map(|(name, feature)| (name.to_owned(), vec![feature.to_owned()])).into();
        let metadata = Metadata {
            packages: vec![buckets, package("sst-reader", &[]), package("sst-writer", &[])],
        };
        let check = |feature, expected: &[&str]| {
            check_feature(&metadata, "buckets", feature, expected).is_ok()
        };
        assert!(check("read", &["sst-reader"]) && check("all", &["sst-reader"]));
        assert!(check("wrong", &["sst-writer"]) && !check("wrong", &[]));
        assert!(!check("all", &[]) && !check("none", &[]));
    }

    #[test]
    fn forbidden_arrows_are_found() {
        let metadata = Metadata {
            packages: vec![
                package("sst-format", &[("serde", None)]),
                package("sst-writer", &[("sst-format", None), ("sst-reader", Some("dev"))]),
                package("sst-reader", &[("sst-format", None), ("sst-writer", None)]),
            ],
        };
        assert!(check_crate(&metadata, "sst-format", &[]).is_err());
        assert!(check_crate(&metadata, "sst-writer", &["sst-format"]).is_ok());
        assert!(check_crate(&metadata, "sst-reader", &["sst-format"]).is_err());
        assert!(check_crate(&metadata, "sst-amqf", &["sst-format"]).is_err());
    }
}
