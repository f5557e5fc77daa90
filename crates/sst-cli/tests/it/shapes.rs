//! Inputs that users load: small samples of the kinds of data that are around, in the shapes in
//! which they come. Word frequencies, cities, time zones, emoji, events, word lists; keys of
//! several columns, values of several columns, objects, nested fields, arrays.

use std::path::Path;

use crate::harness::{Run, Scratch, join, sst, sst_with_input};

/// Loads a file with these options, and returns the sorted lines of its scan.
#[track_caller]
fn loaded(name: &str, content: impl AsRef<[u8]>, options: &[&str]) -> Vec<String> {
    let scratch = Scratch::new();
    let (input, db) = (scratch.file(name, content), scratch.path("db"));
    sst(&join(&[&"load", &input, &db], options)).expect(0);
    let scan = sst(&[&"scan", &db]).expect(0);
    let mut lines: Vec<String> = scan.text().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Tries to load a file with these options.
fn refused(name: &str, content: impl AsRef<[u8]>, options: &[&str]) -> Run {
    let scratch = Scratch::new();
    let (input, db) = (scratch.file(name, content), scratch.path("db"));
    let run = sst(&join(&[&"load", &input, &db], options));
    assert!(!db.exists());
    run
}

const CITIES: &str = "\
country,name,population,lat,lon
DE,Aachen,249070,50.78,6.08
US,Paris,24171,33.66,-95.56
FR,Paris,2102650,48.86,2.35
JP,\"Ōsaka, City\",2753862,34.69,135.50
";

#[test]
fn cities_have_keys_of_two_columns_and_values_of_several() {
    let lines = loaded("cities.csv", CITIES, &["--key-columns", "country,name"]);
    assert_eq!(
        lines,
        [
            "DE/Aachen\t249070,50.78,6.08",
            "FR/Paris\t2102650,48.86,2.35",
            "JP/Ōsaka, City\t2753862,34.69,135.50",
            "US/Paris\t24171,33.66,-95.56",
        ]
    );
    let options = ["--key-columns", "name,country", "--key-separator", r"\t"];
    let columns = ["--value-columns", "lon,lat", "--value-format", "json"];
    let lines = loaded("cities.csv", CITIES, &[options, columns].concat());
    assert_eq!(lines[0], "Aachen\\tDE\t{\"lon\":\"6.08\",\"lat\":\"50.78\"}");
    let lines = loaded("cities.csv", CITIES, &["--key-column", "2", "--value-columns", "1,name"]);
    assert_eq!(lines, ["Aachen\tDE,Aachen", "Paris\tFR,Paris", "Ōsaka, City\tJP,\"Ōsaka, City\""]);
    let lines = loaded("cities.csv", CITIES, &["--key-column", "name", "--value-format", "json"]);
    assert_eq!(
        lines[0],
        "Aachen\t{\"country\":\"DE\",\"population\":\"249070\",\"lat\":\"50.78\",\"lon\":\"6.08\"}"
    );
    // Without names, columns have numbers.
    let options = ["--no-header", "--value-format", "json", "--value-column", "3"];
    let lines = loaded("cities.csv", "a,b,c\n", &options);
    assert_eq!(lines, ["a\t{\"3\":\"c\"}"]);
}

#[test]
fn parts_of_a_key_that_could_be_mistaken_are_refused() {
    let options = ["--key-columns", "country,name", "--key-separator", ","];
    refused("cities.csv", CITIES, &options).expect_error(3, &["line 5", "--key-separator"]);
    let lines = loaded("cities.csv", CITIES, &[&options[..], &["--skip-bad"]].concat());
    assert_eq!(lines.len(), 3);
    refused("cities.csv", CITIES, &["--key-columns", "country,town"])
        .expect_error(3, &["cities.csv", "town", "population"]);
    refused("cities.csv", CITIES, &["--key-columns", "1,9"]).expect_error(3, &["`9`"]);
    refused("c.csv", "a,b\nc\n", &["--no-header", "--key-columns", "1,2"])
        .expect_error(3, &["line 2"]);
    refused("c.csv", "a,b\n", &["--no-header", "--key-columns", "1,3"])
        .expect_error(3, &["line 1", "3"]);
}

#[test]
fn word_frequencies_and_time_zones_are_separated_by_tabs() {
    let words = "word\tcount\nder\t3511\nund\t2909\n\"gut\"\t7\n";
    let options = ["--delimiter", "tab"];
    assert_eq!(loaded("words.txt", words, &options), ["der\t3511", "gut\t7", "und\t2909"]);
    let zones = "DE,FR\t+5230+01322\tEurope/Berlin\nAQ\t-6617+11031\tAntarctica/Casey\n";
    let options = ["-d", "tab", "--no-header", "--key-column", "3", "--value-columns", "1,2"];
    let lines = loaded("zones.tab", zones, &[&options[..], &["--format", "csv"]].concat());
    assert_eq!(lines, ["Antarctica/Casey\tAQ\\t-6617+11031", "Europe/Berlin\tDE,FR\\t+5230+01322"]);
}

const EMOJI: &str = r#"[
  {"char": "😀", "name": "grinning face", "tags": ["face", "grin"], "version": {"unicode": 6.1}},
  {"char": "🍏", "name": "green apple", "tags": [], "version": {"unicode": 6.0}}
]
"#;

