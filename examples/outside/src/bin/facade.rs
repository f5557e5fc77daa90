//! Ingest, query, iteration, many keys, types and one bare file, with `sst-files` alone.

use std::error::Error;

use serde::{Deserialize, Serialize};
use sst_files::typed::Typed;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct City {
    name: String,
    population: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let parent = tempfile::tempdir()?;

    // Records in any order, as one commit.
    let fruit = parent.path().join("fruit.db");
    let mut loader = sst_files::loader(&fruit)?;
    loader.put("pear", "green")?;
    loader.extend([("apple", "red"), ("plum", "blue")])?;
    loader.finish()?;

    let set = sst_files::open(&fruit)?;
    assert_eq!(set.get("apple")?.ok_or("no apple")?, "red");
    assert!(set.get("fig")?.is_none());
    assert_eq!(set.multi_get(&["plum", "fig"])?, [Some("blue".into()), None]);
    let mut count = 0;
    for entry in &set {
        let (key, value) = entry?;
        println!("{}: {}", key.escape_ascii(), value.escape_ascii());
        count += 1;
    }
    assert_eq!(count, 3);

    // The loader still holds the directory. Its second commit replaces the first one; the open set
    // follows.
    loader.put("fig", "purple")?;
    loader.finish()?;
    set.refresh()?;
    assert_eq!(set.get("fig")?.ok_or("no fig")?, "purple");

    // Keys and values with types.
    let directory = parent.path().join("cities.db");
    let cities = Typed::<u32, City>::default();
    let mut loader = sst_files::loader(&directory)?;
    let aachen = City { name: "Aachen".to_owned(), population: 249_070 };
    cities.put(&mut loader, &7, &aachen)?;
    loader.finish()?;
    assert_eq!(cities.get(&sst_files::open(&directory)?, &7)?, Some(aachen));
    Ok(())
}
