//! Hostile tables: false contents with correct checksums. The lies are numbers in key, index and
//! value blocks, size words, ends of blocks, and descriptions: one lie at a time at every place,
//! and several lies at random places.

use byteorder::{BigEndian, ByteOrder};
use sst_conformance::SplitMix;
use sst_format::SstMeta;
use sst_format::filter::FilterBytes;
use sst_reader::ReaderOptions;

use crate::model::parts::{Part, Parts, read_all};
use crate::model::table::Written;
use crate::model::{absent, below, corpus, reader_options};
use crate::{Cases, Context, Protection, Row, Suite, Verdict};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "hostile tables",
    about: "tables with false contents and correct checksums",
    run,
};

/// Numbers at the limits of fields, where off-by-one errors and overflows show.
const LIMITS: [u64; 14] = [
    0,
    1,
    7,
    8,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0xff_ffff,
    0x7fff_ffff,
    0xffff_fff8,
    0xffff_ffff,
    u64::MAX - 8,
    u64::MAX,
];

/// Widths of the fields of the format, in bytes.
const WIDTHS: [usize; 5] = [1, 2, 3, 4, 8];

/// Lies at each byte of a payload: each limit in each width, the true number plus and minus one in
/// each width, a byte inserted and one removed.
const LIES_PER_BYTE: usize = WIDTHS.len() * (LIMITS.len() + 2) + 2;

/// Number of bytes of each payload that get lies. Later bytes are further entries of the same kind.
const MAX_PAYLOAD: usize = 160;

/// A table split into its parts.
struct Subject {
    name: String,
    table: Written,
    parts: Parts,
    keys: Vec<(u64, Vec<u8>)>,
}

impl Subject {
    fn new((name, table): (String, Written)) -> Self {
        let parts = Parts::of(&table.bytes);
        let entries = table.entries.iter();
        let mut keys: Vec<_> = entries.map(|entry| (entry.hash, entry.key.clone())).collect();
        keys.extend(absent());
        Self { name, table, parts, keys }
    }
}

/// The site of a lie in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LieSite {
    Payload {
        subject: usize,
        block: usize,
    },
    SizeWord {
        subject: usize,
        block: usize,
    },
    End {
        subject: usize,
        block: usize,
    },
    Description {
        subject: usize,
    },
    /// Several lies at random places.
    Random,
}

impl LieSite {
    const NAMES: [&'static str; 5] = [
        "lies in payloads",
        "lying sizes",
        "lying ends of blocks",
        "lying descriptions",
        "several lies at random",
    ];

    const fn row(self) -> usize {
        match self {
            Self::Payload { .. } => 0,
            Self::SizeWord { .. } => 1,
            Self::End { .. } => 2,
            Self::Description { .. } => 3,
            Self::Random => 4,
        }
    }

    fn count(self, subjects: &[Subject], random: usize) -> usize {
        match self {
            Self::Payload { subject, block } => {
                let payload = &subjects[subject].parts.blocks[block].payload;
                payload.len().min(MAX_PAYLOAD) * LIES_PER_BYTE
            }
            Self::SizeWord { .. } | Self::End { .. } => 2 * LIMITS.len() + 64,
            Self::Description { .. } => 4 * (LIMITS.len() + 4),
            Self::Random => random,
        }
    }
}

struct Lies<'a> {
    context: &'a Context,
    subjects: &'a [Subject],
    /// The sites, each with the number of the first case after its own cases.
    sites: Vec<(LieSite, usize)>,
    /// Every `step`-th of the lies in payloads is tried.
    step: usize,
}

fn run(context: &Context) -> Vec<Row> {
    let subjects: Vec<_> = corpus::small_tables().into_iter().map(Subject::new).collect();
    let mut lies = Lies {
        context,
        subjects: &subjects,
        sites: Vec::new(),
        // The step is coprime to the number of lies per byte, so that all kinds of lies are tried.
        step: context.pick(17, 1),
    };
    for (subject, Subject { parts, .. }) in subjects.iter().enumerate() {
        for block in 0..parts.blocks.len() {
            lies.add(LieSite::Payload { subject, block });
            lies.add(LieSite::SizeWord { subject, block });
            lies.add(LieSite::End { subject, block });
        }
        lies.add(LieSite::Description { subject });
    }
    lies.add(LieSite::Random);
    let rows = LieSite::NAMES.map(|name| Row::new(name, Protection::NotApplicable));
    context.run(rows.into(), &lies)
}

