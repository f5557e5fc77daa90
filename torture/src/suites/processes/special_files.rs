//! Files that are none, planted under every name of a directory. No command may hang, follow a link
//! where it writes, or take more memory than it has.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::{LOAD, content, copy, lines, must, run as run_command, sst, sst_arguments};
use crate::{Cases, Context, Protection, Row, Verdict};

/// The names: of files that are there, of files that the next commits make, of locks and lists, of
/// a temporary file.
const NAMES: [&str; 17] = [
    "CURRENT",
    "LOCK",
    ".lock",
    ".first-commit",
    ".sst-abc-tmp",
    "00000001.sst",
    "00000001.meta",
    "00000001.del",
    "00000002.meta",
    "00000003.sst",
    "00000003.meta",
    "00000003.sst.meta",
    "00000003.blob",
    "00000003.del",
    "00000004.meta",
    "00000004.sst",
    "00000005.meta",
];

/// The file that is planted.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Pipe,
    Socket,
    Directory,
    /// A link to a file outside, which must stay as it is.
    Link,
    /// A link to nothing.
    DanglingLink,
    /// A link to a device that never ends.
    Device,
    /// Six gigabytes that take no room.
    Sparse,
}

const KINDS: [Kind; 7] = [
    Kind::Pipe,
    Kind::Socket,
    Kind::Directory,
    Kind::Link,
    Kind::DanglingLink,
    Kind::Device,
    Kind::Sparse,
];

const COMMANDS: [&[&str]; 9] = [
    &["get", "db", "key 1"],
    &["scan", "db"],
    &["verify", "db"],
    &["inspect", "db"],
    &["log", "db"],
    &["load", "new.tsv", "db"],
    &["load", "new.tsv", "db", "--increment", "--certify"],
    &["merge", "db", "--in-place"],
    &["rollback", "db"],
];

/// Address space of a command, in KiB: less than a file of 6 GB.
const ADDRESS_SPACE: u64 = 2 << 20;
/// Length of a sparse file in bytes.
const SPARSE_LEN: u64 = 6 << 30;
const OUTSIDE: &str = "a file outside";

pub(super) fn run(context: &Context) -> Vec<Row> {
    let scratch = tempfile::tempdir().unwrap();
    let here = scratch.path();
    fs::write(here.join("old.tsv"), lines("old", 20)).unwrap();
    fs::write(here.join("new.tsv"), lines("new", 20)).unwrap();
    must(here, &[&["load", "old.tsv", "db"], &LOAD[..]].concat()).unwrap();
    let planted = Planted {
        model: here.to_owned(),
        before: content(here, "db").unwrap(),
        // A step that shares no factor with the numbers of names, kinds and commands.
        step: if context.is_brief() { 53 } else { context.pick(11, 1) },
    };
    let rows = KINDS.map(|kind| Row::new(format!("planted: {kind:?}"), Protection::Protected));
    context.run(rows.into(), &planted)
}

struct Planted {
    model: PathBuf,
    before: Vec<u8>,
    step: usize,
}

impl Kind {
    /// Puts it at a path where nothing is.
    fn plant(self, path: &Path, outside: &Path) {
        match self {
            Self::Pipe => {
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            }
            Self::Socket => drop(UnixListener::bind(path).unwrap()),
            Self::Directory => fs::create_dir(path).unwrap(),
            Self::Link => symlink(outside, path).unwrap(),
            Self::DanglingLink => symlink(outside.with_extension("missing"), path).unwrap(),
            Self::Device => symlink("/dev/zero", path).unwrap(),
            Self::Sparse => File::create(path).unwrap().set_len(SPARSE_LEN).unwrap(),
        }
    }
}

/// Removes what was planted, if it is still there, and puts the file back that was there before.
fn take_away(path: &Path, before: Option<&Path>) {
    let Ok(planted) = fs::symlink_metadata(path) else { return };
    // A command that made the file anew has made a regular one.
    if planted.is_file() && planted.len() < SPARSE_LEN {
        return;
    }
    let removed = if planted.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
    removed.unwrap();
    if let Some(before) = before {
        fs::rename(before, path).unwrap();
    }
}

impl Planted {
    fn parts(&self, case: usize) -> (&'static str, Kind, &'static [&'static str]) {
        let case = case * self.step;
        let (name, rest) = (case % NAMES.len(), case / NAMES.len());
        (NAMES[name], KINDS[rest % KINDS.len()], COMMANDS[rest / KINDS.len()])
    }

    fn check(&self, case: usize) -> Result<Verdict, String> {
        let (name, kind, command) = self.parts(case);
        let scratch = tempfile::tempdir().unwrap();
        let here = scratch.path();
        let (db, outside) = (here.join("db"), here.join("outside"));
        copy(&self.model.join("db"), &db);
        fs::copy(self.model.join("new.tsv"), here.join("new.tsv")).unwrap();
        fs::write(&outside, OUTSIDE).unwrap();
        let path = db.join(name);
        let was_there = path.exists();
        if was_there {
            fs::rename(&path, here.join("taken away")).unwrap();
        }
        kind.plant(&path, &outside);
        let load: &[&str] = if command[0] == "load" { &LOAD } else { &[] };
        let limited = format!("ulimit -v {ADDRESS_SPACE}; exec \"$@\"");
        let shell = ["sh", "-c", &limited, "sh"].map(OsString::from);
        let arguments = sst_arguments(&[command, load].concat());
        let ended = run_command(here, &[&shell[..], &arguments].concat())?;
        let Some(0..=4) = ended.code else {
            return Err(format!("exit code {:?}: {}", ended.code, ended.stderr));
        };
        if fs::read_to_string(&outside).ok().as_deref() != Some(OUTSIDE) {
            return Err("a file outside was changed".to_owned());
        }
        if here.join("outside.missing").exists() {
            return Err("a file outside was made".to_owned());
        }
        if matches!(command[0], "load" | "merge" | "rollback") {
            take_away(&path, was_there.then(|| here.join("taken away")).as_deref());
            let verified = sst(here, &["verify", "db"])?;
            if verified.code != Some(0) {
                let damage = String::from_utf8_lossy(&verified.stdout);
                return Err(format!("exit code {:?}, and then {damage}", ended.code));
            }
            if !matches!(ended.code, Some(0 | 4)) && content(here, "db")? != self.before {
                return Err("the content has changed".to_owned());
            }
        }
        let is_right = ended.code == Some(0);
        Ok(if is_right { Verdict::Harmless } else { Verdict::Detected })
    }
}

impl Cases for Planted {
    type Worker = ();

    fn count(&self) -> usize {
        (NAMES.len() * KINDS.len() * COMMANDS.len()).div_ceil(self.step)
    }

    fn worker(&self) {}

    fn row(&self, case: usize) -> usize {
        case * self.step / NAMES.len() % KINDS.len()
    }

    fn name(&self, case: usize) -> String {
        let (name, kind, command) = self.parts(case);
        format!("{kind:?} as {name}, sst {}", command.join(" "))
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        self.check(case).unwrap_or_else(Verdict::Wrong)
    }
}
