//! The memory of `sst load` for inputs that are made to need a lot. Under a limit on the address
//! space, a load must succeed or end with an error; it must never be aborted.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::harness::{Run, Scratch, repository, sst};

/// `--memory` of the loads here, in MiB.
const MEMORY: u64 = 8;
/// `--max-value` of the loads here.
const MAX_VALUE: &str = "4MiB";
/// Additional address space over the smallest load, in MiB: four times the longest key of 16 MiB.
pub(crate) const ROOM: u64 = 64;

/// An input: its format, its start, a byte that is repeated, and its end.
struct Endless {
    format: &'static str,
    start: &'static [u8],
    byte: u8,
    end: &'static [u8],
    /// Number of times that the byte is repeated.
    len: u64,
}

/// More than the memory that a load may use.
const LEN: u64 = 80 << 20;
/// Fewer repetitions, for inputs in which each repeated byte may take more than a byte of memory.
const CELLS: u64 = 20 << 20;

const INPUTS: [Endless; 10] = [
    Endless { format: "tsv", start: b"good\t1\n", byte: b'k', end: b"\tv\nz\t9\n", len: LEN },
    Endless { format: "tsv", start: b"good\t1\nk\t", byte: b'v', end: b"\nz\t9\n", len: LEN },
    Endless { format: "tsv", start: b"good\t1\nk\t", byte: b'\\', end: b"\nz\t9\n", len: CELLS },
    Endless { format: "csv", start: b"k,v\ngood,1\n", byte: b'k', end: b",1\nz,9\n", len: LEN },
    Endless { format: "csv", start: b"k,v\ngood,1\n", byte: b',', end: b"\nz,9\n", len: CELLS },
    Endless {
        format: "csv",
        start: b"k,v\ngood,1\nk,\"",
        byte: b'\n',
        end: b"\"\nz,9\n",
        len: CELLS,
    },
    Endless {
        format: "csv",
        start: b"k,v\ngood,1\nk,\"",
        byte: b'"',
        end: b"\"\nz,9\n",
        len: CELLS,
    },
    Endless { format: "csv", start: b"", byte: b',', end: b"\nz,9\n", len: CELLS },
    Endless {
        format: "jsonl",
        start: b"{\"key\":\"good\",\"value\":1}\n{\"key\":\"",
        byte: b'k',
        end: b"\",\"value\":1}\n{\"key\":\"z\",\"value\":9}\n",
        len: LEN,
    },
    Endless {
        format: "jsonl",
        start: b"{\"key\":\"good\",\"value\":1}\n",
        byte: b'[',
        end: b"\n{\"key\":\"z\",\"value\":9}\n",
        len: LEN,
    },
];

/// The address space that a load of one short line needs, in KiB.
pub(crate) fn smallest(scratch: &Scratch) -> u64 {
    let input = scratch.file("one.tsv", "a\t1\n");
    let db = scratch.path("one.db");
    let fits = |kib: u64| {
        let script = format!("ulimit -v {kib}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_sst"), "load"]);
        command.arg(&input).arg(&db).args(["--memory", &format!("{MEMORY}MiB"), "--threads", "1"]);
        command.output().unwrap().status.success()
    };
    let steps = (4..1000).map(|step| step * 4096);
    steps.into_iter().find(|kib| fits(*kib)).unwrap()
}

/// Loads an input under a limit on the address space.
fn load(scratch: &Scratch, kib: u64, format: &str, input: impl std::io::Read + Send) -> Run {
    let script = format!("ulimit -v {kib}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_sst"), "load", "-"]);
    command.arg(scratch.path("db")).args(["--format", format, "--skip-bad", "--threads", "1"]);
    command.args(["--memory", &format!("{MEMORY}MiB"), "--max-value", MAX_VALUE]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut input = input;
    std::thread::scope(|scope| {
        // A program that stops early closes its input.
        scope
            .spawn(move || drop(std::io::copy(&mut input, &mut stdin).and_then(|_| stdin.flush())));
        child.wait_with_output().unwrap().into()
    })
}

