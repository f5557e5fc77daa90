//! Programs built by cargo once and then run directly, as often as necessary.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::cargo::Cargo;

/// The programs that one run of cargo built from packages of this workspace.
#[derive(Clone, Debug)]
pub struct Programs(Vec<Program>);

/// One program.
#[derive(Clone, Debug)]
struct Program {
    /// The folder of its package.
    folder: PathBuf,
    /// The name of the program's target: the crate's name for unit tests, the file's name for
    /// others.
    target: String,
    is_test: bool,
    executable: PathBuf,
}

/// The fields used here of one line of cargo's output with `--message-format=json`.
#[derive(Deserialize)]
struct Message {
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
    executable: PathBuf,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl Programs {
    /// Runs a build and collects its programs.
    ///
    /// # Errors
    ///
    /// The last lines of the compiler's output.
    pub fn build(cargo: Cargo) -> Result<Self, String> {
        let ended = cargo.args(&["--message-format", "json-render-diagnostics"]).run();
        if !ended.success {
            return Err(format!("cannot build: {}", ended.tail()));
        }
        Ok(Self::of(&ended.output))
    }

    fn of(messages: &str) -> Self {
        let messages = messages.lines().filter(|line| line.starts_with('{'));
        // Lines of other kinds, and those of targets that are not programs, lack some of the
        // fields.
        let messages = messages.filter_map(|line| serde_json::from_str::<Message>(line).ok());
        let program = |message: Message| Program {
            folder: message.manifest_path.parent().unwrap().to_owned(),
            target: message.target.name,
            is_test: message.profile.test,
            executable: message.executable,
        };
        Self(messages.map(program).collect())
    }

    /// Adds the programs of another build.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Copies ordinary programs to a folder and runs the copies from now on, since another build
    /// would overwrite the originals. (Test programs have names that no other build uses.)
    ///
    /// # Errors
    ///
    /// An error of a copy.
    pub fn keep_binaries(&mut self, folder: &Path) -> io::Result<()> {
        for program in self.0.iter_mut().filter(|program| !program.is_test) {
            let name = program.executable.file_name().unwrap();
            let copy = folder.join(name);
            std::fs::copy(&program.executable, &copy)?;
            program.executable = copy;
        }
        Ok(())
    }

    /// The test program with this target name, of the package in the folder with this name.
    #[must_use]
    pub fn test(&self, package: &str, target: &str) -> Option<Command> {
        self.find(package, target, true)
    }

    /// The ordinary program with this target name, of the package in the folder with this name.
    #[must_use]
    pub fn binary(&self, package: &str, target: &str) -> Option<Command> {
        self.find(package, target, false)
    }

    fn find(&self, package: &str, target: &str, is_test: bool) -> Option<Command> {
        let program = self.0.iter().find(|program| {
            program.folder.file_name().is_some_and(|name| name == package)
                && program.target == target
                && program.is_test == is_test
        })?;
        let mut command = Command::new(&program.executable);
        // Cargo runs programs in this folder too.
        command.current_dir(&program.folder).stdin(Stdio::null());
        Some(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_among_the_messages_of_cargo() {
        let message = |package: &str, target: &str, test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/w/{package}/Cargo.toml","target":{{"name":"{target}"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            )
        };
        let programs = Programs::of(
            &[
                "   Compiling a v0.1.0".to_owned(),
                message("a", "it", true, r#""/w/target/a-it""#),
                message("b", "it", true, r#""/w/target/b-it""#),
                message("b", "b", false, r#""/w/target/b""#),
                message("c", "c", false, "null"),
                r#"{"reason":"build-finished","success":true}"#.to_owned(),
            ]
            .join("\n"),
        );
        let path = |command: Option<Command>| command.map(|c| c.get_program().to_owned());
        assert_eq!(path(programs.test("b", "it")), Some("/w/target/b-it".into()));
        assert_eq!(path(programs.binary("b", "b")), Some("/w/target/b".into()));
        assert_eq!(path(programs.binary("b", "it")), None);
        assert_eq!(path(programs.binary("c", "c")), None);
    }
}
