//! Python as the reference for CSV and JSON. We must accept the same texts as its strict parsers,
//! with the same cells and strings, and refuse the same texts.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use data_encoding::{BASE64, HEXLOWER};

use super::super::csv_rows::{CsvRows, RowSink};
use super::*;

/// A script that reads lines of base64 and prints the rows of each as JSON, or `null`.
const CSV: &str = r#"
import base64, csv, io, json, sys
csv.field_size_limit(1 << 30)
for line in sys.stdin:
    text = base64.b64decode(line).decode("latin-1")
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        rows = [[cell.encode("latin-1").hex() for cell in row] for row in rows]
    except csv.Error:
        rows = None
    print(json.dumps(rows))
"#;

/// A script that reads lines of base64 and prints key and value of each in hex, or `null`. It
/// prints a value that is not a string as `-`, and a deletion as null.
const JSON: &str = r#"
import base64, json, sys
def refuse(name):
    raise ValueError(name)
def entry(line):
    pairs = json.loads(line.decode("utf-8"), object_pairs_hook=Object, parse_constant=refuse)
    if not isinstance(pairs, Object):
        raise ValueError("no object")
    keys = [value for name, value in pairs if name == "key"]
    values = [value for name, value in pairs if name == "value"]
    if len(keys) != 1 or len(values) != 1 or keys[0] is None:
        raise ValueError("fields")
    shown = lambda it: it.encode("utf-8").hex() if isinstance(it, str) else None if it is None else "-"
    return [shown(keys[0]), shown(values[0])]
class Object(list):
    pass
for line in sys.stdin:
    try:
        result = entry(base64.b64decode(line))
    except (ValueError, RecursionError):
        result = None
    print(json.dumps(result))
"#;

/// Runs a script on all cases and returns its output for each; `None` without Python.
fn ask(script: &str, cases: &[Vec<u8>]) -> Option<Vec<serde_json::Value>> {
    let child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("NOT RUN: there is no python3");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = cases.iter().fold(String::new(), |mut lines, case| {
        writeln!(lines, "{}", BASE64.encode(case)).unwrap();
        lines
    });
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = str::from_utf8(&output.stdout).unwrap().lines();
    let answers: Vec<_> = answers.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), cases.len());
    Some(answers)
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Collects all cells.
#[derive(Default)]
struct Cells(Vec<Vec<u8>>);

impl RowSink for Cells {
    fn bytes(&mut self, cell: u64, bytes: &[u8]) {
        self.0.resize(self.0.len().max(usize::try_from(cell).unwrap() + 1), Vec::new());
        self.0[usize::try_from(cell).unwrap()].extend_from_slice(bytes);
    }

    fn end(&mut self, cell: u64) {
        self.bytes(cell, b"");
    }
}

/// All rows of a text; `None` if one of them is invalid.
fn rows(text: &[u8]) -> Option<Vec<Vec<String>>> {
    let (mut rows, mut all) = (CsvRows::new(text, b','), Vec::new());
    loop {
        let mut cells = Cells::default();
        match rows.next_row(&mut cells) {
            Ok(None) => return Some(all),
            Ok(Some(row)) if row.fault.is_none() => {
                assert_eq!(row.cells, cells.0.len() as u64);
                all.push(cells.0.iter().map(|cell| HEXLOWER.encode(cell)).collect());
            }
            _ => return None,
        }
    }
}

#[test]
fn csv_is_what_python_takes_in_strict_mode() {
    let bytes = b"a,\"\n\r";
    // All texts of up to 6 of these bytes, then longer random texts with more kinds of bytes.
    let mut cases = vec![Vec::new()];
    let mut start = 0;
    for _ in 0..6 {
        let end = cases.len();
        for i in start..end {
            cases.extend(bytes.map(|byte| [&cases[i][..], &[byte]].concat()));
        }
        start = end;
    }
    let (mut random, more) = (Random(7), b"aaab \\;,,,\"\"\"\n\n\r\xff\t'");
    for _ in 0..20_000 {
        let len = random.below(40);
        cases.push((0..len).map(|_| more[random.below(more.len())]).collect());
    }
    let Some(answers) = ask(CSV, &cases) else { return };
    let mut refused = 0;
    for (case, answer) in cases.iter().zip(&answers) {
        let ours = serde_json::json!(rows(case));
        assert_eq!(&ours, answer, "{:?}", String::from_utf8_lossy(case));
        refused += u64::from(answer.is_null());
    }
    assert!(refused > 1000 && cases.len() as u64 - refused > 1000, "{refused}");
}

#[test]
fn json_is_what_python_takes() {
    let seeds: [&[u8]; 8] = [
        br#"{"key":"a","value":"b"}"#,
        br#"{"key": "\u00e4\ud83d\ude00", "value": null, "x": [1, {"y": "\n"}]}"#,
        br#"{"value": -1.5e+10, "key": 12}"#,
        br#" { "x" : true , "key" : "" , "value" : [ ] } "#,
        "{\"key\":\"ключ\",\"value\":\"значение\",\"x\":\"\\ud800\"}".as_bytes(),
        br#"{"key":"k","value":{"key":1,"value":2}}"#,
        br#"{"key":"\"\\\/\b\f\n\r\t","value":""}"#,
        br#"{"key":"a","value":"\udc00","value2":0.0}"#,
    ];
    let bytes = b"{}[]\":,\\/u0019-+.eEtrufalsn \t\r\x7f\x01\xff\xc3\xa4dD8N";
    let mut random = Random(9);
    let mut cases: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    for i in 0..40_000 {
        let mut case = seeds[i % seeds.len()].to_vec();
        for _ in 0..=random.below(3) {
            let (at, byte) = (random.below(case.len()), bytes[random.below(bytes.len())]);
            match random.below(4) {
                0 => case[at] = byte,
                1 => case.insert(at, byte),
                2 => drop(case.remove(at)),
                _ => case.truncate(at.max(1)),
            }
            if case.is_empty() {
                case.push(byte);
            }
        }
        cases.push(case);
    }
    let Some(answers) = ask(JSON, &cases) else { return };
    let (mut accepted, options) = (0, options(&[]));
    for (case, answer) in cases.iter().zip(&answers) {
        let ours = outcomes(Input::new(&**case, Format::Jsonl, &options).unwrap());
        let shown = match ours.as_slice() {
            [Outcome::Entry(_, key, value)] => Some((key, value)),
            [Outcome::Bad(..)] => None,
            // A line that contains only line ends is skipped.
            [] => continue,
            more => panic!("{more:?}"),
        };
        let case = String::from_utf8_lossy(case);
        assert_eq!(shown.is_some(), !answer.is_null(), "{case}: {ours:?} {answer}");
        let Some((key, value)) = shown else { continue };
        accepted += 1;
        let is = |bytes: &Vec<u8>, answer: &serde_json::Value| {
            answer == "-" || *answer == HEXLOWER.encode(bytes).as_str()
        };
        assert!(is(key, &answer[0]), "{case}: {answer}");
        match value {
            Some(value) => assert!(is(value, &answer[1]), "{case}: {answer}"),
            None => assert!(answer[1].is_null(), "{case}: {answer}"),
        }
    }
    assert!(accepted > 1000 && cases.len() - accepted > 1000, "{accepted}");
}
