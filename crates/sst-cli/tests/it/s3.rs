//! `push`, `pull` and `gc` over a real S3 interface: moto's server, from Python's package index.
//!
//! The server checks conditions without a lock, so races are judged by the store in memory (in
//! `sst-object-store`). Where Python or its packages are missing, the test says NOT RUN.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Arg, Run, Scratch, join, names, scan, sst, sst_with_input};
use crate::json::check_line;

/// The longest time that the server may take to start.
const DEADLINE: Duration = Duration::from_secs(300);

/// An address at which nothing listens: a port that only the system may give.
const UNUSED: &str = "http://127.0.0.1:1";

/// A running server.
struct Moto {
    process: Child,
    address: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Runs a command to its end. The error says why it could not be run or failed.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

impl Moto {
    /// Installs and starts the server.
    fn start(scratch: &Path) -> Result<Self, String> {
        let environment = scratch.join("venv");
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let pip = environment.join("bin/pip");
        run(Command::new(pip).args(["install", "--quiet", "moto[server]"]))?;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let process = Command::new(environment.join("bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let moto = Self { process, address: address.to_string() };
        let deadline = Instant::now() + DEADLINE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the server does not answer");
            std::thread::yield_now();
        }
        Ok(moto)
    }

    /// Makes a request without a body. The server asks who makes it, and does not check the
    /// signature.
    fn request(&self, method: &str, path: &str) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        let scope = "Credential=test/20260101/us-east-1/s3/aws4_request";
        let lines = [
            format!("{method} {path} HTTP/1.1"),
            format!("Host: {host}"),
            format!("Authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"),
            "Content-Length: 0".to_owned(),
            "Connection: close".to_owned(),
        ];
        write!(stream, "{}\r\n\r\n", lines.join("\r\n")).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Runs `sst` with the server in its environment.
    fn sst(&self, args: &[Arg<'_>]) -> Run {
        self.command(args).output().unwrap().into()
    }

    fn command(&self, args: &[Arg<'_>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sst"));
        command
            .args(args.iter().map(|arg| arg.as_ref()))
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT", format!("http://{}", self.address))
            .env("AWS_ALLOW_HTTP", "true")
            .stdin(Stdio::null());
        command
    }
}

#[test]
fn s3_is_a_bucket_like_any_other() {
    let scratch = Scratch::new();
    let moto = match Moto::start(&scratch.path("")) {
        Ok(moto) => moto,
        Err(reason) => {
            eprintln!("NOT RUN: moto's server cannot be installed or started: {reason}");
            return;
        }
    };
    moto.request("PUT", "/fruit");
    let db = scratch.database("db", "a\t1\nb\t2\n");
    // Longer than one piece, so that it is uploaded in parts.
    let large = scratch.file("large.tsv", format!("c\t{}\n", "x".repeat(20 << 20)));
    let args: [Arg<'_>; 6] = [&"load", &large, &db, &"--mode=append", &"--max-value", &"128MiB"];
    sst(&args).expect(0);
    let url = "s3://fruit/some/db";
    moto.sst(&[&"pull", &url, &scratch.path("none")]).expect_error(3, &["has no commit"]);
    let pushed = moto.sst(&[&"push", &db, &url, &"--json"]).expect(0).json();
    assert_eq!(pushed["kept_files"], 0);
    let copy = scratch.path("copy");
    moto.sst(&[&"pull", &url, &copy]).expect(0);
    assert_eq!(names(&copy), names(&db));
    assert_eq!(scan(&copy), scan(&db));
    let args: [Arg<'_>; 5] = [&"load", &"-", &db, &"--format", &"tsv"];
    sst_with_input(&args, b"z\t26\n").expect(0);
    moto.sst(&[&"push", &db, &url]).expect(0);
    moto.sst(&[&"pull", &url, &copy]).expect(0);
    assert_eq!(scan(&copy), scan(&db));
    let args: [Arg<'_>; 7] =
        [&"gc", &url, &"--grace", &"0", &"--keep-generations", &"0", &"--json"];
    let collected = moto.sst(&args).expect(0);
    check_line("gc", collected.text());
    let collected = collected.json();
    assert!(collected["removed"].as_array().unwrap().len() >= 4, "{collected}");
    let fresh = scratch.path("fresh");
    moto.sst(&[&"pull", &url, &fresh]).expect(0);
    assert_eq!(scan(&fresh), scan(&db));
    reading_commands_take_urls(&moto, url, &db);
    writing_commands_take_urls(&moto, &scratch);
    kills_of_a_load_leave_the_old_or_the_new(&moto, &scratch);
    let other = scratch.database("other", "b\t2\n");
    moto.sst(&[&"push", &other, &url]).expect_error(3, &["is at commit"]);
}

/// Each command that reads prints of a bucket what it prints of the directory.
fn reading_commands_take_urls(moto: &Moto, url: &str, db: &Path) {
    let commands: [(&str, &[&str]); 5] = [
        ("get", &["a", "c", "absent"]),
        ("scan", &[]),
        ("certificate", &[]),
        ("inspect", &["--json"]),
        ("verify", &["--json"]),
    ];
    for (command, more) in commands {
        let here = moto.sst(&join(&[&command, &db], more));
        let there = moto.sst(&join(&[&command, &url], more));
        assert_eq!(there.code, here.code, "{command}: {}", there.stderr);
        let expected = here.text().replace(&*db.to_string_lossy(), url);
        assert_eq!(there.text(), expected, "{command}");
    }
    moto.sst(&[&"diff", &db, &url]).expect(0);
}

/// Loads, merges and rollbacks of a bucket give what they give of a directory.
fn writing_commands_take_urls(moto: &Moto, scratch: &Scratch) {
    let url = "s3://fruit/written";
    let (first, second) =
        (scratch.file("first.tsv", "a\t1\nb\t2\n"), scratch.file("second.tsv", "b\t3\nc\t\\N\n"));
    let db = scratch.path("written");
    for place in [&url as Arg<'_>, &db] {
        let loaded = moto.sst(&[&"load", &first, place, &"--certify", &"--json"]).expect(0);
        assert!(loaded.json()["digest"].is_string());
        moto.sst(&[&"load", &second, place, &"--mode=append"]).expect(0);
    }
    let same = |args: &[&str], place: Arg<'_>, of: Arg<'_>| {
        let command: Arg<'_> = &args[0];
        let run = |place| moto.sst(&join(&[command, place], &args[1..])).expect(0);
        assert_eq!(run(place).text(), run(of).text(), "{args:?}");
    };
    same(&["scan", "--all"], &url, &db);
    moto.sst(&[&"verify", &url]).expect(0);
    // Copies in both directions have the same files.
    let (copy, back) = (scratch.path("copy of it"), "s3://fruit/back");
    moto.sst(&[&"pull", &url, &copy]).expect(0);
    moto.sst(&[&"push", &copy, &back]).expect(0);
    let again = scratch.path("copy of the copy");
    moto.sst(&[&"pull", &back, &again]).expect(0);
    assert_eq!(names(&again), names(&copy));
    // The lock file states its process.
    for name in names(&copy).into_iter().filter(|name| !name.starts_with('.')) {
        assert_eq!(
            std::fs::read(again.join(&name)).unwrap(),
            std::fs::read(copy.join(&name)).unwrap()
        );
    }
    // A merge of a bucket and a directory, into a bucket.
    let merged = "s3://fruit/merged";
    moto.sst(&[&"merge", &url, &first, &"--output", &merged]).expect_error(2, &["not an SST"]);
    moto.sst(&[&"merge", &db, &url, &"--output", &merged]).expect(0);
    same(&["scan"], &merged, &db);
    // Fragments, a sample and shards of it, each in a bucket.
    let (gathered, sampled) = ("s3://fruit/gathered", "s3://fruit/sampled");
    moto.sst(&[&"gather", &url, &"-o", &gathered]).expect(0);
    same(&["scan", "--all"], &gathered, &url);
    moto.sst(&[&"sample", &db, &"--fraction", &"100%", &"-o", &sampled]).expect(0);
    same(&["scan"], &sampled, &db);
    let (shards, out) = ("s3://fruit/shards", scratch.path("shards"));
    for place in [&shards as Arg<'_>, &out] {
        moto.sst(&[&"split", &db, &"-n", &"2", &"--by=hashes", &"-o", place]).expect(0);
    }
    for shard in ["shard-0000", "shard-0001"] {
        let (there, here) = (format!("{shards}/{shard}"), out.join(shard));
        same(&["scan"], &there, &here);
    }
    let which = moto.sst(&[&"split", &"--which", &"a", &shards]).expect(0);
    assert!(which.text().contains(shards), "{}", which.text());
    moto.sst(&[&"split", &db, &"-n", &"2", &"-o", &shards]).expect_error(3, &["earlier split"]);
    // A name that is misspelt, and nothing behind a port.
    moto.sst(&[&"get", &"s3://nosuch/db", &"a"]).expect_error(3, &["no such bucket"]);
    moto.sst(&[&"push", &db, &"s3://nosuch/db"]).expect_error(3, &["no such bucket"]);
    let refused = moto.command(&[&"get", &url, &"a"]).env("AWS_ENDPOINT", UNUSED).output();
    Run::from(refused.unwrap()).expect_error(3, &["refused"]);
    // What cannot be part of a request is refused by the name of its variable.
    for (name, value) in [("AWS_ENDPOINT", "127.0.0.1:9000"), ("AWS_ACCESS_KEY_ID", "key\n")] {
        let refused = moto.command(&[&"push", &copy, &"s3://fruit/x"]).env(name, value).output();
        Run::from(refused.unwrap()).expect_error(3, &[name]);
    }
    // An object that was emptied is damage, and known at once.
    let emptied = "s3://fruit/emptied";
    moto.sst(&[&"push", &copy, &emptied]).expect(0);
    for name in names(&copy).into_iter().filter(|name| name.ends_with(".sst")) {
        moto.request("PUT", &format!("/fruit/emptied/{name}"));
    }
    moto.sst(&[&"get", &emptied, &"a"]).expect_error(2, &[".sst"]);
    moto.sst(&[&"verify", &emptied]).expect(2);
    moto.sst(&[&"push", &copy, &emptied]).expect(0);
    moto.sst(&[&"verify", &emptied]).expect(0);
    moto.sst(&[&"merge", &url, &"--in-place"]).expect_error(3, &["in place"]);
    // Back to the first load, and what can be returned to.
    moto.sst(&[&"rollback", &url]).expect(0);
    let a = moto.sst(&[&"get", &url, &"b", &"--values-only"]).expect(0);
    assert_eq!(a.text(), "2\n");
    let log = moto.sst(&[&"log", &url, &"--json"]).expect(0).json();
    let kinds: Vec<_> =
        log["generations"].as_array().unwrap().iter().map(|it| &it["kind"]).collect();
    assert_eq!(kinds, ["rollback", "append", "load"]);
    let dry = scratch.file("dry.tsv", "z\t1\n");
    let replaced = moto.sst(&[&"load", &dry, &url, &"--dry-run"]).expect(0);
    assert!(replaced.stderr.contains("2 entries of generation"), "{}", replaced.stderr);
    moto.sst(&[&"get", &url, &"z"]).expect(1);
    // The command that undoes a load does.
    let replaced = moto.sst(&[&"load", &dry, &url]).expect(0);
    let (_, advice) = replaced.stderr.split_once("`sst ").unwrap();
    let (advice, _) = advice.split_once('`').unwrap();
    let words: Vec<_> = advice.split(' ').collect();
    moto.sst(&words.iter().map(|word| word as Arg<'_>).collect::<Vec<_>>()).expect(0);
    moto.sst(&[&"get", &url, &"z"]).expect(1);
}

/// Rows with values of their own for each seed.
fn rows(seed: u32) -> String {
    (0..2000).map(|i| format!("{i}\t{}\n", value(seed, i))).collect()
}

const fn value(seed: u32, row: u32) -> u32 {
    seed.wrapping_mul(row ^ 77)
}

/// Kills a command at a part of the time that it has taken before.
struct Killer {
    whole: Duration,
    kill: u32,
    kills: u32,
}

impl Killer {
    fn run(&self, mut command: Command) {
        let moment = self.whole * (self.kill + 1) / self.kills;
        let mut running = command.spawn().unwrap();
        let started = Instant::now();
        while started.elapsed() < moment && running.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        running.kill().unwrap();
        running.wait().unwrap();
    }
}

/// Kills loads into a bucket, pushes to another one and pulls from that in turn, at many moments:
/// 12, or as many as `SST_S3_KILLS` says.
fn kills_of_a_load_leave_the_old_or_the_new(moto: &Moto, scratch: &Scratch) {
    let kills = std::env::var("SST_S3_KILLS").map_or(12, |count| count.parse().unwrap());
    let (loaded, pushed) = ("s3://fruit/killed", "s3://fruit/pushed");
    let (origin, copy) = (scratch.path("origin"), scratch.path("killed copy"));
    let input = |seed: u32| scratch.file("rows.tsv", rows(seed));
    let run = |args: &[Arg<'_>]| {
        let started = Instant::now();
        moto.sst(args).expect(0);
        started.elapsed()
    };
    // As long as the commands take that are not killed.
    for place in [&loaded as Arg<'_>, &origin] {
        run(&[&"load", &input(0), place]);
    }
    run(&[&"push", &origin, &pushed]);
    run(&[&"pull", &pushed, &copy]);
    let of_load = run(&[&"load", &input(1), &loaded]);
    run(&[&"load", &input(1), &origin]);
    let of_push = run(&[&"push", &origin, &pushed]);
    let of_pull = run(&[&"pull", &pushed, &copy]);
    // The newest seed that each of them is known to have.
    let (mut seen_load, mut seen_push, mut seen_pull) = (1, 1, 1);
    let check = |place: Arg<'_>, seen: u32, new: u32| {
        moto.sst(&[&"verify", place]).expect(0);
        let found = moto.sst(&[&"get", place, &"3", &"--values-only"]).expect(0);
        let text = |seed| format!("{}\n", value(seed, 3));
        assert!([text(seen), text(new)].contains(&found.text().to_owned()), "{}", found.text());
        if found.text() == text(new) { new } else { seen }
    };
    for kill in 0..kills {
        let (seed, killer) = (kill + 2, |whole| Killer { whole, kill, kills });
        let path = input(seed);
        match kill % 3 {
            0 => {
                killer(of_load).run(moto.command(&[&"load", &path, &loaded]));
                seen_load = check(&loaded, seen_load, seed);
            }
            1 => {
                run(&[&"load", &path, &origin]);
                killer(of_push).run(moto.command(&[&"push", &origin, &pushed]));
                check(&pushed, seen_push, seed);
                // What was killed goes on where it ended. A source keeps its last generations only:
                // after some loads without a push, it would no longer know the target's commit.
                run(&[&"push", &origin, &pushed]);
                seen_push = check(&pushed, seed, seed);
            }
            _ => {
                killer(of_pull).run(moto.command(&[&"pull", &pushed, &copy]));
                check(&copy, seen_pull, seen_push);
                run(&[&"pull", &pushed, &copy]);
                seen_pull = check(&copy, seen_push, seen_push);
            }
        }
    }
    run(&[&"push", &origin, &pushed]);
    run(&[&"pull", &pushed, &copy]);
    assert_eq!(scan(&copy), scan(&origin));
    for url in [loaded, pushed] {
        let args: [Arg<'_>; 6] = [&"gc", &url, &"--grace", &"0", &"--keep-generations", &"0"];
        moto.sst(&args).expect(0);
        let again = moto.sst(&join(&args, &["--json"])).expect(0).json();
        assert_eq!(again["removed"].as_array().unwrap().len(), 0, "{again}");
        moto.sst(&[&"verify", &url]).expect(0);
    }
}
