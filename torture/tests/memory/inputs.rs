//! Every format that `sst load` reads, with entries at and beyond their limits.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// `--memory` of the loads, in MiB.
pub(crate) const MEMORY: u64 = 8;
pub(crate) const MIB: u64 = 1 << 20;
/// Length of the longest key in bytes.
const MAX_KEY: u64 = 16 * MIB;

/// An input of a load.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) format: &'static str,
    pub(crate) options: Vec<String>,
    /// The bytes that its writing function writes.
    pub(crate) content: Content,
    /// Whether the load succeeds.
    pub(crate) is_loaded: bool,
    /// The limit that counts, in bytes.
    pub(crate) limit: Option<u64>,
    /// Highest multiple of the limit that the load may take besides `--memory` and 8 MiB.
    pub(crate) times: u64,
}

/// The content of an input.
pub(crate) enum Content {
    /// A start, then `len` bytes of a kind, then an end.
    Long { start: &'static str, filling: Filling, len: u64, end: &'static str },
    /// The bytes of a file.
    Bytes(Vec<u8>),
}

/// The bytes of a long key or value.
#[derive(Clone, Copy)]
pub(crate) enum Filling {
    /// One text over and over.
    Text(&'static str),
    /// Letters without a pattern, which do not compress.
    Noise,
}

impl Filling {
    fn source(self) -> Box<dyn Read> {
        match self {
            Self::Text(text) => Box::new(Repeated { text: text.as_bytes(), at: 0 }),
            Self::Noise => Box::new(Noise(0x9e37_79b9_7f4a_7c15)),
        }
    }
}

/// A text over and over.
struct Repeated {
    text: &'static [u8],
    at: usize,
}

impl Read for Repeated {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        for byte in &mut *out {
            *byte = self.text[self.at];
            self.at = (self.at + 1) % self.text.len();
        }
        Ok(out.len())
    }
}

/// Bytes that follow no pattern, none of which is a line feed, a tab, a quote or zero.
struct Noise(u64);

impl Read for Noise {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        for byte in &mut *out {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *byte = 0x80 | self.0.to_be_bytes()[4];
        }
        Ok(out.len())
    }
}

impl Input {
    /// Writes the input to a file.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        match &self.content {
            Content::Long { start, filling, len, end } => {
                file.write_all(start.as_bytes())?;
                io::copy(&mut filling.source().take(*len), &mut file)?;
                file.write_all(end.as_bytes())?;
            }
            Content::Bytes(bytes) => file.write_all(bytes)?,
        }
        file.flush()
    }

    /// Loads the file in this process.
    pub(crate) fn load(&self, file: &Path, directory: &Path, options: &[&str]) -> ExitCode {
        let memory = format!("{MEMORY}MiB");
        let fixed = ["--memory", &memory, "--threads", "1", "--skip-bad", "-q"];
        let mut arguments: Vec<OsString> = vec!["sst".into(), "load".into(), file.into()];
        arguments.extend([directory.into(), "--format".into(), self.format.into()]);
        arguments.extend(self.options.iter().map(OsString::from));
        arguments.extend(fixed.iter().chain(options).map(OsString::from));
        sst_cli::run(arguments).into()
    }
}

/// The rows of the table for a highest length of values.
struct Rows {
    /// `--max-value`, and the longest value in a table, in bytes.
    max: u64,
    inputs: Vec<Input>,
}

impl Rows {
    /// Adds a row whose input has a long key or value.
    fn add(
        &mut self,
        name: &str,
        format: &'static str,
        (start, filling, len, end): (&'static str, Filling, u64, &'static str),
        limit: Option<u64>,
        times: u64,
    ) -> &mut Input {
        self.inputs.push(Input {
            name: name.replace("MAX", &format!("{} MiB", len / MIB)),
            format,
            options: vec![format!("--max-value={}", self.max)],
            content: Content::Long { start, filling, len, end },
            is_loaded: true,
            limit,
            times,
        });
        let last = self.inputs.len() - 1;
        &mut self.inputs[last]
    }

    /// Adds a row with a value over the blob threshold, and a higher `--max-value`.
    fn add_long(
        &mut self,
        name: &str,
        format: &'static str,
        (start, filling, end): (&'static str, Filling, &'static str),
        is_streamed: bool,
    ) {
        let (max, len) = (self.max, 4 * self.max);
        let limit = if is_streamed { max } else { len };
        let input = self.add(name, format, (start, filling, len, end), Some(limit), 4);
        input.options = vec![format!("--max-value={}", 8 * max), format!("--blob-threshold={max}")];
        input.times = if is_streamed { 2 } else { 4 };
    }
}

