//! A filter opened from a file.

use crate::view::QuotientFilterView;
use core::fmt;
use self_cell::self_cell;
use sst_format::filter::{Filter, FilterBytes, FilterError};

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
}

impl fmt::Debug for OpenFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}
