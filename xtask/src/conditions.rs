//! `cargo xtask conditions`: measures the conditions of real use, compared with an older commit and
//! with other stores.
//!
//! `--against COMMIT` checks out the commit under `target/against` and builds the same program with
//! its libraries. `--peers` builds the program of the other stores. The rounds of all sides take
//! turns, so that ratios hardly depend on other load of the machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::json;

use crate::bench::{Peers, conditions_rivals};

/// The folder of the measuring program, relative to the root of a workspace.
const PROGRAM: &str = "benches/src/conditions";

/// The default folder for the stores.
const DIR: &str = "target/conditions";

/// The letters of the conditions.
pub(crate) const CONDITIONS: [&str; 6] = ["g", "h", "i", "j", "t", "w"];

/// The ways of ours to store and to read cold data, as figures name them.
const WAYS: [&str; 4] = ["map", "read", "map4k", "read4k"];

/// The section of `benches/Cargo.toml` that older commits lack.
const MANIFEST: &str = "
[[bin]]
name = \"sst-conditions\"
path = \"src/conditions/main.rs\"
";

/// The arguments of `cargo xtask conditions`.
#[derive(Args)]
pub(crate) struct ConditionArguments {
    /// Build this commit too, and let its rounds take turns with ours.
    #[arg(long, value_name = "COMMIT")]
    against: Option<String>,
    /// Other stores whose rounds take turns with ours.
    #[arg(long, value_enum, default_value_t)]
    peers: Peers,
    /// Write the samples of all sides to this file as JSON, for `cargo xtask bench --conditions`.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Number of rounds; figures are medians over them.
    #[arg(long, default_value_t = 5)]
    rounds: u64,
    /// Measure only these conditions: g (cold data), h (many tables), i (increments for days), j
    /// (scans and merges), t (one table), w (writing).
    #[arg(long, default_value = "g,h,i,j,t,w")]
    only: String,
    /// Use a tenth of the entries, to check that everything works.
    #[arg(long)]
    quick: bool,
    /// Folder for the stores, on a real disk.
    #[arg(long, default_value = DIR)]
    dir: PathBuf,
}

impl ConditionArguments {
    /// The arguments for a part of `cargo xtask bench`, which reads `json`.
    pub(crate) fn new(
        against: Option<String>,
        peers: Peers,
        json: PathBuf,
        rounds: u64,
        only: String,
        quick: bool,
    ) -> Self {
        Self { against, peers, json: Some(json), rounds, only, quick, dir: PathBuf::from(DIR) }
    }
}

