//! What can be wrong with a stored file, where, and what to do about it. No checks here.

use std::io;
use std::path::{Path, PathBuf};

use kembali_core::{CustomerId, Seq};
use kembali_journal::codec::DecodeError;
use kembali_journal::{FrameDamage, FrameHash};
use thiserror::Error;

/// What is wrong with stored bytes.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The file is shorter or longer than it says of itself.
    #[error("the file has {found} bytes, expected {expected}")]
    Size {
        /// Bytes expected.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The bytes that mark a kind of file are others.
    #[error("the {what} is {found:02x?}, expected {expected:02x?}")]
    Magic {
        /// Which mark.
        what: &'static str,
        /// The mark of this kind of file.
        expected: [u8; 4],
        /// What was found.
        found: [u8; 4],
    },
    /// A version or a kind that this build does not read.
    #[error("the {what} is {found}, this build reads {expected}")]
    Version {
        /// Of what.
        what: &'static str,
        /// The one this build reads.
        expected: u32,
        /// The one found.
        found: u32,
    },
    /// A checksum does not fit its bytes.
    #[error("the checksum of the {what} is {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Of what.
        what: &'static str,
        /// Stored with the bytes.
        expected: u32,
        /// Computed from the bytes.
        found: u32,
    },
    /// The hash of the whole file is another.
    #[error("the BLAKE3 hash of the file is {found}, expected {expected}")]
    FileHash {
        /// Stored in the footer.
        expected: FileHash,
        /// Computed from the bytes.
        found: FileHash,
    },
    /// A field holds what no writer puts there.
    #[error("the {0} is out of range")]
    OutOfRange(&'static str),
    /// The name of the file says otherwise than the file.
    #[error("the file says that it is number {inside}, its name says {name}")]
    Name {
        /// What the name says.
        name: u64,
        /// What the file says.
        inside: u64,
    },
    /// A block does not decompress.
    #[error("block {block} does not decompress: {said}")]
    Compression {
        /// Number of the block, from 0.
        block: usize,
        /// What the library said.
        said: String,
    },
    /// Bytes that are no frame.
    #[error("a frame is damaged: {0}")]
    Frame(FrameDamage),
    /// A record number was skipped or repeated.
    #[error("sequence number {} was found where {} belongs", found.0, expected.0)]
    NotDense {
        /// The number that should have come.
        expected: Seq,
        /// The number that came.
        found: Seq,
    },
    /// The chain of hashes does not fit.
    #[error("the frame from {} to {} has the hash {found}, but what follows it names {expected}", first.0, last.0)]
    Chain {
        /// First record of the frame.
        first: Seq,
        /// Last record of the frame.
        last: Seq,
        /// The hash that what follows names.
        expected: FrameHash,
        /// The hash of the frame.
        found: FrameHash,
    },
    /// A snapshot was taken at the end of another frame.
    #[error("it was taken at {} after the frame {found}, but the ledger has {expected} there", seq.0)]
    Cut {
        /// Where it was taken.
        seq: Seq,
        /// The hash of the ledger's frame.
        expected: FrameHash,
        /// The hash of the snapshot's frame.
        found: FrameHash,
    },
    /// Bytes that are whole and no record.
    #[error("it cannot be decoded: {0}")]
    Decode(DecodeError),
    /// A table does not hold what the records say.
    #[error("entry {entry} of the {table} is not what the records say")]
    Table {
        /// Which table.
        table: &'static str,
        /// The entry, from 0.
        entry: usize,
    },
    /// Entries that must rise do not.
    #[error("the entries of the {0} do not rise")]
    Order(&'static str),
    /// A file that must be there is not.
    #[error("the file is missing")]
    Missing,
    /// The state is not the one whose digest was stored.
    #[error("the digest of the ledger in it is {found}, expected {expected}")]
    Digest {
        /// Stored in the footer.
        expected: FileHash,
        /// Computed from the state.
        found: FileHash,
    },
    /// A customer's row says that it is another's.
    #[error("the row of customer {:032x} holds customer {:032x}", expected.0, found.0)]
    Row {
        /// Whose row it should be.
        expected: CustomerId,
        /// Whose row it is.
        found: CustomerId,
    },
    /// Bytes that are whole and no value.
    #[error("the {what} cannot be decoded: {said}")]
    Value {
        /// What it should be.
        what: &'static str,
        /// What the codec said.
        said: String,
    },
    /// Values that make no state.
    #[error("the state cannot be put together: {0}")]
    Misfit(&'static str),
    /// What was read back is not what was written.
    #[error("what was read back is not what was written")]
    ReadBack,
}

/// A BLAKE3 hash of 32 bytes, shown as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileHash(pub [u8; 32]);

impl std::fmt::Display for FileHash {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl std::fmt::Debug for FileHash {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, out)
    }
}

/// What an operator can do about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Remedy {
    /// A segment of the archive cannot be trusted or is missing.
    #[error("restore this segment from a backup; nothing was changed here")]
    RestoreSegment,
    /// Archive and journal do not belong together, or something between them is missing.
    #[error("restore archive and journal from one backup; nothing was changed here")]
    RestoreBoth,
    /// A snapshot cannot be trusted.
    #[error("move this snapshot away: an older one, or none, serves as well and only makes the start longer")]
    MoveSnapshot,
    /// Another build made it.
    #[error("start the version of the program that wrote it")]
    UseOtherVersion,
    /// The drive or the memory gave back other bytes than were written.
    #[error("remove this file and look at drive and memory: what it was made from is still there")]
    RemoveNew,
}

