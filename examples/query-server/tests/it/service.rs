//! Answers while commits are made, and a clean shutdown.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use sst_merge::{MergeOptions, Monitor, compact};
use sst_reader::ReaderOptions;
use sst_writer::table::hash_key;
use sst_writer::{PublishError, Publisher, PublisherOptions};
use ureq::Agent;

use crate::processes::{DEADLINE, Process, build};

const KEYS: usize = 300;
const COMMITS: u64 = 20;
const CLIENTS: u64 = 3;
/// Number of keys in one request.
const ASKED: usize = 40;

/// All keys with the same value, the version.
fn batch(version: u64) -> String {
    (0..KEYS).map(|key| format!("key {key},{version}\n")).chain(["\n".to_owned()]).collect()
}

pub(crate) fn agent() -> Agent {
    Agent::config_builder().timeout_global(Some(DEADLINE)).build().into()
}

pub(crate) fn address(server: &Process) -> String {
    server.wait_for(|line| line["address"].as_str().map(str::to_owned))
}

/// Publishes a version. Returns the number of the commit.
fn publish(ingest: &mut Process, version: u64) -> u64 {
    ingest.write(&batch(version));
    ingest.wait_for(|line| line["commit"].as_u64())
}

/// Waits until the server serves at least this commit.
fn wait_for_commit(agent: &Agent, address: &str, commit: u64) {
    let deadline = Instant::now() + DEADLINE;
    let url = format!("http://{address}/healthz");
    loop {
        let health: Value = agent.get(&url).call().unwrap().body_mut().read_json().unwrap();
        if health["commit"].as_u64().unwrap() >= commit {
            return;
        }
        assert!(Instant::now() < deadline, "commit {commit} is not served");
        std::thread::yield_now();
    }
}

/// Requests many keys at once, over and over. Every answer must be complete, of one version, and
/// not older than the answer before.
fn hammer(address: &str, client: u64, stop: &AtomicBool, answers: &AtomicU64) {
    let agent = agent();
    let (mut last_commit, mut last_version) = (0, 0);
    for round in 0usize.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let first = round * 7 + usize::try_from(client).unwrap() * 100;
        let keys: Vec<_> = (0..ASKED).map(|i| format!("key {}", (first + i * 3) % KEYS)).collect();
        let mut response = agent
            .post(format!("http://{address}/multi-get"))
            .send_json(json!({ "keys": keys }))
            .unwrap();
        let answer: Value = response.body_mut().read_json().unwrap();
        let version = |result: &Value| result["value"].as_str().unwrap().parse::<u64>().unwrap();
        let results = answer["results"].as_array().unwrap();
        assert!(results.iter().map(|result| result["key"].as_str().unwrap()).eq(&keys));
        let versions: Vec<u64> = results.iter().map(version).collect();
        assert!(versions.iter().all(|version| *version == versions[0]), "mixed: {versions:?}");
        let commit = answer["commit"].as_u64().unwrap();
        assert!(commit >= last_commit && versions[0] >= last_version, "older than before");
        (last_commit, last_version) = (commit, versions[0]);

        let url = format!("http://{address}/get/key%20{}", first % KEYS);
        let one = agent.get(url).call().unwrap().body_mut().read_to_string().unwrap();
        assert!(one.parse::<u64>().unwrap() >= last_version);
        last_version = one.parse().unwrap();
        answers.fetch_add(2, Ordering::Relaxed);
    }
}

/// Merges all tables into one, as `sst merge --in-place` does.
fn merge(directory: &Path) -> u64 {
    let deadline = Instant::now() + DEADLINE;
    // The ingest side may still hold the lock.
    let mut publisher = loop {
        match Publisher::open(directory, PublisherOptions::default()) {
            Err(PublishError::Locked { .. }) if Instant::now() < deadline => {
                std::thread::yield_now();
            }
            publisher => break publisher.unwrap(),
        }
    };
    let (options, reader) = (MergeOptions::default(), ReaderOptions::default());
    let go_on = &Monitor::default();
    let done = compact(&mut publisher, 0, usize::MAX, &options, &reader, go_on).unwrap().unwrap();
    assert!(done.replaced_tables > 5);
    u64::from(done.commit.0)
}

/// Sends a request without its body, and waits until the server asks for the body.
fn begin_request(address: &str, body: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(
        stream,
        "POST /multi-get HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len(),
    )
    .unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 100"), "{line}");
    stream
}

