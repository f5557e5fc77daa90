//! The extension of a meta file of version 3: fields that the first builds of version 3 did not
//! know, and pass over.
//!
//! ```text
//! offset size  field, repeated to the end; tags ascend
//!      0    4  tag
//!      4    4  length n of the value
//!      8    n  value
//!
//! value of tag 1, the lineage: the commits before this one, newest first
//!      0    4  number
//!      4    4  CRC-32 in the trailer of its meta file
//!
//! value of tag 2, the shard
//!      0    4  number of the shard
//!      4    4  number of shards
//!      8   16  lowest and highest hash
//!     24    4  number of the source's meta file
//!     28    4  CRC-32 in its trailer
//!     32    4  CRC-32 of its core
//!
//! value of tag 3: see `blob_counts`
//! ```
//!
//! A reader passes over tags that it does not know. The checksum of the core covers all of it.

use alloc::vec::Vec;

use super::HashRange;
use crate::bytes::{u32_at, u32_in, u64_in};
use crate::identity::CommitIdentity;
use crate::{FormatError, SequenceNumber, Structure};

const STRUCTURE: Structure = Structure::MetaHead;
pub(crate) const TAG_LINEAGE: u32 = 1;
pub(crate) const TAG_SHARD: u32 = 2;
const FIELD_HEADER_LEN: usize = 8;
pub(crate) const ANCESTOR_LEN: usize = 8;
pub(crate) const SHARD_LEN: usize = 36;

/// Number of commits before it that a writer names in a commit.
const MAX_ANCESTORS: usize = 32;

/// A commit before another one in the history of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// The sequence number of its newest meta file.
    pub sequence: SequenceNumber,
    /// The CRC-32 in the trailer of that meta file.
    pub checksum: u32,
}

/// The last commits of a directory before a commit, newest first. They tell a mirror that is at one
/// of them that it may go on, even if the source has removed the files of that commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage(Vec<Ancestor>);

impl Lineage {
    /// The lineage of a commit that follows `newest`, whose own lineage is this one.
    #[must_use]
    pub fn followed_by(&self, newest: Ancestor) -> Self {
        let older = self.0.iter().copied();
        Self(core::iter::once(newest).chain(older).take(MAX_ANCESTORS).collect())
    }

    /// Whether a commit is among them.
    #[must_use]
    pub fn contains(&self, commit: Ancestor) -> bool {
        self.0.contains(&commit)
    }

    /// The commits, newest first.
    pub fn commits(&self) -> impl ExactSizeIterator<Item = Ancestor> + '_ {
        self.0.iter().copied()
    }
}

/// The part of a source that a directory holds, and the commit or meta file that it was taken from.
///
/// Its meta files describe only the tables that the range of hashes needs, so it knows nothing of
/// other hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Number of the shard, below `count`.
    pub index: u32,
    /// Number of shards.
    pub count: u32,
    /// Its hashes.
    pub hashes: HashRange,
    /// Number of the meta file of the source. In the newest meta file of a commit, this is the
    /// number of the source's commit; 0 if the commit was made in the directory itself.
    pub source: SequenceNumber,
    /// The CRC-32 in the trailer of that meta file.
    pub source_checksum: u32,
    /// The CRC-32 of the core of that meta file.
    pub source_core_checksum: u32,
}

impl Shard {
    /// A shard that was taken from no source yet.
    #[must_use]
    pub const fn new(index: u32, count: u32, hashes: HashRange) -> Self {
        let source = SequenceNumber(0);
        Self { index, count, hashes, source, source_checksum: 0, source_core_checksum: 0 }
    }

    /// Whether a hash belongs to the shard.
    #[must_use]
    #[inline]
    pub const fn holds(&self, hash: u64) -> bool {
        self.hashes.contains(hash)
    }

    /// Whether two meta files are of the same shard, whatever they were taken from.
    #[must_use]
    pub fn is_same_shard(&self, other: &Self) -> bool {
        (self.index, self.count, self.hashes) == (other.index, other.count, other.hashes)
    }

    /// The identity of the source's commit.
    #[must_use]
    pub const fn source_identity(&self) -> CommitIdentity {
        CommitIdentity::Protected {
            sequence: self.source,
            checksum: self.source_checksum,
            core_checksum: self.source_core_checksum,
        }
    }

