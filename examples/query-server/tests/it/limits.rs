//! Limits on clients, and commits of many tables: no request fails, no answer takes more memory
//! than allowed, and the server ends when it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use sst_writer::bulk::OwnedBulkLoader;
use sst_writer::{BulkOptions, Monitor, Publisher, PublisherOptions};
use ureq::Agent;

use crate::processes::{DEADLINE, Process};
use crate::service::{address, agent};

/// Number of keys, each in a table of its own or with few others.
const KEYS: u32 = 200;
/// Requests of the test with replacements.
const REQUESTS: u32 = 10_000;
/// Replacements that must happen meanwhile.
const MIN_REPLACEMENTS: u32 = 3;

fn loader(directory: &Path, options: BulkOptions) -> OwnedBulkLoader {
    Publisher::open(directory, PublisherOptions::default())
        .unwrap()
        .into_loader(options, &Monitor::default())
}

/// Replaces all entries: each key has the version as its value.
fn replace(loader: &mut OwnedBulkLoader, version: u32) -> u64 {
    loader.extend((0..KEYS).map(|key| (format!("key{key}"), version.to_string()))).unwrap();
    loader.finish().unwrap().tables
}

/// An agent that returns answers of all statuses.
fn any_status() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(DEADLINE)).build().into()
}

fn status(agent: &Agent, url: &str) -> u16 {
    agent.get(url).call().unwrap().status().as_u16()
}

/// Lookups touch few of the tables, so most of them are not open when the next commit removes their
/// files, unless the server has opened them before.
#[test]
fn replacements_of_hundreds_of_tables_fail_no_request() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("db");
    let options = BulkOptions::default().max_table_entries(1);
    let mut loader = loader(&directory, options);
    assert!(replace(&mut loader, 0) > 150);
    let server = Process::server(&directory);
    let address = address(&server);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let replacing = scope.spawn(|| {
            let mut version = 0;
            while version < MIN_REPLACEMENTS || !stop.load(Ordering::Relaxed) {
                version += 1;
                replace(&mut loader, version);
            }
            version
        });
        let agent = agent();
        let mut seen = 0_u32;
        let mut request = 0_u32;
        while request < REQUESTS || seen < MIN_REPLACEMENTS {
            let key = request.wrapping_mul(2_654_435_761) % KEYS;
            let url = format!("http://{address}/get/key{key}");
            let value = agent.get(url).call().unwrap().body_mut().read_to_string().unwrap();
            let version: u32 = value.parse().unwrap();
            assert!(version >= seen, "older than the answer before");
            seen = version;
            request += 1;
            if request >= REQUESTS {
                stop.store(true, Ordering::Relaxed);
            }
        }
        assert!(replacing.join().unwrap() >= MIN_REPLACEMENTS);
    });
    server.terminate();
    assert!(server.end().success());
}

#[test]
fn an_answer_has_a_highest_length() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("db");
    let mut loader = loader(&directory, BulkOptions::default());
    let long = "x".repeat(700 << 10);
    loader.extend((0..20).map(|key| (format!("key{key}"), &long))).unwrap();
    loader.put("longer", "x".repeat(2 << 20)).unwrap();
    loader.finish().unwrap();
    let path = directory.to_str().unwrap();
    let arguments = [path, "--listen", "127.0.0.1:0", "--max-answer", "1"];
    let server = Process::server_with(&directory, &arguments);
    let (address, agent) = (address(&server), any_status());
    let many = |count: usize| {
        let keys: Vec<_> = (0..count).map(|key| format!("key{key}")).collect();
        let request = agent.post(format!("http://{address}/multi-get"));
        request.send_json(json!({ "keys": keys })).unwrap().status().as_u16()
    };
    assert_eq!((many(1), many(2), many(20)), (200, 413, 413));
    assert_eq!(status(&agent, &format!("http://{address}/get/key7")), 200);
    assert_eq!(status(&agent, &format!("http://{address}/get/longer")), 413);
    // One key many times over counts as often.
    let keys = vec!["key1"; 5000];
    let request = agent.post(format!("http://{address}/multi-get"));
    assert_eq!(request.send_json(json!({ "keys": keys })).unwrap().status().as_u16(), 413);
    server.terminate();
    assert!(server.end().success());
}

/// Sends a part of a request, and returns what comes until the server closes the connection.
fn send_part(address: &str, part: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(part.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_request_that_does_not_come_is_not_waited_for() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("db");
    replace(&mut loader(&directory, BulkOptions::default()), 1);
    let path = directory.to_str().unwrap();
    let arguments =
        [path, "--listen", "127.0.0.1:0", "--request-seconds", "1", "--drain-seconds", "1"];
    let server = Process::server_with(&directory, &arguments);
    let address = address(&server);
    let head = "POST /multi-get HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    for start in ["", "GET /get/", head] {
        let answer = send_part(&address, start);
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    let answer = send_part(&address, &format!("{head}content-length: 100\r\n\r\n{{\"keys\":"));
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    // A client that neither ends its request nor closes its connection does not hold up the end.
    let mut stream = BufReader::new(TcpStream::connect(&address).unwrap());
    let expect = "content-length: 100\r\nexpect: 100-continue\r\n\r\n";
    stream.get_mut().write_all(format!("{head}{expect}").as_bytes()).unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 100"), "{line}");
    server.terminate();
    assert!(server.end().success());
}
