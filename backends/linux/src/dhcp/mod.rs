//! Stores of a DHCP server on files: an append log, dnsmasq's lease file, or the log with such a file
//! beside it.
//!
//! ```no_run
//! use whohas::Instant;
//! use whohas::dhcp::store::{Change, Claim, Record, Store, Ticket, Version};
//! use whohas_linux::dhcp::{FileStore, Options, StateDirectory};
//!
//! let directory = StateDirectory::open("/var/lib/whohas")?;
//! // Here privileges are given up; then what others may have changed is read.
//! let (mut store, report) = FileStore::log(directory, None, Options::default(), |record| {
//!     println!("{record:?}");
//! })?;
//! for line in &report.lines {
//!     eprintln!("skipped: {line}");
//! }
//!
//! let record = Record { ip: [192, 0, 2, 7].into(), claim: Claim::Free };
//! let change = Change { ticket: Ticket(1), expects: Version::default(), record };
//! let now = Instant::ZERO;
//! store.submit(now, &change);
//! store.commit(now);
//! // A loop does something else meanwhile, and polls the store's descriptor with its others.
//! whohas_linux::wait_readable(&store, None)?;
//! while let Some(outcome) = store.poll_outcome() {
//!     println!("{outcome:?}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is durable
//!
//! A change whose outcome is good is on the disk (`fdatasync`), whatever becomes of the process or the
//! power. What is committed while a batch is being written makes up the next one, so a slow disk makes
//! larger batches and not fewer changes.
//!
//! A batch that cannot be written is refused as a whole, and nothing more is tried until some time has
//! passed, twice as long after each failure. Then what it may have left behind is taken away first; and
//! if `fdatasync` has failed, everything is written anew, as the kernel may have dropped any of it. When
//! that succeeds changes are taken again, without anybody's help. [`Status::trouble`] says what is wrong
//! meanwhile. After a panic, which is a bug of ours, all changes are refused until the program is started
//! anew.
//!
//! # Files
//!
//! | file | |
//! |---|---|
//! | `leases.log` | the log; its format is in [`whohas::dhcp::store::log`] |
//! | `leases.log.new` | the same written anew, without what is no more so; it takes the log's place |
//! | `leases.log.damaged` | the last log of which something could not be read, as it was |
//! | `NAME.quarantine` | of a lease file `NAME`: who declined what |
//! | `NAME.new` | what is going to take a file's place |
//!
//! They are read and written by their owner only, but a lease file that is there keeps its mode.
//!
//! # What is bounded, and what happens at the bound
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | changes whose outcome was not fetched | 16,384 | [`has_room`](whohas::dhcp::store::Store::has_room) is false, and more are refused |
//! | the log | [`Options::growth`] times what it need be, or [`Options::shortest_log`] | it is written anew; if that fails it grows, and [`Status::upkeep`] says why |
//! | memory | a record of each address that is not free; twice that during a snapshot, thrice with an export | |
//! | lines told of what could not be read | 8 | the rest are counted |

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