#[test]
fn no_input_makes_a_load_take_more_memory_than_there_is() {
    let scratch = Scratch::new();
    let kib = smallest(&scratch) + (ROOM << 10);
    for (i, Endless { format, start, byte, end, len }) in INPUTS.iter().enumerate() {
        let input = start.chain(std::io::repeat(*byte).take(*len)).chain(*end);
        let run = load(&scratch, kib, format, input);
        // If the input can be read to its end, the entries before and after the long one are
        // loaded.
        match run.code {
            Some(0) => {
                let scanned = sst(&[&"scan", &scratch.path("db")]).expect(0);
                assert_eq!(scanned.text().lines().count(), 2, "{i}: {}", run.stderr);
            }
            _ => {
                assert_eq!(run.code, Some(3), "{i}: {}", run.stderr);
                drop(run.expect_error(3, &["standard input"]));
            }
        }
        drop(std::fs::remove_dir_all(scratch.path("db")));
    }
}

/// A pipe is read by a thread, which takes more address space than the smallest load of a file. A
/// system that does not grant it causes no panic. (What is left may be too little for the error.)
#[test]
fn a_load_that_is_granted_no_thread_does_not_panic() {
    let scratch = Scratch::new();
    let smallest = smallest(&scratch);
    let run_with = |step: u64| {
        let run = load(&scratch, smallest + step * 256, "tsv", &b"good\t1\n"[..]);
        assert_ne!(run.code, Some(101), "{}", run.stderr);
        drop(std::fs::remove_dir_all(scratch.path("db")));
        run.code
    };
    let codes: Vec<_> = (0..32).map(run_with).collect();
    assert_eq!(codes.last(), Some(&Some(0)), "{codes:?}");
}

#[test]
fn compressed_inputs_expand_in_bounded_memory() {
    let scratch = Scratch::new();
    let kib = smallest(&scratch) + (ROOM << 10);
    // A frame of blocks that each repeat one byte 128 Ki times, and headers with large windows.
    let block = [0x02, 0, 0x10, b'k'];
    let frame = |window: u8| {
        let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, window];
        bytes.extend(std::iter::repeat_n(block, 700).flatten());
        bytes.extend([1, 0, 0]);
        bytes
    };
    for window in [7 << 3, 13 << 3, 17 << 3, 21 << 3, 31 << 3] {
        let run = load(&scratch, kib, "tsv", frame(window).as_slice());
        run.expect_error(3, &["standard input"]);
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut std::io::repeat(b'k').take(LEN), &mut gzip).unwrap();
    let run = load(&scratch, kib, "tsv", gzip.finish().unwrap().as_slice());
    run.expect_error(3, &["standard input"]);
}

#[test]
fn a_value_that_is_longer_than_memory_is_loaded() {
    const VALUE_LEN: u64 = 48 << 20;
    let scratch = Scratch::new();
    let kib = smallest(&scratch) + (16 << 10);
    for (format, start, end) in [("tsv", "k\t", "\nz\t9\n"), ("csv", "k,v\nk,\"", "\"\nz,9\n")] {
        let db = scratch.path(format);
        let text = std::io::repeat(b'v').take(VALUE_LEN);
        let mut input = start.as_bytes().chain(text).chain(end.as_bytes());
        let file = scratch.path("input");
        std::io::copy(&mut input, &mut std::fs::File::create(&file).unwrap()).unwrap();
        let memory = format!("{MEMORY}MiB");
        let options = ["--threads=1", "--max-value=1GiB", "--blob-threshold=1048576"];
        let mut args: Vec<&std::ffi::OsStr> = vec!["load".as_ref(), file.as_ref(), db.as_ref()];
        args.extend(["--format", format, "--memory", &memory].map(std::ffi::OsStr::new));
        args.extend(options.map(std::ffi::OsStr::new));
        let (code, stderr) = within(kib, &args);
        assert_eq!(code, Some(0), "{stderr}");
        let value = sst(&[&"get", &db, &"k", &"--raw"]).expect(0).stdout;
        assert!(value.len() as u64 == VALUE_LEN && value.iter().all(|byte| *byte == b'v'));
        // One block, which LZ4 compresses as far as it can.
        let stored = std::fs::metadata(db.join("00000001.blob")).unwrap().len();
        assert!(stored < VALUE_LEN / 250, "{stored}");
    }
}

