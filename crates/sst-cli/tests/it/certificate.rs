//! Certificates: `load --certify`, `sst certificate` and `sst verify --against`.

use std::fs;

use crate::harness::{Arg, Scratch, sst, sst_with_input, tables};

fn load(dir: Arg<'_>, tsv: &str, more: &[&str]) -> String {
    let args: [Arg<'_>; 6] = [&"load", &"-", dir, &"--format", &"tsv", &"--json"];
    let more = more.iter().map(|arg| arg as Arg<'_>);
    let args: Vec<_> = args.into_iter().chain(more).collect();
    let report = sst_with_input(&args, tsv.as_bytes()).expect(0).json();
    report["digest"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_certificate_goes_from_load_to_copies_and_merged_directories() {
    let scratch = Scratch::new();
    let dir = scratch.path("db");
    let digest = load(&dir, "a\tone\nb\ttwo\n", &["--certify"]);
    assert_eq!(digest.len(), 64);
    let certificate = sst(&[&"certificate", &dir]).expect(0).text().to_owned();
    assert_eq!(certificate, format!("{digest}  family 0, 2 entries, 8 bytes\n"));
    let json = sst(&[&"certificate", &dir, &"--json"]).expect(0).json();
    assert_eq!(json["families"][0]["certified"], true);
    assert_eq!(json["families"][0]["digest"], digest.as_str());
    let computed = sst(&[&"certificate", &dir, &"--compute", &"--json"]).expect(0).json();
    assert_eq!(computed["families"][0]["certified"], false);
    assert_eq!(computed["families"][0]["digest"], digest.as_str());
    let verified = sst(&[&"verify", &dir, &"--json"]).expect(0).json();
    assert_eq!(verified["certificates"], 1);

    // The same live entries in several layers, uncertified: the certificate is computed by reading.
    let layers = scratch.path("layers");
    load(&layers, "a\tanother\nc\tthree\n", &[]);
    load(&layers, "a\tone\nb\ttwo\nc\t\\N\n", &["--increment"]);
    assert_eq!(sst(&[&"certificate", &layers]).expect(0).text(), certificate);
    sst(&[&"merge", &layers, &"--in-place", &"--certify"]).expect(0);
    let merged = sst(&[&"certificate", &layers, &"--json"]).expect(0).json();
    assert_eq!(merged["families"][0]["certified"], true);
    let json_file = scratch.file("certificate.json", json.to_string());
    let file = scratch.file("certificate", &certificate);
    let copy = scratch.copy_of(&dir, "copy");
    for path in [&dir, &copy, &layers] {
        for against in [&file as Arg<'_>, &json_file, &dir, &layers, &digest] {
            sst(&[&"verify", path, &"--against", against]).expect(0);
        }
    }
}

/// A family whose entries were all deleted has no tables. Its certificate says so, and a
/// computation says the same.
#[test]
fn a_family_that_is_certified_as_empty_is_computed_as_empty() {
    let scratch = Scratch::new();
    let dir = scratch.path("db");
    load(&dir, "a\tone\n", &["--certify"]);
    load(&dir, "b\ttwo\n", &["--family", "1"]);
    load(&dir, "b\t\\N\n", &["--family", "1", "--increment"]);
    sst(&[&"merge", &dir, &"--in-place", &"--family", &"1", &"--certify"]).expect(0);
    let stated = sst(&[&"certificate", &dir]).expect(0).text().to_owned();
    assert!(stated.ends_with("  family 1, 0 entries, 0 bytes\n"), "{stated}");
    assert_eq!(sst(&[&"certificate", &dir, &"--compute"]).expect(0).text(), stated);
}

#[test]
fn what_differs_is_refused() {
    let scratch = Scratch::new();
    let (good, bad) = (scratch.path("good"), scratch.path("bad"));
    let digest = load(&good, "a\tone\nb\ttwo\n", &["--certify"]);
    load(&bad, "a\tone\nb\ttwo!\n", &[]);
    let certificate = scratch.file("c", &sst(&[&"certificate", &good]).expect(0).stdout);
    for against in [&certificate as Arg<'_>, &good, &digest] {
        let json = sst(&[&"verify", &bad, &"--against", against, &"--json"]).expect(2).json();
        assert_eq!((&json["intact"], &json["comparison"]["agrees"]), (&true.into(), &false.into()));
        let text = sst(&[&"verify", &bad, &"--against", against]).expect(2);
        assert!(text.text().contains("refused"), "{}", text.text());
    }
    // An additional family is a difference, unless `--family` excludes it.
    load(&good, "x\tmore\n", &["--family", "7"]);
    sst(&[&"verify", &good, &"--against", &certificate]).expect(2);
    sst(&[&"verify", &good, &"--against", &certificate, &"--family", &"0"]).expect(0);
    sst(&[&"verify", &good, &"--against", &digest]).expect_error(3, &["--family"]);
    sst(&[&"verify", &good, &"--against", &digest, &"--family", &"0"]).expect(0);
    // Damage is refused before any comparison.
    let table = &tables(&good)[0];
    let mut bytes = fs::read(table).unwrap();
    bytes[9] ^= 1;
    fs::write(table, bytes).unwrap();
    let json = sst(&[&"verify", &good, &"--against", &certificate, &"--json"]).expect(2).json();
    assert_eq!((&json["intact"], &json["comparison"]), (&false.into(), &().into()));
}

#[test]
fn there_is_an_error_for_everything_else() {
    let scratch = Scratch::new();
    let dir = scratch.database("db", "a\tone\n");
    let nonsense = scratch.file("nonsense", "hello\n");
    sst(&[&"verify", &dir, &"--against", &nonsense]).expect_error(3, &["nonsense"]);
    sst(&[&"verify", &dir, &"--against", &"no-such-file"]).expect_error(3, &["no-such-file"]);
    sst(&[&"certificate", &scratch.path("nowhere")]).expect_error(3, &["nowhere"]);
    let table = &tables(&dir)[0];
    sst(&[&"verify", table, &"--against", &dir]).expect_error(3, &["directories"]);
    let out = scratch.path("out.sst");
    sst(&[&"merge", &dir, &"-o", &out, &"--certify"]).expect_error(3, &["--certify"]);
}
