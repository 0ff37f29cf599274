//! Why the command could not do what it was asked to, and the exit code that says so.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use thiserror::Error;

/// How a verb ended that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Yes.
    Positive,
    /// No.
    Negative,
}

impl Outcome {
    pub(super) const fn yes(yes: bool) -> Self {
        if yes { Self::Positive } else { Self::Negative }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Positive => Self::from(0),
            Outcome::Negative => Self::from(1),
        }
    }
}

/// Why a verb could not do its work.
#[derive(Debug, Error)]
pub(super) enum Failure {
    /// What was asked for makes no sense on this host.
    #[error("{0}")]
    Usage(String),
    /// A capability is missing; the message says which.
    #[error("{0}")]
    Permission(String),
    /// The device failed.
    #[error("{doing}: {error}")]
    Device {
        /// What was tried.
        doing: String,
        /// What the system said.
        error: io::Error,
    },
    /// A file failed.
    #[error("cannot write {}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Whoever read our output has gone. Not worth a message.
    #[error("nobody reads the output any more")]
    OutputClosed,
    /// The output failed.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl Failure {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(super) fn device(doing: impl Into<String>, error: io::Error) -> Self {
        Self::Device {
            doing: doing.into(),
            error,
        }
    }

    pub(super) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Output(error),
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Permission(_) => 3,
            Self::Device { .. } | Self::File { .. } | Self::OutputClosed | Self::Output(_) => 4,
        })
    }
}
