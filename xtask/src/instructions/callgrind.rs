//! One run of `sst-instructions` under callgrind.

use std::path::Path;
use std::process::Command;

use super::record::Operation;

/// Settings of the C library that make counts meaningful and equal on all machines. There are two
/// reasons. Without them, copying and clearing use repeated instructions; valgrind counts every
/// repetition, and their number depends on the alignment of source and destination. And whether a
/// growing buffer is copied depends on the memory after it. C libraries other than glibc ignore the
/// settings.
const C_LIBRARY: &str = "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000:\
                         glibc.cpu.x86_non_temporal_threshold=0x40000000:glibc.malloc.mmap_threshold=0x20000";

/// The counts of a run.
pub(crate) struct Run {
    /// The processor's features that valgrind presents to the program.
    pub(crate) features: String,
    /// The operations and their counts, in order.
    pub(crate) operations: Vec<Operation>,
}

impl Run {
    /// Builds the program and counts its instructions.
    pub(crate) fn of(root: &Path) -> Result<Self, String> {
        let build = [
            "build",
            "--quiet",
            "--release",
            "--package",
            "sst-benches",
            "--bin",
            "sst-instructions",
        ];
        let status = crate::cargo().args(build).current_dir(root).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err("sst-instructions does not build".to_owned());
        }
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |dir| root.join(dir));
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let output = Command::new("valgrind")
            .args([
                "--tool=callgrind",
                "--toggle-collect=*sst_instructions::measured*",
                "--dump-after=*sst_instructions::counted*",
                "--callgrind-out-file=counts",
            ])
            .arg(target.join("release/sst-instructions"))
            .env("GLIBC_TUNABLES", C_LIBRARY)
            .current_dir(dir.path())
            .output()
            .map_err(|error| format!("valgrind: {error}"))?;
        if !output.status.success() {
            return Err(format!("valgrind: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Self::parse(&String::from_utf8_lossy(&output.stdout), |part| {
            std::fs::read_to_string(dir.path().join(format!("counts.{part}"))).ok()
        })
    }

    /// Parses the counts. `names` is the output of the program; `part` returns callgrind's output
    /// for the n-th operation, counted from 1.
    fn parse(names: &str, part: impl Fn(usize) -> Option<String>) -> Result<Self, String> {
        let mut lines = names.lines().filter_map(|line| line.split_once('\t'));
        let features = lines.next().ok_or("sst-instructions printed nothing")?.1.to_owned();
        let operations = lines
            .enumerate()
            .map(|(i, (name, times))| {
                let instructions = part(i + 1).and_then(|part| summary(&part));
                Ok(Operation {
                    name: name.to_owned(),
                    times: times.parse().map_err(|_| format!("{name}: {times} times"))?,
                    instructions: instructions
                        .ok_or_else(|| format!("{name}: nothing was counted"))?,
                })
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { features, operations })
    }
}

/// The number in the line `summary: N` of callgrind's output.
fn summary(part: &str) -> Option<u64> {
    part.lines().find_map(|line| line.strip_prefix("summary: "))?.trim().parse().ok()
}

/// The version of valgrind; `None` if it is not installed.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The output of `rustc --version`.
pub(crate) fn rustc_version() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output =
        Command::new(rustc).arg("--version").output().map_err(|error| format!("rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_counts_come_together() {
        let parts = |part| Some(format!("part: {part}\nevents: Ir\nsummary: {part}00\n"));
        let run = Run::parse("features\tx86_64,avx2\nhit\t10\nmiss\t5\n", parts).unwrap();
        assert_eq!(run.features, "x86_64,avx2");
        let counts: Vec<_> = run.operations.iter().map(|o| (o.times, o.instructions)).collect();
        assert_eq!(counts, [(10, 100), (5, 200)]);
        assert!(Run::parse("features\tx\nhit\t10\n", |_| None).is_err());
        assert!(Run::parse("", parts).is_err());
    }
}
