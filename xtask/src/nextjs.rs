//! Next.js as a client: it builds on a cache directory that we published, reuses and extends it,
//! and we read the result.
//!
//! The application is `conformance/nextjs`. The steps:
//!
//! 1. Next.js builds the application, which creates a cache directory.
//! 2. The entries of every family are published in a new directory, and `sst verify` accepts it.
//! 3. The published directory replaces the cache unchanged: no file is added or left out.
//! 4. A page changes, and Next.js builds again.
//!
//! Steps 2 to 4 are done twice, each time with the cache that there is then: with a directory that
//! `sst merge` makes, and with one of all forms that a directory can have, which the example
//! `nextjs_directory` of `sst-conformance` makes: commits of several meta files, tables that are
//! described again, a rollback, generations that are kept, and a temporary file.
//!
//! Next.js discards a cache that it cannot read, and starts again with commit 1. So the cache was
//! read if its newest commit comes after ours, our meta files still exist, and the entries that we
//! published are still found.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The families of a Turbopack cache, each with its value of `--duplicates`. In the last family a
/// key may have several values, all of which count.
const FAMILIES: [(&str, &str); 4] =
    [("0", "newest"), ("1", "newest"), ("2", "newest"), ("3", "keep")];

/// The files of the application that are copied.
const APPLICATION: [&str; 4] = ["package.json", "next.config.js", "app/layout.js", "app/page.js"];

/// Runs all steps in a temporary folder. If npm is missing, prints NOT RUN and succeeds.
pub(crate) fn run(root: &Path) -> bool {
    let has_npm = Command::new("npm").arg("--version").output().is_ok_and(|o| o.status.success());
    if !has_npm {
        println!("NOT RUN: there is no npm on this machine, so Next.js cannot be installed");
        return true;
    }
    match steps(root) {
        Ok(()) => true,
        Err(error) => {
            println!("FAILED: {error}");
            false
        }
    }
}

fn steps(root: &Path) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let application = folder.path().join("app");
    let from = root.join("conformance/nextjs");
    for file in APPLICATION {
        copy(&from.join(file), &application.join(file)).map_err(at(file))?;
    }
    let sst = Sst::build(root)?;

    println!("installing Next.js …");
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent"]);
    succeed(npm.current_dir(&application), "npm install")?;
    println!("first build …");
    build(&application)?;
    let cache = cache_directory(&application)?;

    let runs: [(Publish, &str, &str); 2] =
        [(publish_by_merges, "first", "second"), (publish_all_forms, "second", "third")];
    for (publish, old, new) in runs {
        let published = folder.path().join(new);
        publish(&sst, &cache, &published)?;
        go_on_with(&sst, &application, &cache, &published, (old, new))?;
    }
    Ok(())
}

/// Publishes a cache in a new directory.
type Publish = fn(&Sst, &Path, &Path) -> Result<(), String>;

/// Publishes the cache as `sst merge` does.
fn publish_by_merges(sst: &Sst, cache: &Path, published: &Path) -> Result<(), String> {
    println!("publishing the cache with sst merge …");
    for (family, duplicates) in FAMILIES {
        let paths = ["merge", text(cache)?, "--output", text(published)?];
        let options = ["--family", family, "--duplicates", duplicates];
        sst.run(&[&paths[..], &options[..]].concat())?;
    }
    Ok(())
}