#[test]
fn emoji_come_as_one_array_of_objects() {
    let key = ["--key-field", "char"];
    let load = |options: &[&str]| loaded("emoji.json", EMOJI, &[&key[..], options].concat());
    assert_eq!(load(&["--value-field", "name"]), ["🍏\tgreen apple", "😀\tgrinning face"]);
    assert_eq!(load(&["--value-field", "version.unicode"]), ["🍏\t6.0", "😀\t6.1"]);
    assert_eq!(load(&["--value-field", "tags"])[1], r#"😀	["face", "grin"]"#);
    assert_eq!(
        load(&["--value-field", ".", "--without-key"])[0],
        r#"🍏	{"name":"green apple","tags":[],"version":{"unicode": 6.0}}"#
    );
    assert_eq!(
        load(&["--value-fields", "name,tags.0,missing"])[1],
        r#"😀	{"name":"grinning face","tags.0":"face","missing":null}"#
    );
    let whole = load(&["--value-field", "."]);
    assert!(whole[0].starts_with(r#"🍏	{"char": "🍏", "name""#), "{whole:?}");
    // Fields that are not there are an error that lists those that are.
    refused("emoji.json", EMOJI, &["--key-field", "chr", "--value-field", "."])
        .expect_error(3, &["emoji.json: line 2", "`chr`", "char, name, tags, version"]);
    refused("emoji.json", &EMOJI[..EMOJI.len() - 3], &[&key[..], &["--value-field", "."]].concat())
        .expect_error(3, &["cut short"]);
    // Pairs in arrays.
    let pairs = r#"[["a",1],["b",[2]]]"#;
    let options = ["--key-field", "0", "--value-field", "1"];
    assert_eq!(loaded("pairs.json", pairs, &options), ["a\t1", "b\t[2]"]);
}

#[test]
fn events_have_nested_keys_and_nulls() {
    let events = "\
{\"user\":{\"id\":7,\"org\":\"x\"},\"at\":\"2026-11-29\",\"note\":null}
{\"user\":{\"id\":8,\"org\":\"y\"},\"at\":\"2026-11-30\",\"note\":\"n\"}
";
    let load = |options: &[&str]| loaded("events.jsonl", events, options);
    let key = ["--key-fields", "user.org,user.id"];
    assert_eq!(
        load(&[&key[..], &["--value-field", "at"]].concat()),
        ["x/7\t2026-11-29", "y/8\t2026-11-30"]
    );
    let note = [&key[..], &["--value-field", "note"]].concat();
    assert_eq!(load(&note), ["y/8\tn"]);
    assert_eq!(load(&[&note[..], &["--nulls", "value"]].concat()), ["x/7\tnull", "y/8\tn"]);
    let whole = load(&["--key-field", "user.id", "--value-field", "."]);
    assert_eq!(whole[0], format!("7\t{}", events.lines().next().unwrap()));
    // The key is within a field, which cannot be left out.
    let rest = ["--key-field", "user.id", "--value-field", ".", "--without-key"];
    refused("events.jsonl", events, &rest).expect_error(3, &["line 1", "--without-key"]);
}

#[test]
fn a_word_list_is_loaded_without_values() {
    let scratch = Scratch::new();
    let (input, db) = (scratch.file("words.txt", "Haus\nMaus\n"), scratch.path("db"));
    sst(&[&"load", &input, &db, &"--format", &"csv", &"--no-header"]).expect(0);
    let found = sst(&[&"get", &db, &"Maus", &"Laus"]).expect(1);
    assert_eq!(found.text(), "Maus\t\n");
}

#[test]
fn what_is_in_the_wrong_place_is_said() {
    let scratch = Scratch::new();
    let (input, db) = (scratch.file("a.csv", "k,v\na,1\n"), scratch.path("db"));
    let text = scratch.file("a.txt", "a\t1\n");
    sst(&[&"load", &text, &db]).expect_error(3, &["a.txt", "--format"]);
    sst_with_input(&[&"load", &"-", &db], b"a\t1\n")
        .expect_error(3, &["standard input", "--format"]);
    sst(&[&"load", &input]).expect_error(3, &["a.csv.db"]);
    sst(&[&"load", &input, &text]).expect_error(3, &["a.txt is a file"]);
    sst(&[&"load", &input, &db]).expect(0);
    sst(&[&"load", &db, &input]).expect_error(3, &["directory comes last"]);
    sst(&[&"load", &db, &scratch.path("copy")]).expect_error(3, &["sst merge"]);
    let swapped = |key: &str, db: &Path| sst(&[&"get", &key, &db]);
    swapped("a", &db).expect_error(3, &["directory comes first"]);
    for (option, file) in [
        (&["--value-format", "json"][..], "a.jsonl"),
        (&["--key-fields", "a"], "a.csv"),
        (&["--key-columns", "a"], "a.tsv"),
        (&["--nulls", "value"], "a.csv"),
        (&["--key-separator", ":"], "a.tsv"),
        (&["--key-separator", ":"], "a.csv"),
        (&["--key-separator", ":", "--key-fields", "a"], "a.jsonl"),
        (&["--without-key"], "a.tsv"),
        (&["--without-key"], "a.csv"),
        (&["--without-key"], "a.jsonl"),
        (&["--without-key", "--value-fields", ".,a"], "a.jsonl"),
    ] {
        refused(file, "", option).expect_error(3, &[option[0], "no effect"]);
    }
    refused("a.csv", "k,v,v\na,1,2\n", &["--value-format", "json"]).expect_error(3, &["`v`"]);
    refused("a.csv", "a\n", &["--key-columns", "a", "--key-separator", ""]).expect(3);
}
