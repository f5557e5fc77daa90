//! Runs the two programs of the service.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Highest time for anything that may take a while.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Builds a program of the workspace in the profile of this test. The programs are not dependencies
/// of this package, since they depend on the writer, which this side must not.
pub(crate) fn build(program: &str) -> PathBuf {
    static PROGRAMS: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        // With the features that `cargo test --workspace` has compiled the libraries with: those
        // of all packages, and, because of the examples, of what tests depend on.
        build.args(["build", "--quiet", "--workspace", "--bin", "sst", "--bin", "sst-ingest"]);
        build.args(["--examples", "--message-format", "json"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let output = build.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success());
        let messages = String::from_utf8(output.stdout).unwrap();
        let executables = messages.lines().filter_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            message["executable"].as_str().map(PathBuf::from)
        });
        executables.collect()
    });
    let is_it = |path: &&PathBuf| path.file_stem().is_some_and(|stem| stem == program);
    programs.iter().find(is_it).unwrap().clone()
}

/// A process that prints lines of JSON to its standard output.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { stdin: child.stdin.take(), child, lines }
    }

    /// Starts the ingest side, which reads batches from this process.
    pub(crate) fn ingest(directory: &Path, mode: &str) -> Self {
        let mut command = Command::new(build("sst-ingest"));
        command.args(["-", "--batches", "--no-header", "--mode", mode]).arg(directory);
        Self::start(&mut command)
    }

    /// Starts the query side on a free port.
    pub(crate) fn server(directory: &Path) -> Self {
        let directory = directory.to_str().unwrap();
        let arguments = [directory, "--listen", "127.0.0.1:0", "--poll-millis", "5"];
        Self::server_with(directory.as_ref(), &arguments)
    }

    /// Starts the query side with these arguments in the directory `here`.
    pub(crate) fn server_with(here: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sst-query-server"));
        command.args(arguments).current_dir(here);
        Self::start(&mut command)
    }

    /// Writes to the standard input of the process.
    pub(crate) fn write(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Waits for the next line for which `pick` returns a value.
    pub(crate) fn wait_for<T>(&self, pick: impl Fn(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match pick(&line) {
                    Some(found) => return found,
                    None => continue,
                },
                Err(RecvTimeoutError::Disconnected) => panic!("the process has ended"),
                Err(RecvTimeoutError::Timeout) => panic!("nothing came in {DEADLINE:?}"),
            }
        }
    }

    /// Asks the process to end (SIGTERM).
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Closes the standard input of the process and waits for its end.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Has an effect only after a failed test: a process that has ended cannot be killed.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
