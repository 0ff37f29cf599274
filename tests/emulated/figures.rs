//! What the device says that it has counted.

use std::collections::BTreeMap;

/// `name value` lines.
#[derive(Debug)]
pub struct Figures(BTreeMap<String, u64>);

impl Figures {
    /// Lines of any other kind are none of them.
    pub fn read(said: &str) -> Self {
        let pairs = said.lines().filter_map(|line| line.split_once(' '));
        let figures = pairs.filter_map(|(name, value)| Some((name.into(), value.parse().ok()?)));
        Self(figures.collect())
    }

    #[track_caller]
    pub fn of(&self, name: &str) -> u64 {
        let figure = self.0.get(name);
        *figure.unwrap_or_else(|| panic!("the device does not say `{name}`: {self:?}"))
    }
}
