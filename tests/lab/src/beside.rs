//! This program once more, in a network namespace beside ours. The two talk in lines, over the other
//! one's standard input and output.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::folder::Folder;

/// Said to the other start of the program: what it is there for.
const ROLE: &str = "WHOHAS_LAB_ROLE";
/// What it says first.
const HERE: &str = "here";

/// The other one, as seen from here. Dropped, it is killed.
pub struct Beside {
    child: Child,
    answers: BufReader<ChildStdout>,
    _files: Folder,
}

impl Beside {
    /// Starts it, and waits until it is in its namespace.
    pub fn start(role: &str) -> Self {
        let files = Folder::new();
        let mut command = Command::new("unshare");
        command
            .arg("--net")
            .arg(env::current_exe().expect("a program knows its own file"))
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        files.give_to(&mut command);
        let mut child = command.spawn().expect("unshare is a part of util-linux");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut beside = Self {
            child,
            answers,
            _files: files,
        };
        beside.answer_with(HERE);
        beside
    }

    /// Its process, by which cables find its namespace.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it hear a line.
    pub fn say(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        writeln!(input, "{line}").expect("it listens");
    }

    /// The next line that it says.
    pub fn answer(&mut self) -> String {
        self.answer_with("")
    }

    /// The next line with these words in it: a library may have said something of its own.
    pub fn answer_with(&mut self, words: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            self.answers.read_line(&mut line).expect("text");
            assert!(line.ends_with('\n'), "the other one has ended");
            if line.contains(words) {
                return line.trim_end().to_owned();
            }
        }
    }

    /// Has it hear no more, and waits until it has ended as it should.
    pub fn end(mut self) {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.answers.read_to_string(&mut rest).expect("text");
        let status = self.child.wait().expect("it was not waited for");
        assert!(status.success(), "{rest}");
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Does nothing if it has ended; and if not, nobody has to know how it does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of the other one: what it is there for. Nothing if this process is not one.
pub fn role() -> Option<String> {
    let role = env::var(ROLE).ok()?;
    println!("{HERE}");
    Some(role)
}

/// Of the other one: the next line that it hears, until there are no more.
pub fn hear() -> Option<String> {
    let mut line = String::new();
    let len = io::stdin().read_line(&mut line).expect("text");
    (len > 0).then(|| line.trim_end().to_owned())
}
