use std::io::Write as _;
use std::process::{Command, Stdio};

use super::fault::ZstdCause;
use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Compresses into a frame with a content checksum.
fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

fn skippable(len: u8) -> Vec<u8> {
    [&[0x53, 0x2a, 0x4d, 0x18, len, 0, 0, 0], &vec![b'\t'; len.into()][..]].concat()
}

fn read(bytes: &[u8]) -> Result<Vec<u8>, InputError> {
    let mut text = Vec::new();
    decompressed(bytes, false)?.read_to_end(&mut text)?;
    Ok(text)
}

const TEXT: &[u8] = b"key0\tvalue value value\nkey1\tvalue value value\nkey2\tother\n";

#[test]
fn members_and_frames_are_one_text() {
    let (first, second) = TEXT.split_at(20);
    for bytes in [
        TEXT.to_vec(),
        gzip(TEXT),
        zstd(TEXT),
        [gzip(first), gzip(second)].concat(),
        [gzip(first), gzip(b""), gzip(second), vec![0; 1000]].concat(),
        [zstd(first), skippable(0), zstd(second), skippable(200)].concat(),
        [skippable(3), zstd(first), zstd(second)].concat(),
    ] {
        assert_eq!(read(&bytes).unwrap(), TEXT);
    }
    assert_eq!(read(&skippable(7)).unwrap(), b"");
    assert_eq!(read(b"").unwrap(), b"");
}

#[test]
fn the_content_checksum_of_a_zstd_frame_is_compared() {
    let mut bytes = zstd(TEXT);
    let checksum = bytes.len() - 4;
    bytes[checksum] ^= 1;
    let Err(InputError::Compression(CompressionFault::Zstd { offset, cause })) = read(&bytes)
    else {
        panic!("not refused");
    };
    assert!(matches!(cause, ZstdCause::Checksum { .. }), "{cause}");
    assert_eq!(offset, bytes.len() as u64);
}

#[test]
fn what_follows_compressed_data_is_refused() {
    for compressed in [gzip(TEXT), zstd(TEXT)] {
        for more in [&b"x"[..], b"\0x", b"trailing garbage", b"key\tvalue\n", TEXT] {
            let bytes = [&compressed, more].concat();
            assert!(matches!(read(&bytes), Err(InputError::Compression(_))), "{more:?}");
        }
    }
    // Zeros after the end are padding for gzip and damage for zstd.
    assert!(read(&[gzip(TEXT), vec![0; 3]].concat()).is_ok());
    assert!(read(&[zstd(TEXT), vec![0; 3]].concat()).is_err());
}