#[test]
fn twenty_commits_go_by_and_no_answer_fails_or_is_mixed() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("db");
    let mut ingest = Process::ingest(&directory, "append");
    publish(&mut ingest, 0);
    let server = Process::server(&directory);
    let address = address(&server);
    let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (address, stop, answers) = (&address, &stop, &answers);
                scope.spawn(move || hammer(address, client, stop, answers))
            })
            .collect();
        // A panic in here must still end the clients.
        let drive = || {
            let agent = agent();
            for version in 1..=COMMITS / 2 {
                let commit = publish(&mut ingest, version);
                wait_for_commit(&agent, &address, commit);
            }
            wait_for_commit(&agent, &address, merge(&directory));
            assert!(ingest.end().success());
            let mut ingest = Process::ingest(&directory, "replace");
            let mut commit = 0;
            for version in COMMITS / 2 + 1..=COMMITS {
                let before = answers.load(Ordering::Relaxed);
                commit = publish(&mut ingest, version);
                // Some versions follow each other at once; for every third one, wait until the
                // clients have seen it.
                if version % 3 == 0 {
                    wait_for_commit(&agent, &address, commit);
                    while answers.load(Ordering::Relaxed) == before
                        && clients.iter().all(|client| !client.is_finished())
                    {
                        std::thread::yield_now();
                    }
                }
            }
            wait_for_commit(&agent, &address, commit);
            assert!(ingest.end().success());
        };
        let driven = std::panic::catch_unwind(std::panic::AssertUnwindSafe(drive));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = driven {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(answers.load(Ordering::Relaxed) >= 20);
    check_metrics(&address, answers.load(Ordering::Relaxed));

    // A request is in progress when the server gets the signal to stop. The request must get its
    // answer, then the process must end.
    let body = json!({ "keys": ["key 7", "no key"] }).to_string();
    let mut request = begin_request(&address, &body);
    server.terminate();
    server.wait_for(|line| (line["signal"] == "SIGTERM").then_some(()));
    request.get_mut().write_all(body.as_bytes()).unwrap();
    let mut response = String::new();
    request.read_to_string(&mut response).unwrap();
    assert!(response.contains("HTTP/1.1 200"), "{response}");
    let answer: Value = serde_json::from_str(response.lines().last().unwrap()).unwrap();
    assert_eq!(
        answer["results"],
        json!([{ "key": "key 7", "value": COMMITS.to_string() }, { "key": "no key" }])
    );
    assert!(server.end().success());
    assert!(TcpStream::connect(&address).is_err());
}

/// Checks that the metrics agree with the counts of the clients.
fn check_metrics(address: &str, answers: u64) {
    let text = agent().get(format!("http://{address}/metrics")).call().unwrap();
    let text = text.into_body().read_to_string().unwrap();
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    // Half of the requests are for many keys.
    let keys = answers / 2 * (ASKED as u64 + 1);
    assert_eq!(value("sst_keys_total{outcome=\"Found\"}"), keys as f64);
    let requests = |route: &str| {
        value(&format!("sst_request_seconds_count{{route=\"{route}\",outcome=\"Ok\"}}"))
    };
    assert_eq!(requests("get") + requests("multi-get"), answers as f64);
    assert_eq!(value("sst_reload_failures_total"), 0.0);
    assert_eq!(value("sst_tables"), 1.0);
    assert!(value("sst_reloads_total") >= 10.0);
    assert!(value("sst_tables_size_bytes") > 0.0);
}

#[test]
fn keys_that_are_not_there_and_questions_that_make_no_sense() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("db");
    let mut ingest = Process::ingest(&directory, "replace");
    ingest.write("a/b,slash\nключ,значение\n\n");
    ingest.wait_for(|line| line["commit"].as_u64());
    assert!(ingest.end().success());
    let server = Process::server(&directory);
    let address = address(&server);
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(DEADLINE))
        .build()
        .into();
    let get = |path: &str| {
        let mut response = agent.get(format!("http://{address}{path}")).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    };
    assert_eq!(get("/get/a/b"), (200, "slash".to_owned()));
    assert_eq!(get("/get/%D0%BA%D0%BB%D1%8E%D1%87"), (200, "значение".to_owned()));
    assert_eq!(get("/get/nothing"), (404, String::new()));
    assert_eq!(get("/elsewhere").0, 404);
    let post = |body: &Value| {
        let response = agent.post(format!("http://{address}/multi-get")).send_json(body);
        response.unwrap().status().as_u16()
    };
    assert_eq!(post(&json!({ "keys": [] })), 200);
    assert_eq!(post(&json!({ "key": "a" })), 422);
    assert_eq!(post(&json!({ "keys": vec!["a"; 10_001] })), 413);
    assert_eq!(post(&json!({ "keys_base64": ["!"] })), 422);
    // A body is parsed whatever its content type: `curl -d` says that it sends a form.
    let send = |body: &str| {
        let form = "application/x-www-form-urlencoded";
        let request = agent.post(format!("http://{address}/multi-get"));
        let mut response = request.header("content-type", form).send(body).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    };
    assert_eq!(send("not JSON").0, 400);
    let (status, answer) = send(r#"{"keys":["a/b",""],"keys_base64":["YS9i","AP8="]}"#);
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        answer["results"],
        json!([
            { "key": "a/b", "value": "slash" }, { "key": "" },
            { "key_base64": "YS9i", "value": "slash" }, { "key_base64": "AP8=" },
        ])
    );
    // The empty key, and bytes that are no text.
    assert_eq!(get("/get/"), (404, String::new()));
    assert_eq!(get("/get/%00%ff"), (404, String::new()));
    server.terminate();
    assert!(server.end().success());
}

