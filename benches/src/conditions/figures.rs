//! Figures by name.

use std::collections::BTreeMap;

use crate::Result;

/// The figures of one round. A name has the form `condition store operation, unit`.
#[derive(Default)]
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// Adds a figure. Two figures with one name are an error.
    pub(crate) fn add(&mut self, name: String, value: f64) -> Result<()> {
        match self.0.insert(name.clone(), value) {
            None => Ok(()),
            Some(_) => Err(format!("{name} was measured twice").into()),
        }
    }

    /// Adds figures that [`Figures::to_json`] has printed.
    pub(crate) fn add_json(&mut self, json: &[u8]) -> Result<()> {
        let figures: BTreeMap<String, f64> = serde_json::from_slice(json)?;
        figures.into_iter().try_for_each(|(name, value)| self.add(name, value))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(&self.0)?)
    }
}
