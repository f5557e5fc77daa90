//! `cargo xtask dependencies`: the licences and the sources of all packages that any build uses,
//! packages that must not be there, and dependencies that no code uses.
//!
//! It needs nothing but cargo, so that it runs everywhere.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;

/// Licences under which code may be linked into what people install.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// The only source of packages beside this workspace.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Packages that nothing may pull in, and the reason.
const BANNED: &[(&str, &str)] = &[
    ("openssl-sys", "TLS is rustls, so that no library of the system is needed"),
    ("native-tls", "TLS is rustls"),
    ("zstd-sys", "zstd is read in Rust"),
    ("libz-sys", "gzip is read in Rust"),
];

/// Dependencies that no code names: package and dependency, here for their features.
const UNNAMED: &[(&str, &str)] = &[];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// `None` for packages of this workspace.
    source: Option<String>,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    rename: Option<String>,
}

/// Checks all packages and prints what is wrong. True if nothing is, or if cargo cannot tell.
pub(crate) fn run(root: &Path) -> bool {
    let metadata = match metadata(root) {
        Ok(metadata) => metadata,
        Err(reason) => {
            println!("NOT RUN: {reason}");
            return true;
        }
    };
    let faults: Vec<String> = metadata
        .packages
        .iter()
        .flat_map(|package| match &package.source {
            Some(source) => faults_of(package, source),
            None => unused(package),
        })
        .collect();
    for fault in &faults {
        println!("{fault}");
    }
    println!("{} packages, {} faults", metadata.packages.len(), faults.len());
    faults.is_empty()
}

/// What cargo knows about all packages, for all systems and features. It may have to download the
/// packages of other systems.
fn metadata(root: &Path) -> Result<Metadata, String> {
    let mut cargo = crate::cargo();
    cargo.args(["metadata", "--format-version", "1", "--locked", "--all-features"]);
    let output = cargo.current_dir(root).stderr(Stdio::null()).output();
    let output = output.map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err("cargo metadata cannot read all packages; is there no network?".to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

/// The faults of a package of others.
fn faults_of(package: &Package, source: &str) -> Vec<String> {
    let Package { name, version, license, .. } = package;
    let mut faults = Vec::new();
    if source != REGISTRY {
        faults.push(format!("{name} {version} comes from {source}"));
    }
    match license {
        None => faults.push(format!("{name} {version} names no licence")),
        Some(license) if !is_allowed(license) => {
            faults.push(format!("{name} {version} is licensed under {license}"));
        }
        Some(_) => {}
    }
    if let Some((_, reason)) = BANNED.iter().find(|(banned, _)| banned == name) {
        faults.push(format!("{name} is used, but {reason}"));
    }
    faults
}

/// Whether one may choose licences of the list. The expression is that of SPDX; a slash is an older
/// way to write OR.
fn is_allowed(expression: &str) -> bool {
    let text = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut parser = Parser { words: &words };
    parser.any() == Some(true) && parser.words.is_empty()
}

/// Evaluates an expression of licences. `None` if it is none.
struct Parser<'w> {
    words: &'w [&'w str],
}

impl<'w> Parser<'w> {
    fn take(&mut self) -> Option<&'w str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn accept(&mut self, word: &str) -> bool {
        let is_next = self.words.first() == Some(&word);
        if is_next {
            self.take();
        }
        is_next
    }

    fn any(&mut self) -> Option<bool> {
        let mut allowed = self.all()?;
        while self.accept("OR") {
            allowed |= self.all()?;
        }
        Some(allowed)
    }

    fn all(&mut self) -> Option<bool> {
        let mut allowed = self.one()?;
        while self.accept("AND") {
            allowed &= self.one()?;
        }
        Some(allowed)
    }

    fn one(&mut self) -> Option<bool> {
        if self.accept("(") {
            let allowed = self.any()?;
            return self.accept(")").then_some(allowed);
        }
        let mut name = self.take()?.to_owned();
        if self.accept("WITH") {
            name = format!("{name} WITH {}", self.take()?);
        }
        Some(LICENCES.contains(&name.as_str()))
    }
}

/// The dependencies of one of our packages that no file of it names.
fn unused(package: &Package) -> Vec<String> {
    let Some(folder) = package.manifest_path.parent() else { return Vec::new() };
    let mut code = String::new();
    if let Err(error) = collect(folder, &mut code) {
        return vec![format!("{}: {error}", folder.display())];
    }
    let names: BTreeSet<&str> = package
        .dependencies
        .iter()
        .map(|d| d.rename.as_ref().unwrap_or(&d.name).as_str())
        .collect();
    names
        .into_iter()
        .filter(|name| !UNNAMED.contains(&(package.name.as_str(), name)))
        .filter(|name| !names_crate(&code, &name.replace('-', "_")))
        .map(|name| format!("{} has the dependency {name}, but no code names it", package.name))
        .collect()
}

/// Whether code has a path into a crate, or imports it.
fn names_crate(code: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (code.get(..at), code.get(at + name.len()..));
        !before.unwrap_or_default().ends_with(is_word)
            && !after.unwrap_or_default().starts_with(is_word)
            && ["::", ";", " as ", ","].iter().any(|end| after.is_some_and(|s| s.starts_with(end)))
    })
}

/// Appends the code below a folder, but not that of packages inside it.
fn collect(folder: &Path, code: &mut String) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target")
                && !path.join("Cargo.toml").exists()
            {
                collect(&path, code)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_the_licences_must_be_allowed_where_there_is_a_choice() {
        for (expression, allowed) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT/Apache-2.0", true),
            ("GPL-2.0-only OR MIT", true),
            ("GPL-2.0-only AND MIT", false),
            ("(GPL-2.0-only OR MIT) AND Unicode-3.0", true),
            ("(GPL-2.0-only OR MIT) AND SSPL-1.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("MIT WITH GPL-exception", false),
            ("MIT OR", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(expression), allowed, "{expression}");
        }
    }

    #[test]
    fn a_crate_is_named_by_a_path_or_an_import() {
        assert!(names_crate("use serde_json::Value;", "serde_json"));
        assert!(names_crate("use lz4_flex as lz4;", "lz4_flex"));
        assert!(!names_crate("// serde_json is slow\nuse my_serde_json::Value;", "serde_json"));
    }
}
