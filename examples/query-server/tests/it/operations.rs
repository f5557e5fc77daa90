//! Checks that the commands in docs/OPERATIONS.md have the results shown there.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use ureq::Agent;

use crate::processes::{DEADLINE, Process, build};
use crate::service::agent;

/// The addresses used in the page.
const ADDRESSES: [&str; 2] = ["127.0.0.1:8080", "127.0.0.1:8081"];

/// Runs the console sessions of the page.
struct Sessions {
    directory: PathBuf,
    path: std::ffi::OsString,
    /// The addresses used instead of the page's addresses, which may be in use.
    addresses: [String; 2],
    agent: Agent,
    servers: Vec<Process>,
}

impl Sessions {
    /// Runs a command of the page and compares its output with the output shown.
    fn run(&mut self, line: &str, shown: &str) {
        let addresses = ADDRESSES.iter().zip(&self.addresses);
        let line = addresses.fold(line.to_owned(), |line, (shown, free)| line.replace(shown, free));
        if let Some(server) = line.strip_suffix(" &") {
            let arguments: Vec<_> = server.split(' ').skip(1).collect();
            let server = Process::server_with(&self.directory, &arguments);
            server.wait_for(|line| line["address"].as_str().map(|_| ()));
            self.servers.push(server);
            return;
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            let came = match line.strip_prefix("curl -s ") {
                Some(request) if !has_curl() => self.curl(request),
                _ => self.shell(&line),
            };
            if matches(shown.trim_end(), came.trim_end()) {
                return;
            }
            // Only the server may need several tries: it takes a moment to reload.
            assert!(line.starts_with("curl ") && Instant::now() < deadline, "$ {line}\n{came}");
            std::thread::yield_now();
        }
    }

    fn shell(&self, line: &str) -> String {
        let output = Command::new("sh")
            .args(["-c", &format!("{line} 2>&1")])
            .current_dir(&self.directory)
            .env("PATH", &self.path)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Stands in for `curl -s` where curl is not installed.
    fn curl(&self, request: &str) -> String {
        let response = match request.split_once(" -d ") {
            Some((url, body)) => {
                let form = "application/x-www-form-urlencoded";
                let post = self.agent.post(url).header("content-type", form);
                post.send(body.trim_matches('\''))
            }
            None => self.agent.get(request).call(),
        };
        match response {
            Ok(mut response) => response.body_mut().read_to_string().unwrap(),
            // An error status, for example for a key that is absent until the server reloads.
            Err(error) => error.to_string(),
        }
    }
}

/// Whether curl is installed.
fn has_curl() -> bool {
    Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn the_page_shows_what_happens() {
    let page = include_str!("../../../../docs/OPERATIONS.md");
    let scratch = tempfile::tempdir().unwrap();
    let programs = [build("sst"), build("sst-ingest")];
    let folders = programs.iter().map(|program| program.parent().unwrap().to_owned());
    let path = std::env::var_os("PATH").unwrap();
    let mut sessions = Sessions {
        directory: scratch.path().to_owned(),
        path: std::env::join_paths(folders.chain(std::env::split_paths(&path))).unwrap(),
        addresses: [free_address(), free_address()],
        agent: agent(),
        servers: Vec::new(),
    };
    let mut commands = 0;
    for session in page.split("```console\n").skip(1) {
        let session = session.split("```").next().unwrap();
        for step in session.split("$ ").skip(1) {
            let (line, shown) = step.split_once('\n').unwrap();
            sessions.run(line, shown);
            commands += 1;
        }
    }
    assert!(commands > 15, "{commands}");
    assert_eq!(sessions.servers.len(), ADDRESSES.len());
    for server in sessions.servers {
        server.terminate();
        assert!(server.end().success());
    }
}

/// An address that is free at this moment.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Whether `text` matches `pattern`, in which `…` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, others)) = pattern.split_once('…') else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut others: Vec<&str> = others.split('…').collect();
    let last = others.pop().unwrap_or_default();
    for part in others {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn patterns_stand_for_what_they_should() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…c", "abbc", true),
        ("a…c", "abb", false),
        ("…", "", true),
        ("a…", "b", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