/// Runs `sst` under a limit on the address space. Returns its exit code (`None` if a signal ended
/// it) and its error output.
pub(crate) fn within(kib: u64, args: &[&std::ffi::OsStr]) -> (Option<i32>, String) {
    let script = format!("ulimit -v {kib}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_sst")]).args(args);
    let output = command.stdout(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_large_value_is_written_and_read_or_refused_in_any_address_space() {
    // The value compresses by a third, so it passes through LZ4's buffers and is stored compressed.
    let value: Vec<u8> = (0..LARGE_LEN).map(|i| b'a' + (i * i / 7 % 23) as u8).collect();
    let scratch = Scratch::new();
    let input = scratch.file("large.tsv", [b"k\t", value.as_slice(), b"\n"].concat());
    let smallest = smallest(&scratch);
    let memory = format!("{MEMORY}MiB");
    for blob_threshold in ["1048576", "67108864"] {
        let (mut loads, mut gets, mut ends) = (0, 0, 0);
        let db = scratch.path(&format!("large-{blob_threshold}.db"));
        for room in (0..=256).step_by(4) {
            let kib = smallest + (room << 10);
            let load: [&std::ffi::OsStr; 10] = [
                "load".as_ref(),
                input.as_ref(),
                db.as_ref(),
                "--memory".as_ref(),
                memory.as_ref(),
                "--threads".as_ref(),
                "1".as_ref(),
                "--blob-threshold".as_ref(),
                blob_threshold.as_ref(),
                "--no-filter".as_ref(),
            ];
            let (code, stderr) = within(kib, &load);
            match code {
                Some(0) => {
                    ends += 1;
                    break;
                }
                Some(1..=9) => loads += 1,
                other => panic!("load with {room} MiB more: {other:?} {stderr}"),
            }
        }
        assert!(loads > 0, "no load was refused");
        for room in (0..=128).step_by(8) {
            let get = ["get".as_ref(), db.as_ref(), "k".as_ref(), "--raw".as_ref()];
            let (code, stderr) = within(smallest + (room << 10), &get);
            match code {
                Some(0) => {
                    ends += 1;
                    break;
                }
                Some(1..=9) => gets += 1,
                other => panic!("get with {room} MiB more: {other:?} {stderr}"),
            }
        }
        assert!(gets > 0, "no get was refused");
        assert_eq!(ends, 2, "with enough memory both succeed");
    }
}

/// Length of the large value, below the default of `--max-value`.
const LARGE_LEN: u64 = 12 << 20;

/// Every how many files of the corpora are tried; all of them if `SST_ALL_CORPORA` is set.
const CORPUS_STEP: usize = 17;

#[test]
fn the_fuzz_corpora_abort_no_command_however_little_memory_there_is() {
    let scratch = Scratch::new();
    let smallest = smallest(&scratch);
    let kib = smallest + (ROOM << 10);
    let base = scratch.database("base", "a\t1\nb\t2\n");
    let step = if std::env::var_os("SST_ALL_CORPORA").is_some() { 1 } else { CORPUS_STEP };
    let mut files = Vec::new();
    for folder in std::fs::read_dir(repository("fuzz/corpus")).unwrap() {
        let folder = std::fs::read_dir(folder.unwrap().path()).unwrap();
        files.extend(folder.map(|file| file.unwrap().path()));
    }
    files.sort();
    let mut codes = std::collections::BTreeMap::<_, usize>::new();
    for file in files.iter().step_by(step) {
        let bytes = std::fs::read(file).unwrap();
        let table = scratch.file("corpus.sst", &bytes);
        let metas = scratch.path("metas");
        drop(std::fs::remove_dir_all(&metas));
        std::fs::create_dir(&metas).unwrap();
        std::fs::write(metas.join("00000001.meta"), &bytes).unwrap();
        std::fs::write(metas.join("CURRENT"), 1_u32.to_be_bytes()).unwrap();
        std::fs::write(base.join("CURRENT"), &bytes).unwrap();
        let input = scratch.file("corpus.txt", &bytes);
        let loaded = scratch.path("loaded");
        drop(std::fs::remove_dir_all(&loaded));
        let load = |format: &'static str| {
            let load: [&std::ffi::OsStr; 11] = [
                "load".as_ref(),
                input.as_ref(),
                loaded.as_ref(),
                "--format".as_ref(),
                format.as_ref(),
                "--memory".as_ref(),
                "8MiB".as_ref(),
                "--threads".as_ref(),
                "1".as_ref(),
                "--skip-bad".as_ref(),
                "-q".as_ref(),
            ];
            within(kib, &load)
        };
        let read = |command: &'static str, path: &std::path::Path| {
            within(kib, &[command.as_ref(), path.as_ref()])
        };
        let runs = [
            read("scan", &table),
            read("verify", &table),
            read("inspect", &table),
            read("scan", &metas),
            read("verify", &metas),
            read("log", &metas),
            read("scan", &base),
            load("tsv"),
            load("csv"),
            load("jsonl"),
        ];
        for (code, stderr) in runs {
            assert!(matches!(code, Some(0..=3)), "{}: {code:?} {stderr}", file.display());
            *codes.entry(code).or_default() += 1;
        }
    }
    println!("{} files, exit codes {codes:?}", files.len().div_ceil(step));
}

