//! How it works, and why each memory ordering is what it is: for reviewers. No code.
//!
//! # The parts
//!
//! **A cell** stands for one address and is two words. The *word* is what is known: 48 bits of MAC, or
//! that there is none, and a tag of the generation that it was said to. The *claims* are a count, a
//! generation and two flags: QUEUED, the owner has been told to look at the address; LIVE, the cell
//! is counted in its block as claimed. Each is one atomic, so neither is ever seen half-written.
//!
//! **A block** is the cells of 262,144 addresses with the same first bits, on one VLAN. Which cell an
//! address has never changes, so there is no way to read one neighbour's MAC under another's address.
//! Words and claims are separate arrays of zeros lent by the system: looking up touches words only,
//! and memory is used by the page. A closed block never opens again; its replacement is a new one.
//!
//! **The directory** says where the blocks are, in a run of slots for each prefix. It is replaced
//! when the prefixes change (`arc-swap`), and blocks move on to the next one with all who hold
//! something in them. Each reader has a picture of it and looks into the block that the picture shows
//! *first*. A word that names a MAC is right wherever it was found. Only one that says nothing may be
//! in a block that was replaced, and only then the reader looks at the epoch, which counts new blocks
//! and directories, to see whether its picture is still true. So a hit costs one atomic load, whatever happened to the directory.
//!
//! **The token** is one word, HELD and NOTED. Whoever sets HELD runs the cache for a moment. Whoever
//! finds it set leaves its work where it will be found (frames and times in its outbox, addresses on
//! the list), sets NOTED in the same read-modify-write, and goes on. The holder lets go by exchanging
//! "HELD and nothing else" for zero; that fails if there is a note, and it looks again. There is no
//! instant at which work is left and neither side knows. After a few rounds the holder leaves the
//! note standing, lets go, and publishes that something is due *now*, which every queue sees.
//!
//! **The list** holds addresses whose count went from none to some or back. QUEUED keeps an address
//! from being put on it again and again, so it needs no bound of its own and a release cannot fail. The owner
//! clears QUEUED, then reads the count, then makes the cache agree: one cache hold while the count is
//! not zero. Releases leave no note: they are found before anything else is done in the next turn, so
//! no request is sent and no entry refreshed for somebody who has left.
//!
//! **The feed** is a ring of changed addresses with a counter. An entry carries the lap of the ring,
//! so a reader that was overtaken sees it by the entry itself.
//!
//! # The orderings
//!
//! | what | is written | is read | because |
//! |---|---|---|---|
//! | word | `Release` by the owner | `Acquire` by all | who sees a MAC sees the number of its change |
//! | change number of a cell | `Relaxed`, before its word | `Relaxed`, after the word's `Acquire` | never older than the word it belongs to: of two changes, only the last is told |
//! | claims | `AcqRel` exchanges by all | `Acquire` | the generation decides what the word means; see below |
//! | claimed cells of a block | `AcqRel` read-modify-writes | - | "closed" and "one more claimed" exclude each other in one word |
//! | cells of a block in which something is known | `Relaxed` | `Relaxed` | only under the token, which orders it |
//! | chunks of a block ever in use | `AcqRel`, before the cell's LIVE or its word | `Acquire` | the owner, who saw the cell through the list, sees its chunk |
//! | token | `Acquire` to take, `Release` to let go, `AcqRel` to note | - | what the last holder did; what the note is about |
//! | seats with a filled outbox | `Release`, after the frame, before the note | `Acquire` exchange | the note orders it; the bit only says where to look |
//! | list | the queue's own; before the note | after the note was taken away | as above |
//! | when something is due | `Release` at the end of a turn | `Acquire` | a queue that sees it takes the token anyway, which orders the rest |
//! | directory | `arc-swap` | `arc-swap` | |
//! | epoch | `Release`, after the directory and the slots | `Acquire`, before them | a picture is never older than its number; if it is newer, it is only drawn once more |
//! | feed entry | `Relaxed`, before the counter | `Relaxed`, after it | the counter orders it; the lap says if it was overwritten since |
//! | feed counter | `Release` | `Acquire` | who sees the number sees the change, its cell's number and its word |
//! | who is asleep | `AcqRel` read-modify-writes by both sides | - | see below |
//! | a hold's "still counted" | `AcqRel` exchange | `Acquire` | hold and reader may both end it: one of them gives the count back |
//!
//! # The arguments that need more than a line
//!
//! **A hold never speaks of another generation.** A removal first ends the generation in the claims,
//! then changes the word. A holder reads the word, then the claims. If the claims still show its
//! generation, the removal had not begun when the word was read, so the word is not of a *later* one.
//! That it is not of an *earlier* one says its tag: whoever claimed between the two steps of a removal
//! finds the old word, sees the old tag, and waits. Tags have 14 bits, but only neighbouring
//! generations can meet: the word changes before the owner can end another.
//!
//! **A release leaves no note, and still nobody is forgotten.** Whoever gives up the last claim marks
//! the address QUEUED and puts it on the list; the cache goes on holding the entry until somebody
//! looks. Whoever claims it next finds the mark, says nothing either, and is right: the entry is held.
//! So where an entry goes although it was held, or its claims are refused, the owner does not rely on
//! the list: it looks at a marked address in the same turn, and a generation that ends takes its mark
//! with it.
//!
//! **Eviction wins the count from zero, or not at all.** Before the cache forgets an entry that
//! nobody holds as far as it knows, it asks ([`Profile::may_forget`](crate::cache::Profile)), and the
//! answer is an exchange of "no claims" for "no claims, next generation". If a queue was quicker, the
//! exchange fails and the entry counts as held. If it succeeds, a queue that comes later is of the new
//! generation, and the owner finds its address on the list.
//!
//! **A block goes only when nobody is in it.** Claiming a cell that is not LIVE counts it in the block
//! *before* the exchange that claims it; closing exchanges a count of zero for "closed". A claim that
//! finds the block closed takes its count back and looks at the directory again. The owner clears
//! LIVE by an exchange that fails if anybody claimed meanwhile. What is known in the block only the
//! owner changes, and it is the owner who closes.
//!
//! **Whoever is stopped makes nobody older.** Each queue reads the clock for itself, and may be stopped
//! before it says the time. The cache is given the latest of all; what comes late is no time. Only a
//! queue that names a much earlier time than it named itself says that the clock was set back.
//!
//! **No wake-up is lost.** A task registers at its seat, sets the seat's bit, then looks once more. The
//! owner publishes, then reads the bits by a read-modify-write. Of two read-modify-writes on one word
//! one is first. If it is the owner's, the task's sees all that was published before it, and its last
//! look finds the outcome. If it is the task's, the owner finds the bit and wakes it. A plain load by
//! the owner would not do: it could be early, and the task's last look too.
//!
//! **A block that was made too late.** A queue may put a new block into a directory that is just being
//! replaced. Its first claim goes on the list with the block itself, so the owner, who does not find
//! the block in the table, closes it and ends the claim: the queue claims once more, and a hold that
//! was given out meanwhile says that it is gone.
//!
//! # What is not promised
//!
//! Nothing waits for a thread that was stopped *between* two calls. One that the system stops in the
//! middle of a turn keeps the token until it goes on: look-ups and holds of known neighbours are not
//! concerned, frames wait in the outboxes, and [`OutboxFull`](super::OutboxFull) tells when that is
//! too long. One that is stopped between its claim of a new neighbour and its note keeps that
//! neighbour from being asked for. Give queues that must not wait for each other cores of their own.
//!
//! # What shows it
//!
//! Models of each of these arguments run under loom, which tries every interleaving and every value
//! that a load may legally see (`cargo xtask test loom`); at each is written with which weakened
//! ordering it fails. A model of the whole behaviour is compared with it over random schedules, and
//! threads hammer at it (`cargo xtask test stress`).
