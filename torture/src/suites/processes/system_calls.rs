//! System calls of `sst` that fail or lie, one at a time. `strace` injects the faults.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::command::{
    Ended, LOAD, content, copy, lines, must, run as run_command, sst, sst_arguments,
};
use crate::{Cases, Context, Protection, Row, Verdict};

/// System calls, and what is injected into each. An error is a call that fails; a value is a call
/// that does nothing and claims that it did; a signal comes while the call is made. `0` of a read
/// is an end of the file that is none, and `1` of a write is a byte that was not written.
const FAULTS: [(&str, &[&str]); 20] = [
    ("openat", &["error=EIO", "error=EMFILE", "error=EINTR", "error=EACCES"]),
    ("read", &["error=EIO", "error=EINTR", "retval=0"]),
    ("pread64", &["error=EIO", "error=EINTR", "retval=0", "retval=1"]),
    ("write", &["error=EIO", "error=ENOSPC", "error=EINTR", "retval=0", "retval=1"]),
    ("fsync", &["error=EIO", "error=ENOSPC", "error=EINTR", "signal=SIGTERM"]),
    ("fdatasync", &["error=EIO", "error=ENOSPC", "error=EINTR"]),
    ("rename", &["error=EIO", "error=ENOSPC", "retval=0"]),
    ("renameat", &["error=EIO", "error=ENOSPC", "retval=0", "signal=SIGTERM"]),
    ("renameat2", &["error=EIO", "error=ENOSPC", "retval=0", "signal=SIGTERM"]),
    ("linkat", &["error=EIO", "error=ENOSPC", "retval=0"]),
    ("unlink", &["error=EIO", "error=EACCES", "retval=0", "signal=SIGTERM"]),
    ("ftruncate", &["error=EIO", "retval=0"]),
    ("mmap", &["error=ENOMEM"]),
    ("statx", &["error=EIO", "error=EINTR", "error=EACCES"]),
    ("mkdir", &["error=EIO", "error=ENOSPC"]),
    ("flock", &["error=ENOLCK", "error=EINTR"]),
    ("lseek", &["error=EIO"]),
    ("getdents64", &["error=EIO", "retval=0"]),
    ("copy_file_range", &["error=EIO", "error=ENOSPC", "error=EINTR"]),
    ("close", &["error=EIO"]),
];

/// The commands: those that publish first.
const COMMANDS: [(&str, &[&str]); 9] = [
    ("load", &["load", "new.tsv", "db"]),
    ("load --certify", &["load", "new.tsv", "db", "--increment", "--certify"]),
    ("merge --in-place", &["merge", "db", "--in-place", "-q"]),
    ("merge --auto", &["merge", "db", "--auto", "--max-layers", "1", "-q"]),
    ("rollback", &["rollback", "db", "-q"]),
    (
        "gather",
        &["gather", "part", "-o", "db", "--mode", "append", "--overlap", "later-wins", "-q"],
    ),
    ("scan", &["scan", "db"]),
    ("get", &["get", "db", "key 1", "key 7", "key 70"]),
    ("verify", &["verify", "db"]),
];

/// The first command that only reads.
const READING: usize = 6;

/// One fault: the command, the system call, what is injected, and into which of its calls.
#[derive(Clone, Copy, Debug)]
struct Fault {
    command: usize,
    call: &'static str,
    injected: &'static str,
    number: usize,
}

impl Fault {
    /// The row of the table: each command has one for calls that fail, and one for those that lie.
    fn row(self) -> usize {
        self.command * 2 + usize::from(self.injected.starts_with("retval"))
    }
}

struct Faults {
    /// `base` is a directory of two commits, `part` one to gather, `new.tsv` an input.
    model: PathBuf,
    /// The files that each command leaves, and its output, if nothing fails.
    after: Vec<(Vec<u8>, Vec<u8>)>,
    before: Vec<u8>,
    faults: Vec<Fault>,
}

