//! The head: one preallocated file of two slots that says where the last acknowledged frame ends.
//!
//! It exists because sled can lose its newest batches in silence when a bit flips in its tail. It decides nothing:
//! see `chain` for what is held against it.
//!
//! Each slot is 4096 bytes and holds its fields twice, 2048 bytes apart, so one bad sector costs a copy, not a slot.
//! The slots are written in turns: `counter % 2` is the slot. All numbers are little-endian.
//!
//! | offset in a copy | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `KMBH` |
//! | 4 | 2 | format version, 1 |
//! | 6 | 2 | zero |
//! | 8 | 8 | counter of writes |
//! | 16 | 8 | last acknowledged sequence number |
//! | 24 | 8 | epoch of the owner |
//! | 32 | 8 | generation that holds the last frame |
//! | 40 | 8 | oldest generation that is kept |
//! | 48 | 32 | hash of the last frame |
//! | 80 | 16 | the ledger that it belongs to |
//! | 96 | 4 | CRC32C of bytes 0 to 96 |

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use kembali_core::Seq;

use crate::damage::Flaw;
use crate::files::{SyncFault, create_file_durably};
use crate::frame::FrameHash;

pub(crate) const SLOT_BYTES: usize = 4096;
const SLOTS: usize = 2;
const COPY_STRIDE: usize = 2048;
const COPIES: usize = SLOT_BYTES / COPY_STRIDE;
const MAGIC: [u8; 4] = *b"KMBH";
const VERSION: u16 = 1;
const CHECKED_BYTES: usize = 96;
const COPY_BYTES: usize = CHECKED_BYTES + 4;

const _: () = assert!(COPY_BYTES <= 512);
const _: () = assert!(512 <= COPY_STRIDE);

/// Which ledger a store belongs to: made of the installation's key, from which it cannot be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerId(pub [u8; 16]);

impl fmt::Display for LedgerId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// What one write of the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) counter: u64,
    pub(crate) seq: Seq,
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
    pub(crate) oldest: u64,
    pub(crate) hash: FrameHash,
    pub(crate) ledger: LedgerId,
}

impl Head {
    /// The head of a ledger without records, nobody's yet.
    pub(crate) const EMPTY: Head = Head {
        counter: 1,
        seq: Seq::ZERO,
        epoch: 0,
        generation: 1,
        oldest: 1,
        hash: FrameHash::GENESIS,
        ledger: LedgerId([0; 16]),
    };

    fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut copy = [0; COPY_BYTES];
        copy[0..4].copy_from_slice(&MAGIC);
        copy[4..6].copy_from_slice(&VERSION.to_le_bytes());
        for (at, number) in
            [(8, self.counter), (16, self.seq.0), (24, self.epoch), (32, self.generation), (40, self.oldest)]
        {
            copy[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        copy[48..80].copy_from_slice(&self.hash.0);
        copy[80..96].copy_from_slice(&self.ledger.0);
        let checksum = crc32c::crc32c(&copy[..CHECKED_BYTES]);
        copy[CHECKED_BYTES..].copy_from_slice(&checksum.to_le_bytes());
        let mut slot = [0; SLOT_BYTES];
        for at in 0..COPIES {
            slot[at * COPY_STRIDE..at * COPY_STRIDE + COPY_BYTES].copy_from_slice(&copy);
        }
        slot
    }

    /// Returns `None` for bytes that were not written as a head.
    fn decode(copy: &[u8]) -> Option<Result<Head, Flaw>> {
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&copy[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let stored = u32::from_le_bytes([copy[96], copy[97], copy[98], copy[99]]);
        if copy[0..4] != MAGIC || stored != crc32c::crc32c(&copy[..CHECKED_BYTES]) {
            return None;
        }
        let version = u16::from_le_bytes([copy[4], copy[5]]);
        if version != VERSION {
            return Some(Err(Flaw::HeadVersion { expected: VERSION, found: version }));
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(&copy[48..80]);
        let mut ledger = [0; 16];
        ledger.copy_from_slice(&copy[80..96]);
        Some(Ok(Head {
            counter: number(8),
            seq: Seq(number(16)),
            epoch: number(24),
            generation: number(32),
            oldest: number(40),
            hash: FrameHash(hash),
            ledger: LedgerId(ledger),
        }))
    }
}

/// Why the head was not loaded.
#[derive(Debug)]
pub(crate) enum HeadError {
    Io(io::Error),
    Flaw(Flaw),
}

/// What was found in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// The newest head that is left.
    pub(crate) head: Head,
    /// A slot without any readable copy: it may have been the newer one.
    pub(crate) slot_lost: Option<usize>,
    /// Copies, as (slot, copy), that are damaged beside a readable one.
    pub(crate) copies_lost: Vec<(usize, usize)>,
}

/// The open file.
#[derive(Debug)]
pub(crate) struct HeadFile {
    file: File,
    newest: Head,
    syncs: SyncFault,
}

impl HeadFile {
    /// Creates `dir/name` with both slots saying [`Head::EMPTY`] of `ledger`, durably.
    pub(crate) fn create(dir: &Path, name: &str, ledger: LedgerId, syncs: &SyncFault) -> io::Result<()> {
        let empty = Head { ledger, ..Head::EMPTY };
        let older = Head { counter: empty.counter - 1, ..empty };
        create_file_durably(dir, name, &[older.encode(), empty.encode()].concat(), syncs)
    }

    /// Opens `path` to write it, and says what it holds; `None` when there is no such file. A head of another ledger
    /// than `ledger` is a flaw.
    pub(crate) fn open(
        path: &Path,
        ledger: LedgerId,
        syncs: &SyncFault,
    ) -> Result<Option<(HeadFile, Loaded)>, HeadError> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(HeadError::Io)?,
        };
        // What a crashed owner wrote may still be in memory only, and will be relied on from here.
        syncs.all(&file).map_err(HeadError::Io)?;
        let loaded = load(&file, ledger)?;
        Ok(Some((HeadFile { file, newest: loaded.head, syncs: syncs.clone() }, loaded)))
    }

