//! Edited directories. As long as a directory is protected, every answer must be right or an error,
//! whatever was edited. If the chain of checksums is repaired or the protection removed, reading
//! must at least be safe.

use std::path::Path;
use std::sync::OnceLock;

use byteorder::{BigEndian, ByteOrder};
use sst_amqf::QuotientFilter;
use sst_conformance::{TestEntry, TestValue};
use sst_format::current::Current;
use sst_format::meta_file::MetaFile;
use sst_format::meta_head::MetaLimits;
use sst_reader::{Access, ReadError, ReadValue, ReaderOptions, SstSet, verify_directory};
use sst_writer::{Monitor, Publisher, PublisherOptions, WriterOptions};

use crate::input::Input;
use crate::repair;
use crate::targets::model::reader_options;
use crate::targets::publish::scratch;

/// Highest number of edits made from one input.
const MAX_EDITS: usize = 8;

/// A directory and the answers that a reader must give.
struct Base {
    files: Vec<(String, Vec<u8>)>,
    /// Keys and values of the live entries, in order of iteration.
    live: Vec<(Vec<u8>, Vec<u8>)>,
    /// Absent keys: never written, or deleted.
    dead: Vec<Vec<u8>>,
}

/// The directories that are edited.
#[derive(Clone, Copy)]
enum Kind {
    /// Each commit has one table and one meta file.
    OneMetaFile,
    /// Each commit has two tables, each of which is described in a meta file of its own.
    Parts,
}

/// Two commits with values of all kinds and a blob. The second one replaces some entries and
/// deletes one.
fn build_base(kind: Kind) -> Result<Base, Box<dyn std::error::Error>> {
    let parent = scratch()?;
    let dir = parent.path().join("db");
    let (tables, limits) = match kind {
        Kind::OneMetaFile => (1, MetaLimits::default()),
        // Less than two filters take.
        Kind::Parts => (2, MetaLimits::default().filter_bytes(100)),
    };
    let options = PublisherOptions::default().meta_limits(limits);
    let mut publisher = Publisher::open(&dir, options)?;
    for generation in 0..2_u8 {
        let mut commit = publisher.begin();
        let blob = commit.create_blob([generation; 100])?;
        let value = |i: u8| match i % 5 {
            0 => TestValue::Inline(vec![i, generation]),
            1 => TestValue::Small(vec![i ^ generation; 20]),
            2 => TestValue::Medium(vec![i ^ generation; 64]),
            3 if generation == 1 => TestValue::Deleted,
            3 => TestValue::Inline(Vec::new()),
            _ => TestValue::Blob(blob.0),
        };
        let mut entries: Vec<TestEntry> = (generation * 5..generation * 5 + 10)
            .map(|i| TestEntry::new([b"key ".as_slice(), &[i; 14]].concat(), value(i)))
            .collect();
        TestEntry::sort(&mut entries);
        for entries in entries.chunks(entries.len().div_ceil(tables)) {
            let options = WriterOptions::default().filter(QuotientFilter::default());
            let mut table = commit.create_table(options)?;
            entries.iter().try_for_each(|entry| table.add(entry))?;
            commit.add_table(table.finish()?)?;
        }
        commit.publish(&Monitor::default())?;
    }
    drop(publisher);
    let set = SstSet::open(&dir, &ReaderOptions::default())?;
    let metas = set.catalog().meta_files.len();
    if metas != 2 * tables {
        return Err(format!("{metas} meta files for {tables} tables in each commit").into());
    }
    let mut live = Vec::new();
    for entry in set.iter() {
        let entry = entry?;
        let value = set.get(&entry.key)?.ok_or("an entry of the walk has a value")?;
        live.push((entry.key.to_vec(), value.to_vec()));
    }
    let mut files = Vec::new();
    for file in dir.read_dir()? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name != sst_writer::publish::LOCK_FILE_NAME {
            files.push((name, std::fs::read(file.path())?));
        }
    }
    files.sort();
    let dead = (0..15_u8)
        .map(|i| [b"key ".as_slice(), &[i; 14]].concat())
        .filter(|key| live.iter().all(|(other, _)| other != key))
        .chain([b"never".to_vec()])
        .collect();
    Ok(Base { files, live, dead })
}

