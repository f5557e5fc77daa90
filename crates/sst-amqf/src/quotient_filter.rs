//! The filter policy, which a writer and a reader plug in.

use crate::{
    EarlierEncoding, builder::Builder, layout::MAX_REMAINDER_BITS, open_filter::OpenFilter,
    stats::FilterInfo, unread_filter::UnreadFilter, view::QuotientFilterView,
};
use sst_format::filter::{Filter, FilterBuilder, FilterBytes, FilterError, FilterPolicy};

/// Remainder bits for the default rate of 1 %.
const DEFAULT_REMAINDER_BITS: u8 = 7;

/// The quotient filter of the format: makes filters for a writer and opens them for a reader.
///
/// The false-positive rate matters to a writer only; a reader opens filters of any rate. It also
/// opens filters of an [`EarlierEncoding`], which answer "maybe" to every query.
///
/// ```
/// use sst_amqf::QuotientFilter;
/// use sst_format::filter::{FilterBytes, FilterPolicy};
///
/// let policy = QuotientFilter::with_false_positive_rate(0.01);
/// let mut builder = policy.builder();
/// builder.add_hashes(&[0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210]);
/// let bytes = builder.finish()?;
///
/// let filter = policy.open(FilterBytes::new(bytes))?;
/// assert!(filter.may_contain(0x0123_4567_89AB_CDEF));
/// assert!(!filter.may_contain(1));
/// # Ok::<(), sst_format::filter::FilterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotientFilter {
    remainder_bits: u8,
    check_on_open: bool,
}

impl Default for QuotientFilter {
    /// A false-positive rate of at most 1 %, and a check of the structure when a filter is opened.
    fn default() -> Self {
        Self { remainder_bits: DEFAULT_REMAINDER_BITS, check_on_open: true }
    }
}

impl QuotientFilter {
    /// A policy whose filters answer "maybe" to at most this share of the keys that are not there.
    ///
    /// The rate is rounded down to a power of two: one bit per key halves it. A rate above 1/2
    /// counts as 1/2. A rate below 2^-16 (0.0015 %), a negative one or NaN counts as 2^-16: below
    /// that a filter would grow, but save too few lookups to notice.
    #[must_use]
    pub fn with_false_positive_rate(rate: f64) -> Self {
        let remainder_bits = (1..MAX_REMAINDER_BITS)
            .find(|&bits| (-f64::from(bits)).exp2() <= rate)
            .unwrap_or(MAX_REMAINDER_BITS);
        Self { remainder_bits, ..Self::default() }
    }

    /// Sets whether [`open`](FilterPolicy::open) checks the structure of a filter.
    ///
    /// The check reads the filter once, as [`QuotientFilterView::check_structure`] does, and finds
    /// every single flipped bit outside the remainders. Without it, opening takes constant time and
    /// reads only the first and the last bytes, as [`open_verified`](FilterPolicy::open_verified)
    /// always does. Default: yes.
    #[must_use]
    pub fn check_on_open(self, check: bool) -> Self {
        Self { check_on_open: check, ..self }
    }

    /// The highest share of false "maybe"s of a full filter: 1/128 by default, which is 0.8 %.
    #[must_use]
    pub fn false_positive_rate(&self) -> f64 {
        (-f64::from(self.remainder_bits)).exp2()
    }

    /// Size and quality of the filter in these bytes. O(1).
    ///
    /// # Errors
    ///
    /// As [`QuotientFilterView::parse`].
    pub fn info(bytes: &[u8]) -> Result<FilterInfo, FilterError> {
        Ok(QuotientFilterView::parse(bytes)?.info())
    }
}

impl FilterPolicy for QuotientFilter {
    fn builder(&self) -> Box<dyn FilterBuilder> {
        Box::new(Builder::new(self.remainder_bits))
    }

    fn open(&self, bytes: FilterBytes) -> Result<Box<dyn Filter>, FilterError> {
        if EarlierEncoding::of(bytes.as_slice()).is_some() {
            return Ok(Box::new(UnreadFilter));
        }
        let filter = OpenFilter::open(bytes)?;
        if self.check_on_open {
            filter.view().check_structure()?;
        }
        Ok(Box::new(filter))
    }

    fn open_verified(&self, bytes: FilterBytes) -> Result<Box<dyn Filter>, FilterError> {
        match EarlierEncoding::of(bytes.as_slice()) {
            Some(_) => Ok(Box::new(UnreadFilter)),
            None => Ok(Box::new(OpenFilter::open(bytes)?)),
        }
    }
}
