//! What is wrong with a configuration, and where.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;

/// How many problems are kept; further ones are counted.
const KEPT: usize = 50;
/// How many characters of a line are shown.
const SHOWN: usize = 100;

/// All that is wrong with a configuration. Its text has, for each problem, the line and a caret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problems {
    list: Vec<Problem>,
    errors: usize,
    warnings: usize,
}

impl Problems {
    /// The problems, in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// How many of them make the configuration useless.
    pub(crate) const fn errors(&self) -> usize {
        self.errors
    }

    /// One that has no place.
    pub(super) fn single(message: String) -> Self {
        let mut problems = Self::default();
        problems.push(Problem {
            severity: Severity::Error,
            message,
            hint: None,
            place: None,
        });
        problems
    }

    fn push(&mut self, problem: Problem) {
        match problem.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        // An error makes room for itself: whoever must do something wants to know what.
        if self.list.len() == KEPT && problem.severity == Severity::Error {
            let warning = |kept: &Problem| kept.severity == Severity::Warning;
            if let Some(last) = self.list.iter().rposition(warning) {
                self.list.remove(last);
            }
        }
        if self.list.len() < KEPT {
            self.list.push(problem);
        }
    }

    fn sort(&mut self) {
        let place = |problem: &Problem| {
            let place = problem.place.as_ref();
            place.map(|place| (place.path.clone(), place.line, place.column))
        };
        self.list.sort_by_cached_key(place);
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            writeln!(f, "{problem}")?;
        }
        match self.errors + self.warnings - self.list.len() {
            0 => Ok(()),
            more => writeln!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

/// Whether a configuration can be used as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// It cannot.
    Error,
    /// It can, and is probably not meant so.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(super) severity: Severity,
    message: String,
    /// What to do about it.
    hint: Option<String>,
    place: Option<Place>,
}

impl Problem {
    /// What it is, in one line.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Where it is, if it is anywhere.
    pub(crate) const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The same, with what to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.message)?;
        let hint = self.hint.as_deref().unwrap_or_default();
        let Some(place) = &self.place else {
            return match hint {
                "" => Ok(()),
                hint => write!(f, "; {hint}"),
            };
        };
        let margin = place.line.to_string().len();
        write!(f, "\n{:margin$}--> {place}", "")?;
        write!(f, "\n{:margin$} |", "")?;
        let line = format!("{} | {}", place.line, place.text);
        write!(f, "\n{}", line.trim_end())?;
        let carets = "^".repeat(place.width);
        let indent = place.indent;
        let line = format!("{:margin$} | {:indent$}{carets} {hint}", "", "");
        write!(f, "\n{}", line.trim_end())
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) path: PathBuf,
    /// The line, and the character in it; the first is 1.
    pub(super) line: usize,
    pub(super) column: usize,
    /// What is shown of the line, without control characters.
    text: String,
    /// Where in it the carets begin, and how many there are.
    indent: usize,
    width: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path, line, column, ..
        } = self;
        write!(f, "{}:{line}:{column}", path.display())
    }
}

/// A file's text, for messages about it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// Where lines begin, once somebody has asked.
    lines: OnceCell<Vec<usize>>,
}

impl Source {
    pub(super) fn new(path: PathBuf, text: String) -> Self {
        Self {
            path,
            text,
            lines: OnceCell::new(),
        }
    }

    /// How many lines are before this place, and where its own begins.
    fn line(&self, at: usize) -> (usize, usize) {
        let lines = self.lines.get_or_init(|| {
            let newlines = self.text.match_indices('\n');
            newlines.map(|(newline, _)| newline + 1).collect()
        });
        let before = lines.partition_point(|&start| start <= at);
        let start = before.checked_sub(1).and_then(|last| lines.get(last));
        (before, start.copied().unwrap_or_default())
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let text = &self.text;
        let start = text.floor_char_boundary(span.start);
        let (before, line_start) = self.line(start);
        let rest = &text[line_start..];
        let line_end = rest.find('\n').map_or(text.len(), |len| line_start + len);
        let end = text.floor_char_boundary(span.end).clamp(start, line_end);

        let column = text[line_start..start].chars().count();
        let width = text[start..end].trim_end().chars().count().max(1);
        // Of a long line, the part around the carets.
        let skipped = match column + width {
            fits if fits <= SHOWN => 0,
            _long => column.saturating_sub(SHOWN / 4),
        };
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let line = text[line_start..line_end].chars().map(printable);
        let shown: String = line.skip(skipped).take(SHOWN).collect();
        let indent = column - skipped;
        Place {
            path: self.path.clone(),
            line: before + 1,
            column: column + 1,
            text: shown.trim_end().to_owned(),
            indent,
            width: width.min(SHOWN - indent),
        }
    }
}

