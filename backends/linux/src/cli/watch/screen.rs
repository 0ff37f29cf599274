//! The live table on a terminal: taking the screen, reading the keys, drawing no more than is seen.

use std::io::{self, Stdout, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event as Input, KeyEventKind};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use whohas::Instant;

use super::table::{Row, rows};
use super::view::{NEWS, View, draw_on};
use super::{Watcher, details};
use crate::cli::failure::Failure;
use crate::cli::session::{Heard, Machine};
use crate::cli::timestamp::rfc3339;

/// No sooner than this after the last time is the table drawn anew: nobody reads faster.
const REDRAW: Duration = Duration::from_millis(100);
/// Ages are in seconds.
const TICK: Duration = Duration::from_secs(1);
/// The terminal, taken over until it is dropped.
struct Taken {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Taken {
    fn take() -> io::Result<Self> {
        enable_raw_mode()?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).inspect_err(|_| {
            let _ = disable_raw_mode();
        })?;
        // From here on its drop puts everything back, however much of the rest was done.
        let taken = Self { terminal };
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
        let _ = disable_raw_mode();
        let _ = io::stdout().flush();
    }
}

/// The table as a machine.
pub(super) struct Screen<'w> {
    watcher: &'w mut Watcher,
    view: View,
    taken: Taken,
    keyboard: io::Stdin,
    shown: Vec<Row>,
    changed: bool,
    drawn_at: Option<Instant>,
}

impl<'w> Screen<'w> {
    pub(super) fn new(watcher: &'w mut Watcher, interface: &str) -> Result<Self, Failure> {
        Ok(Self {
            watcher,
            view: View::new(interface),
            taken: Taken::take().map_err(Failure::output)?,
            keyboard: io::stdin(),
            shown: Vec::new(),
            changed: true,
            drawn_at: None,
        })
    }

    fn read_keys(&mut self) -> Result<(), Failure> {
        while event::poll(Duration::ZERO).map_err(Failure::output)? {
            let page = self.taken.terminal.size().map_err(Failure::output)?.height;
            let page = usize::from(page.saturating_sub(NEWS as u16 + 5)).max(1);
            match event::read().map_err(Failure::output)? {
                Input::Key(key) if key.kind != KeyEventKind::Release => {
                    self.view.key(key, &self.shown, page);
                }
                _ => {}
            }
            // An answer to a key is not kept waiting.
            self.drawn_at = None;
        }
        Ok(())
    }

    fn draw(&mut self, now: Instant) -> Result<(), Failure> {
        let monitor = &self.watcher.monitor;
        let live = rows(monitor, &self.view.vendors, now);
        self.shown = self.view.arranged(live);
        let counted = format!("{} stations, {} packets", monitor.len(), monitor.heard);
        draw_on(
            &mut self.taken.terminal,
            &mut self.view,
            &self.shown,
            &counted,
        )
        .map_err(|error| Failure::output(io::Error::other(error)))?;
        self.changed = false;
        self.drawn_at = Some(now);
        Ok(())
    }

    fn redraw_at(&self) -> Option<Instant> {
        let after = if self.changed { REDRAW } else { TICK };
        self.drawn_at.map(|at| at + after)
    }
}

impl Machine for Screen<'_> {
    fn receive(&mut self, now: Instant, heard: &Heard<'_>) -> Result<(), Failure> {
        for event in self.watcher.receive(now, heard) {
            let time = rfc3339(SystemTime::now());
            let clock = time.get(11..19).unwrap_or_default();
            let (name, ip, mac) = (event.what.name(), event.ip, event.mac);
            let text = format!("{clock}  {name:<27}  {ip:<15}  {mac}{}", details(&event));
            self.view.tell(text);
        }
        self.changed = true;
        Ok(())
    }

    fn poll_transmit(&mut self, _now: Instant, _buffer: &mut [u8]) -> Option<usize> {
        None
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure> {
        self.read_keys()?;
        self.watcher.handle_timeout(now)?;
        if self.redraw_at().is_none_or(|at| at <= now) {
            self.draw(now)?;
        }
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [self.watcher.poll_timeout(), self.redraw_at()];
        deadlines.into_iter().flatten().min()
    }

    fn is_done(&self) -> bool {
        self.watcher.over || self.view.over
    }

    fn waits_for_link(&mut self) -> bool {
        self.watcher.link.went_down = true;
        self.view
            .tell("the link is down; waiting for it".to_owned());
        self.changed = true;
        true
    }

    fn also(&self) -> Option<BorrowedFd<'_>> {
        Some(self.keyboard.as_fd())
    }
}
