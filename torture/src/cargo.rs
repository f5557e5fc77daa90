//! Runs cargo in this workspace, for checks that need a special build.

use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// Environment variable that makes this program act as a compiler wrapper. It holds the argument of
/// `--cfg`.
const COMPILER_CFG: &str = "SST_TORTURE_COMPILER_CFG";

/// Acts as the compiler wrapper if the cargo of [`Cargo::with_cfg`] started this program: calls the
/// real compiler, which the first argument names, with an additional `--cfg`.
#[must_use]
pub fn compiler() -> Option<ExitCode> {
    let cfg = std::env::var_os(COMPILER_CFG)?;
    let mut arguments = std::env::args_os().skip(1);
    let mut compiler = Command::new(arguments.next()?);
    let status = compiler.args(arguments).arg("--cfg").arg(cfg).status().ok()?;
    Some(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One run of cargo.
#[derive(Debug)]
pub struct Cargo(Command);

/// The result of one run of cargo.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Whether it succeeded.
    pub success: bool,
    /// Standard output followed by standard error.
    pub output: String,
}

impl Cargo {
    /// The cargo of the toolchain that built this program. It builds in `target/NAME`, with these
    /// flags for every crate.
    #[must_use]
    pub fn new(target: &str, flags: &str) -> Self {
        Self::of(own_cargo()).target(target).env("RUSTFLAGS", flags)
    }

    /// The cargo of the toolchain that built this program. Only the packages of this workspace are
    /// compiled with the additional `--cfg`. Other packages are shared with ordinary builds, whose
    /// target folder is used.
    ///
    /// # Errors
    ///
    /// The path of this program is unknown.
    pub fn with_cfg(cfg: &str) -> io::Result<Self> {
        let mut cargo = Self::of(own_cargo()).env(COMPILER_CFG, cfg);
        // Cargo keeps the output of a workspace wrapper apart from that of ordinary builds.
        cargo.0.env("RUSTC_WORKSPACE_WRAPPER", std::env::current_exe()?);
        Ok(cargo)
    }

    /// The cargo of another toolchain, run through rustup.
    #[must_use]
    pub fn of_toolchain(toolchain: &str, target: &str) -> Self {
        let mut rustup = Command::new("rustup");
        rustup.args(["run", toolchain, "cargo"]);
        Self::of(rustup).target(target)
    }

    fn of(mut command: Command) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().unwrap_or(here);
        command.current_dir(root).stdin(Stdio::null());
        // Remove the variables that cargo set for this program only.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text == "CARGO_MANIFEST_DIR" || text == "RUSTFLAGS"
            {
                command.env_remove(name);
            }
        }
        Self(command)
    }

    fn target(self, name: &str) -> Self {
        self.env("CARGO_TARGET_DIR", &format!("target/{name}"))
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs cargo and waits for its end.
    #[must_use]
    pub fn run(mut self) -> Ended {
        Ended::of(&mut self.0)
    }
}

fn own_cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

impl Ended {
    /// Runs a command and waits for its end.
    #[must_use]
    pub fn of(command: &mut Command) -> Self {
        match command.output() {
            Ok(output) => {
                let [out, errors] = [output.stdout, output.stderr];
                let text = [String::from_utf8_lossy(&out), String::from_utf8_lossy(&errors)];
                Self { success: output.status.success(), output: text.concat() }
            }
            Err(error) => Self { success: false, output: error.to_string() },
        }
    }

    /// Numbers of tests that passed and failed, summed over all test programs that finished.
    #[must_use]
    pub fn tests(&self) -> (u64, u64) {
        let results = self.output.lines().filter_map(|line| line.strip_prefix("test result: "));
        let count = |result: &str, what: &str| {
            let mut words = result.split([' ', ';']).filter(|word| !word.is_empty());
            let mut last = "0";
            words.find(|word| {
                *word == what || {
                    last = word;
                    false
                }
            });
            last.parse::<u64>().unwrap()
        };
        results.fold((0, 0), |(passed, failed), result| {
            (passed + count(result, "passed"), failed + count(result, "failed"))
        })
    }

    /// For messages: the tests that failed or did not finish, and the first compiler error.
    #[must_use]
    pub fn complaint(&self) -> String {
        let is_good = |line: &&str| line.contains(" ... ok") || line.contains(" ... ignored");
        let tests =
            self.output.lines().filter(|line| line.starts_with("test ") && line.contains(" ... "));
        let tests = tests.filter(|line| !is_good(line));
        let error = self.output.lines().find(|line| line.starts_with("error"));
        tests.chain(error).collect::<Vec<_>>().join(" | ")
    }

    /// For messages: the last lines of the output.
    #[must_use]
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.output.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(6)..].join(" | ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_programs_are_added_up() {
        let output = "running 2 tests\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
            test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n";
        assert_eq!(Ended { success: false, output: output.to_owned() }.tests(), (5, 1));
    }

    #[test]
    fn a_test_that_ended_the_program_is_named_with_the_error() {
        let output = "running 3 tests\ntest a ... ok\ntest b ... ignored, too slow\ntest c ... \n\
            warning: something\nerror: Undefined Behavior: a pointer\nerror: test failed\n";
        let ended = Ended { success: false, output: output.to_owned() };
        assert_eq!(ended.complaint(), "test c ...  | error: Undefined Behavior: a pointer");
    }
}