/// Damage: what, where, and what to do. One line, since start-up prints one.
#[derive(Debug, Error)]
#[error("{} is damaged{}{}: {what}; {remedy}", file.display(), at_byte(*at), at_seq(*seq))]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// The byte at which the damaged part starts, where there is one.
    pub at: Option<u64>,
    /// The first record that cannot be trusted, where it is known.
    pub seq: Option<Seq>,
    /// What is wrong.
    pub what: Flaw,
    /// What to do.
    pub remedy: Remedy,
}

fn at_byte(at: Option<u64>) -> String {
    at.map_or_else(String::new, |at| format!(" at byte {at}"))
}

fn at_seq(seq: Option<Seq>) -> String {
    seq.map_or_else(String::new, |seq| format!(" at sequence number {}", seq.0))
}

/// A file could not be read or written.
#[derive(Debug, Error)]
#[error("{doing} {}: {source}", path.display())]
pub struct IoFault {
    /// The step that failed.
    pub doing: &'static str,
    /// Where.
    pub path: PathBuf,
    /// What the system said. Displayed as part of the fault, since start-up prints one line.
    pub source: io::Error,
}

impl IoFault {
    pub(crate) fn new(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IoFault {
        let path = path.to_path_buf();
        move |source| IoFault { doing, path, source }
    }
}

/// Why a stored file, or a part of it, cannot be read. Nothing was changed.
#[derive(Debug, Error)]
pub enum ReadError {
    /// What is stored is not what was written.
    #[error(transparent)]
    Damage(#[from] Box<Damage>),
    /// The system could not read it.
    #[error(transparent)]
    Io(#[from] IoFault),
}

impl ReadError {
    /// Returns the damage, unless it is the system that failed.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        match self {
            ReadError::Damage(damage) => Some(damage),
            ReadError::Io(_) => None,
        }
    }
}

impl ReadError {
    /// Returns true when the bytes are whole and of an older version of their format. What is derived from the records, as
    /// a snapshot is, is then made anew.
    #[must_use]
    pub fn is_older_version(&self) -> bool {
        self.damage().is_some_and(|damage| match damage.what {
            Flaw::Version { expected, found, .. } => found < expected,
            _ => false,
        })
    }
}

/// A flaw and its place in one file; its file adds name and remedy.
#[derive(Debug)]
pub(crate) struct Found {
    at: Option<u64>,
    seq: Option<Seq>,
    /// Boxed: it is large, and nearly every check ends without one.
    what: Box<Flaw>,
}

impl Found {
    /// Finds a flaw in the file as a whole.
    pub(crate) fn whole(what: Flaw) -> Found {
        Found { at: None, seq: None, what: Box::new(what) }
    }

    /// Finds a flaw at a byte.
    pub(crate) fn at(at: u64, what: Flaw) -> Found {
        Found { at: Some(at), seq: None, what: Box::new(what) }
    }

    /// Finds a flaw that concerns a record.
    pub(crate) fn of(seq: Seq, what: Flaw) -> Found {
        Found { at: None, seq: Some(seq), what: Box::new(what) }
    }

    /// Adds the byte.
    pub(crate) fn placed(self, at: u64) -> Found {
        Found { at: Some(at), ..self }
    }

    pub(crate) fn in_file(self, file: &Path, remedy: Remedy) -> ReadError {
        let Found { at, seq, what } = self;
        let remedy = if matches!(*what, Flaw::Version { .. }) { Remedy::UseOtherVersion } else { remedy };
        ReadError::Damage(Box::new(Damage { file: file.to_path_buf(), at, seq, what: *what, remedy }))
    }
}
