//! What happened how often, to see that it did.

use std::collections::BTreeMap;

/// By name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(pub(crate) BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn add(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    pub(crate) fn add_some(&mut self, name: Option<&'static str>) {
        if let Some(name) = name {
            self.add(name);
        }
    }

    pub(crate) fn add_all(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name).or_default() += count;
        }
    }

    /// Those of the names that never happened.
    pub(crate) fn missing<'n>(&self, names: &[&'n str]) -> Vec<&'n str> {
        names.iter().copied().filter(|name| !self.0.contains_key(name)).collect()
    }
}
