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

    pub(crate) fn to_json(&self) -> Result<String> {
        if self.0.is_empty() {
            return Err("nothing was measured".into());
        }
        Ok(serde_json::to_string(&self.0)?)
    }
}
