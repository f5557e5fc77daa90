//! A filter opened from a file.

use crate::view::QuotientFilterView;
use core::fmt;
use self_cell::self_cell;
use sst_format::filter::{Filter, FilterBytes, FilterError, Fingerprints};

self_cell!(
    /// The filter bytes and the view into them. The view is made once, so that queries do not
    /// parse.
    struct Cell {
        owner: FilterBytes,
        #[covariant]
        dependent: QuotientFilterView,
    }
);

pub(crate) struct OpenFilter {
    cell: Cell,
}

impl OpenFilter {
    pub(crate) fn open(bytes: FilterBytes) -> Result<Self, FilterError> {
        let cell = Cell::try_new(bytes, |bytes| QuotientFilterView::parse(bytes.as_slice()))?;
        Ok(Self { cell })
    }

    pub(crate) fn view(&self) -> &QuotientFilterView<'_> {
        self.cell.borrow_dependent()
    }
}

impl Filter for OpenFilter {
    fn may_contain(&self, hash: u64) -> bool {
        self.view().may_contain(hash)
    }

    fn prefetch(&self, hash: u64) {
        self.view().prefetch(hash);
    }

    fn fingerprint_count(&self) -> u64 {
        self.view().fingerprint_count()
    }

    fn fingerprints(&self) -> Option<Fingerprints> {
        // Of a damaged filter, what it allows is not known from its slots.
        let values = self.view().fingerprints().ok()?;
        let bits = self.view().layout().fingerprint_bits().into();
        Some(Fingerprints { bits, values })
    }
}

impl fmt::Debug for OpenFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}
