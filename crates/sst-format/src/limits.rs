//! Every number of the format, in one place (FORMAT.md sections 3 to 7).
//!
//! Assertions at compile time check how the numbers depend on each other.
//!
//! | constant | limits | set by |
//! |---|---|---|
//! | [`MAX_BLOCK_COUNT`], [`MAX_BLOCKS_END`] | a table | width of block index and offset |
//! | [`MAX_POSITION`], [`MAX_KEY_LEN`] | a key block | width of a position |
//! | [`MAX_KEY_BLOCK_ENTRIES`], [`MAX_EMPTY_ENTRIES`] | a key block | width of its count |
//! | [`MAX_INLINE_LEN`], [`MAX_SMALL_LEN`] | a value reference | width of its fields; readers |
//! | [`MAX_INLINE_VALUE_LEN`] … [`MAX_MEDIUM_VALUE_LEN`] | the class of a value | convention |
//! | [`KEY_BLOCK_SIZE`], [`KEY_BLOCK_ENTRIES`] | when a writer closes a key block | convention |
//! | [`VALUE_BLOCK_SIZE`] | when a writer closes a value block | convention |
//! | [`MAX_TARGET_BLOCK_SIZE`] | other sizes that a caller may choose for both | convention |

/// Highest number of blocks of one table, the index block included.
pub const MAX_BLOCK_COUNT: u16 = u16::MAX;

/// Highest end of a block, in bytes from the start of the file: offsets are `u32`.
pub const MAX_BLOCKS_END: u64 = u32::MAX as u64;

/// Highest position of an entry in a variable-size key block, in bytes from the end of the position
/// table: 24 bits.
pub const MAX_POSITION: u32 = (1 << 24) - 1;

/// Highest number of entries of one key block: 24 bits.
pub const MAX_KEY_BLOCK_ENTRIES: u32 = (1 << 24) - 1;

/// Highest number of entries of one key block that take no byte: empty inline values of the empty
/// key. Without this limit, a block of six bytes could state millions of entries.
pub const MAX_EMPTY_ENTRIES: u32 = u16::MAX as u32;

/// Longest key in bytes: a key one byte longer would push any entry behind it past
/// [`MAX_POSITION`].
pub const MAX_KEY_LEN: usize = MAX_POSITION as usize;

/// Longest key of a fixed-size key block, in bytes: its length is stored in one byte.
pub const MAX_FIXED_KEY_LEN: usize = u8::MAX as usize;

/// Longest inline value a writer may write, in bytes.
pub const MAX_INLINE_LEN: usize = 8;

/// Longest inline value a reader accepts, in bytes: the longest that the type byte can express.
pub const MAX_READABLE_INLINE_LEN: usize = (u8::MAX - 8) as usize;

/// Longest small value that a reference can express, in bytes.
pub const MAX_SMALL_LEN: usize = u16::MAX as usize;

/// Values up to this many bytes are inline by class.
pub const MAX_INLINE_VALUE_LEN: usize = MAX_INLINE_LEN;

/// Values up to this many bytes are small by class.
pub const MAX_SMALL_VALUE_LEN: usize = 4096;

/// Values up to this many bytes are medium by class; larger ones are blobs.
pub const MAX_MEDIUM_VALUE_LEN: usize = 64 << 20;

/// A key block is closed before an entry would make Σ(key length + [`KEY_BLOCK_ENTRY_OVERHEAD`])
/// exceed this many bytes.
pub const KEY_BLOCK_SIZE: usize = 16 << 10;

/// Bytes that each entry adds to its key length when the size of a key block is computed.
pub const KEY_BLOCK_ENTRY_OVERHEAD: usize = 20;

/// A key block is closed when it holds this many entries.
pub const KEY_BLOCK_ENTRIES: u32 = 819;

/// A small value block is written as soon as it holds this many bytes.
pub const VALUE_BLOCK_SIZE: usize = 8 << 10;

/// Largest size in bytes that a caller of a writer may choose instead of [`KEY_BLOCK_SIZE`] and
/// [`VALUE_BLOCK_SIZE`].
pub const MAX_TARGET_BLOCK_SIZE: usize = 1 << 20;

/// Key blocks whose longest key is shorter than this many bytes are stored raw, with no attempt to
/// compress.
pub const MIN_KEY_LEN_TO_COMPRESS: usize = 16;

/// Key blocks whose longest key is longer than this many bytes store hashes.
pub const HASH_THRESHOLD: usize = 32;

/// A writer reports that a table is full this many blocks before [`MAX_BLOCK_COUNT`].
pub const BLOCK_HEADROOM: u16 = 16;

/// Bytes that pending entries may take. At this size their value block is written early.
pub const PENDING_BUDGET: usize = 1 << 20;

/// Bytes that each pending entry adds to its key length, counted against [`PENDING_BUDGET`].
pub const PENDING_ENTRY_OVERHEAD: usize = 40;

/// Count of sequence numbers in a block that a writer claims (FORMAT.md section 14). The first
/// number of a block is a multiple of it.
pub const CLAIMED_NUMBERS: u32 = 64;

/// Highest ratio of decompressed to stored length that an LZ4 block can reach.
pub const MAX_LZ4_RATIO: u64 = 255;

const _: () = {
    assert!(KEY_BLOCK_ENTRIES as usize == KEY_BLOCK_SIZE / KEY_BLOCK_ENTRY_OVERHEAD);
    assert!(KEY_BLOCK_ENTRIES <= MAX_KEY_BLOCK_ENTRIES);
    assert!(MAX_EMPTY_ENTRIES < MAX_KEY_BLOCK_ENTRIES);
    // An ordinary variable-size block cannot reach the 24-bit positions; only a run of equal hashes
    // can.
    let max_entries = MAX_TARGET_BLOCK_SIZE / KEY_BLOCK_ENTRY_OVERHEAD;
    assert!(KEY_BLOCK_SIZE <= MAX_TARGET_BLOCK_SIZE && VALUE_BLOCK_SIZE <= MAX_TARGET_BLOCK_SIZE);
    assert!(MAX_TARGET_BLOCK_SIZE + max_entries * (8 + 8) < MAX_POSITION as usize);
    assert!(MAX_INLINE_LEN <= MAX_READABLE_INLINE_LEN);
    assert!(MAX_SMALL_VALUE_LEN <= MAX_SMALL_LEN);
    assert!(MAX_INLINE_VALUE_LEN < MAX_SMALL_VALUE_LEN);
    assert!(MAX_SMALL_VALUE_LEN < MAX_MEDIUM_VALUE_LEN);
    // No small value fills a value block by itself.
    assert!(MAX_SMALL_VALUE_LEN < VALUE_BLOCK_SIZE);
    assert!(MAX_MEDIUM_VALUE_LEN as u64 <= MAX_BLOCKS_END);
    assert!(BLOCK_HEADROOM < MAX_BLOCK_COUNT);
};
