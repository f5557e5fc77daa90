//! `cargo xtask outside`: packs the crates as for crates.io, unpacks them, and runs the programs of
//! `examples/outside` with the packages.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The packages that the programs use, directly or not.
const PACKAGES: [&str; 6] =
    ["sst-format", "sst-amqf", "sst-reader", "sst-writer", "sst-merge", "sst-files"];

/// The programs.
const PROGRAMS: [&str; 2] = ["facade", "parts"];

/// Packs the whole workspace and runs the programs. False if a step failed.
pub(crate) fn run(root: &Path) -> bool {
    match pack_and_run(root) {
        Ok(()) => true,
        Err(error) => {
            println!("outside: {error}");
            false
        }
    }
}

fn pack_and_run(root: &Path) -> Result<(), String> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir));
    let mut cargo = crate::cargo();
    let packing = ["package", "--quiet", "--workspace", "--allow-dirty", "--no-verify"];
    succeed(cargo.args(packing).current_dir(root))?;
    let aside = target.join("outside");
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(|error| format!("{}: {error}", aside.display()))?;
    }
    let folder = aside.join("program");
    copy(&root.join("examples/outside"), &folder)
        .and_then(|()| fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut patches = "[patch.crates-io]\n".to_owned();
    for package in PACKAGES {
        let name = format!("{package}-{}", env!("CARGO_PKG_VERSION"));
        let packed = target.join("package").join(format!("{name}.crate"));
        succeed(Command::new("tar").arg("-xzf").arg(packed).arg("-C").arg(&aside))?;
        patches += &format!("{package} = {{ path = {:?} }}\n", aside.join(name));
    }
    let config = folder.join("packages.toml");
    fs::write(&config, patches).map_err(|error| format!("{}: {error}", config.display()))?;
    for program in PROGRAMS {
        println!("{program}:");
        let mut cargo = crate::cargo();
        cargo.arg("run").arg("--quiet").arg("--config").arg(&config).args(["--bin", program]);
        succeed(cargo.env("CARGO_TARGET_DIR", &target).current_dir(&folder))?;
    }
    Ok(())
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        match path.is_dir() {
            true => copy(&path, &to.join(name))?,
            false => fs::copy(&path, to.join(name)).map(drop)?,
        }
    }
    Ok(())
}

/// Runs a command and waits for its end.
fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}
