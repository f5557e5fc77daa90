//! A bucket behind a plain HTTP server: it answers requests for ranges, and has no lists.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sst_object_store::{ObjectPublisher, ObjectPublisherOptions, Place, StoreError, StoreFiles};
use sst_reader::{Monitor, ReaderOptions, SstSet, verify_directory};

use crate::support::{Scratch, commit, files, pull, verify};

/// Serves the files of a directory, as long as the process lives. Returns its URL.
fn serve(root: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let root = root.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let root = root.clone();
            // A client that goes away ends its connection only.
            std::thread::spawn(move || answer(stream.unwrap(), &root).ok());
        }
    });
    url
}

/// Answers the requests of one connection.
fn answer(stream: TcpStream, root: &Path) -> std::io::Result<()> {
    let mut requests = BufReader::new(stream.try_clone()?);
    let mut answers = stream;
    loop {
        let (mut first, mut range) = (String::new(), None);
        if requests.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            requests.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("range") {
                range = Some(value.to_owned());
            }
        }
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let path: PathBuf = root.join(path.trim_start_matches('/'));
        let found = if method == "GET" { fs::read(path).ok() } else { None };
        let Some(bytes) = found else {
            let status = if method == "GET" { "404 Not Found" } else { "405 Method Not Allowed" };
            write!(answers, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let len = bytes.len();
        let (start, end) = match range.as_deref().and_then(|range| range.strip_prefix("bytes=")) {
            None => (0, len),
            Some(range) => match range.split_once('-').unwrap() {
                ("", last) => (len.saturating_sub(last.parse().unwrap()), len),
                (first, last) => {
                    (first.parse().unwrap(), last.parse::<usize>().unwrap().min(len - 1) + 1)
                }
            },
        };
        let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
        let part = &bytes[start..end];
        write!(
            answers,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{len}\r\n\
             Last-Modified: Mon, 30 Nov 2026 00:00:00 GMT\r\nETag: \"{:08x}\"\r\n\r\n",
            part.len(),
            end - 1,
            crc32fast::hash(&bytes),
        )?;
        answers.write_all(part)?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_behind_http_is_read_and_pulled_and_not_written() {
    let scratch = Scratch::new();
    let db = scratch.path("db");
    for seed in 1..=2 {
        commit(&db, seed, false);
    }
    let url = format!("{}/db", serve(&scratch.path("")));
    let Place::Bucket(store) = Place::from_url(&url).unwrap() else { panic!("a bucket") };
    let here = SstSet::open(&db, &ReaderOptions::default()).unwrap();
    let of_url = url.clone();
    let read = tokio::task::spawn_blocking(move || {
        // Names come from `CURRENT` and the meta files.
        let options = ReaderOptions::default().files(Arc::new(StoreFiles::of_urls()));
        let there = SstSet::open(&of_url, &options).unwrap();
        let keys: Vec<_> = here.iter().map(|entry| entry.unwrap().key.to_vec()).collect();
        for (key, value) in keys.iter().zip(there.multi_get(&keys).unwrap()) {
            assert_eq!(value, here.get(key).unwrap());
        }
        let report = verify_directory(&of_url, &options, &Monitor::default()).unwrap();
        assert!(report.is_intact());
        report.entries
    });
    assert_eq!(read.await.unwrap(), 4 * 300);
    let copy = scratch.path("copy");
    pull(&store, &copy).await.unwrap();
    assert_eq!(files(&copy), files(&db));
    verify(&copy);
    let refused = ObjectPublisher::new(&store, ObjectPublisherOptions::default()).unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly { .. }));
    // Damage at the head of the chain is found without a list, too.
    let current = db.join("CURRENT");
    let mut bytes = fs::read(&current).unwrap();
    bytes[5] ^= 1;
    fs::write(&current, bytes).unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let options = ReaderOptions::default().files(Arc::new(StoreFiles::of_urls()));
        verify_directory(&url, &options, &Monitor::default()).unwrap()
    });
    assert!(!read.await.unwrap().is_intact());
}
