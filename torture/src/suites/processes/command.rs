//! `sst` as a process of its own, with a deadline.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::COMMAND;

/// No command of this suite takes longer, unless it hangs. A sync may wait for what other programs
/// have written: beside a copy of gigabytes, a command took more than 30 seconds.
const DEADLINE: Duration = Duration::from_secs(300);

/// Options of every load: small values in blob files too, and one thread, so that system calls come
/// in the same order each time.
pub(super) const LOAD: [&str; 7] =
    ["--format", "tsv", "--blob-threshold", "4999", "--threads", "1", "-q"];

/// The outcome of a command.
#[derive(Debug)]
pub(super) struct Ended {
    /// The exit code; `None` if a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// The arguments that run `sst` with these arguments, the program first.
pub(super) fn sst_arguments<S: AsRef<OsStr>>(arguments: &[S]) -> Vec<OsString> {
    let program = std::env::current_exe().unwrap().into_os_string();
    let arguments = arguments.iter().map(|argument| argument.as_ref().to_owned());
    [program, COMMAND.into()].into_iter().chain(arguments).collect()
}

/// Runs `sst` in a directory.
pub(super) fn sst<S: AsRef<OsStr>>(here: &Path, arguments: &[S]) -> Result<Ended, String> {
    run(here, &sst_arguments(arguments))
}

/// Runs a program in a directory and waits for its end. It is an error if it does not end.
pub(super) fn run(here: &Path, arguments: &[OsString]) -> Result<Ended, String> {
    let scratch = tempfile::tempdir().unwrap();
    let [out, err] = ["out", "err"].map(|name| scratch.path().join(name));
    let (program, arguments) = arguments.split_first().unwrap();
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(here)
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .map_err(|error| error.to_string())?;
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            return Err("it hangs".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let stderr = String::from_utf8_lossy(&fs::read(&err).unwrap()).into_owned();
    Ok(Ended { code: status.code(), stdout: fs::read(&out).unwrap(), stderr })
}

/// Runs `sst`, which must succeed.
pub(super) fn must<S: AsRef<OsStr>>(here: &Path, arguments: &[S]) -> Result<Ended, String> {
    let ended = sst(here, arguments)?;
    match ended.code {
        Some(0) => Ok(ended),
        code => Err(format!("exit code {code:?}: {}", ended.stderr)),
    }
}

/// The entries of a directory as `sst scan` prints them.
pub(super) fn content(here: &Path, directory: &str) -> Result<Vec<u8>, String> {
    must(here, &["scan", directory]).map(|ended| ended.stdout)
}

/// Copies the files of a directory.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Lines of TSV: some values are long enough for blob files.
pub(super) fn lines(tag: &str, count: usize) -> String {
    let value = |i: usize| if i.is_multiple_of(7) { "x".repeat(5000) } else { "x".repeat(i % 50) };
    (0..count).map(|i| format!("key {i}\t{tag} {i} {}\n", value(i))).collect()
}