    /// The shard as taken from a meta file of a source. `None` if that is not protected.
    #[must_use]
    pub const fn with_source(self, source: CommitIdentity) -> Option<Self> {
        match source {
            CommitIdentity::Protected { sequence, checksum, core_checksum } => Some(Self {
                source: sequence,
                source_checksum: checksum,
                source_core_checksum: core_checksum,
                ..self
            }),
            CommitIdentity::Bare { .. } => None,
        }
    }

    /// The shard of a commit that was not taken from a source.
    #[must_use]
    pub const fn without_source(self) -> Self {
        Self::new(self.index, self.count, self.hashes)
    }

    fn from_bytes(bytes: &[u8; SHARD_LEN]) -> Result<Self, FormatError> {
        let shard = Self {
            index: u32_in::<0, _>(bytes),
            count: u32_in::<4, _>(bytes),
            hashes: HashRange { min: u64_in::<8, _>(bytes), max: u64_in::<16, _>(bytes) },
            source: SequenceNumber(u32_in::<24, _>(bytes)),
            source_checksum: u32_in::<28, _>(bytes),
            source_core_checksum: u32_in::<32, _>(bytes),
        };
        let HashRange { min, max } = shard.hashes;
        if min > max {
            return Err(FormatError::EmptyHashRange { min_hash: min, max_hash: max });
        }
        match shard.index < shard.count {
            true => Ok(shard),
            false => Err(FormatError::OutOfOrder { structure: STRUCTURE, index: shard.index }),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.index.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(&self.hashes.min.to_be_bytes());
        out.extend_from_slice(&self.hashes.max.to_be_bytes());
        for word in [self.source.0, self.source_checksum, self.source_core_checksum] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

/// The fields of an extension that this build knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extension {
    /// The commits before. Empty in the first commit of a directory, in parts, and where an older
    /// build made the commit.
    pub lineage: Lineage,
    /// The shard that the directory holds; `None` if it holds everything.
    pub shard: Option<Shard>,
}

impl Extension {
    /// Parses the bytes of [`MetaHead::extension`](super::MetaHead::extension). O(length).
    ///
    /// # Errors
    ///
    /// [`FormatError::TooShort`] if a field ends behind them, [`FormatError::OutOfOrder`] if tags
    /// do not ascend or a shard has a number that is not below its count, [`FormatError::WrongLen`]
    /// if a known field has another length, [`FormatError::EmptyHashRange`] if a shard has no
    /// hashes.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut extension = Self::default();
        for field in Fields::new(bytes) {
            let (tag, value) = field?;
            match tag {
                TAG_LINEAGE => extension.lineage = parse_lineage(value)?,
                TAG_SHARD => {
                    let bytes = value.try_into().map_err(|_| wrong_len(SHARD_LEN, value))?;
                    extension.shard = Some(Shard::from_bytes(bytes)?);
                }
                // Of a later build, or of `blob_counts`.
                _ => {}
            }
        }
        Ok(extension)
    }

    /// Encodes the fields. Nothing if there are none.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.lineage.0.is_empty() {
            field(&mut out, TAG_LINEAGE, self.lineage.0.len() * ANCESTOR_LEN);
            for ancestor in &self.lineage.0 {
                out.extend_from_slice(&ancestor.sequence.0.to_be_bytes());
                out.extend_from_slice(&ancestor.checksum.to_be_bytes());
            }
        }
        if let Some(shard) = &self.shard {
            field(&mut out, TAG_SHARD, SHARD_LEN);
            shard.encode(&mut out);
        }
        out
    }
}