/// Publishes the cache in a directory of all forms.
fn publish_all_forms(sst: &Sst, cache: &Path, published: &Path) -> Result<(), String> {
    println!("publishing the cache in all forms …");
    let run = ["run", "--quiet", "--release", "--package", "sst-conformance"];
    let example = ["--example", "nextjs_directory", "--", text(cache)?, text(published)?];
    let mut command = cargo(&sst.root);
    let output = succeed(command.args(run).args(example), "nextjs_directory")?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// Replaces the cache by what was published, changes the text `old` of a page to `new`, builds, and
/// checks that Next.js went on with our files.
fn go_on_with(
    sst: &Sst,
    application: &Path,
    cache: &Path,
    published: &Path,
    (old, new): (&str, &str),
) -> Result<(), String> {
    sst.run(&["verify", "--for-turbopack", text(published)?])?;
    let ours = files(published)?;
    let entries = sst.run(&["scan", text(published)?, "--family", "3"])?.stdout;
    fs::remove_dir_all(cache).map_err(at(text(cache)?))?;
    for name in &ours {
        copy(&published.join(name), &cache.join(name)).map_err(at(name))?;
    }
    println!("building on what we published …");
    let page = application.join("app/page.js");
    let source = fs::read_to_string(&page).map_err(at("page.js"))?;
    fs::write(&page, source.replace(old, new)).map_err(at("page.js"))?;
    build(application)?;
    let theirs = files(cache)?;
    let newest = |names: &BTreeSet<String>| names.iter().rfind(|n| n.ends_with(".meta")).cloned();
    // A rollback has left meta files out, which a `.del` file names, and Next.js removes them.
    let live = live_meta_files(sst, published)?;
    let gone: Vec<_> = live.iter().filter(|name| !theirs.contains(*name)).collect();
    if !gone.is_empty() || newest(&theirs) <= newest(&ours) {
        return Err(format!("Next.js did not go on with our files: ours {ours:?}, now {theirs:?}"));
    }
    sst.run(&["verify", text(cache)?])?;
    let later = sst.run(&["scan", text(cache)?, "--family", "3"])?.stdout;
    let keys = |output: &[u8]| -> BTreeSet<Vec<u8>> {
        let lines = output.split(|byte| *byte == b'\n');
        lines
            .filter_map(|line| line.split(|byte| *byte == b'\t').next())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (before, after) = (keys(&entries), keys(&later));
    if before.len() < 2 || !before.is_subset(&after) {
        let lost = before.difference(&after).count();
        return Err(format!("{lost} of {} keys are gone after the build", before.len()));
    }
    println!(
        "ok: Next.js read {} files of ours, added {}, and all {} keys of family 3 are found",
        ours.len(),
        theirs.difference(&ours).count(),
        before.len()
    );
    Ok(())
}

/// The `sst` command of this workspace.
struct Sst {
    /// The root of the workspace.
    root: PathBuf,
    program: PathBuf,
}

impl Sst {
    fn build(root: &Path) -> Result<Self, String> {
        let build = ["build", "--quiet", "--release", "--package", "sst-cli"];
        succeed(cargo(root).args(build), "cargo build")?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| root.join("target"));
        Ok(Self { root: root.to_owned(), program: target.join("release/sst") })
    }

    fn run(&self, arguments: &[&str]) -> Result<Output, String> {
        succeed(
            Command::new(&self.program).arg("--quiet").args(arguments),
            arguments.first().unwrap_or(&""),
        )
    }
}

fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

/// Names of the meta files of a directory of ours that describe live tables. Next.js removes
/// others, such as that of a rollback.
fn live_meta_files(sst: &Sst, directory: &Path) -> Result<BTreeSet<String>, String> {
    let report = sst.run(&["inspect", text(directory)?, "--json"])?.stdout;
    let report: serde_json::Value =
        serde_json::from_slice(&report).map_err(|error| error.to_string())?;
    let tables = report.get("tables").and_then(|tables| tables.as_array());
    let metas = tables.into_iter().flatten().map(|table| table.pointer("/description/meta_file"));
    let number = |meta: Option<&serde_json::Value>| {
        let number = meta.and_then(serde_json::Value::as_u64);
        number.map(|number| format!("{number:08}.meta"))
    };
    metas.map(number).collect::<Option<_>>().ok_or_else(|| "a table has no meta file".to_owned())
}

fn build(application: &Path) -> Result<(), String> {
    let mut next = Command::new("npx");
    next.args(["next", "build"]).env("NEXT_TELEMETRY_DISABLED", "1").current_dir(application);
    succeed(&mut next, "next build").map(|_| ())
}

/// Runs a command and waits for its end. If it fails, its output is part of the error.
fn succeed(command: &mut Command, name: &str) -> Result<Output, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name} cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(format!("{name}: {}\n{}", output.status, String::from_utf8_lossy(&printed)))
}

/// The only folder in `.next/cache/turbopack`, which is named after the revision.
fn cache_directory(application: &Path) -> Result<PathBuf, String> {
    let parent = application.join(".next/cache/turbopack");
    let mut folders = fs::read_dir(&parent).map_err(at(text(&parent)?))?;
    let folder = folders.next().ok_or("the first build made no cache")?;
    Ok(folder.map_err(at(text(&parent)?))?.path())
}

fn files(directory: &Path) -> Result<BTreeSet<String>, String> {
    let entries = fs::read_dir(directory).map_err(at(text(directory)?))?;
    entries
        .map(|entry| Ok(entry.map_err(at("folder"))?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to).map(|_| ())
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is no text", path.display()))
}

fn at(what: &str) -> impl Fn(io::Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}