pub(super) fn run(context: &Context) -> Vec<Row> {
    let row = |name: &str, kind| {
        Row::new(format!("sst {name}: a system call {kind}"), Protection::Protected)
    };
    let rows = COMMANDS.iter().flat_map(|(name, ..)| [row(name, "fails"), row(name, "lies")]);
    let rows: Vec<Row> = rows.collect();
    if !super::has_strace() {
        let skipped = |row: Row| Row::skipped(row.test, row.protection, "there is no strace here");
        return rows.into_iter().map(skipped).collect();
    }
    let scratch = tempfile::tempdir().unwrap();
    let faults = Faults::new(context, scratch.path());
    context.run(rows, &faults)
}

/// The arguments of a command, with those of a load.
fn arguments(command: usize) -> Vec<&'static str> {
    let (_, arguments) = COMMANDS[command];
    let load: &[&str] = if arguments[0] == "load" { &LOAD } else { &[] };
    [arguments, load].concat()
}

/// The arguments of `strace`, which writes to `log` and runs the command.
fn traced(options: &[&str], command: usize) -> Vec<OsString> {
    let strace = ["strace", "-f", "-qq", "-o", "log"].iter().chain(options);
    strace.map(OsString::from).chain(sst_arguments(&arguments(command))).collect()
}

impl Faults {
    fn new(context: &Context, model: &Path) -> Self {
        fs::write(model.join("a.tsv"), lines("first", 60)).unwrap();
        fs::write(model.join("b.tsv"), lines("second", 80)).unwrap();
        fs::write(model.join("new.tsv"), lines("third", 30)).unwrap();
        must(model, &[&["load", "a.tsv", "db"], &LOAD[..]].concat()).unwrap();
        must(model, &[&["load", "b.tsv", "db", "--increment"], &LOAD[..]].concat()).unwrap();
        must(model, &[&["load", "new.tsv", "part", "--certify"], &LOAD[..]].concat()).unwrap();
        let before = content(model, "db").unwrap();
        let mut all =
            Self { model: model.to_owned(), after: Vec::new(), before, faults: Vec::new() };
        for (command, (name, ..)) in COMMANDS.iter().enumerate() {
            let here = all.fresh();
            let ended = run_command(here.path(), &traced(&[], command)).unwrap();
            assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
            let log = fs::read_to_string(here.path().join("log")).unwrap();
            for (call, injected) in FAULTS {
                let called = format!(" {call}(");
                let calls = log.lines().filter(|line| line.contains(&called)).count();
                let each = injected.iter().flat_map(|injected| {
                    (1..=calls).map(move |number| Fault { command, call, injected, number })
                });
                all.faults.extend(each);
            }
            all.after.push((content(here.path(), "db").unwrap(), ended.stdout));
        }
        // A step that shares no factor with the numbers of faults of a kind.
        // A brief run has as many as a quick one: fewer would miss a planted bug now and then.
        let step = context.pick(23, 1);
        // A byte of the standard output that the system loses and says it has written is lost.
        all.faults.retain(|fault| {
            fault.command < READING || (fault.call, fault.injected) != ("write", "retval=1")
        });
        // Of each row, so that none is without a case.
        let mut seen = [0; COMMANDS.len() * 2];
        all.faults.retain(|fault| {
            let seen = &mut seen[fault.row()];
            *seen += 1;
            (*seen - 1) % step == 0
        });
        all
    }

    /// A copy of the model.
    fn fresh(&self) -> tempfile::TempDir {
        let here = tempfile::tempdir().unwrap();
        copy(&self.model.join("db"), &here.path().join("db"));
        copy(&self.model.join("part"), &here.path().join("part"));
        fs::copy(self.model.join("new.tsv"), here.path().join("new.tsv")).unwrap();
        here
    }