/// The fields of an extension: their tags and values. After an error there are no more.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    rest: &'a [u8],
    last_tag: Option<u32>,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, rest: bytes, last_tag: None }
    }

    fn field(&mut self) -> Result<(u32, &'a [u8]), FormatError> {
        let available = self.bytes.len() as u64;
        let too_short = |needed| FormatError::TooShort { structure: STRUCTURE, needed, available };
        let rest = core::mem::take(&mut self.rest);
        let header = available - rest.len() as u64 + FIELD_HEADER_LEN as u64;
        let tag = u32_at(rest, 0).ok_or_else(|| too_short(header))?;
        let len = u32_at(rest, 4).ok_or_else(|| too_short(header))?;
        if self.last_tag.is_some_and(|last| last >= tag) {
            return Err(FormatError::OutOfOrder { structure: STRUCTURE, index: tag });
        }
        self.last_tag = Some(tag);
        let field = usize::try_from(len).ok().and_then(|len| {
            let (value, rest) = rest.get(FIELD_HEADER_LEN..)?.split_at_checked(len)?;
            Some((value, rest))
        });
        let (value, behind) = field.ok_or_else(|| too_short(header + u64::from(len)))?;
        self.rest = behind;
        Ok((tag, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, &'a [u8]), FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.field())
    }
}

fn field(out: &mut Vec<u8>, tag: u32, len: usize) {
    out.extend_from_slice(&tag.to_be_bytes());
    debug_assert!(len <= MAX_ANCESTORS * ANCESTOR_LEN);
    // A few hundred bytes at most, so the low 4 bytes are all of it.
    let [.., a, b, c, d] = (len as u64).to_be_bytes();
    out.extend_from_slice(&[a, b, c, d]);
}

const fn wrong_len(expected: usize, value: &[u8]) -> FormatError {
    let (expected, found) = (expected as u64, value.len() as u64);
    FormatError::WrongLen { structure: STRUCTURE, expected, found }
}

fn parse_lineage(value: &[u8]) -> Result<Lineage, FormatError> {
    let (records, rest) = value.as_chunks::<ANCESTOR_LEN>();
    if !rest.is_empty() {
        return Err(wrong_len(value.len() - rest.len(), value));
    }
    let ancestors = records.iter().map(|record| Ancestor {
        sequence: SequenceNumber(u32_in::<0, _>(record)),
        checksum: u32_in::<4, _>(record),
    });
    Ok(Lineage(ancestors.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ancestor(number: u32) -> Ancestor {
        Ancestor { sequence: SequenceNumber(number), checksum: number ^ 0xabcd }
    }

    fn example() -> Extension {
        let lineage = Lineage::default().followed_by(ancestor(2)).followed_by(ancestor(5));
        let shard = Shard {
            index: 1,
            count: 3,
            hashes: HashRange { min: 7, max: 9 },
            source: SequenceNumber(5),
            source_checksum: 1,
            source_core_checksum: 2,
        };
        Extension { lineage, shard: Some(shard) }
    }

    #[test]
    fn fields_are_read_back_and_others_passed_over() {
        let example = example();
        let mut bytes = example.encode();
        assert_eq!(Extension::parse(&bytes), Ok(example.clone()));
        bytes.extend_from_slice(&[0, 0, 0, 9, 0, 0, 0, 2, 1, 1]);
        assert_eq!(Extension::parse(&bytes), Ok(example));
        assert_eq!(Extension::parse(&[]), Ok(Extension::default()));
        assert!(Extension::default().encode().is_empty());
    }

    #[test]
    fn cut_or_doubled_fields_are_damage() {
        let bytes = example().encode();
        // After the first field it ends as one should.
        let whole = [0, 8 + 2 * ANCESTOR_LEN];
        for len in (0..bytes.len()).filter(|len| !whole.contains(len)) {
            let cut = Extension::parse(&bytes[..len]);
            assert!(matches!(cut, Err(FormatError::TooShort { .. })), "{len}: {cut:?}");
        }
        let twice = Extension::parse(&[bytes.clone(), bytes].concat());
        assert!(matches!(twice, Err(FormatError::OutOfOrder { .. })));
    }

    #[test]
    fn lies_about_shards_and_lineages_are_damage() {
        let shard = |change: fn(&mut Shard)| {
            let mut example = example();
            change(example.shard.as_mut().unwrap());
            Extension::parse(&example.encode())
        };
        let beyond = shard(|shard| shard.index = 3);
        assert!(matches!(beyond, Err(FormatError::OutOfOrder { .. })));
        let empty = shard(|shard| shard.hashes = HashRange { min: 9, max: 7 });
        assert!(matches!(empty, Err(FormatError::EmptyHashRange { .. })));
        for field in [[0, 0, 0, 1, 0, 0, 0, 1, 0], [0, 0, 0, 2, 0, 0, 0, 1, 0]] {
            let odd = Extension::parse(&field);
            assert!(matches!(odd, Err(FormatError::WrongLen { .. })));
        }
    }

    #[test]
    fn a_lineage_forgets_the_oldest() {
        let all = (1..100).map(ancestor);
        let lineage = all.fold(Lineage::default(), |lineage, next| lineage.followed_by(next));
        assert_eq!(lineage.commits().len(), MAX_ANCESTORS);
        assert_eq!(lineage.commits().next(), Some(ancestor(99)));
        assert!(lineage.contains(ancestor(68)) && !lineage.contains(ancestor(67)));
        assert!(!lineage.contains(Ancestor { checksum: 0, ..ancestor(99) }));
    }
}
