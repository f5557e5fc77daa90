//! Runs a filter query with bit instructions where the processor has them, else with portable code.
//!
//! x86-64 processors have had the instructions (`popcnt`, BMI1, BMI2) since 2013, and they make a
//! hit a third faster. A build for all processors may not assume them, so they are detected at run
//! time. This is the one file of the crate that needs `unsafe`: it calls a function that is
//! compiled for instructions that the rest of the crate does not use. (On AMD's processors before
//! Zen 3, `pdep` is slower than the portable code, by tens of nanoseconds.)

use crate::{select::select, view::QuotientFilterView};

/// A proof that this processor has the instructions: only [`BitInstructions::detect`] makes one.
#[derive(Clone, Copy)]
pub(crate) struct BitInstructions(());

impl BitInstructions {
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn detect() -> Option<Self> {
        let are_there = is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2");
        are_there.then_some(Self(()))
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) const fn detect() -> Option<Self> {
        None
    }

    /// Answers a query with the instructions.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[expect(unsafe_code, reason = "the compiler cannot see that the features were checked")]
    fn may_contain(self, view: &QuotientFilterView<'_>, hash: u64) -> bool {
        // SAFETY: `self` proves that the processor has the features that the function is compiled
        // for. It takes and returns plain values, so nothing else is required.
        unsafe { may_contain_with_bit_instructions(view, hash) }
    }

    /// Never called: [`BitInstructions::detect`] returns `None` on other architectures.
    #[cfg(not(target_arch = "x86_64"))]
    fn may_contain(self, view: &QuotientFilterView<'_>, hash: u64) -> bool {
        view.answer(hash, select)
    }
}

/// Answers a query, with the bit instructions if this processor has them.
#[inline]
pub(crate) fn may_contain(view: &QuotientFilterView<'_>, hash: u64) -> bool {
    match view.bit_instructions() {
        Some(instructions) => instructions.may_contain(view, hash),
        None => view.answer(hash, select),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt,bmi1,bmi2")]
fn may_contain_with_bit_instructions(view: &QuotientFilterView<'_>, hash: u64) -> bool {
    view.answer(hash, |word, n| {
        let bit = core::arch::x86_64::_pdep_u64(1 << n, word);
        (bit != 0).then(|| bit.trailing_zeros())
    })
}

/// Asks the processor to fetch two cache lines from the start of `bytes`: a block of the default
/// filter has 73 bytes.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn prefetch(bytes: &[u8]) {
    use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    let first = bytes.as_ptr();
    for at in [0, 64] {
        #[expect(unsafe_code, reason = "the instruction has no safe form")]
        // SAFETY: a prefetch changes no memory that a program can see, and cannot fault at any
        // address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(at).cast());
        }
    }
}

/// Does nothing: stable Rust has no such instruction for other architectures.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn prefetch(_: &[u8]) {}

#[cfg(test)]
mod tests {
    use crate::{QuotientFilter, QuotientFilterView, select::select};
    use sst_format::filter::FilterPolicy;

    #[test]
    fn both_forms_give_the_same_answers() {
        let spread = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
        let mut builder = QuotientFilter::default().builder();
        let spread_out = if cfg!(miri) { 500 } else { 15_000 };
        builder.add_hashes(&(0..spread_out).map(spread).collect::<Vec<_>>());
        builder.add_hashes(&(0..300).collect::<Vec<_>>());
        let bytes = builder.finish().unwrap();
        let view = QuotientFilterView::parse(&bytes).unwrap();
        let step = if cfg!(miri) { 1009 } else { 1 };
        for hash in (0..200_000).map(spread).chain(0..10_000).step_by(step) {
            view.prefetch(hash);
            assert_eq!(view.may_contain(hash), view.answer(hash, select), "{hash:#x}");
        }
    }
}
