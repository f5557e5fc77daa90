//! `cargo xtask dist`: what a package of `sst` for a system holds: the program, stripped, its man
//! pages, and completions for all shells.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

/// The shells that `sst completions` knows, and the names under which they look for the scripts.
const SHELLS: [(&str, &str); 5] = [
    ("bash", "sst.bash"),
    ("elvish", "sst.elv"),
    ("fish", "sst.fish"),
    ("powershell", "_sst.ps1"),
    ("zsh", "_sst"),
];

/// Builds the program and writes everything to `target/dist/sst-package`. False if a step failed.
pub(crate) fn run(root: &Path) -> bool {
    match assemble(root) {
        Ok(folder) => {
            println!("{folder}: bin, share/man/man1, share/completions");
            true
        }
        Err(error) => {
            println!("dist: {error}");
            false
        }
    }
}

fn assemble(root: &Path) -> Result<String, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir));
    let mut cargo = crate::cargo();
    cargo.args(["build", "--locked", "--profile", "dist", "--package", "sst-cli"]);
    succeed(cargo.current_dir(root))?;
    let folder = target.join("dist/sst-package");
    let (bin, share) = (folder.join("bin"), folder.join("share"));
    let (man, completions) = (share.join("man/man1"), share.join("completions"));
    for folder in [&bin, &man, &completions] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let name = format!("sst{}", std::env::consts::EXE_SUFFIX);
    let (built, program) = (target.join("dist").join(&name), bin.join(&name));
    fs::copy(&built, &program).map_err(|error| format!("{}: {error}", built.display()))?;
    succeed(Command::new(&program).arg("man").arg(&man))?;
    for (shell, name) in SHELLS {
        let path = completions.join(name);
        let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        succeed(Command::new(&program).args(["completions", shell]).stdout(file))?;
    }
    Ok(folder.display().to_string())
}

/// Runs a command and waits for its end.
fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}
