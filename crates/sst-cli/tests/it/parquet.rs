//! `sst load` of Parquet files. Some are written by pyarrow (`tests/data/parquet/generate.py`),
//! others by the writer of the `parquet` crate.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use parquet::basic::{Compression as Codec, Encoding};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

use crate::harness::{Arg, Scratch, join, names, scan, sst, sst_with_input};
#[cfg(target_os = "linux")]
use crate::memory::{ROOM, smallest, within};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parquet").join(name)
}

/// The lines of `sst scan`, sorted.
fn sorted(db: &Path) -> Vec<String> {
    let mut lines: Vec<String> = scan(db).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Writes a file with these row groups. Each row has a key and a value, either of which may be
/// null.
fn write(path: &Path, groups: &[Vec<(Option<&str>, Option<i64>)>]) {
    let schema = "message rows { optional binary name (STRING); optional int64 number; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = File::create(path).unwrap();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    let levels = |is_there: Vec<bool>| is_there.into_iter().map(i16::from).collect::<Vec<_>>();
    for rows in groups {
        let mut group = writer.next_row_group().unwrap();
        let names: Vec<_> = rows.iter().filter_map(|row| row.0.map(ByteArray::from)).collect();
        let numbers: Vec<_> = rows.iter().filter_map(|row| row.1).collect();
        let is_name = levels(rows.iter().map(|row| row.0.is_some()).collect());
        let is_number = levels(rows.iter().map(|row| row.1.is_some()).collect());
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&names, Some(&is_name), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&numbers, Some(&is_number), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

#[test]
fn files_of_another_writer_hold_what_it_says() {
    let scratch = Scratch::new();
    let expected = fs::read_to_string(fixture("expected.tsv")).unwrap();
    let expected: Vec<_> = expected.lines().collect();
    for name in
        ["none-1", "snappy-1", "snappy-2", "gzip-2", "lz4-1", "zstd-1", "zstd-2", "brotli-1"]
    {
        let db = scratch.path(name);
        sst(&[&"load", &fixture(&format!("{name}.parquet")), &db]).expect(0);
        assert_eq!(sorted(&db), expected, "{name}");
    }
    // Legacy timestamps have another type, but the same text.
    let (db, local) = (scratch.path("int96"), |line: &str| {
        let (key, value) = line.split_once('\t').unwrap();
        format!("{key}\t{}", value.split(',').nth(8).unwrap())
    });
    sst(&[&"load", &fixture("int96.parquet"), &db]).expect(0);
    assert_eq!(sorted(&db), expected.iter().map(|line| local(line)).collect::<Vec<_>>());
}

#[test]
fn columns_are_chosen_as_those_of_csv() {
    let scratch = Scratch::new();
    let (db, file) = (scratch.path("db"), fixture("snappy-1.parquet"));
    let load = |args: &[&str]| sst(&join(&[&"load", &file, &db], args));
    load(&["--key-column", "small", "--value-column", "group.city"]).expect(0);
    // In every fifth row the city is null, which deletes the key.
    assert_eq!(scan(&db).lines().count(), 40);
    let get = |key: &str| sst(&[&"get", &db, &"--values-only", &"--", &key]);
    get("-25").expect(1);
    assert_eq!(get("-24").expect(0).text(), "Zürich\n");
    load(&["--key-column", "2", "--value-column", "4"]).expect(0);
    assert_eq!(get("-25").expect(0).text(), "true\n");
    load(&["--value-column", "4", "--delete-marker", "false"]).expect(0);
    assert_eq!(scan(&db).lines().count(), 17);
    load(&["--delimiter", ";"]).expect(0);
    assert!(get("key-000").expect(0).text().starts_with("-25;18446744073709551615;true;"));
    let before = names(&db);
    load(&["--key-column", "nothing"])
        .expect_error(3, &["snappy-1.parquet", "nothing", "group.city"]);
    load(&["--value-column", "13"]).expect_error(3, &["13"]);
    assert_eq!(names(&db), before);
    let nested = fixture("nested.parquet");
    sst(&[&"load", &nested, &db, &"--value-column", &"value"]).expect(0);
    assert_eq!(scan(&db), "a\tone\n");
    sst(&[&"load", &nested, &db, &"--value-column", &"value", &"--nulls", &"value"]).expect(0);
    assert_eq!(sorted(&db), ["a\tone", "b\t"]);
}

/// Lists, maps and groups, as pyarrow writes them, in all compressions: as the JSON that Python
/// makes of the same rows.
#[test]
fn lists_maps_and_groups_are_json() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let load = |file: &Path, args: &[&str]| {
        sst(&join(&[&"load", &file, &db], args)).expect(0);
        sorted(&db)
    };
    let list = load(&fixture("nested.parquet"), &["--value-column", "list"]);
    assert_eq!(list, ["a\t[1,2]", "b\t[]"]);
    let expected = fs::read_to_string(fixture("lists.jsonl")).unwrap();
    let expected: Vec<Value> =
        expected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for name in ["lists-1", "lists-2"] {
        let file = fixture(&format!("{name}.parquet"));
        let lines = load(&file, &["--value-format", "json"]);
        assert_eq!(lines.len(), expected.len());
        for (line, row) in lines.iter().zip(&expected) {
            let (key, value) = line.split_once('\t').unwrap();
            let value = value.replace(r"\\", r"\");
            let mut value: Value = serde_json::from_str(&value).unwrap();
            value["id"] = key.into();
            assert_eq!(&value, row, "{name}");
        }
        for column in ["tags", "sizes", "matrix", "people", "person"] {
            let lines = load(&file, &["--value-column", column, "--nulls", "value"]);
            for (line, row) in lines.iter().zip(&expected) {
                let (_, value) = line.split_once('\t').unwrap();
                match &row[column] {
                    Value::Null => assert_eq!(value, "", "{column}"),
                    row => {
                        let value = value.replace(r"\\", r"\");
                        assert_eq!(&serde_json::from_str::<Value>(&value).unwrap(), row);
                    }
                }
            }
        }
    }
}

#[test]
fn rows_are_counted_through_the_file_and_bad_ones_skipped() {
    let scratch = Scratch::new();
    let (file, db) = (scratch.path("in.pq"), scratch.path("db"));
    let groups = [
        vec![(Some("a"), Some(1)), (Some("b"), Some(i64::MIN))],
        vec![],
        vec![(Some("c"), Some(3)), (None, Some(4)), (Some("a"), None), (Some("d"), Some(5))],
    ];
    write(&file, &groups);
    sst(&[&"load", &file, &db]).expect_error(3, &["in.pq", "row 4"]);
    assert!(!db.exists());
    let run = sst(&[&"load", &file, &db, &"--skip-bad", &"--json"]).expect(0);
    assert!(run.stderr.contains("row 4"), "{}", run.stderr);
    let summary = run.json();
    assert_eq!((&summary["skipped"], &summary["duplicates"]), (&1.into(), &1.into()));
    assert_eq!(sorted(&db), ["b\t-9223372036854775808", "c\t3", "d\t5"]);
    let args: [Arg<'_>; 6] = [&"load", &file, &db, &"--skip-bad", &"--duplicates", &"error"];
    sst(&args).expect_error(3, &["in.pq", "row 5", "row 1"]);
    // A Parquet file and a text file in one load: the later input wins.
    let text = scratch.file("in.csv", "k,v\nb,2\n");
    sst(&[&"load", &file, &text, &db, &"--skip-bad"]).expect(0);
    assert_eq!(sorted(&db), ["b\t2", "c\t3", "d\t5"]);
}

#[test]
fn what_is_no_parquet_file_is_said() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    let intact = fs::read(fixture("zstd-2.parquet")).unwrap();
    let load = |name: &str, bytes: &[u8]| {
        let input = scratch.file(name, bytes);
        let run = sst(&[&"load", &input, &db, &"--skip-bad"]);
        assert!(!db.exists());
        run
    };
    load("text.parquet", b"key\tvalue\n").expect_error(3, &["text.parquet"]);
    load("empty.parquet", b"").expect_error(3, &["empty.parquet"]);
    load("cut.parquet", &intact[..intact.len() / 2]).expect_error(3, &["cut.parquet"]);
    let gzip = [0x1f, 0x8b, 8, 0];
    load("in.parquet.gz", &gzip).expect_error(3, &["in.parquet.gz", "compressed"]);
    // A page's checksum detects the damage and its place; `--skip-bad` does not skip it.
    let mut damaged = fs::read(fixture("none-1.parquet")).unwrap();
    let key = damaged.windows(7).position(|bytes| bytes == b"key-025").unwrap();
    damaged[key + 6] ^= 1;
    load("damaged.parquet", &damaged)
        .expect_error(3, &["damaged.parquet", "row group 2", "column id", "row 21"]);
    let args: [Arg<'_>; 5] = [&"load", &"-", &db, &"--format", &"parquet"];
    sst_with_input(&args, &intact).expect_error(3, &["standard input", "file"]);
    assert!(!db.exists());
}

/// Writes a file with these values, under keys that count from 1.
fn write_values(path: &Path, values: &[Vec<u8>], properties: WriterProperties) {
    let schema = "message rows { required binary key; required binary value; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let keys = (1..=values.len()).map(|key| ByteArray::from(key.to_string().as_str()));
    let keys: Vec<_> = keys.collect();
    let values: Vec<_> = values.iter().cloned().map(ByteArray::from).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&keys, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_be_bytes()[5]
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn every_codec_and_encoding_is_read() {
    let scratch = Scratch::new();
    let text = b"a text that repeats itself, ".repeat(400);
    let values = [b"".to_vec(), text.clone(), noise(5000), [&text[..], b"!"].concat()];
    let codecs = [
        Codec::UNCOMPRESSED,
        Codec::SNAPPY,
        Codec::LZ4,
        Codec::LZ4_RAW,
        Codec::GZIP(Default::default()),
    ];
    let encodings =
        [Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY];
    for codec in codecs {
        for (encoding, has_dictionary) in encodings.into_iter().zip([true, false, false]) {
            let properties = WriterProperties::builder().set_compression(codec);
            let properties =
                properties.set_dictionary_enabled(has_dictionary).set_encoding(encoding).build();
            let (file, db) = (scratch.path("in.parquet"), scratch.path("db"));
            write_values(&file, &values, properties);
            sst(&[&"load", &file, &db]).expect(0);
            for (key, value) in (1..).zip(&values) {
                let got = sst(&[&"get", &db, &format!("{key}"), &"--raw"]).expect(0).stdout;
                assert!(got == *value, "{codec:?} {encoding} {key}");
            }
        }
    }
}

/// A page whose gzip member expands to 200 MiB, though its header states less than 1 MiB.
#[test]
#[cfg(target_os = "linux")]
fn a_page_that_expands_past_its_header_is_refused_in_bounded_memory() {
    let member = |extra: usize| {
        let builder = GzBuilder::new().extra(vec![0; extra]);
        let mut gzip = builder.write(Vec::new(), Compression::best());
        std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 200 << 20), &mut gzip).unwrap();
        gzip.finish().unwrap()
    };
    let bomb_len = member(0).len();
    let scratch = Scratch::new();
    let file = scratch.path("bomb.parquet");
    let properties = WriterProperties::builder()
        .set_compression(Codec::GZIP(Default::default()))
        .set_dictionary_enabled(false)
        .build();
    write_values(&file, &[noise(bomb_len + 20_000)], properties);
    let mut bytes = fs::read(&file).unwrap();
    // The last member that is long enough is the page with the value.
    let starts = bytes.windows(3).enumerate().filter(|(_, start)| *start == [0x1f, 0x8b, 8]);
    let mut pages = starts.map(|(at, _)| {
        let mut rest = &bytes[at..];
        let copied = std::io::copy(&mut GzDecoder::new(&mut rest), &mut std::io::sink());
        copied.map_or(at..at, |_| at..bytes.len() - rest.len())
    });
    let page = pages.rfind(|page| page.len() > bomb_len).unwrap();
    let bomb = member(page.len() - bomb_len);
    bytes[page].copy_from_slice(&bomb);
    fs::write(&file, bytes).unwrap();
    let db = scratch.path("db");
    let kib = smallest(&scratch) + (ROOM << 10);
    let args: [&std::ffi::OsStr; 7] = [
        "load".as_ref(),
        file.as_ref(),
        db.as_ref(),
        "--memory".as_ref(),
        "8MiB".as_ref(),
        "--threads".as_ref(),
        "1".as_ref(),
    ];
    let (code, stderr) = within(kib, &args);
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("bomb.parquet") && !stderr.contains("panicked"), "{stderr}");
    assert!(!db.exists());
}

/// Metadata of the schema alone: the number of children of each element, in Thrift's compact
/// protocol.
fn schema_only(path: &Path, children: &[u32]) {
    let varint = |mut number: u32| {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes
    };
    // The version, then a list of structs.
    let mut bytes =
        [&[0x15, 2, 0x19, 0xfc][..], &varint(children.len().try_into().unwrap())].concat();
    for (number, &children) in children.iter().enumerate() {
        let name = format!("c{number}");
        // A leaf has a type. All but the root have a repetition: required.
        bytes.extend(if children == 0 { &[0x15, 2][..] } else { &[] });
        let to_repetition = if children == 0 { 0x25 } else { 0x35 };
        bytes.extend(if number == 0 { vec![0x48] } else { vec![to_repetition, 0, 0x18] });
        bytes.extend(varint(name.len().try_into().unwrap()));
        bytes.extend(name.bytes());
        if children > 0 {
            bytes.push(0x15);
            bytes.extend(varint(children << 1));
        }
        bytes.push(0);
    }
    // No rows, and no row groups.
    bytes.extend([0x16, 0, 0x19, 0x0c, 0]);
    let len = u32::try_from(bytes.len()).unwrap();
    let [a, b, c, d] = len.to_be_bytes();
    fs::write(path, [&b"PAR1"[..], &bytes, &[d, c, b, a], b"PAR1"].concat()).unwrap();
}

#[test]
fn a_schema_of_any_shape_is_read_in_bounded_time_and_stack() {
    let scratch = Scratch::new();
    let (file, db) = (scratch.path("schema.parquet"), scratch.path("db"));
    let load = |children: &[u32]| {
        schema_only(&file, children);
        sst(&[&"load", &file, &db])
    };
    // No rows: this is a file, and nothing else is wrong with it.
    load(&[2, 0, 0]).expect_error(3, &["there are no entries"]);
    let deep = |depth: usize| [&vec![1; depth][..], &[0]].concat();
    load(&deep(100)).expect_error(3, &["there are no entries"]);
    load(&deep(20_000)).expect_error(3, &["groups within each other"]);
    // Quadratic time would take minutes.
    let wide = 60_000_u32;
    load(&[&[wide][..], &vec![0; wide as usize]].concat()).expect_error(3, &["no entries"]);
    load(&[1 << 29, 0]).expect_error(3, &["more children"]);
}
