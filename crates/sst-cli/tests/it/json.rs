//! `--json`: every command, every field, as `json-schema.json` describes them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Run, Scratch, join, sst, sst_with_input, tables};

/// Checks one line against a definition.
#[cfg(feature = "aws")]
#[track_caller]
pub(crate) fn check_line(definition: &str, line: &str) {
    Checker { schema: schema(), used: BTreeSet::new() }.lines(definition, line);
}

fn schema() -> Value {
    serde_json::from_str(include_str!("../../json-schema.json")).unwrap()
}

/// The definitions that a test has seen used.
struct Checker {
    schema: Value,
    used: BTreeSet<String>,
}

impl Checker {
    /// Checks that each line is as the definition describes it.
    #[track_caller]
    fn lines(&mut self, definition: &str, lines: &str) {
        self.used.insert(definition.to_owned());
        assert!(!lines.is_empty(), "{definition}: nothing was printed");
        for line in lines.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            if let Err(fault) = self.check(&self.schema["$defs"][definition], &value) {
                panic!("{definition}: {fault}: {line}");
            }
        }
    }

    /// Checks a value against the part of JSON Schema that the file uses.
    fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.strip_prefix("#/$defs/").unwrap();
            return self.check(&self.schema["$defs"][name], value);
        }
        if let Some(any) = schema["anyOf"].as_array() {
            let is_one = any.iter().any(|schema| self.check(schema, value).is_ok());
            return if is_one { Ok(()) } else { Err(format!("{value} is none of {any:?}")) };
        }
        if let Some(values) = schema["enum"].as_array() {
            return if values.contains(value) {
                Ok(())
            } else {
                Err(format!("{value} is unknown"))
            };
        }
        if let Some(constant) = schema.get("const") {
            return if constant == value { Ok(()) } else { Err(format!("{value} is not it")) };
        }
        let name = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let kinds = &schema["type"];
        let is_kind = |kind: &Value| kind == name || (kind == "number" && name == "integer");
        if !(is_kind(kinds) || kinds.as_array().is_some_and(|kinds| kinds.iter().any(is_kind))) {
            return Err(format!("{value} is not of type {kinds}"));
        }
        for element in value.as_array().into_iter().flatten() {
            self.check(&schema["items"], element)?;
        }
        let Some(fields) = value.as_object() else { return Ok(()) };
        for required in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(required.as_str().unwrap()) {
                return Err(format!("{required} is missing"));
            }
        }
        for (field, value) in fields {
            let schema = match schema["properties"].get(field) {
                Some(schema) => schema,
                None => match &schema["additionalProperties"] {
                    Value::Object(_) => &schema["additionalProperties"],
                    _ => return Err(format!("the field {field} is not described")),
                },
            };
            self.check(schema, value).map_err(|fault| format!("{field}: {fault}"))?;
        }
        Ok(())
    }
}

fn json(args: &[&dyn AsRef<std::ffi::OsStr>]) -> Run {
    sst(&join(args, &["--json"]))
}