fn base(kind: Kind) -> Option<&'static Base> {
    static BASES: [OnceLock<Option<Base>>; 2] = [OnceLock::new(), OnceLock::new()];
    let [one, parts] = &BASES;
    let base = match kind {
        Kind::OneMetaFile => one,
        Kind::Parts => parts,
    };
    let base = base.get_or_init(|| build_base(kind).ok()).as_ref();
    assert!(base.is_some(), "the directory to be edited can be made");
    base
}

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.u8();
    let kind = if how & 8 == 0 { Kind::OneMetaFile } else { Kind::Parts };
    let Some(base) = base(kind) else { return };
    let mut files = base.files.clone();
    for _ in 0..MAX_EDITS {
        if input.is_empty() {
            break;
        }
        edit(&mut files, &mut input);
    }
    match how & 3 {
        1 => repair_chain(&mut files),
        2 => strip_protection(&mut files),
        _ => {}
    }
    let access = if how & 4 == 0 { Access::Map } else { Access::Read };
    let dir = scratch();
    assert!(dir.is_ok(), "no scratch directory, so nothing is tried: {:?}", dir.err());
    let Ok(dir) = dir else { return };
    for (name, bytes) in &files {
        assert!(std::fs::write(dir.path().join(name), bytes).is_ok());
    }
    let is_damaged = how & 3 != 1;
    let outcome = read_all(dir.path(), access, base, is_damaged);
    assert!(outcome.is_ok() || files != base.files, "intact, and {:?}", outcome.err());
}

/// Edits one file: its bytes, its length, its name, or removes it.
fn edit(files: &mut Vec<(String, Vec<u8>)>, input: &mut Input<'_>) {
    if files.is_empty() {
        return;
    }
    let (what, chosen) = (input.u8(), input.below(files.len()));
    let (at, value) = (usize::from(input.u16()), input.u32());
    let (name, other) = {
        let other = files.get(usize::from(what >> 4) % files.len()).cloned();
        (files.get(chosen).map(|file| file.0.clone()), other.unwrap_or_default())
    };
    let Some((_, bytes)) = files.get_mut(chosen) else { return };
    let at = at.checked_rem(bytes.len()).unwrap_or(0);
    match what & 15 {
        0..6 => {
            let width = 1 + usize::from(what % 4);
            let value = value.to_be_bytes();
            bytes.iter_mut().skip(at).zip(value.iter().take(width)).for_each(|(to, from)| {
                *to = *from;
            });
        }
        6 | 7 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (value % 8);
            }
        }
        8 => bytes.truncate(at),
        9 => bytes.extend(value.to_be_bytes()),
        10 => {
            bytes.splice(at..at, value.to_be_bytes());
        }
        11 => {
            let end = bytes.len().min(at + 1 + value as usize % 64);
            bytes.drain(at..end);
        }
        12 => *bytes = other.1,
        13 => {
            files.remove(chosen);
        }
        14 => {
            let extension = name.and_then(|name| name.rsplit_once('.').map(|(_, e)| e.to_owned()));
            let sequence = value % 16;
            let copy = extension.map(|extension| format!("{sequence:08}.{extension}"));
            let content = bytes.clone();
            files.extend(copy.map(|copy| (copy, content)));
        }
        _ => files.push((format!("{:08}.del", at % 16), value.to_be_bytes().to_vec())),
    }
}