#[test]
fn compressed_data_that_is_cut_anywhere_is_refused() {
    for bytes in [gzip(TEXT), zstd(TEXT), [skippable(9), zstd(TEXT)].concat()] {
        // Fewer than 4 bytes are not a signature; they are text with a few control characters.
        for end in 4..bytes.len() {
            match read(&bytes[..end]) {
                Err(InputError::Compression(_)) => {}
                // A cut between two frames leaves an intact file.
                Ok(text) => assert!(text.is_empty() && end == 17, "cut at {end}"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A frame header: magic, descriptor, and the rest.
fn header(descriptor: u8, rest: &[u8]) -> Vec<u8> {
    [&[0x28, 0xb5, 0x2f, 0xfd, descriptor], rest].concat()
}

#[test]
fn zstd_frames_that_need_too_much_are_refused_by_their_headers() {
    let cause = |bytes: &[u8]| match read(bytes) {
        Err(InputError::Compression(CompressionFault::Zstd { cause, .. })) => cause,
        other => panic!("{other:?}"),
    };
    // Window descriptor: exponent 17 is 128 MiB; a mantissa of 1 adds an eighth.
    let empty_block = [1, 0, 0];
    assert_eq!(read(&header(0, &[&[17 << 3][..], &empty_block].concat())).unwrap(), b"");
    for descriptor in [17 << 3 | 1, 21 << 3, 31 << 3 | 7] {
        let bytes = header(0, &[&[descriptor][..], &empty_block].concat());
        assert!(matches!(cause(&bytes), ZstdCause::Window { .. }));
    }
    // A single segment of 4 GiB, a dictionary, a reserved bit, a wrong content size.
    let single = header(0xe0, &[0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]);
    assert!(matches!(cause(&single), ZstdCause::Window { len, .. } if len == 1 << 32));
    let dictionary = header(0x21, &[7, 0, 1, 0, 0]);
    assert!(matches!(cause(&dictionary), ZstdCause::Dictionary(7)));
    assert_eq!(read(&header(0x21, &[0, 0, 1, 0, 0])).unwrap(), b"");
    assert!(matches!(cause(&header(0x28, &[0, 1, 0, 0])), ZstdCause::Reserved));
    assert!(matches!(cause(&header(0x20, &[5, 1, 0, 0])), ZstdCause::ContentSize { .. }));
}

#[test]
fn other_compressions_encodings_and_formats_are_named() {
    for start in [
        &b"\xfd7zXZ\0\0\x04"[..],
        b"BZh91AY&SY\xb1\x9e\x05",
        b"\x04\x22\x4d\x18d@",
        b"PK\x03\x04\x14",
        b"\x1f\x9d\x90",
        b"\x27\xb5\x2f\xfd\0",
        b"\xff\xfea\0\t\0",
        b"\xfe\xff\0a\0\t",
        b"\xff\xfe\0\0a\0\0\0",
        b"\0\0\xfe\xff\0\0\0a",
        b"PAR1\x15\x04",
        b"SQLite format 3\0",
    ] {
        for bytes in [start.to_vec(), gzip(start), zstd(start)] {
            assert!(matches!(read(&bytes), Err(InputError::NotText(_))), "{start:?}");
        }
    }
    for twice in [gzip(&zstd(TEXT)), zstd(&gzip(TEXT)), gzip(&gzip(TEXT))] {
        assert!(matches!(read(&twice), Err(InputError::NotText(NotText::CompressedTwice))));
    }
    // Texts that start almost like one of the signatures.
    for text in [
        &b"BZh91AY&SYkeys\t\xe2\x82\xac\n"[..],
        b"BZh91AY&SY\tv\n",
        b"PK\tv\n",
        b"7z\tv\n",
        b"PAR1\tv\n",
        b"\xef\xbb\xbfk\tv\n",
    ] {
        assert_eq!(read(text).unwrap(), text);
    }
}

#[test]
fn a_name_that_promises_compression_is_held_to_it() {
    for (name, is_named) in [("a.tsv.gz", true), ("a.ZST", true), ("gz", false), ("a.tsv", false)] {
        assert_eq!(is_named_compressed(Path::new(name)), is_named, "{name}");
    }
    let fault = decompressed(TEXT, true).err();
    assert!(matches!(fault, Some(InputError::Compression(CompressionFault::NotCompressed))));
    assert!(decompressed(&*gzip(TEXT), true).is_ok());
}

/// Runs a tool on an input. Returns its output if it succeeds; `None` if there is no such tool.
fn tool(command: &[&str], input: &[u8]) -> Option<Result<Vec<u8>, ()>> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // A tool that stops early closes its input, so the write may fail.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Some(if output.status.success() { Ok(output.stdout) } else { Err(()) })
}

/// Compressed data with one change (a byte or bit changed, added or removed, or the end cut off),
/// chosen by `number`.
fn mutated(bytes: &[u8], number: u64) -> Vec<u8> {
    let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let at = usize::try_from(random >> 20).unwrap() % bytes.len();
    let mut bytes = bytes.to_vec();
    match number % 5 {
        0 => bytes[at] ^= 1 << (random & 7),
        1 => bytes[at] = random.to_be_bytes()[3],
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.to_be_bytes()[4]),
        _ => drop(bytes.remove(at)),
    }
    bytes
}

/// The standard tools are the reference: both refuse the data, or both return the same bytes.
#[test]
fn damaged_data_is_refused_where_the_standard_tools_refuse_it() {
    let text: Vec<u8> =
        (0..400_u32).flat_map(|i| format!("k{i}\t{}\n", i * i).into_bytes()).collect();
    for (command, magic_len) in [(["gzip", "-dc"], 2), (["zstd", "-dcq"], 4)] {
        let compress = [command[0], "-c"];
        let Some(compressed) = tool(&compress, &text) else {
            println!("NOT RUN: there is no {}", command[0]);
            continue;
        };
        let compressed = compressed.unwrap();
        assert_eq!(read(&compressed).unwrap(), text);
        let (mut refused, mut differences) = (0, Vec::new());
        for number in 0..CASES {
            // The magic is not mutated: without it, we read the data as text and the tool refuses
            // it.
            let mut bytes = mutated(&compressed[magic_len..], number);
            bytes.splice(..0, compressed[..magic_len].iter().copied());
            let tools = tool(&command, &bytes).unwrap();
            let ours = read(&bytes).map_err(|_| ());
            refused += u64::from(ours.is_err());
            if ours != tools {
                differences.push((number, ours.is_ok(), tools.is_ok()));
            }
        }
        assert!(refused > CASES / 2, "{command:?}: {refused}");
        assert_eq!(differences, [], "{command:?}");
    }
}

/// Number of cases for each tool; each case starts the tool once.
const CASES: u64 = 150;