    fn check(&self, fault: Fault) -> Result<Verdict, String> {
        let Fault { command, call, injected, number } = fault;
        let here = self.fresh();
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:{injected}:when={number}");
        let mut options = vec!["-e", &trace, "-e", &inject];
        // It is faster so, but then strace sends no signals.
        if !injected.starts_with("signal") {
            options.push("--seccomp-bpf");
        }
        let ended = run_command(here.path(), &traced(&options, command))?;
        // The standard library and its allocator end the process where the system gives no memory
        // for a stack, and, in commands that only read, where a listed directory cannot be closed;
        // what the directory has must be whole all the same.
        let may_crash = call == "mmap" || (call == "close" && command >= READING);
        if ended.stderr.contains("panicked") && !may_crash {
            return Err(format!("a panic: {}", ended.stderr));
        }
        // 127 is the loader of programs, which meets faults before the command starts.
        let is_ended = match ended.code {
            Some(0 | 2 | 3 | 4 | 127) => true,
            Some(1) => COMMANDS[command].0 == "get" && injected.starts_with("retval"),
            _ => may_crash,
        };
        if !is_ended {
            return Err(format!("exit code {:?}: {}", ended.code, ended.stderr));
        }
        match command < READING {
            true => self.check_written(here.path(), fault, &ended),
            false => self.check_read(fault, &ended),
        }
    }

    /// The directory is at the commit that the exit code says, and the next command goes on.
    fn check_written(&self, here: &Path, fault: Fault, ended: &Ended) -> Result<Verdict, String> {
        let after = &self.after[fault.command].0;
        let is_live = matches!(ended.code, Some(0 | 4));
        let verified = sst(here, &["verify", "db"])?;
        if verified.code != Some(0) {
            let damage = String::from_utf8_lossy(&verified.stdout);
            return Err(format!("{:?}, and damaged: {damage}", ended.code));
        }
        let now = content(here, "db")?;
        match (is_live, now == *after, now == self.before) {
            (true, true, _) | (false, _, true) => {}
            // A process that was ended by the system, or by a panic of the standard library, which
            // has the exit code 101, says nothing.
            (false, true, _) if !matches!(ended.code, Some(0..=100 | 102..=127)) => {}
            (true, false, _) => return Err(format!("{:?} and the commit is lost", ended.code)),
            (false, true, _) => return Err(format!("{:?} and the commit is live", ended.code)),
            (false, false, false) => return Err("neither the old commit nor the new".to_owned()),
        }
        if COMMANDS[fault.command].0 != "rollback" {
            must(here, &arguments(fault.command)).map_err(|error| format!("next: {error}"))?;
        }
        Ok(if ended.code == Some(0) { Verdict::Harmless } else { Verdict::Detected })
    }

    /// The output is right, as far as it goes, and complete if the command succeeded.
    fn check_read(&self, fault: Fault, ended: &Ended) -> Result<Verdict, String> {
        let expected = &self.after[fault.command].1;
        match ended.code {
            // How long it took is in it.
            Some(0) if COMMANDS[fault.command].0 == "verify" => Ok(Verdict::Harmless),
            Some(0) if ended.stdout == *expected => Ok(Verdict::Harmless),
            Some(0) => Err("a wrong answer".to_owned()),
            _ if COMMANDS[fault.command].0 == "verify" => Ok(Verdict::Detected),
            _ if expected.starts_with(&ended.stdout) => Ok(Verdict::Detected),
            _ => Err("a wrong answer before the error".to_owned()),
        }
    }
}

impl Cases for Faults {
    type Worker = ();

    fn count(&self) -> usize {
        self.faults.len()
    }

    fn worker(&self) {}

    fn row(&self, case: usize) -> usize {
        self.faults[case].row()
    }

    fn name(&self, case: usize) -> String {
        let Fault { command, call, injected, number } = self.faults[case];
        format!("sst {}, {call} number {number}, {injected}", COMMANDS[command].0)
    }

    fn run(&self, (): &mut (), case: usize) -> Verdict {
        self.check(self.faults[case]).unwrap_or_else(Verdict::Wrong)
    }
}