impl Lies<'_> {
    fn add(&mut self, site: LieSite) {
        let count = site.count(self.subjects, self.context.pick(20_000, 2_000_000));
        let tried = match site {
            LieSite::Payload { .. } => count.div_ceil(self.step),
            _ => count,
        };
        self.sites.push((site, self.count() + tried));
    }

    /// The site of a case's lie, and the number of the lie at that site.
    fn site(&self, case: usize) -> (LieSite, usize) {
        let i = self.sites.partition_point(|(_, end)| *end <= case);
        let start = i.checked_sub(1).map_or(0, |before| self.sites[before].1);
        let (site, lie) = (self.sites[i].0, case - start);
        match site {
            LieSite::Payload { .. } => (site, lie * self.step),
            _ => (site, lie),
        }
    }
}

impl Cases for Lies<'_> {
    type Worker = ReaderOptions;

    fn count(&self) -> usize {
        self.sites.last().map_or(0, |(_, end)| *end)
    }

    fn worker(&self) -> ReaderOptions {
        reader_options()
    }

    fn row(&self, case: usize) -> usize {
        self.site(case).0.row()
    }

    fn name(&self, case: usize) -> String {
        let (site, lie) = self.site(case);
        let subject = match site {
            LieSite::Payload { subject, .. }
            | LieSite::SizeWord { subject, .. }
            | LieSite::End { subject, .. }
            | LieSite::Description { subject } => &self.subjects[subject].name,
            LieSite::Random => "any",
        };
        format!("{site:?}, lie {lie}, {subject}")
    }

    fn run(&self, options: &mut ReaderOptions, case: usize) -> Verdict {
        let (site, lie) = self.site(case);
        match site {
            LieSite::Payload { subject, block } => {
                let subject = &self.subjects[subject];
                let mut parts = subject.parts.clone();
                lie_in_payload(&mut parts.blocks[block], lie);
                verdict_of(subject, &parts, options)
            }
            LieSite::SizeWord { subject, block } => {
                let subject = &self.subjects[subject];
                let mut parts = subject.parts.clone();
                let truth = parts.blocks[block].payload.len() as u64;
                parts.blocks[block].false_size = Some(low_word(number_near(truth, lie)));
                verdict_of(subject, &parts, options)
            }
            LieSite::End { subject, block } => {
                let subject = &self.subjects[subject];
                let mut parts = subject.parts.clone();
                let truth = subject.table.bytes.len() as u64;
                parts.false_ends.push((block, low_word(number_near(truth, lie))));
                verdict_of(subject, &parts, options)
            }
            LieSite::Description { subject } => {
                let subject = &self.subjects[subject];
                let meta = lie_in_description(&subject.table.meta, lie);
                let bytes = subject.table.bytes.clone();
                read_all(bytes, Some(&meta), &subject.keys, options).verdict()
            }
            LieSite::Random => self.random(options, lie),
        }
    }
}

/// Reads a table in every way, with a matching description and without one.
fn verdict_of(subject: &Subject, parts: &Parts, options: &ReaderOptions) -> Verdict {
    let bytes = parts.to_bytes();
    let meta = describe(&subject.table.meta, parts, bytes.len());
    let described = read_all(bytes.clone(), Some(&meta), &subject.keys, options).verdict();
    match read_all(bytes, None, &subject.keys, options).verdict() {
        alone @ Verdict::Wrong(_) => alone,
        Verdict::Detected if described == Verdict::Harmless => Verdict::Detected,
        _ => described,
    }
}

/// A description without protection that matches a table.
fn describe(meta: &SstMeta, parts: &Parts, len: usize) -> SstMeta {
    let mut meta = meta.clone();
    meta.block_count = u16::try_from(parts.blocks.len()).unwrap();
    meta.file_size = len as u64;
    meta.protection = None;
    meta
}

fn low_word(number: u64) -> u32 {
    u32::try_from(number & 0xffff_ffff).unwrap()
}

/// A limit, a number close to the true one, close to its half or double, or close to 255 times it.
fn number_near(truth: u64, lie: usize) -> u64 {
    let near = |number: u64, lie: usize| number.wrapping_add(lie as u64 % 16).wrapping_sub(8);
    match lie {
        0..14 => LIMITS[lie],
        14..28 => LIMITS[lie - 14].wrapping_add(truth),
        28..44 => near(truth, lie),
        44..60 => near(truth * 255, lie),
        60..76 => near(truth / 2, lie),
        _ => near(truth * 2, lie),
    }
}

/// Changes a payload by lie number `lie`, at byte `lie / LIES_PER_BYTE`.
fn lie_in_payload(block: &mut Part, lie: usize) {
    let (at, lie) = (lie / LIES_PER_BYTE, lie % LIES_PER_BYTE);
    let payload = &mut block.payload;
    let per_width = LIMITS.len() + 2;
    let Some(&width) = WIDTHS.get(lie / per_width) else {
        match lie % per_width {
            0 => payload.insert(at, 0xff),
            _ => drop(payload.remove(at)),
        }
        return;
    };
    let width = width.min(payload.len() - at);
    let field = &mut payload[at..at + width];
    let truth = BigEndian::read_uint(field, width);
    let value = match lie % per_width {
        limit if limit < LIMITS.len() => LIMITS[limit],
        one if one == LIMITS.len() => truth.wrapping_add(1),
        _ => truth.wrapping_sub(1),
    };
    BigEndian::write_uint(field, low_bytes(value, width), width);
}

