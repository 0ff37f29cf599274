//! A table of the file, read key by key. What is wrong goes to the [`Report`], and reading goes on.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::problem::{Mark, Problem, Report, Source};
use super::suggest::{did_you_mean, suggest};
use super::value::{Value, describe, quote};

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) mark: Mark,
}

impl<T> At<T> {
    pub(super) fn map<U>(self, value: impl FnOnce(T) -> U) -> At<U> {
        At {
            value: value(self.value),
            mark: self.mark,
        }
    }
}

/// A table of the file.
pub(super) struct Section<'t> {
    /// How messages call it.
    name: &'static str,
    table: &'t DeTable<'t>,
    mark: Mark,
    report: &'t Report,
    /// The keys that were asked for: those that there can be.
    known: RefCell<Vec<&'static str>>,
}

impl<'t> Section<'t> {
    /// The whole file.
    pub(super) fn root(
        table: &'t Spanned<DeTable<'t>>,
        source: &Rc<Source>,
        report: &'t Report,
    ) -> Self {
        let mark = Mark {
            source: Rc::clone(source),
            span: 0..0,
        };
        Self::new("the file", table.get_ref(), mark, report)
    }

    fn new(name: &'static str, table: &'t DeTable<'t>, mark: Mark, report: &'t Report) -> Self {
        Self {
            name,
            table,
            mark,
            report,
            known: RefCell::default(),
        }
    }

    /// Where it begins.
    pub(super) const fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Where problems go.
    pub(super) const fn report(&self) -> &'t Report {
        self.report
    }

    /// Whether something is written for a key; an empty list is nothing.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.raw(key).is_some_and(
            |value| !matches!(value.get_ref(), DeValue::Array(list) if list.is_empty()),
        )
    }

    /// What is written for a key.
    pub(super) fn get<T: Value>(&self, key: &'static str) -> Option<At<T>> {
        let (_, value) = self.entry(key)?;
        self.value(value)
    }

    /// What is written for a key that there must be.
    pub(super) fn require<T: Value>(&self, key: &'static str) -> Option<At<T>> {
        if !self.has(key) {
            let name = self.name;
            self.report
                .add(self.mark.error(format!("`{key}` is missing in {name}")));
        }
        self.get(key)
    }

    /// The values that are written for a key, as a list or as the only one.
    pub(super) fn list<T: Value>(&self, key: &'static str) -> Vec<At<T>> {
        self.raw(key)
            .map(|value| self.values(value))
            .unwrap_or_default()
    }

    /// What is written for a key, unread.
    pub(super) fn raw(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The table that is written for a key.
    pub(super) fn section(&self, key: &'static str, name: &'static str) -> Option<Self> {
        let (_, value) = self.entry(key)?;
        self.table(name, value)
    }

    /// The tables that are written for a key.
    pub(super) fn sections(&self, key: &'static str, name: &'static str) -> Vec<Self> {
        let Some((at, value)) = self.entry(key) else {
            return Vec::new();
        };
        match value.get_ref() {
            DeValue::Array(list) => {
                let tables = list.iter().filter_map(|value| self.table(name, value));
                tables.collect()
            }
            other => {
                let message = format!("expected a list of tables, found {}", describe(other));
                let problem = self.mark_of(at.span()).error(message);
                self.report.add(problem.hint(format!("write {name}")));
                Vec::new()
            }
        }
    }

    /// All that is written, for tables whose keys are not words of ours.
    pub(super) fn entries(
        &self,
    ) -> impl Iterator<Item = (At<&'t str>, &'t Spanned<DeValue<'t>>)> + '_ {
        // In the order of the file, not of the alphabet.
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries.into_iter().map(|(key, value)| {
            let mark = self.mark_of(key.span());
            let at = At {
                value: key.get_ref().as_ref(),
                mark,
            };
            (at, value)
        })
    }

    /// A path as seen from where the file is.
    pub(super) fn resolve(&self, path: At<PathBuf>) -> At<PathBuf> {
        let folder = self.mark.source.path.parent().unwrap_or(Path::new(""));
        path.map(|path| folder.join(path))
    }

    /// A value as one of this type.
    pub(super) fn value<T: Value>(&self, value: &'t Spanned<DeValue<'t>>) -> Option<At<T>> {
        let mark = self.mark_of(value.span());
        match T::read(value.get_ref()) {
            Ok(value) => Some(At { value, mark }),
            Err(message) => {
                self.report.add(mark.error(message));
                None
            }
        }
    }

    /// Values of this type, in a list or as the only one.
    pub(super) fn values<T: Value>(&self, value: &'t Spanned<DeValue<'t>>) -> Vec<At<T>> {
        match value.get_ref() {
            DeValue::Array(list) => list.iter().filter_map(|value| self.value(value)).collect(),
            _single => self.value(value).into_iter().collect(),
        }
    }

    /// A value as a table.
    pub(super) fn table(
        &self,
        name: &'static str,
        value: &'t Spanned<DeValue<'t>>,
    ) -> Option<Self> {
        let mark = self.mark_of(value.span());
        match value.get_ref() {
            DeValue::Table(table) => Some(Self::new(name, table, mark, self.report)),
            other => {
                let found = describe(other);
                let message = format!("expected a table, found {found}");
                self.report.add(mark.error(message));
                None
            }
        }
    }

    /// Where a key stands that was found.
    pub(super) fn mark_of_key(&self, key: &'static str) -> Mark {
        self.entry(key)
            .map_or_else(|| self.mark.clone(), |(at, _)| self.mark_of(at.span()))
    }

    /// Says of every key that was not asked for that there is none of that name. `elsewhere` says of
    /// some what to do with them.
    pub(super) fn finish(self, elsewhere: impl Fn(&str) -> Option<String>) {
        let known = self.known.borrow();
        for (at, _) in self.entries() {
            let key = at.value;
            if !known.contains(&key) {
                let name = self.name;
                let message = format!("there is no key {} in {name}", quote(key));
                let problem = at.mark.error(message);
                self.report.add(self.hint(problem, key, &known, &elsewhere));
            }
        }
    }

    fn hint(
        &self,
        problem: Problem,
        key: &str,
        known: &[&'static str],
        elsewhere: impl Fn(&str) -> Option<String>,
    ) -> Problem {
        let meant = || suggest(key, known.iter().copied()).map(did_you_mean);
        let all = || format!("there are {}", known.join(", "));
        problem.hint(elsewhere(key).or_else(meant).unwrap_or_else(all))
    }

    fn entry(
        &self,
        key: &'static str,
    ) -> Option<(&'t Spanned<DeString<'t>>, &'t Spanned<DeValue<'t>>)> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table.get_key_value(key)
    }

    /// A place in the same file.
    pub(super) fn mark_of(&self, span: Range<usize>) -> Mark {
        Mark {
            source: Rc::clone(&self.mark.source),
            span,
        }
    }
}
