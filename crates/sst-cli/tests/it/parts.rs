//! `sst diff`, `sst split` and `sst sample`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::harness::{Scratch, scan, sst};

fn lines(path: &Path) -> BTreeSet<String> {
    scan(path).lines().map(str::to_owned).collect()
}

fn numbered(count: u32) -> String {
    (0..count).map(|i| format!("key {i}\tvalue {i}\n")).collect()
}

#[test]
fn diff_prints_what_has_changed() {
    let scratch = Scratch::new();
    let old = scratch.database("old", "same\t1\nchanged\told\ngone\tg\n");
    let new = scratch.database("new", "same\t1\nchanged\tnew\nmore\ttab\\there\n");
    let run = sst(&[&"diff", &old, &new]).expect(1);
    let found: BTreeSet<&str> = run.text().lines().collect();
    assert_eq!(found, ["~\tchanged\told\tnew", "-\tgone\tg", "+\tmore\ttab\\there"].into());
    assert_eq!(run.stderr.trim(), "1 added, 1 removed, 1 changed, 1 the same");
    let json = sst(&[&"diff", &old, &new, &"--json"]).expect(1).json_lines();
    let changed = json.iter().find(|line| line["change"] == "changed").unwrap();
    assert_eq!(
        *changed,
        serde_json::json!({"change": "changed", "key": "changed", "old": "old", "new": "new"})
    );
    let keys = sst(&[&"diff", &old, &new, &"--keys-only", &"--hex", &"--quiet"]).expect(1);
    assert!(keys.text().lines().any(|line| line == "-\t676f6e65") && keys.stderr.is_empty());
    let summary = sst(&[&"diff", &old, &new, &"--summary", &"--json"]).expect(1).json();
    assert_eq!((&summary["added"], &summary["same"]), (&1.into(), &1.into()));
}

#[test]
fn diff_of_the_same_content_prints_nothing() {
    let scratch = Scratch::new();
    let one = scratch.database("one", numbered(500));
    let other = scratch.path("other");
    sst(&[&"merge", &one, &"-o", &other, &"--max-table-entries", &"100"]).expect(0);
    let run = sst(&[&"diff", &one, &other]).expect(0);
    assert_eq!(
        (run.text(), run.stderr.trim()),
        ("", "0 added, 0 removed, 0 changed, 500 the same")
    );
    sst(&[&"diff", &one, &scratch.path("missing")]).expect_error(3, &["missing"]);
    sst(&[&"diff", &one, &scratch.file("x.sst", "no table")]).expect_error(2, &["not an SST file"]);
}

#[test]
fn shards_have_all_entries_and_the_map_finds_them() {
    let scratch = Scratch::new();
    let all = scratch.database("all", numbered(1000));
    for by in ["entries", "hashes"] {
        let out = scratch.path(by);
        let manifest =
            sst(&[&"split", &all, &"-o", &out, &"--count", &"3", &"--by", &by, &"--json"]);
        let mut manifest = manifest.expect(0).json();
        assert_eq!(manifest.as_object_mut().unwrap().remove("schema"), Some(1.into()));
        let shards = manifest["shards"].as_array().unwrap();
        let mut sum = BTreeSet::new();
        for shard in shards {
            let found = lines(&out.join(shard["directory"].as_str().unwrap()));
            assert_eq!(shard["entries"], found.len());
            assert!(by == "hashes" || found.len().abs_diff(1000 / 3) <= 1);
            sum.extend(found);
        }
        assert_eq!((shards.len(), &sum), (3, &lines(&all)));
        let on_disk: serde_json::Value =
            serde_json::from_slice(&fs::read(out.join("shards.json")).unwrap()).unwrap();
        assert_eq!(on_disk, manifest);
        for key in ["key 1", "key 2", "key 3", "key 4", "key 5"] {
            let which = sst(&[&"split", &"--which", &key, &out]).expect(0);
            let directory = which.text().trim_end().split_once('\t').unwrap().1.to_owned();
            assert!(
                sst(&[&"get", &directory, &"--values-only", &key])
                    .expect(0)
                    .text()
                    .starts_with("value ")
            );
        }
    }
}

#[test]
fn a_split_that_was_cut_short_can_be_repeated_and_a_complete_one_is_kept() {
    let scratch = Scratch::new();
    let all = scratch.database("all", numbered(100));
    let out = scratch.path("out");
    let args: &[crate::harness::Arg<'_>] = &[&"split", &all, &"-o", &out, &"-n", &"2"];
    sst(args).expect(0);
    sst(args).expect_error(3, &["earlier split"]);
    fs::remove_file(out.join("shards.json")).unwrap();
    fs::remove_file(out.join("shard-0001/CURRENT")).unwrap();
    // Without this marker, `split` would refuse the shard, since its `CURRENT` seems to be lost.
    fs::write(out.join("shard-0001/.first-commit"), b"").unwrap();
    let text = sst(args).expect(0);
    assert_eq!(text.text().lines().count(), 2);
    let sum: BTreeSet<_> =
        ["shard-0000", "shard-0001"].iter().flat_map(|shard| lines(&out.join(shard))).collect();
    assert_eq!(sum, lines(&all));
    sst(&[&"split", &all, &"-o", &out, &"-n", &"0"]).expect(3);
    sst(&[&"split", &all]).expect(3);
    sst(&[&"split", &"--which", &"key", &all]).expect_error(3, &["shards.json"]);
}

#[test]
fn samples_are_parts_of_the_whole() {
    let scratch = Scratch::new();
    let all = scratch.database("all", numbered(2000));
    let (ten, one, file) = (scratch.path("ten"), scratch.path("one"), scratch.path("file.sst"));
    sst(&[&"sample", &all, &"--fraction", &"0.1", &"-o", &ten]).expect(0);
    sst(&[&"sample", &all, &"--fraction", &"0.01", &"-o", &one]).expect(0);
    let (whole, ten, one) = (lines(&all), lines(&ten), lines(&one));
    assert!(one.is_subset(&ten) && ten.is_subset(&whole));
    assert!((130..270).contains(&ten.len()) && one.len() < 40, "{} {}", ten.len(), one.len());
    let report =
        sst(&[&"sample", &all, &"--keys", &"77", &"--seed", &"5", &"-o", &file, &"--json"]);
    assert_eq!(report.expect(0).json()["entries"], 77);
    assert!(lines(&file).len() == 77 && lines(&file).is_subset(&whole));
    sst(&[&"sample", &all, &"--fraction", &"1.5", &"-o", &file]).expect(3);
    sst(&[&"sample", &all, &"-o", &file]).expect(3);
    sst(&[&"sample", &all, &"--keys", &"1", &"-o", &file]).expect_error(3, &["exists"]);
}
