//! Runs of equal hashes that loads build one after the other, and that are too long for one table.

use std::path::Path;

use crate::harness::{Scratch, sst};

/// Lines of keys with equal hashes, from number `first` on. Their length makes two loads of them
/// too long for one key block, which has room for 2^24 bytes.
fn lines(first: u32, count: u32) -> Vec<u8> {
    // The first bytes of the constant of XXH3 make a factor 0, whatever the next 8 bytes are.
    const CANCELLING: [u8; 8] = [0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe];
    let mut lines = Vec::new();
    for number in first..first + count {
        lines.extend(CANCELLING);
        lines.extend(format!("{number:08}").bytes());
        lines.extend([b't'; 112]);
        // Values of two lengths: keys and values have no fixed size.
        lines.extend(format!("\t{}\n", &"value"[..number as usize % 2 + 3]).bytes());
    }
    lines
}

fn count(directory: &Path) -> String {
    sst(&[&"scan", &directory, &"--count"]).expect(0).text().trim().to_owned()
}

/// Each load alone fits into one table. No directory that they make is one that no command can
/// merge any more.
#[test]
fn a_run_of_equal_hashes_over_several_loads_is_merged_split_and_sampled() {
    const EACH: u32 = 70_000;
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let mut certificate = None;
    for (load, first) in [0, EACH].into_iter().enumerate() {
        let input = scratch.file("in.tsv", lines(first, EACH));
        let mode = if load == 0 { "--certify" } else { "--increment" };
        sst(&[&"load", &input, &db, &"--format", &"tsv", &mode, &"-q"]).expect(0);
    }
    let all = (2 * EACH).to_string();
    for round in 0..2 {
        sst(&[&"merge", &db, &"--in-place"]).expect(0);
        sst(&[&"verify", &db]).expect(0);
        assert_eq!(count(&db), all, "{round}");
        let now = sst(&[&"certificate", &db, &"--compute"]).expect(0).text().to_owned();
        assert_eq!(certificate.get_or_insert_with(|| now.clone()), &now);
    }
    // The policy wants one layer, which there cannot be: it ends all the same.
    sst(&[&"merge", &db, &"--auto", &"--max-layers", &"1"]).expect(0);
    sst(&[&"verify", &db]).expect(0);
    let out = scratch.path("out");
    sst(&[&"merge", &db, &"-o", &out]).expect(0);
    assert_eq!(count(&out), all);
    let shards = scratch.path("shards");
    sst(&[&"split", &db, &"-n", &"2", &"-o", &shards]).expect(0);
    let sample = scratch.path("sample");
    sst(&[&"sample", &db, &"-o", &sample, &"--fraction", &"1"]).expect(0);
    assert_eq!(count(&sample), all);
    // One file has no room for it, and says so.
    sst(&[&"merge", &db, &"-o", &scratch.path("one.sst")]).expect_error(3, &[]);
}