/// A part of a source.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) source: Rc<Source>,
    pub(super) span: Range<usize>,
}

impl Mark {
    /// What is wrong here, and makes the configuration useless.
    pub(super) fn error(&self, message: impl Into<String>) -> Problem {
        self.problem(Severity::Error, message.into())
    }

    /// What is wrong here, and can be left as it is.
    pub(super) fn warning(&self, message: impl Into<String>) -> Problem {
        self.problem(Severity::Warning, message.into())
    }

    fn problem(&self, severity: Severity, message: String) -> Problem {
        Problem {
            severity,
            message,
            hint: None,
            place: Some(self.source.place(&self.span)),
        }
    }
}

/// Where it is, in words.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, _) = self.source.line(self.span.start);
        write!(f, "{}:{}", self.source.path.display(), before + 1)
    }
}

/// Where problems are written down while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Report(RefCell<Problems>);

impl Report {
    pub(super) fn add(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// Whether the configuration can be used so far.
    pub(super) fn is_fine(&self) -> bool {
        self.0.borrow().errors() == 0
    }

    /// All problems, in the order of their places.
    pub(super) fn finish(self) -> Problems {
        let mut problems = self.0.into_inner();
        problems.sort();
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, part: &str) -> String {
        let start = text.find(part).unwrap();
        let mark = Mark {
            source: Rc::new(Source::new("f.toml".into(), text.to_owned())),
            span: start..start + part.len(),
        };
        mark.error("wrong").hint("do it right").to_string()
    }

    #[test]
    fn carets_stand_under_what_is_meant_whatever_is_before_it() {
        assert_eq!(
            said("a = 1\n\tprés = bad\n", "bad"),
            "error: wrong\n --> f.toml:2:9\n  |\n2 |  prés = bad\n  |         ^^^ do it right"
        );
    }

    #[test]
    fn of_several_lines_the_first_is_shown() {
        assert_eq!(
            said("a = [\n1,\n]", "[\n1,\n]"),
            "error: wrong\n --> f.toml:1:5\n  |\n1 | a = [\n  |     ^ do it right"
        );
    }

    #[test]
    fn the_end_of_a_file_is_a_place() {
        let problem = said("a = 1\n", "");
        assert!(problem.contains("f.toml:1:1"), "{problem}");
        let source = Source::new("f.toml".into(), "a = 1\n".into());
        let end = source.place(&(6..6));
        assert_eq!((end.line, end.column, end.width), (2, 1, 1));
        let beyond = source.place(&(60..70));
        assert_eq!((beyond.line, beyond.column, beyond.width), (2, 1, 1));
    }

    #[test]
    fn of_a_long_line_the_part_around_the_carets_is_shown() {
        let text = format!("a = \"{}bad{}\"", "x".repeat(5_000), "y".repeat(5_000));
        let problem = said(&text, "bad");
        assert!(problem.contains("f.toml:1:5006\n"), "{problem}");
        assert!(problem.lines().all(|line| line.len() < 120), "{problem}");
        let [.., line, carets] = problem.lines().collect::<Vec<_>>()[..] else {
            panic!("{problem}");
        };
        assert_eq!(carets.find('^'), line.find("bad"));
    }

    #[test]
    fn control_characters_of_a_file_do_not_reach_the_terminal() {
        assert!(
            !said("a = \"\u{1b}[2J\u{9b}2J\rbad\"", "bad")
                .contains(|c: char| { c.is_control() && c != '\n' })
        );
    }
}