    /// Reads `path` without opening it to write; `None` when there is no such file.
    pub(crate) fn read(path: &Path, ledger: LedgerId) -> Result<Option<Loaded>, HeadError> {
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HeadError::Io(error)),
            Ok(file) => load(&file, ledger).map(Some),
        }
    }

    pub(crate) fn newest(&self) -> &Head {
        &self.newest
    }

    /// Writes `head` over the older slot and returns once it is durable. Its counter is set here.
    pub(crate) fn write(&mut self, head: Head) -> io::Result<()> {
        let head = Head { counter: self.newest.counter + 1, ..head };
        let at = head.counter % SLOTS as u64 * SLOT_BYTES as u64;
        self.file.write_all_at(&head.encode(), at)?;
        self.syncs.data(&self.file)?;
        self.newest = head;
        Ok(())
    }
}

fn load(file: &File, ledger: LedgerId) -> Result<Loaded, HeadError> {
    let expected = (SLOTS * SLOT_BYTES) as u64;
    let found = file.metadata().map_err(HeadError::Io)?.len();
    if found != expected {
        return Err(HeadError::Flaw(Flaw::HeadSize { expected, found }));
    }
    let mut bytes = [0; SLOTS * SLOT_BYTES];
    file.read_exact_at(&mut bytes, 0).map_err(HeadError::Io)?;
    let mut slots = [None; SLOTS];
    let mut copies_lost = Vec::new();
    for (slot, newest) in slots.iter_mut().enumerate() {
        for copy in 0..COPIES {
            let at = slot * SLOT_BYTES + copy * COPY_STRIDE;
            match Head::decode(&bytes[at..at + COPY_BYTES]) {
                Some(head) => {
                    let head = head.map_err(HeadError::Flaw)?;
                    // A write that a power cut tore leaves one new and one old copy; the frame of the new one is stored.
                    if newest.is_none_or(|kept: Head| kept.counter < head.counter) {
                        *newest = Some(head);
                    }
                }
                None => copies_lost.push((slot, copy)),
            }
        }
    }
    let (head, slot_lost) = match slots {
        [Some(a), Some(b)] => (if a.counter < b.counter { b } else { a }, None),
        [Some(a), None] => (a, Some(1)),
        [None, Some(b)] => (b, Some(0)),
        [None, None] => return Err(HeadError::Flaw(Flaw::HeadLost)),
    };
    if head.ledger != ledger {
        return Err(HeadError::Flaw(Flaw::OtherLedger { expected: ledger, found: head.ledger }));
    }
    copies_lost.retain(|(slot, _)| Some(*slot) != slot_lost);
    Ok(Loaded { head, slot_lost, copies_lost })
}

#[cfg(test)]
mod tests;
