//! The gates of continuous integration, the cheap ones first. `.ci/run` runs exactly these.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::readme;

/// A gate: a name and the shell command that must succeed.
struct Gate {
    name: &'static str,
    command: String,
}

fn gates(root: &Path) -> Result<Vec<Gate>, String> {
    let gate = |name, command: &str| Gate { name, command: command.to_owned() };
    // The optimized programs are built by one selection of packages. A selection for each program
    // would compile the libraries once for each, since the features of their dependencies differ.
    let optimized = |program: &str| {
        let packages = "-p xtask -p sst-torture -p sst-fuzz-harness";
        let folder = "\"${CARGO_TARGET_DIR:-target}\"/release";
        format!("cargo build --quiet --release {packages} && {folder}/{program}")
    };
    let [main_job, tests] = readme::commands(root)?;
    Ok(vec![
        gate("format", "cargo fmt --all --check"),
        gate("sources", "cargo run --quiet --package xtask -- conformance --sources"),
        gate("no dependencies", "test \"$(cargo tree -p sst-format -e normal | wc -l)\" -eq 1"),
        gate("clippy", "cargo clippy --workspace --all-targets --all-features -- -D warnings"),
        gate("conformance", &optimized("xtask conformance")),
        gate("torture", &optimized("sst-torture")),
        Gate { name: "README: main job", command: main_job },
        Gate { name: "README: tests", command: tests },
        // Conformance, torture and fuzzing run optimized code.
        gate(
            "tests, all features",
            "cargo test -p sst-format -p sst-reader --all-features --lib --tests",
        ),
        // The stores of the clouds are off by default, because they need TLS. These are the tests
        // that only their features have. The one of S3 needs moto's server, which it installs, or
        // says NOT RUN. The command has no Parquet here, as `cargo sst` builds it.
        gate(
            "clouds, S3, no Parquet",
            "cargo test -p sst-object-store -p sst-cli --no-default-features \
             --features sst-object-store/mirror,sst-cli/cloud --lib --test it -- \
             --nocapture s3:: http:: place::",
        ),
        gate(
            "no TLS",
            "! cargo tree -p sst-cli -e normal | grep -E 'rustls|aws-lc|ring v|openssl|native-tls'",
        ),
        gate("model checker", &optimized("sst-torture --full --only interleavings")),
        gate("instructions", &optimized("xtask instructions")),
        // Each target runs for a short time. libFuzzer's programs take minutes to compile: `cargo
        // xtask fuzz` runs them too.
        gate("fuzz", &optimized("xtask fuzz --stable-only --executions 20000 --seconds 2")),
        // The wheel, in an environment that it makes itself, or NOT RUN.
        gate("python", "python/check"),
        // One job on a cluster of Spark, with the wheel that was just built, or NOT RUN. Its other
        // tests take minutes: `python/spark/check` runs them all.
        gate("Spark", "python/spark/check -k survives_a_failed_task"),
        gate("docs", "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features"),
        // With what the gate "docs" has compiled.
        gate("public API", &optimized("xtask api")),
        gate("dependencies", &optimized("xtask dependencies")),
        // Without --brief: the command for all systems, and the oldest compiler.
        gate("platforms", &optimized("xtask platforms --brief")),
        gate("no_std", "cargo check -p sst-format --no-default-features --all-features"),
        gate("package", &optimized("xtask outside")),
    ])
}

/// A file system in memory, where temporary files of the gates lie if it has room. On a disk, tests
/// mostly wait for syncs, and none of them needs one: a fault is injected, and a process that is
/// killed loses nothing that it has written.
const MEMORY: &str = "/dev/shm";

/// Room in KiB that the gates need for temporary files, with some to spare.
const ROOM: u64 = 4 << 20;

/// Whether there is a file system in memory with enough room.
fn has_memory() -> bool {
    let df =
        Command::new("df").args(["-k", "--output=avail", MEMORY]).stderr(Stdio::null()).output();
    let lines = df.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    // Without an answer the disk is used.
    lines.is_ok_and(|lines| {
        lines.lines().nth(1).and_then(|line| line.trim().parse().ok()) >= Some(ROOM)
    })
}

/// Runs all gates, or those whose name contains `only`. Stops at the first failure.
pub(crate) fn run(root: &Path, only: Option<&str>, list: bool) -> bool {
    let gates = match gates(root) {
        Ok(gates) => gates,
        Err(error) => {
            println!("{error}");
            return false;
        }
    };
    let is_in_memory = has_memory();
    if is_in_memory {
        println!("temporary files lie in {MEMORY}");
    }
    let mut passed = 0;
    for gate in gates.iter().filter(|gate| only.is_none_or(|only| gate.name.contains(only))) {
        println!("== {}\n$ {}", gate.name, gate.command);
        if list {
            continue;
        }
        let start = Instant::now();
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &gate.command]).current_dir(root);
        if is_in_memory {
            command.env("TMPDIR", MEMORY);
        }
        let status = command.stdin(Stdio::null()).status();
        let seconds = start.elapsed().as_secs();
        match status {
            Ok(status) if status.success() => println!("-- {}: ok, {seconds} s", gate.name),
            Ok(status) => {
                println!("-- {}: FAILED ({status}), {seconds} s", gate.name);
                return false;
            }
            Err(error) => {
                println!("-- {}: cannot run: {error}", gate.name);
                return false;
            }
        }
        passed += 1;
    }
    if list {
        return true;
    }
    println!("{passed} gates passed");
    if passed == 0 {
        println!("no gate has this in its name; --list names them");
    }
    passed > 0
}
