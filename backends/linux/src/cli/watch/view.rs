//! What the table looks like, and what the keys do to it. Works on any kind of terminal, that of a
//! test included.

use std::collections::VecDeque;

use ratatui::backend::Backend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Row as TableRow, Table};
use ratatui::{Frame, Terminal};

use super::monitor::Standing;
use super::table::{Column, Row, Wanted};
use crate::cli::vendor::Vendors;

/// Lines for what happened last, below the table.
pub(super) const NEWS: usize = 5;
const LONGEST_FILTER: usize = 40;

const HELP: &str = "\
 left, right   sort by another column
 r             the other way round
 /             show only what contains ...
 space, f      freeze, and go on
 up, down,     move
 pages, home, end
 ?             this help
 q             end
";

/// What is shown, and how.
pub(super) struct View {
    title: String,
    colour: bool,
    wanted: Wanted,
    /// The keys go into the filter.
    typing: bool,
    help: bool,
    frozen: Option<Vec<Row>>,
    first: usize,
    /// What happened last, the latest first.
    news: VecDeque<String>,
    pub(super) vendors: Vendors,
    pub(super) over: bool,
}

impl View {
    pub(super) fn new(interface: &str) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            title: interface.to_owned(),
            colour: !refused,
            wanted: Wanted::new(),
            typing: false,
            help: false,
            frozen: None,
            first: 0,
            news: VecDeque::new(),
            vendors: Vendors::read(),
            over: false,
        }
    }

    pub(super) fn key(&mut self, key: KeyEvent, shown: &[Row], page: usize) {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            self.over = true;
        } else if self.typing {
            self.type_filter(key.code);
        } else {
            self.command(key.code, shown, page);
        }
    }

    fn type_filter(&mut self, key: KeyCode) {
        let filter = &mut self.wanted.filter;
        match key {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                filter.clear();
                self.typing = false;
            }
            KeyCode::Backspace => {
                filter.pop();
            }
            KeyCode::Char(c) if filter.chars().count() < LONGEST_FILTER => filter.push(c),
            _ => {}
        }
        self.first = 0;
    }

    fn command(&mut self, key: KeyCode, shown: &[Row], page: usize) {
        let help = std::mem::take(&mut self.help);
        match key {
            KeyCode::Char('q') => self.over = true,
            KeyCode::Char('?' | 'h') => self.help = !help,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('r') => self.wanted.reverse = !self.wanted.reverse,
            KeyCode::Char(' ' | 'f') => {
                self.frozen = match self.frozen {
                    Some(_) => None,
                    None => Some(shown.to_vec()),
                };
            }
            KeyCode::Left => self.wanted.sort = self.wanted.sort.beside(-1),
            KeyCode::Right | KeyCode::Char('s') => self.wanted.sort = self.wanted.sort.beside(1),
            KeyCode::Up => self.first = self.first.saturating_sub(1),
            KeyCode::Down => self.first = self.first.saturating_add(1),
            KeyCode::PageUp => self.first = self.first.saturating_sub(page),
            KeyCode::PageDown => self.first = self.first.saturating_add(page),
            KeyCode::Home => self.first = 0,
            KeyCode::End => self.first = usize::MAX,
            KeyCode::Esc => self.wanted.filter.clear(),
            _ => {}
        }
    }

    /// Something happened; what happened long before it is forgotten.
    pub(super) fn tell(&mut self, news: String) {
        self.news.push_front(news);
        self.news.truncate(NEWS);
    }

    /// The rows to show, from those that there are, unless they are frozen.
    pub(super) fn arranged(&self, live: Vec<Row>) -> Vec<Row> {
        let mut rows = self.frozen.clone().unwrap_or(live);
        self.wanted.arrange(&mut rows);
        rows
    }

    fn draw(&mut self, frame: &mut Frame<'_>, rows: &[Row], counted: &str) {
        let [head, body, news, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(3),
            Constraint::Length(NEWS as u16 + 1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let height = usize::from(body.height.saturating_sub(1));
        self.first = self.first.min(rows.len().saturating_sub(height));
        frame.render_widget(self.head(rows.len(), counted), head);
        self.draw_table(frame, body, rows);
        let lines: Vec<Line<'_>> = self.news.iter().map(|text| text.as_str().into()).collect();
        let block = Block::new()
            .borders(Borders::TOP)
            .title(" what happened last ");
        frame.render_widget(Paragraph::new(lines).block(block), news);
        frame.render_widget(self.foot(), foot);
        if self.help {
            draw_help(frame);
        }
    }

    fn head(&self, shown: usize, counted: &str) -> Paragraph<'static> {
        let frozen = if self.frozen.is_some() {
            "  FROZEN"
        } else {
            ""
        };
        let text = format!(
            "whohas watch on {}: {shown} shown, {counted}{frozen}",
            self.title
        );
        Paragraph::new(text).style(Style::new().add_modifier(Modifier::BOLD))
    }

    fn foot(&self) -> Paragraph<'static> {
        let text = if self.typing {
            format!(
                "show only: {}_   (enter to keep, esc to drop)",
                self.wanted.filter
            )
        } else if self.wanted.filter.is_empty() {
            "?: help   /: filter   left, right: sort   space: freeze   q: end".to_owned()
        } else {
            format!("showing only `{}`; esc shows all", self.wanted.filter)
        };
        Paragraph::new(text).style(Style::new().add_modifier(Modifier::REVERSED))
    }

    fn draw_table(&self, frame: &mut Frame<'_>, area: Rect, rows: &[Row]) {
        let header = Column::ALL.map(|column| {
            let arrow = match (self.wanted.sort == column, self.wanted.reverse) {
                (false, _) => "",
                (true, false) => " v",
                (true, true) => " ^",
            };
            Cell::from(format!("{}{arrow}", column.title()))
        });
        let header = TableRow::new(header).style(Style::new().add_modifier(Modifier::BOLD));
        let visible = rows.iter().skip(self.first).take(area.height.into());
        let lines = visible.map(|row| {
            let cells = Column::ALL.map(|column| Cell::from(row.text(column)));
            TableRow::new(cells).style(self.style(row.standing))
        });
        let widths = Column::ALL.map(|column| match column {
            Column::Ip => Constraint::Length(15),
            Column::Mac => Constraint::Length(17),
            Column::Vendor => Constraint::Min(10),
            Column::State | Column::Age | Column::Heard | Column::Flips => Constraint::Length(8),
            Column::Conflicts => Constraint::Length(11),
        });
        frame.render_widget(Table::new(lines, widths).header(header), area);
    }

    fn style(&self, standing: Standing) -> Style {
        match standing {
            Standing::Conflict if self.colour => Style::new().fg(Color::Red),
            Standing::Conflict => Style::new().add_modifier(Modifier::BOLD),
            Standing::Quiet => Style::new().add_modifier(Modifier::DIM),
            Standing::Active | Standing::Local => Style::new(),
        }
    }
}