#[test]
fn a_commit_that_cannot_be_opened_leaves_the_old_one_served() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("db");
    let mut ingest = Process::ingest(&directory, "replace");
    let first = publish(&mut ingest, 1);
    let server = Process::server(&directory);
    let (address, agent) = (address(&server), agent());
    let current = directory.join("CURRENT");
    let intact = std::fs::read(&current).unwrap();
    std::fs::write(&current, b"damage").unwrap();
    server.wait_for(|line| (line["level"] == "ERROR").then_some(()));
    wait_for_commit(&agent, &address, first);
    let url = format!("http://{address}/get/key%201");
    assert_eq!(agent.get(&url).call().unwrap().body_mut().read_to_string().unwrap(), "1");
    // The server works, but is not ready as long as it does not know the newest commit.
    let ready = format!("http://{address}/readyz");
    assert!(matches!(agent.get(&ready).call(), Err(ureq::Error::StatusCode(503))));
    let health = agent.get(format!("http://{address}/healthz")).call().unwrap();
    let health: Value = health.into_body().read_json().unwrap();
    assert!(health["status"] == "ok" && health["age_seconds"].as_f64().unwrap() > 0.0);
    std::fs::write(&current, intact).unwrap();
    let second = publish(&mut ingest, 2);
    wait_for_commit(&agent, &address, second);
    assert_eq!(agent.get(&url).call().unwrap().body_mut().read_to_string().unwrap(), "2");
    assert_eq!(agent.get(&ready).call().unwrap().status().as_u16(), 200);
    server.terminate();
    assert!(server.end().success() && ingest.end().success());
}

/// A directory that was swapped for another of the same commit number is served within a refresh.
#[cfg(unix)]
#[test]
fn a_directory_that_is_swapped_by_a_link_is_served_like_any_other() {
    let scratch = tempfile::tempdir().unwrap();
    let live = scratch.path().join("live");
    let mut commits = Vec::new();
    for (version, name) in [(1, "old"), (2, "new")] {
        let mut ingest = Process::ingest(&scratch.path().join(name), "replace");
        commits.push(publish(&mut ingest, version));
        assert!(ingest.end().success());
    }
    assert_eq!(commits[0], commits[1], "the number does not tell them apart");
    std::os::unix::fs::symlink("old", &live).unwrap();
    let server = Process::server(&live);
    let (address, agent) = (address(&server), agent());
    let get = |key: &str| {
        let url = format!("http://{address}/get/key%20{key}");
        agent.get(url).call().unwrap().body_mut().read_to_string().unwrap()
    };
    assert_eq!(get("1"), "1");
    let next = scratch.path().join("next");
    std::os::unix::fs::symlink("new", &next).unwrap();
    std::fs::rename(next, live).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while get("1") != "2" {
        assert!(Instant::now() < deadline, "the old directory is still served");
        std::thread::yield_now();
    }
    assert_eq!(get("2"), "2", "no answer is of the other directory");
    server.terminate();
    assert!(server.end().success());
}

/// A shard answers its own keys, and says of others that another server has them: 421, which is no
/// failure of this one.
#[test]
fn keys_of_other_shards_are_misdirected() {
    let scratch = tempfile::tempdir().unwrap();
    let (directory, shard) = (scratch.path().join("db"), scratch.path().join("shard"));
    let mut ingest = Process::ingest(&directory, "replace");
    let rows: String = (0..40).map(|i| format!("key{i},{i}\n")).collect();
    ingest.write(&format!("{rows}\n"));
    ingest.wait_for(|line| line["commit"].as_u64());
    assert!(ingest.end().success());
    let mut pull = std::process::Command::new(build("sst"));
    pull.arg("pull").arg(&directory).arg(&shard).args(["--shard", "0/2", "--quiet"]);
    assert!(pull.status().unwrap().success());
    let server = Process::server(&shard);
    let address = address(&server);
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(DEADLINE))
        .build()
        .into();
    let status = |i: u64| {
        let url = format!("http://{address}/get/key{i}");
        agent.get(url).call().unwrap().status().as_u16()
    };
    for i in 0..40 {
        // The first shard of two has the lower half of the hashes.
        let is_own = hash_key(format!("key{i}").as_bytes()) >> 63 == 0;
        assert_eq!(status(i), if is_own { 200 } else { 421 }, "{i}");
    }
    let metrics = agent.get(format!("http://{address}/metrics")).call().unwrap();
    let metrics = metrics.into_body().read_to_string().unwrap();
    let failed = metrics.lines().find(|line| line.contains("outcome=\"Failed\""));
    assert!(failed.is_none_or(|line| line.ends_with(" 0")), "{failed:?}");
    server.terminate();
    assert!(server.end().success());
}
