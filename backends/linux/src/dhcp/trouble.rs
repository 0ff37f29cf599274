//! What went wrong with a file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What could not be done with which file, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{doing} {}: {error}", path.display())]
pub struct Trouble {
    doing: &'static str,
    path: PathBuf,
    error: Arc<io::Error>,
}

impl Trouble {
    pub(super) fn new(doing: &'static str, path: &Path, error: impl Into<io::Error>) -> Self {
        Self {
            doing,
            path: path.to_owned(),
            error: Arc::new(error.into()),
        }
    }

    /// The kind of error, such as [`StorageFull`](io::ErrorKind::StorageFull).
    pub fn kind(&self) -> io::ErrorKind {
        self.error.kind()
    }

    /// The file, or the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
