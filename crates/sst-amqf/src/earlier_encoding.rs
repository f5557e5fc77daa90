//! Filters that earlier revisions of the original wrote.

/// The encoding of a filter by an earlier revision of the original.
///
/// The fields are those of today's filters. This crate recognizes the encodings and does not decode
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EarlierEncoding {
    /// `pot`: releases before Next.js 16.2.
    Pot,
    /// Fields with their names and types: Next.js 16.2.
    SelfDescribing,
}

impl EarlierEncoding {
    /// The encoding of these filter bytes, if it is an earlier one.
    ///
    /// Today's filters start with the length of their buffer. Read that way, the `P` of the one
    /// encoding would be a length of 80 bytes, and the first byte of the other one of 30. No buffer
    /// has either length: the smallest has 25 + 8 × remainder bits.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'P', b'o', b't', 0, ..] => Some(Self::Pot),
            // A structure of four or five fields, the first of which is called `b` and holds bytes.
            [30, 4 | 5, 1, b'b', 15, ..] => Some(Self::SelfDescribing),
            _ => None,
        }
    }

    /// Names the releases that wrote this encoding, for messages.
    #[must_use]
    pub const fn releases(self) -> &'static str {
        match self {
            Self::Pot => "a release before Next.js 16.2",
            Self::SelfDescribing => "Next.js 16.2",
        }
    }
}

#[cfg(test)]
mod tests {
    use sst_format::filter::{FilterBytes, FilterPolicy};

    use super::*;
    use crate::QuotientFilter;

    #[test]
    fn filters_of_earlier_revisions_deny_nothing() {
        let earlier: [(&[u8], _); 3] = [
            (b"Pot\0\x05\xa5b...", EarlierEncoding::Pot),
            (b"\x1e\x04\x01b\x0f\x51...", EarlierEncoding::SelfDescribing),
            (b"\x1e\x05\x01b\x0f\x51...", EarlierEncoding::SelfDescribing),
        ];
        for (bytes, encoding) in earlier {
            assert_eq!(EarlierEncoding::of(bytes), Some(encoding));
            for filter in [
                QuotientFilter::default().open(FilterBytes::new(bytes)),
                QuotientFilter::default().open_verified(FilterBytes::new(bytes)),
            ] {
                assert!((0..100).all(|hash| filter.as_ref().unwrap().may_contain(hash)));
            }
        }
    }

    #[test]
    fn filters_of_today_are_none_of_an_earlier_revision() {
        for count in [1, 60, 1000, if cfg!(miri) { 3000 } else { 100_000 }] {
            let mut builder = QuotientFilter::default().builder();
            builder.add_hashes(&(0..count).collect::<Vec<_>>());
            assert_eq!(EarlierEncoding::of(&builder.finish().unwrap()), None);
        }
        // Other bytes that resemble an earlier encoding are still refused.
        for bytes in [b"pot\0....", b"Pot\x01....", b"\x1e\x06\x01b\x0f..."] {
            assert!(QuotientFilter::default().open(FilterBytes::new(bytes)).is_err());
        }
    }
}
