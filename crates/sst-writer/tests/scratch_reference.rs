#![allow(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::little_endian_bytes
)]
use sst_format::block::*;
use sst_format::offset_table::*;
use sst_format::*;
use sst_writer::*;

fn unhex(s: &str) -> Vec<u8> {
    (0..s.len() / 2).map(|i| u8::from_str_radix(&s[2 * i..2 * i + 2], 16).unwrap()).collect()
}
struct Rng(u64, Vec<u8>);
impl Rng {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E3779B97F4A7C15);
        let mut z = self.0;
        z ^= z >> 30;
        z = z.wrapping_mul(0xBF58476D1CE4E5B9);
        z ^= z >> 27;
        z = z.wrapping_mul(0x94D049BB133111EB);
        z ^= z >> 31;
        z
    }
    fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut v = vec![];
        while v.len() < n {
            v.extend_from_slice(&self.word().to_be_bytes());
        }
        v.truncate(n);
        v
    }
}
fn value(s: &str) -> Vec<u8> {
    let f: Vec<&str> = s.split(':').collect();
    match f[0] {
        "x" => unhex(f[1]),
        "f" => vec![unhex(f[1])[0]; f[2].parse().unwrap()],
        "r" => Rng(u64::from_str_radix(f[1], 16).unwrap(), vec![]).bytes(f[2].parse().unwrap()),
        "s" => {
            let n: usize = f[2].parse().unwrap();
            let mut r = Rng(u64::from_str_radix(f[1], 16).unwrap(), vec![]);
            let mut v = r.bytes(n / 2);
            let w = r.word().to_be_bytes();
            while v.len() < n {
                v.extend_from_slice(&w);
            }
            v.truncate(n);
            v
        }
        _ => vec![],
    }
}
struct E {
    hash: u64,
    key: Vec<u8>,
    kind: String,
    v: Vec<u8>,
    raw: Option<(u32, Vec<u8>)>,
    blob: u32,
}
impl Entry for E {
    fn key_hash(&self) -> u64 {
        self.hash
    }
    fn key_len(&self) -> usize {
        self.key.len()
    }
    fn write_key_to(&self, o: &mut Vec<u8>) {
        o.extend_from_slice(&self.key)
    }
    fn value(&self) -> EntryValue<'_> {
        match self.kind.as_str() {
            "inline" => EntryValue::Inline(&self.v),
            "small" => EntryValue::Small(&self.v),
            "medium" => EntryValue::Medium(&self.v),
            "raw" => {
                let (n, b) = self.raw.as_ref().unwrap();
                EntryValue::MediumRaw {
                    uncompressed_size: *n,
                    checksum: crc32fast::hash(b),
                    block: b,
                }
            }
            "blob" => EntryValue::Large { blob: BlobNumber(self.blob) },
            _ => EntryValue::Deleted,
        }
    }
}
fn blocks(file: &[u8], n: u16) -> Vec<(BlockHeader, Vec<u8>, Vec<u8>)> {
    let t = &file[file.len() - 4 * n as usize..];
    let t = OffsetTable::parse(t, n, file.len() as u64).unwrap();
    (0..n)
        .map(|i| {
            let r = t.range(BlockIndex(i)).unwrap();
            let (h, p) = BlockHeader::parse(&file[r.start as usize..r.end as usize]).unwrap();
            assert_eq!(h.checksum, crc32fast::hash(p));
            let d = match h.encoding {
                Encoding::Raw => p.to_vec(),
                Encoding::Lz4 { uncompressed_len } => {
                    lz4_flex::block::decompress(p, uncompressed_len as usize).unwrap()
                }
            };
            (h, p.to_vec(), d)
        })
        .collect()
}
#[test]
fn all() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/vectors/reference/");
    let m: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{dir}manifest.json")).unwrap())
            .unwrap();
    let mut same = 0;
    let mut total = 0;
    for c in m["cases"].as_array().unwrap() {
        let name = c["name"].as_str().unwrap();
        let tsv = std::fs::read_to_string(format!("{dir}{name}.tsv")).unwrap();
        let options = WriterOptions::default()
            .multi_value(c["multi_value"].as_bool().unwrap())
            .flags(TableFlags(c["flags"].as_u64().unwrap() as u32));
        let mut w = StreamingSstWriter::new(Vec::new(), options);
        for l in tsv.lines() {
            let f: Vec<&str> = l.split('\t').collect();
            let v = value(f[3]);
            let raw = (f[2] == "raw").then(|| {
                let n = f[4].parse().unwrap();
                (n, if f[5] == "-" { v.clone() } else { unhex(f[5]) })
            });
            let e = E {
                hash: u64::from_str_radix(f[0], 16).unwrap(),
                key: unhex(f[1]),
                kind: f[2].into(),
                raw,
                blob: f[3].strip_prefix("b:").map_or(0, |s| s.parse().unwrap()),
                v,
            };
            w.add(&e).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        let done = w.finish().unwrap();
        let golden = std::fs::read(format!("{dir}{name}.sst")).unwrap();
        let n = c["block_count"].as_u64().unwrap() as u16;
        assert_eq!(done.meta.block_count, n, "{name}");
        assert_eq!(done.meta.file_size, done.output.len() as u64);
        assert_eq!(
            done.meta.min_hash,
            u64::from_str_radix(c["min_hash"].as_str().unwrap(), 16).unwrap()
        );
        assert_eq!(
            done.meta.max_hash,
            u64::from_str_radix(c["max_hash"].as_str().unwrap(), 16).unwrap()
        );
        let p = done.meta.protection.unwrap();
        assert_eq!(p.entry_count, c["entries"].as_u64().unwrap());
        let (a, b) = (blocks(&done.output, n), blocks(&golden, n));
        for (i, (a, b)) in a.iter().zip(&b).enumerate() {
            assert_eq!(p.block_headers[i], a.0);
            assert_eq!(a.2, b.2, "{name} {i}");
            assert_eq!(a.0, b.0, "{name} {i} header");
            assert_eq!(a.1, b.1, "{name} {i} stored");
        }
        total += 1;
        same += usize::from(golden == done.output);
    }
    println!("{same} of {total} byte for byte");
    assert_eq!(total, 44);
}