/// A sparse file of 6 GiB in place of each file of a directory: it takes no room on disk, and no
/// command reads it whole. Only a damaged file is called damaged.
#[test]
fn a_file_that_was_extended_is_not_read_whole() {
    const EXTENDED: u64 = 6 << 30;
    let scratch = Scratch::new();
    let kib = smallest(&scratch) + (ROOM << 10);
    let tsv = format!("key\tvalue\nlong\t{}\n", "x".repeat(5000));
    let input = scratch.file("in.tsv", tsv);
    let original = scratch.path("original");
    for mode in ["replace", "append"] {
        let options = ["--blob-threshold", "4KiB", "--mode", mode, "-q"];
        sst(&crate::harness::join(&[&"load", &input, &original], &options)).expect(0);
    }
    // So that there is a `.del` file.
    sst(&[&"rollback", &original, &"-q"]).expect(0);
    let names = crate::harness::names(&original);
    let mut kinds = std::collections::BTreeSet::new();
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let kind = name.rsplit('.').next().unwrap();
        kinds.insert(kind.to_owned());
        let commands: [&[&str]; 8] = [
            &["get", "db", "key"],
            &["scan", "db", "--count"],
            &["verify", "db"],
            &["inspect", "db"],
            &["log", "db"],
            &["load", "in.tsv", "db", "--mode", "append", "-q"],
            &["merge", "db", "--in-place", "-q"],
            &["rollback", "db", "-q"],
        ];
        for command in commands {
            let db = scratch.copy_of(&original, "db");
            let file = std::fs::File::options().write(true).open(db.join(name)).unwrap();
            file.set_len(EXTENDED).unwrap();
            let script = format!("ulimit -v {kib}; cd \"$1\"; shift; exec \"$@\"");
            let mut limited = Command::new("sh");
            limited.args(["-c", &script, "sh"]).arg(scratch.path("."));
            limited.arg(env!("CARGO_BIN_EXE_sst")).args(command);
            let run: Run = limited.output().unwrap().into();
            let what = format!("{name}, {command:?}: {:?} {}", run.code, run.stderr);
            let is_said = matches!(run.code, Some(0 | 2)) || run.stderr.contains("roll back to");
            assert!(is_said && !run.stderr.contains("out of memory"), "{what}");
            let newest = names.iter().rfind(|name| name.ends_with(".meta"));
            let is_needed = Some(name) == newest || kind == "CURRENT";
            assert!(run.code == Some(2) || !is_needed || command[0] == "log", "{what}");
            std::fs::remove_dir_all(db).unwrap();
        }
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
}
