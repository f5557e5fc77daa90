//! `sst inspect --html`: the page is opened in a real browser, Chromium without a window. Where
//! there is none, the test says NOT RUN.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Scratch, repository, sst, sst_with_input};

/// Names under which systems install the browser.
const BROWSERS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Returns the page as it stands after its script has run; `None` without a browser.
fn drawn(page: &Path) -> Option<String> {
    let profile = tempfile::tempdir().unwrap();
    for browser in BROWSERS {
        let mut command = Command::new(browser);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--virtual-time-budget=5000", "--dump-dom"])
            .arg(format!("file://{}", page.display()));
        let Ok(output) = command.output() else { continue };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return Some(String::from_utf8(output.stdout).unwrap());
    }
    eprintln!("NOT RUN: there is no {}", BROWSERS.join(", "));
    None
}

/// The number of elements of a class in a section, by its id.
fn shapes(dom: &str, section: &str, class: &str) -> usize {
    let (_, rest) = dom.split_once(&format!("<section id=\"{section}\"")).unwrap();
    let (section, _) = rest.split_once("</section>").unwrap();
    section.matches(&format!("class=\"{class}")).count()
}

#[test]
fn a_directory_is_drawn_in_a_browser() {
    let scratch = Scratch::new();
    let (dir, page) = (scratch.path("db"), scratch.path("page.html"));
    let data = repository("data/UnicodeData.txt");
    let load = [
        &"load" as &dyn AsRef<std::ffi::OsStr>,
        &data,
        &dir,
        &"--delimiter",
        &";",
        &"--no-header",
        &"--value-column",
        &"2",
    ];
    sst(&load).expect(0);
    sst_with_input(
        &[&"load", &"-", &dir, &"--format", &"tsv", &"--mode", &"append"],
        b"1F600\tnew\n",
    )
    .expect(0);
    let run = sst(&[&"inspect", &dir, &"--html", &page]).expect(0);
    assert!(run.text().contains("page.html"), "{}", run.text());
    let Some(dom) = drawn(&page) else { return };
    let report = sst(&[&"inspect", &dir, &"--blocks", &"--json"]).expect(0).json();
    let tables = report["tables"].as_array().unwrap();
    assert_eq!(shapes(&dom, "layers", "table"), tables.len());
    let blocks = tables.iter().map(|table| table["block_list"].as_array().unwrap().len());
    assert_eq!(shapes(&dom, "blocks", "cell"), blocks.sum::<usize>());
    let log = sst(&[&"log", &dir, &"--json"]).expect(0).json();
    let (_, generations) = dom.split_once("<section id=\"generations\"").unwrap();
    let (generations, _) = generations.split_once("</section>").unwrap();
    let rows = generations.matches("<tr>").count() - 1;
    assert_eq!(rows, log["generations"].as_array().unwrap().len());
    for section in ["bytes", "values", "keys", "filters", "tables"] {
        assert!(dom.contains(&format!("<section id=\"{section}\"")), "{section}");
    }
    assert!(!dom.contains("id=\"damage\""));
}

#[test]
fn a_table_alone_and_a_damaged_directory_are_drawn_too() {
    let scratch = Scratch::new();
    let (dir, page) = (scratch.path("<b>db"), scratch.path("page.html"));
    sst_with_input(&[&"load", &"-", &dir, &"--format", &"tsv"], b"a\t1\nb\t2\n").expect(0);
    let table = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .unwrap();
    sst(&[&"inspect", &table, &"--html", &page]).expect(0);
    if let Some(dom) = drawn(&page) {
        assert!(dom.contains("<section id=\"blocks\"") && !dom.contains("id=\"generations\""));
    }
    let mut bytes = fs::read(&table).unwrap();
    bytes[10] ^= 1;
    fs::write(&table, bytes).unwrap();
    sst(&[&"inspect", &dir, &"--html", &page]).expect(2);
    if let Some(dom) = drawn(&page) {
        assert!(dom.contains("id=\"damage\""), "{dom}");
        assert!(!dom.contains("<b>db"), "a name is shown as text");
    }
}

#[test]
fn a_page_needs_a_place_of_its_own() {
    let scratch = Scratch::new();
    let dir = scratch.path("db");
    sst_with_input(&[&"load", &"-", &dir, &"--format", &"tsv"], b"a\t1\n").expect(0);
    let page = scratch.path("none").join("page.html");
    sst(&[&"inspect", &dir, &"--html", &page]).expect_error(3, &["page.html"]);
    sst(&[&"inspect", &dir, &"--html", &dir]).expect_error(3, &["db"]);
    sst(&[&"inspect", &dir, &"--html", &page, &"--json"]).expect(3);
}