/// Corrects `CURRENT`, the trailers of all meta files, and the list in the newest meta file.
fn repair_chain(files: &mut [(String, Vec<u8>)]) {
    let is_meta = |name: &str| name.rsplit_once('.').is_some_and(|(_, kind)| kind == "meta");
    let mut checksums = Vec::new();
    for (name, bytes) in files.iter_mut().filter(|(name, _)| is_meta(name)) {
        // A file that edits have made too short for a trailer has no checksum to be listed.
        if repair::meta_file(bytes).is_some()
            && let Some(checksum) = bytes.len().checked_sub(8).and_then(|at| bytes.get(at..at + 4))
        {
            checksums.push((name.clone(), checksum.to_vec()));
        }
    }
    for (_, bytes) in files.iter_mut().filter(|(name, _)| is_meta(name)) {
        for (name, checksum) in &checksums {
            let sequence = name.split_once('.').and_then(|(digits, _)| digits.parse::<u32>().ok());
            let Some(sequence) = sequence else { continue };
            // Put the checksum behind the last occurrence of the number: usually the list, rarely a
            // coincidence.
            let wanted = sequence.to_be_bytes();
            let section = MetaFile::parse(bytes, crc32fast::hash).is_ok();
            let at = bytes.windows(4).rposition(|window| window == wanted);
            if let (true, Some(at)) = (section, at)
                && bytes.get(at + 4..at + 8).is_some_and(|found| found != [0; 4])
                && let Some(slot) = bytes.get_mut(at + 4..at + 8)
            {
                slot.copy_from_slice(checksum);
            }
        }
        _ = repair::meta_file(bytes);
    }
    if let Some((_, bytes)) = files.iter_mut().find(|(name, _)| name == "CURRENT")
        && let Some((number, _)) = bytes.split_first_chunk::<4>()
    {
        let sequence = sst_format::SequenceNumber(BigEndian::read_u32(number));
        *bytes = Current::encode(sequence, crc32fast::hash).to_vec();
    }
}

/// Turns the directory into one of the original: no protection, and tables with correct checksums.
fn strip_protection(files: &mut [(String, Vec<u8>)]) {
    for (name, bytes) in files {
        match name.rsplit_once('.').map_or(name.as_str(), |(_, kind)| kind) {
            // A file too short for its counts has no protection to strip.
            "meta" => bytes.truncate(repair::filters_end(bytes).unwrap_or(usize::MAX)),
            "sst" => {
                repair::table(bytes);
            }
            "CURRENT" => bytes.truncate(4),
            _ => {}
        }
    }
}

fn read_all(dir: &Path, access: Access, base: &Base, is_damaged: bool) -> Result<(), ReadError> {
    let options = reader_options().access(access);
    let verified = verify_directory(dir, &options, &Monitor::default());
    let opened = SstSet::open(dir, &options);
    let is_intact = verified.is_ok_and(|report| report.is_intact());
    let set = match opened {
        Ok(set) => set,
        Err(error) => {
            // Verification must find damage in a directory that cannot be opened.
            assert!(!is_intact, "verified, and {error}");
            return Err(error);
        }
    };
    let must_be_right = is_damaged && set.catalog().is_protected;
    let mut first_error = Ok(());
    let mut note = |error| {
        if first_error.is_ok() {
            first_error = Err(error);
        }
    };
    for (key, value) in &base.live {
        match set.get(key) {
            Ok(found) => assert!(!must_be_right || found.as_deref() == Some(value.as_slice())),
            Err(error) => note(error),
        }
        _ = set.get_all(key).count();
    }
    for key in &base.dead {
        match set.get(key) {
            Ok(found) => assert!(!must_be_right || found.is_none()),
            Err(error) => note(error),
        }
    }
    let mut expected = base.live.iter();
    for entry in set.iter() {
        match entry {
            Err(error) => {
                note(error);
                return first_error;
            }
            Ok(entry) => {
                let wanted = expected.next();
                let Some((key, value)) = wanted.filter(|_| must_be_right) else {
                    assert!(!must_be_right, "a walk gives more than there is");
                    continue;
                };
                assert_eq!(&*entry.key, key);
                if let ReadValue::Value(found) = entry.value {
                    assert_eq!(&*found, value);
                }
            }
        }
    }
    assert!(!must_be_right || expected.next().is_none(), "a walk ends early");
    assert!(!is_intact || first_error.is_ok(), "verified, and {:?}", first_error.err());
    first_error
}
