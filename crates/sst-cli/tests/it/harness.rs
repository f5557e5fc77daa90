//! Runs the program.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The exit code and the output of a run of the program.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Run {
    /// Checks that the run ended with this exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        let stdout = String::from_utf8_lossy(&self.stdout);
        assert_eq!(self.code, Some(code), "stdout: {stdout}\nstderr: {}", self.stderr);
        self
    }

    /// Checks that the run failed with this exit code, did not panic, and printed exactly one line
    /// that starts with `error: ` or is an error in JSON, which contains these words.
    #[track_caller]
    pub(crate) fn expect_error(self, code: i32, words: &[&str]) -> Self {
        let run = self.expect(code);
        let starts = ["error: ", "{\"schema\":1,\"error\":"];
        let is_error = |line: &&str| starts.iter().any(|start| line.starts_with(start));
        let errors: Vec<_> = run.stderr.lines().filter(is_error).collect();
        assert_eq!(errors.len(), 1, "{}", run.stderr);
        assert!(words.iter().all(|word| errors[0].contains(word)), "{words:?}: {}", run.stderr);
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        run
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }

    /// Parses standard output as one JSON value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }

    /// Parses standard output as JSON lines.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// An argument of the program: a text or a path.
pub(crate) type Arg<'a> = &'a dyn AsRef<OsStr>;

/// The arguments `args` followed by `more`.
pub(crate) fn join<'a>(args: &[Arg<'a>], more: &'a [&'a str]) -> Vec<Arg<'a>> {
    args.iter().copied().chain(more.iter().map(|arg| arg as Arg<'a>)).collect()
}

fn command(args: &[Arg<'_>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sst"));
    command.args(args.iter().map(|arg| arg.as_ref()));
    command
}

/// Runs `sst` with these arguments.
pub(crate) fn sst(args: &[Arg<'_>]) -> Run {
    command(args).stdin(Stdio::null()).output().unwrap().into()
}

/// Runs `sst` with these arguments and this input.
pub(crate) fn sst_with_input(args: &[Arg<'_>], input: &[u8]) -> Run {
    let pipes =
        command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = pipes.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program that stops early closes its input; that is not a failure of the test.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output.into()
}

/// A directory that is removed at the end of the test.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Creates a file with this content.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Copies a directory that has no subdirectories.
    pub(crate) fn copy_of(&self, from: &Path, name: &str) -> PathBuf {
        let to = self.path(name);
        fs::create_dir(&to).unwrap();
        for file in names(from) {
            fs::write(to.join(&file), fs::read(from.join(&file)).unwrap()).unwrap();
        }
        to
    }

    /// Creates a directory and loads these lines of TSV into it.
    pub(crate) fn database(&self, name: &str, tsv: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let args: [Arg<'_>; 7] =
            [&"load", &"-", &path, &"--format", &"tsv", &"--max-value", &"128MiB"];
        sst_with_input(&args, tsv.as_ref()).expect(0);
        path
    }
}

/// Names of the files in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let files = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The `.sst` files in a directory, sorted.
pub(crate) fn tables(directory: &Path) -> Vec<PathBuf> {
    let names = names(directory).into_iter().filter(|name| name.ends_with(".sst"));
    names.map(|name| directory.join(name)).collect()
}

/// The output of `sst scan` for a directory or table.
#[track_caller]
pub(crate) fn scan(path: &Path) -> String {
    sst(&[&"scan", &path]).expect(0).text().to_owned()
}
