//! Mutants: thousands of small tables with random lies in them, always the same ones.

use sst_conformance::SplitMix;
use sst_format::SstMeta;
use sst_format::filter::FilterBytes;

use sst_torture::model::parts::{Part, Parts, ask};
use sst_torture::model::table::Written;
use sst_torture::model::{absent, below, corpus};

/// A number that is likely to hurt: a limit, or one close to some true number.
fn number(random: &mut SplitMix, truths: &[usize]) -> u64 {
    const LIMITS: [u64; 12] =
        [0, 1, 7, 8, 0x7f, 0xff, 0x7fff, 0xffff, 0xff_ffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];
    match below(random, 3) {
        0 => LIMITS[below(random, LIMITS.len())],
        1 => (truths[below(random, truths.len())] as u64)
            .wrapping_add(random.word() % 5)
            .wrapping_sub(2),
        _ => random.word(),
    }
}

/// Writes the low bytes of a number somewhere.
fn overwrite(random: &mut SplitMix, bytes: &mut [u8], value: u64) {
    let value = value.to_be_bytes();
    let width = [1, 2, 3, 4, 8][below(random, 5)].min(bytes.len());
    // The head of a block says most.
    let room = bytes.len() - width + 1;
    let at = if below(random, 2) == 0 { below(random, room.min(24)) } else { below(random, room) };
    bytes[at..at + width].copy_from_slice(&value[8 - width..]);
}

/// Tells one lie.
fn mutate(random: &mut SplitMix, parts: &mut Parts) {
    let count = parts.blocks.len();
    let chosen = below(random, count);
    let truths = [count, chosen, parts.blocks[chosen].payload.len()];
    let other = below(random, count);
    let value = number(random, &truths);
    let block = &mut parts.blocks[chosen];
    match below(random, 16) {
        0..8 if !block.payload.is_empty() => overwrite(random, &mut block.payload, value),
        8 => block.payload.truncate(below(random, block.payload.len() + 1)),
        9 => block.payload.extend_from_slice(&value.to_be_bytes()),
        10 => parts.blocks[chosen].payload = parts.blocks[other].payload.clone(),
        11 => parts.blocks.swap(chosen, other),
        12 => parts.blocks.insert(chosen, Part::raw(value.to_be_bytes())),
        13 => block.is_compressed = !block.is_compressed,
        14 => block.false_size = Some(u32::try_from(value & 0xffff_ffff).unwrap()),
        15 => parts.false_ends.push((chosen, u32::try_from(value & 0xffff_ffff).unwrap())),
        _ => block.payload.push(0),
    }
    parts.false_ends.retain(|(block, _)| *block < parts.blocks.len());
}

/// A description that fits the mutant, but for a lie now and then.
fn describe(random: &mut SplitMix, table: &Written, parts: &Parts, len: usize) -> SstMeta {
    let mut meta = table.meta.clone();
    meta.block_count = u16::try_from(parts.blocks.len()).unwrap();
    meta.file_size = len as u64;
    meta.protection = None;
    let value = number(random, &[parts.blocks.len(), len]);
    match below(random, 8) {
        0 => meta.min_hash = value,
        1 => meta.max_hash = value,
        2 => meta.block_count = u16::try_from(value & 0xffff).unwrap(),
        3 => {
            let mut filter = meta.filter.as_slice().to_vec();
            overwrite(random, &mut filter, value);
            meta.filter = FilterBytes::new(filter);
        }
        _ => {}
    }
    meta
}

#[test]
fn mutants_with_right_checksums() {
    const MUTANTS: u64 = 20_000;
    let tables = corpus::tables();
    let originals: Vec<_> = tables.iter().map(|(_, table)| Parts::of(&table.bytes)).collect();
    let mut damaged = 0;
    for seed in 0..MUTANTS {
        let mut random = SplitMix::new(seed);
        let chosen = below(&mut random, tables.len());
        let (name, table) = &tables[chosen];
        let mut parts = originals[chosen].clone();
        for _ in 0..=below(&mut random, 3) {
            mutate(&mut random, &mut parts);
        }
        let mut bytes = parts.to_bytes();
        if below(&mut random, 20) == 0 {
            bytes.truncate(below(&mut random, bytes.len()));
        }
        let mut keys: Vec<_> =
            table.entries.iter().map(|entry| (entry.hash, entry.key.clone())).collect();
        keys.extend(absent());
        keys.push((random.word(), random.bytes(5)));
        let what = format!("mutant {seed} of {name}");
        let meta = describe(&mut random, table, &parts, bytes.len());
        damaged += u64::from(ask(&bytes, None, &keys, &what).is_damaged());
        damaged += u64::from(ask(&bytes, Some(&meta), &keys, &what).is_damaged());
    }
    println!("{damaged} of {} were found damaged", 2 * MUTANTS);
    // Some lies are none, or change a value only. Most must show, or the mutants are too tame.
    assert!(damaged > MUTANTS, "{damaged}");
}