#[test]
fn every_command_prints_what_the_schema_describes() {
    let scratch = Scratch::new();
    let mut checker = Checker { schema: schema(), used: BTreeSet::new() };
    let tsv = format!("a\t1\nb\\xff\t\\xfe\ngone\t\\N\nlong\t{}\n", "x".repeat(200));
    let input = scratch.file("in.tsv", tsv);
    let (db, other) = (scratch.path("db"), scratch.path("other"));
    let load = |db: &Path, more: &[&str]| {
        let args: [&dyn AsRef<std::ffi::OsStr>; 4] = [&"load", &input, &db, &"--blob-threshold"];
        json(&join(&args, &[&["100"], more].concat()))
    };
    let first = load(&db, &["--certify"]).expect(0);
    checker.lines("load", first.text());
    checker.lines("load", load(&other, &["--dry-run"]).expect(0).text());
    let again = load(&db, &["--keep-generations", "3", "--certify"]).expect(0);
    checker.lines("note", &again.stderr);
    checker.lines("get", json(&[&"get", &db, &"a", &"gone", &"none", &"long"]).expect(1).text());
    let table = tables(&db).remove(0);
    for path in [&db, &table] {
        for notation in ["--escaped", "--hex", "--base64"] {
            checker.lines("scan", json(&[&"scan", path, &notation]).expect(0).text());
            checker.lines("get", json(&[&"get", path, &notation, &"6162"]).text());
        }
        checker.lines("scan_count", json(&[&"scan", path, &"--count"]).expect(0).text());
        checker.lines("inspect", json(&[&"inspect", path, &"--blocks"]).expect(0).text());
        checker.lines("verify", json(&[&"verify", path]).expect(0).text());
        checker
            .lines("inspect_estimate", json(&[&"inspect", path, &"--estimate"]).expect(0).text());
    }
    for (path, part) in [(&table, "0"), (&table, "offsets")] {
        let dump = json(&[&"inspect", path, &"--explain", &part]).expect(0);
        checker.lines("inspect_explain", dump.text());
    }
    checker.lines("inspect_explain", json(&[&"inspect", &db.join("CURRENT")]).expect(0).text());
    let marked = json(&[&"scan", &db, &"--end-mark"]).expect(0);
    checker.lines("end_mark", marked.text().lines().last().unwrap());
    checker.lines("log", json(&[&"log", &db]).expect(0).text());
    checker.lines("certificate", json(&[&"certificate", &db]).expect(0).text());
    checker
        .lines("rollback", json(&[&"rollback", &db, &"--keep-generations", &"3"]).expect(0).text());
    let compared = json(&[&"verify", &db, &"--against", &db, &"--for-turbopack"]);
    checker.lines("verify", compared.text());
    let append = sst_with_input(
        &[&"load", &"-", &db, &"--format", &"tsv", &"--increment", &"--json"],
        b"a\t2\nc\t3\n",
    );
    checker.lines("load", append.expect(0).text());
    checker.lines("diff", json(&[&"diff", &table, &db]).expect(1).text());
    checker.lines("diff", json(&[&"diff", &table, &db, &"--base64"]).expect(1).text());
    checker.lines("diff_summary", json(&[&"diff", &table, &db, &"--summary"]).expect(1).text());
    let plan = ["--auto", "--dry-run", "--max-layers", "1"];
    checker.lines("merge_plan", json(&join(&[&"merge", &db], &plan)).expect(0).text());
    checker.lines("merge", json(&[&"merge", &db, &"--in-place"]).expect(0).text());
    checker.lines("merge", json(&[&"merge", &db, &"-o", &scratch.path("m")]).expect(0).text());
    checker.lines(
        "gather",
        json(&[&"gather", &db, &"-o", &scratch.path("g"), &"--certify"]).expect(0).text(),
    );
    checker.lines(
        "sample",
        json(&[&"sample", &db, &"--keys", &"2", &"-o", &scratch.path("s")]).expect(0).text(),
    );
    let mirror = scratch.path("mirror");
    checker.lines("mirror", json(&[&"push", &db, &mirror]).expect(0).text());
    checker.lines("mirror", json(&[&"pull", &mirror, &scratch.path("p")]).expect(0).text());
    let shards = scratch.path("shards");
    checker.lines("split", json(&[&"split", &db, &"-n", &"2", &"-o", &shards]).expect(0).text());
    checker.lines("split_which", json(&[&"split", &"--which", &"a", &shards]).expect(0).text());
    // Errors: of usage, of the input, of the system, of a directory, of damage.
    for (run, kind) in [
        (json(&[&"get", &db]), "usage"),
        (json(&[&"get", &db, &"--hex", &"x"]), "usage"),
        (json(&[&"load", &scratch.file("bad.tsv", "no tab\n"), &other]), "input"),
        (json(&[&"scan", &scratch.path("none")]), "io"),
        (json(&[&"push", &db, &"ftp://host/x"]), "usage"),
        (json(&[&"push", &scratch.database("third", "k\t1\n"), &db]), "conflict"),
        (json(&[&"scan", &scratch.path("shards")]), "not_a_directory_of_ours"),
        (json(&[&"scan", &input]), "damaged"),
    ] {
        assert!(run.stdout.is_empty());
        let last = run.stderr.lines().last().unwrap().to_owned();
        checker.lines("error", &last);
        let error: Value = serde_json::from_str(&last).unwrap();
        assert_eq!(error["error"]["kind"], kind, "{last}");
        assert_eq!(error["error"]["exit_code"].as_i64(), run.code.map(i64::from));
    }
    let mut damaged = std::fs::read(&table).unwrap();
    damaged[10] ^= 1;
    std::fs::write(&table, damaged).unwrap();
    checker.lines("verify", json(&[&"verify", &table]).expect(2).text());
    // Every definition that is a line of output was printed. `gc` needs a bucket: `s3.rs` runs it.
    let parts = ["gc", "block_group", "comparison", "damage", "directory", "family", "table"];
    let unused: Vec<_> = checker.schema["$defs"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| !checker.used.contains(*name) && !parts.contains(&name.as_str()))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}
