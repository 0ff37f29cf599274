//! Stores of a DHCP server on files.
//!
//! ```no_run
//! use whohas_linux::dhcp::{FileStore, Options, StateDirectory};
//!
//! let directory = StateDirectory::open("/var/lib/whohas")?;
//! // Here privileges are given up.
//! let (store, report) = FileStore::log(directory, None, Options::default(), |record| {
//!     println!("{record:?}");
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod committer;
mod directory;
mod export;
mod image;
mod lease_file;
mod load;
mod log_file;
mod only_file;
mod options;
mod status;
mod store;
mod trouble;

pub use directory::{OpenError, StateDirectory};
pub use lease_file::LeaseFile;
pub use load::{LoadError, LoadReport};
pub use options::Options;
pub use status::Status;
pub use store::FileStore;
pub use trouble::Trouble;