fn draw_help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let width = area.width.min(50);
    let height = area.height.min(HELP.lines().count() as u16 + 2);
    let middle = Rect {
        x: (area.width - width) / 2,
        y: (area.height - height) / 2,
        width,
        height,
    };
    let block = Block::bordered()
        .title(" keys ")
        .title_alignment(Alignment::Center);
    frame.render_widget(Clear, middle);
    frame.render_widget(Paragraph::new(HELP).block(block), middle);
}

/// Draws the rows, and what was counted, on any kind of terminal.
pub(super) fn draw_on<B: Backend>(
    terminal: &mut Terminal<B>,
    view: &mut View,
    rows: &[Row],
    counted: &str,
) -> Result<(), B::Error> {
    terminal.draw(|frame| view.draw(frame, rows, counted))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::TestBackend;
    use std::net::Ipv4Addr;
    use std::time::Duration;
    use whohas::UnicastMac;

    fn row(n: u8) -> Row {
        Row {
            ip: Ipv4Addr::new(10, 0, 0, n),
            mac: UnicastMac::new([2, 0, 0, 0, 0, n]).unwrap(),
            vendor: format!("Maker {n}"),
            standing: Standing::Active,
            age: Duration::from_secs(61),
            heard: Duration::from_secs(1),
            flips: 0,
            conflicts: 0,
        }
    }

    fn screen(view: &mut View, rows: Vec<Row>) -> String {
        let mut terminal = Terminal::new(TestBackend::new(100, 20)).unwrap();
        let rows = view.arranged(rows);
        draw_on(&mut terminal, view, &rows, "counted").unwrap();
        terminal.backend().to_string()
    }

    fn press(view: &mut View, keys: &[KeyCode], shown: &[Row]) {
        for &key in keys {
            view.key(key.into(), shown, 10);
        }
    }

    #[test]
    fn a_station_is_a_line_with_all_that_is_known_of_it() {
        let mut view = View::new("eth0");
        let text = screen(&mut view, vec![row(7)]);
        assert!(
            text.contains("whohas watch on eth0: 1 shown, counted"),
            "{text}"
        );
        let line = text.lines().find(|line| line.contains("10.0.0.7")).unwrap();
        for part in ["02:00:00:00:00:07", "Maker 7", "active", "1m01s", "1s"] {
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn keys_filter_sort_freeze_help_and_end() {
        let mut view = View::new("eth0");
        let rows = || (1..=9).map(row).collect::<Vec<_>>();
        let filter = [KeyCode::Char('/'), KeyCode::Char('r'), KeyCode::Char(' ')];
        press(&mut view, &filter, &[]);
        press(&mut view, &[KeyCode::Char('7'), KeyCode::Enter], &[]);
        let text = screen(&mut view, rows());
        assert!(
            text.contains("Maker 7") && !text.contains("Maker 6"),
            "{text}"
        );
        press(&mut view, &[KeyCode::Esc, KeyCode::Char('r')], &[]);
        let text = screen(&mut view, rows());
        assert!(text.find("10.0.0.9").unwrap() < text.find("10.0.0.8").unwrap());
        assert!(text.contains("IP ^"), "{text}");

        press(&mut view, &[KeyCode::Char(' ')], &rows());
        let text = screen(&mut view, vec![row(200)]);
        assert!(
            text.contains("FROZEN") && !text.contains("10.0.0.200"),
            "{text}"
        );
        press(&mut view, &[KeyCode::Char(' '), KeyCode::Char('?')], &[]);
        let text = screen(&mut view, vec![row(200)]);
        assert!(
            text.contains("10.0.0.200") && text.contains("the other way round"),
            "{text}"
        );
        press(&mut view, &[KeyCode::Char('q')], &[]);
        assert!(view.over);
    }

    #[test]
    fn moving_ends_at_the_ends_and_the_smallest_terminal_does() {
        let mut view = View::new("eth0");
        let rows: Vec<Row> = (1..=200).map(row).collect();
        press(&mut view, &[KeyCode::End, KeyCode::PageDown], &[]);
        let text = screen(&mut view, rows.clone());
        assert!(text.contains("10.0.0.200 "), "{text}");
        press(&mut view, &[KeyCode::Up], &[]);
        let text = screen(&mut view, rows.clone());
        assert!(
            text.contains("10.0.0.199 ") && !text.contains("10.0.0.200 "),
            "{text}"
        );
        for (width, height) in [(1, 1), (10, 3), (49, 5)] {
            view.help = true;
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            draw_on(&mut terminal, &mut view, &rows, "counted").unwrap();
        }
    }
}
