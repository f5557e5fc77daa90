//! `cargo xtask conditions`: the conditions that users have, beside an older commit.
//!
//! `--against COMMIT` checks the commit out under `target/against` and builds the same program with
//! its libraries. Rounds of both take turns, so the ratio hardly depends on the rest of the
//! machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

/// The folder of the measuring program, from the root of a workspace.
const PROGRAM: &str = "benches/src/conditions";

/// The part of `benches/Cargo.toml` that older commits lack.
const MANIFEST: &str = "
[[bin]]
name = \"sst-conditions\"
path = \"src/conditions/main.rs\"
";

/// The arguments of `cargo xtask conditions`.
#[derive(Args)]
pub(crate) struct ConditionArguments {
    /// Build this commit aside, and run its rounds in turn with ours.
    #[arg(long, value_name = "COMMIT")]
    against: Option<String>,
    /// Rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Only these conditions: g (cold), h (many tables), j (walking and merging), w (writing).
    #[arg(long, default_value = "g,h,j,w")]
    only: String,
    /// A tenth of the entries: to see whether everything works.
    #[arg(long)]
    quick: bool,
    /// The folder of the stores, on a real disk.
    #[arg(long, default_value = "target/conditions")]
    dir: PathBuf,
}

/// A built program and the folder of its stores.
struct Side {
    program: PathBuf,
    dir: PathBuf,
    /// The samples of each figure, round by round.
    samples: BTreeMap<String, Vec<f64>>,
}

/// Builds, measures and prints a table. True if that succeeded.
pub(crate) fn run(root: &Path, arguments: &ConditionArguments) -> bool {
    match measure(root, arguments) {
        Ok(table) => {
            println!("{table}");
            true
        }
        Err(error) => {
            println!("conditions: {error}");
            false
        }
    }
}

fn measure(root: &Path, arguments: &ConditionArguments) -> Result<String, String> {
    if arguments.rounds == 0 {
        return Err("nothing is measured without a round".to_owned());
    }
    let dir = root.join(&arguments.dir);
    let mut sides = vec![Side::new(build(root, &root.join("target"), "")?, dir.join("ours"))];
    if let Some(commit) = &arguments.against {
        let program = build_commit(root, commit)?;
        sides.push(Side::new(program, dir.join(format!("against-{commit}"))));
    }
    for side in &sides {
        side.call(arguments, &["prepare"])?;
    }
    for number in 0..arguments.rounds {
        for side in &mut sides {
            side.round(arguments, number)?;
        }
    }
    Ok(table(&sides))
}

/// Builds the program of a workspace, and returns its path.
fn build(root: &Path, target: &Path, flags: &str) -> Result<PathBuf, String> {
    let mut command = crate::cargo();
    command
        .args(["build", "--quiet", "--profile", "bench", "--package", "sst-benches"])
        .args(["--bin", "sst-conditions"])
        .env("CARGO_TARGET_DIR", target)
        .current_dir(root);
    if !flags.is_empty() {
        command.env("RUSTFLAGS", flags);
    }
    succeed(&mut command)?;
    Ok(target.join("release/sst-conditions"))
}

/// Checks a commit out aside, gives it the program if it has none, and builds it.
fn build_commit(root: &Path, commit: &str) -> Result<PathBuf, String> {
    let aside = root.join("target/against");
    let tree = aside.join(commit);
    if !tree.exists() {
        fs::create_dir_all(&aside).map_err(|error| error.to_string())?;
        let mut git = Command::new("git");
        git.args(["worktree", "add", "--detach"]).arg(&tree).arg(commit).current_dir(root);
        succeed(&mut git)?;
    }
    if !tree.join(PROGRAM).exists() {
        lend_program(root, &tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    }
    let has_monitor = tree.join("crates/sst-format/src/monitor.rs").exists();
    build(&tree, &aside.join("build"), if has_monitor { "" } else { "--cfg sst_before_monitor" })
}

/// Copies our program into an older tree.
fn lend_program(root: &Path, tree: &Path) -> std::io::Result<()> {
    let to = tree.join(PROGRAM);
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(root.join(PROGRAM))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    let path = tree.join("benches/Cargo.toml");
    let manifest = fs::read_to_string(&path)?;
    let dependencies = "[dependencies]\nsst-merge.workspace = true\n";
    let manifest = manifest.replacen("[dependencies]\n", dependencies, 1);
    fs::write(path, format!("{manifest}{MANIFEST}"))
}

/// Runs a command to its end.
fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

impl Side {
    fn new(program: PathBuf, dir: PathBuf) -> Self {
        Self { program, dir, samples: BTreeMap::new() }
    }

    /// Runs a step of the program, and returns its output.
    fn call(&self, arguments: &ConditionArguments, step: &[&str]) -> Result<Vec<u8>, String> {
        let mut command = Command::new(&self.program);
        command.args(step).arg("--dir").arg(&self.dir).args(["--only", &arguments.only]);
        if arguments.quick {
            command.arg("--quick");
        }
        let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn round(&mut self, arguments: &ConditionArguments, number: u64) -> Result<(), String> {
        let output = self.call(arguments, &["round", "--number", &number.to_string()])?;
        let figures: BTreeMap<String, f64> =
            serde_json::from_slice(&output).map_err(|error| error.to_string())?;
        for (name, value) in figures {
            self.samples.entry(name).or_default().push(value);
        }
        Ok(())
    }
}

/// One line for each figure: ours, and the older commit's with the median ratio of the rounds.
fn table(sides: &[Side]) -> String {
    let [ours, others @ ..] = sides else { return "nothing was measured".to_owned() };
    let mut text = format!("{:44} {:>12}", "figure", "ours");
    for _ in others {
        text += &format!(" {:>12} {:>12}", "against", "against/ours");
    }
    for (name, samples) in &ours.samples {
        text += &format!("\n{name:44} {:>12}", number(median(samples.clone())));
        for other in others {
            let Some(theirs) = other.samples.get(name) else {
                text += &format!(" {:>12} {:>12}", "-", "-");
                continue;
            };
            let ratios = theirs.iter().zip(samples).map(|(theirs, ours)| theirs / ours).collect();
            let [theirs, ratio] = [median(theirs.clone()), median(ratios)];
            text += &format!(" {:>12} {:>12}", number(theirs), number(ratio));
        }
    }
    text
}

/// The median; `None` without samples, or where it is no number, such as nothing over nothing.
fn median(mut samples: Vec<f64>) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().filter(|median| median.is_finite())
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(figures: &[(&str, &[f64])]) -> Side {
        let mut side = Side::new(PathBuf::new(), PathBuf::new());
        side.samples.extend(figures.iter().map(|(name, s)| ((*name).to_owned(), s.to_vec())));
        side
    }

    #[test]
    fn ratios_are_medians_over_rounds() {
        let sides = [side(&[("get", &[1.0, 2.0, 4.0])]), side(&[("get", &[3.0, 4.0, 4.0])])];
        assert!(table(&sides).ends_with("2.00         4.00         2.00"));
    }

    #[test]
    fn a_figure_that_the_older_commit_lacks_is_a_dash() {
        assert!(table(&[side(&[("get", &[1.0])]), side(&[])]).ends_with('-'));
        assert_eq!(median(vec![f64::NAN]), None);
    }
}