/// One side of the comparison: a built program, its samples, and the folder of its stores.
struct Side {
    name: String,
    program: PathBuf,
    /// The name of the store, if the program measures several.
    store: Option<String>,
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
    let program = build(root, &root.join("target"), "")?;
    let mut sides = vec![Side::new("ours", program, dir.join("ours"))];
    if let Some(commit) = &arguments.against {
        let program = build_commit(root, commit)?;
        sides.push(Side::new(commit, program, dir.join(format!("against-{commit}"))));
    }
    if arguments.peers != Peers::None {
        sides.extend(peers(root, arguments.peers, &dir)?);
    }
    for side in &sides {
        side.call(arguments, &["prepare"])?;
    }
    for number in 0..arguments.rounds {
        for side in &mut sides {
            side.round(arguments, number)?;
        }
    }
    if let Some(path) = &arguments.json {
        fs::write(path, to_json(arguments, &sides)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(table(&sides))
}

/// Returns the parameters and the time of the run, and the samples of all sides, as JSON for the
/// report.
fn to_json(arguments: &ConditionArguments, sides: &[Side]) -> Result<String, String> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| error.to_string())?;
    let run = json!({
        "seconds_since_1970": time.as_secs(),
        "rounds": arguments.rounds,
        "quick": arguments.quick,
        "sides": sides.iter().map(Side::to_json).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&run).map_err(|error| error.to_string())
}

/// Builds the program of the other stores. Returns a side for each store.
fn peers(root: &Path, peers: Peers, dir: &Path) -> Result<Vec<Side>, String> {
    let program = conditions_rivals(root, peers).ok_or("the other stores could not be built")?;
    let mut command = Command::new(&program);
    let output = command.arg("stores").output().map_err(|error| format!("{command:?}: {error}"))?;
    let names: Vec<String> =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let side = |name: String| {
        let mut side = Side::new(&name, program.clone(), dir.join(name.replace(' ', "-")));
        side.store = Some(name);
        side
    };
    Ok(names.into_iter().map(side).collect())
}

/// Builds the program in a workspace. Returns its path.
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

/// Checks out a commit, adds the program if the commit lacks it, and builds it.
fn build_commit(root: &Path, commit: &str) -> Result<PathBuf, String> {
    let aside = root.join("target/against");
    let tree = aside.join(commit);
    if !tree.exists() {
        fs::create_dir_all(&aside).map_err(|error| error.to_string())?;
        let mut git = Command::new("git");
        git.args(["worktree", "add", "--detach"]).arg(&tree).arg(commit).current_dir(root);
        succeed(&mut git)?;
    }
    let own = format!("{commit}:{PROGRAM}/main.rs");
    let mut git = Command::new("git");
    git.args(["cat-file", "-e", &own]).stderr(Stdio::null()).current_dir(root);
    if !git.status().is_ok_and(|status| status.success()) {
        copy_program(root, &tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    }
    // The program does without the parts that this commit lacks.
    let flags: Vec<_> = [
        ("crates/sst-format/src/monitor.rs", "", "--cfg sst_before_monitor"),
        (
            "crates/sst-writer/src/table/writer_options.rs",
            "value_block_size",
            "--cfg sst_before_block_sizes",
        ),
    ]
    .into_iter()
    .filter(|(file, part, _)| {
        !fs::read_to_string(tree.join(file)).is_ok_and(|text| text.contains(part))
    })
    .map(|(_, _, flag)| flag)
    .collect();
    // An older commit does not know the names of later flags.
    let flags = format!("-A unexpected_cfgs {}", flags.join(" "));
    build(&tree, &aside.join("build"), &flags)
}

/// Copies our program into an older tree. Repeated in each run, since the program may have changed.
fn copy_program(root: &Path, tree: &Path) -> std::io::Result<()> {
    let to = tree.join(PROGRAM);
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(root.join(PROGRAM))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    let path = tree.join("benches/Cargo.toml");
    let manifest = fs::read_to_string(&path)?;
    if manifest.contains(MANIFEST) {
        return Ok(());
    }
    let dependencies = "[dependencies]\nsst-merge.workspace = true\n";
    let manifest = manifest.replacen("[dependencies]\n", dependencies, 1);
    fs::write(path, format!("{manifest}{MANIFEST}"))
}

/// Runs a command and waits for its end.
fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

impl Side {
    fn new(name: &str, program: PathBuf, dir: PathBuf) -> Self {
        Self { name: name.to_owned(), program, store: None, dir, samples: BTreeMap::new() }
    }

    fn to_json(&self) -> serde_json::Value {
        json!({ "name": self.name, "samples": self.samples })
    }

    /// The samples of a figure. Other stores have only one way to read files, so their samples are
    /// compared with both of ours.
    fn samples_of(&self, figure: &str) -> Option<&Vec<f64>> {
        let any_way = WAYS.iter().find_map(|way| {
            let way = format!(" {way} ");
            figure.contains(&way).then(|| figure.replacen(&way, " ", 1))
        });
        self.samples.get(figure).or_else(|| self.samples.get(&any_way?))
    }

    /// Runs a step of the program and returns its output.
    fn call(&self, arguments: &ConditionArguments, step: &[&str]) -> Result<Vec<u8>, String> {
        let mut command = Command::new(&self.program);
        command.args(step).arg("--dir").arg(&self.dir).args(["--only", &arguments.only]);
        if arguments.quick {
            command.arg("--quick");
        }
        if let Some(store) = &self.store {
            command.args(["--store", store]);
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

/// One line for each figure: our figure, and for each other side its figure and the median of the
/// rounds' ratios of its figure to ours. A ratio above 1 means that ours is lower.
fn table(sides: &[Side]) -> String {
    let [ours, others @ ..] = sides else { return "nothing was measured".to_owned() };
    let mut text = format!("| figure | {} |", ours.name);
    for other in others {
        text += &format!(" {} | {}/ours |", other.name, other.name);
    }
    text += "\n|---|--:|";
    text += &"--:|--:|".repeat(others.len());
    for (name, samples) in &ours.samples {
        text += &format!("\n| {name} | {} |", number(median(samples.clone())));
        for other in others {
            let Some(theirs) = other.samples_of(name) else {
                text += " - | - |";
                continue;
            };
            let ratios = theirs.iter().zip(samples).map(|(theirs, ours)| theirs / ours).collect();
            let [theirs, ratio] = [median(theirs.clone()), median(ratios)];
            text += &format!(" {} | {} |", number(theirs), number(ratio));
        }
    }
    text
}

/// The median. `None` without samples, or if the median is not finite, such as 0 divided by 0.
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
        let mut side = Side::new("side", PathBuf::new(), PathBuf::new());
        side.samples.extend(figures.iter().map(|(name, s)| ((*name).to_owned(), s.to_vec())));
        side
    }

    #[test]
    fn ratios_are_medians_over_rounds() {
        let sides = [side(&[("get", &[1.0, 2.0, 4.0])]), side(&[("get", &[3.0, 4.0, 4.0])])];
        assert!(table(&sides).ends_with("| get | 2.00 | 4.00 | 2.00 |"));
    }

    #[test]
    fn a_figure_that_the_older_commit_lacks_is_a_dash() {
        assert!(table(&[side(&[("get", &[1.0])]), side(&[])]).ends_with("| - | - |"));
        assert_eq!(median(vec![f64::NAN]), None);
    }

    #[test]
    fn stores_with_one_way_to_read_are_compared_with_both_of_ours() {
        let peer = side(&[("g get, waits", &[1.0])]);
        assert_eq!(peer.samples_of("g map get, waits"), Some(&vec![1.0]));
        assert_eq!(peer.samples_of("g read get, waits"), Some(&vec![1.0]));
        assert_eq!(peer.samples_of("g map miss, waits"), None);
    }
}