fn lie_in_description(meta: &SstMeta, lie: usize) -> SstMeta {
    let mut meta = meta.clone();
    let near = |truth: u64| match lie / 4 {
        limit if limit < LIMITS.len() => LIMITS[limit],
        one if one < LIMITS.len() + 2 => truth.wrapping_add(1),
        _ => truth.wrapping_sub(1),
    };
    match lie % 4 {
        0 => meta.min_hash = near(meta.min_hash),
        1 => meta.max_hash = near(meta.max_hash),
        2 => meta.file_size = near(meta.file_size),
        _ => {
            let count = near(meta.block_count.into()) & 0xffff;
            meta.block_count = u16::try_from(count).unwrap();
        }
    }
    meta
}

impl Lies<'_> {
    /// Applies one to four lies of any kind at once.
    fn random(&self, options: &ReaderOptions, lie: usize) -> Verdict {
        let mut random = self.context.random("tables", lie);
        let subject = &self.subjects[below(&mut random, self.subjects.len())];
        let mut parts = subject.parts.clone();
        for _ in 0..=below(&mut random, 3) {
            mutate(&mut random, &mut parts);
        }
        let mut bytes = parts.to_bytes();
        if below(&mut random, 20) == 0 {
            bytes.truncate(below(&mut random, bytes.len()));
        }
        let mut meta = describe(&subject.table.meta, &parts, bytes.len());
        let value = number(&mut random, &[parts.blocks.len(), bytes.len()]);
        match below(&mut random, 8) {
            0 => meta.min_hash = value,
            1 => meta.max_hash = value,
            2 => meta.block_count = u16::try_from(value & 0xffff).unwrap(),
            3 => {
                let mut filter = meta.filter.as_slice().to_vec();
                overwrite(&mut random, &mut filter, value);
                meta.filter = FilterBytes::new(filter);
            }
            _ => {}
        }
        let alone = read_all(bytes.clone(), None, &subject.keys, options).verdict();
        match read_all(bytes, Some(&meta), &subject.keys, options).verdict() {
            _ if matches!(alone, Verdict::Wrong(_)) => alone,
            described => described,
        }
    }
}

/// A random number: a limit, a number close to a true one, or any number.
fn number(random: &mut SplitMix, truths: &[usize]) -> u64 {
    match below(random, 3) {
        0 => LIMITS[below(random, LIMITS.len())],
        1 => (truths[below(random, truths.len())] as u64)
            .wrapping_add(random.word() % 5)
            .wrapping_sub(2),
        _ => random.word(),
    }
}

/// Writes the low bytes of a number to a random position.
fn overwrite(random: &mut SplitMix, bytes: &mut [u8], value: u64) {
    let width = WIDTHS[below(random, WIDTHS.len())].min(bytes.len());
    // Half of the lies go to the first 24 bytes, which determine most of a block.
    let room = bytes.len() - width + 1;
    let at = if below(random, 2) == 0 { below(random, room.min(24)) } else { below(random, room) };
    BigEndian::write_uint(&mut bytes[at..], low_bytes(value, width), width);
}

/// The low `width` bytes (1 to 8) of a number.
fn low_bytes(value: u64, width: usize) -> u64 {
    value & u64::MAX >> (64 - 8 * width)
}

/// Changes the parts by one random lie.
fn mutate(random: &mut SplitMix, parts: &mut Parts) {
    let count = parts.blocks.len();
    let (chosen, other) = (below(random, count), below(random, count));
    let value = number(random, &[count, chosen, parts.blocks[chosen].payload.len()]);
    let block = &mut parts.blocks[chosen];
    match below(random, 16) {
        0..8 if !block.payload.is_empty() => overwrite(random, &mut block.payload, value),
        8 => block.payload.truncate(below(random, block.payload.len() + 1)),
        9 => block.payload.extend_from_slice(&value.to_be_bytes()),
        10 => parts.blocks[chosen].payload = parts.blocks[other].payload.clone(),
        11 => parts.blocks.swap(chosen, other),
        12 => parts.blocks.insert(chosen, Part::raw(value.to_be_bytes())),
        13 => block.is_compressed = !block.is_compressed,
        14 => block.false_size = Some(low_word(value)),
        15 => parts.false_ends.push((chosen, low_word(value))),
        _ => block.payload.push(0),
    }
    parts.false_ends.retain(|(block, _)| *block < parts.blocks.len());
}
