//! `sst load --range`: several commands load what one would, each its range of hashes.

use std::process::Command;

use crate::harness::{Arg, Scratch, repository, scan, sst};

/// Entries with values of several lengths, a deletion, and keys that come twice.
fn input() -> String {
    let line = |i: u32| format!("key {i}\t{}\n", "v".repeat(i as usize % 300));
    (0..500).chain(490..510).map(line).chain(["key 7\t\\N\n".to_owned()]).collect()
}

#[test]
fn ranges_make_up_the_whole() {
    let scratch = Scratch::new();
    let file = scratch.file("input.tsv", input());
    let whole = scratch.path("whole");
    let digest = sst(&[&"load", &file, &whole, &"--certify", &"--json"]).expect(0).json();
    for ranges in [1, 3, 2000] {
        let parts: Vec<_> =
            (0..ranges.min(8)).map(|i| scratch.path(&format!("{ranges}-{i}"))).collect();
        let mut lines = 0;
        for (i, part) in parts.iter().enumerate() {
            let range = format!("--range={i}/{ranges}");
            sst(&[&"load", &file, part, &range, &"--certify"]).expect(0);
            lines += scan(part).lines().count();
        }
        // Of 2,000 ranges most are empty, and their directories are so too.
        assert_eq!(lines == 509, ranges <= 8, "{lines}");
        let all = scratch.path(&format!("all-{ranges}"));
        let mut args: Vec<Arg<'_>> = vec![&"gather", &"--output", &all, &"--certify", &"--json"];
        args.extend(parts.iter().map(|part| part as Arg<'_>));
        let report = sst(&args).expect(0).json();
        assert_eq!(report["digest"] == digest["digest"], ranges <= 8);
    }
}

#[test]
fn a_range_is_one_that_there_is() {
    let scratch = Scratch::new();
    let file = scratch.file("input.tsv", input());
    for range in ["3/3", "1", "a/b", "0/0"] {
        let range = format!("--range={range}");
        sst(&[&"load", &file, &scratch.path("db"), &range]).expect(3);
    }
    let none = scratch.file("none.tsv", "");
    sst(&[&"load", &none, &scratch.path("db"), &"--range=0/2"]).expect(3);
}

/// The example of `examples/ranges`, run by `make`.
#[test]
fn the_example_runs() {
    let scratch = Scratch::new();
    let file = scratch.file("input.tsv", input());
    let whole = scratch.path("whole");
    sst(&[&"load", &file, &whole, &"--certify"]).expect(0);
    let all = scratch.path("all.db");
    let variable = |name: &str, value: &std::path::Path| format!("{name}={}", value.display());
    let made = Command::new("make")
        .args(["--silent", "-j2", "-f"])
        .arg(repository("examples/ranges/Makefile"))
        .arg(format!("SST={}", env!("CARGO_BIN_EXE_sst")))
        .args([variable("INPUT", &file), variable("OUTPUT", &all), "RANGES=5".to_owned()])
        .output();
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            eprintln!("NOT RUN: make cannot be run: {error}");
            return;
        }
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    sst(&[&"verify", &all, &"--against", &whole]).expect(0);
    assert_eq!(scan(&all), scan(&whole));
}
