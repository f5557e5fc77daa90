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
const DEADLINE: Duration = Duration::from_secs(60);

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

    /// Makes a request without a body.
    fn request(&self, method: &str, path: &str) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Runs `sst` with the server in its environment.
    fn sst(&self, args: &[Arg<'_>]) -> Run {
        Command::new(env!("CARGO_BIN_EXE_sst"))
            .args(args.iter().map(|arg| arg.as_ref()))
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT", format!("http://{}", self.address))
            .env("AWS_ALLOW_HTTP", "true")
            .stdin(Stdio::null())
            .output()
            .unwrap()
            .into()
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
    let args: [Arg<'_>; 6] = [&"load", &large, &db, &"--increment", &"--max-value", &"128MiB"];
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