/// All inputs. `max` is the length of the longest value that is held in memory, in bytes.
pub(crate) fn inputs(max: u64) -> Vec<Input> {
    let mut rows = Rows { max, inputs: Vec::new() };
    let letters = Filling::Text("abcdefghij, ");
    rows.add("one short line", "tsv", ("a\t1\n", letters, 0, ""), None, 0);
    tsv(&mut rows, letters);
    csv(&mut rows);
    json(&mut rows);
    compressed(&mut rows);
    rows.inputs.extend(super::parquet_inputs::inputs(max));
    rows.inputs
}

fn tsv(rows: &mut Rows, letters: Filling) {
    let max = rows.max;
    let value = |len| ("a\t1\nk\t", letters, len, "\nz\t9\n");
    let key = ("a\t1\n", letters, MAX_KEY + 4 * MIB, "\tv\nz\t9\n");
    rows.add("TSV, a key of MAX: skipped", "tsv", key, Some(MAX_KEY), 2);
    rows.add("TSV, a value of MAX: skipped", "tsv", value(2 * max), Some(max), 2);
    rows.add("TSV, a value of MAX", "tsv", value(max), Some(max), 3);
    let whole = ("k\t", letters, "\n");
    rows.add_long("TSV, a value of MAX, to a blob", "tsv", whole, true);
    let noise = ("k\t", Filling::Noise, "\n");
    rows.add_long("TSV, a value of MAX that does not compress, to a blob", "tsv", noise, true);
    let escaped = ("k\t", Filling::Text("\\x00\\t\\\\"), "\n");
    rows.add_long("TSV, a value of MAX in escapes, to a blob", "tsv", escaped, true);
}

fn csv(rows: &mut Rows) {
    let (max, start, end) = (rows.max, "k,v\na,1\nk,\"", "\"\nz,9\n");
    let quotes = Filling::Text("ab\"\"\nde,");
    rows.add("CSV, a value of MAX: skipped", "csv", (start, quotes, 2 * max, end), Some(max), 2);
    // An eighth of the input are quotes that stand for none.
    rows.add("CSV, a value of MAX", "csv", (start, quotes, max, end), Some(max), 3);
    rows.add_long("CSV, a value of MAX, to a blob", "csv", (start, quotes, end), true);
    let columns = ("k,v,w\nk,", Filling::Text("x"), ",1\n");
    rows.add_long("CSV, a value of several columns, MAX, to a blob", "csv", columns, true);
}

fn json(rows: &mut Rows) {
    let (max, end) = (rows.max, "\"}\n{\"key\":\"z\",\"value\":9}\n");
    let (text, hex) = ("{\"key\":\"k\",\"value\":\"", "{\"key\":\"k\",\"value_hex\":\"");
    let letters = Filling::Text("abcdefghij, ");
    let too_long = 2 * (MAX_KEY + max) + 2 * MIB;
    let line = Some(too_long);
    rows.add("JSON, a line of MAX: skipped", "jsonl", (text, letters, too_long, end), line, 2);
    rows.add("JSON, a value of MAX", "jsonl", (text, letters, max, end), Some(max), 4);
    let in_hex = (hex, Filling::Text("6162"), 2 * max, end);
    rows.add("JSON, a value in hex, MAX of text", "jsonl", in_hex, Some(max), 7);
    let escaped = (text, Filling::Text("\\u0001"), 6 * max, end);
    rows.add("JSON, a value in `\\u0001`, MAX of text", "jsonl", escaped, Some(max), 9);
    rows.add_long("JSON, a value of MAX, to a blob", "jsonl", (text, letters, end), true);
}

fn compressed(rows: &mut Rows) {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::copy(&mut io::repeat(b'k').take(37 * MIB), &mut gzip).unwrap();
    rows.inputs.push(Input {
        name: "gzip, a key of 37 MiB: skipped".to_owned(),
        format: "tsv",
        options: Vec::new(),
        content: Content::Bytes(gzip.finish().unwrap()),
        is_loaded: false,
        limit: Some(MAX_KEY),
        times: 2,
    });
    // 300 blocks that each repeat one byte 128 Ki times: a key of 37 MiB.
    let block = [0x02, 0, 0x10, b'k'];
    for (name, exponent, is_loaded, limit, times) in [
        ("zstd, a window of 8 MiB, a key of 37 MiB: skipped", 13, false, MAX_KEY + 8 * MIB, 2),
        ("zstd, a window of 128 MiB, a key of 37 MiB: skipped", 17, false, MAX_KEY + 128 * MIB, 2),
        ("zstd, a window of 256 MiB: refused", 18, false, 0, 0),
    ] {
        let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3];
        bytes.extend(std::iter::repeat_n(block, 300).flatten());
        bytes.extend([1, 0, 0]);
        let content = Content::Bytes(bytes);
        let limit = (limit > 0).then_some(limit);
        let (name, options) = (name.to_owned(), Vec::new());
        rows.inputs.push(Input { name, format: "tsv", options, content, is_loaded, limit, times });
    }
}
