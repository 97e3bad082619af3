//! One generation: frames as dense chunks in one sled directory. Knows nothing of the head or of other generations.
//!
//! The key is the chunk number, big-endian, from 0; the value is at most 4096 bytes of a frame. A frame starts on a
//! chunk of its own and fills all but its last one. A frame of few chunks is stored entry by entry, a longer one as one batch.
//!
//! After the last frame there may be spares: keys of chunks to come, each with the value [`SPARE`]. They are made ahead because sled splits
//! a leaf of more than 16 keys and writes both halves anew: that costs little while the values are spares, and a chunk that is stored in
//! the place of a spare splits nothing. A spare promises nothing, so it matters to nobody whether a crash has left it.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use kembali_core::Seq;

use crate::damage::{Flaw, Mended};
use crate::files::SyncFault;
use crate::frame::{Frame, FrameDamage, frame_length};
use crate::journal::GenerationInfo;
use crate::sled_dir::{Purpose, SledDir, StoreError, VALUE_BYTES_MAX, io_error};

/// The value of a key whose chunk is still to come. No frame begins with it.
const SPARE: &[u8] = b"-";

/// How many spares there are at least behind a frame: more than a leaf of sled's has keys, so that none that holds chunks is split.
const SPARES_MIN: u64 = 32;

/// How many spares are made between two syncs at most: few enough that sled begins no second segment meanwhile.
const SPARES_AT_ONCE: u64 = 256;

/// A frame of at most so many chunks is stored entry by entry: a quarter of a segment of sled's, so that at most one is begun meanwhile. sled
/// writes entries in one piece, and a batch in two, each of which it waits for. A power cut may leave some of the entries: a torn frame, which
/// is after the head, and cut.
const CHUNKS_AS_ENTRIES_MAX: u64 = 32;

/// Returns the directory name of generation `number`.
pub(crate) fn directory_name(number: u64) -> String {
    format!("g{number}")
}

/// A frame and where it lies.
pub(crate) struct Located {
    pub(crate) frame: Frame,
    /// The chunk it starts with.
    pub(crate) chunk: u64,
}

/// What ends the reading of a generation.
#[derive(Debug)]
pub(crate) enum Broken {
    /// A frame is damaged from this chunk on.
    At {
        chunk: u64,
        flaw: Flaw,
    },
    Io(io::Error),
}

/// An open generation.
pub(crate) struct Generation {
    number: u64,
    path: PathBuf,
    dir: SledDir,
    extent: Extent,
    /// Count of keys, spares included.
    keys: u64,
    /// False where an earlier build has begun the generation: its leaves are full of chunks.
    has_spares: bool,
}

/// How far a generation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Count of chunks of whole frames.
    pub(crate) chunks: u64,
    pub(crate) payload_bytes: u64,
    /// First and last record; `None` while there is no frame.
    pub(crate) first_seq: Option<Seq>,
    pub(crate) last_seq: Seq,
}

impl Extent {
    pub(crate) const EMPTY: Extent = Extent { chunks: 0, payload_bytes: 0, first_seq: None, last_seq: Seq::ZERO };

    pub(crate) fn add(&mut self, frame: &Frame) {
        self.chunks += chunk_count(frame);
        self.payload_bytes += frame.bytes().len() as u64;
        self.first_seq.get_or_insert(frame.first_seq());
        self.last_seq = frame.last_seq();
    }
}

fn chunk_count(frame: &Frame) -> u64 {
    frame.bytes().len().div_ceil(VALUE_BYTES_MAX) as u64
}

impl Generation {
    /// Makes the generation's directory in `parent`, durably.
    pub(crate) fn create(parent: &Path, number: u64, syncs: &SyncFault) -> io::Result<()> {
        SledDir::create(parent, &directory_name(number), syncs)
    }

    /// Opens the directory at `path`; its extent is empty until [`Generation::set_extent`].
    pub(crate) fn open(
        path: PathBuf,
        number: u64,
        purpose: Purpose,
        mended: &mut Vec<Mended>,
        syncs: &SyncFault,
    ) -> Result<Generation, StoreError> {
        let dir = SledDir::open(&path, purpose, mended, syncs)?;
        let last = dir.tree().last().map_err(|error| StoreError::Io("reading", io_error(error)))?;
        let has_spares = last.as_ref().is_none_or(|(_, value)| value == SPARE);
        // A key that no journal writes is found by the walk over all frames.
        let keys = last.and_then(|(key, _)| number_of(&key)).map_or(0, |last| last.saturating_add(1));
        Ok(Generation { number, path, dir, extent: Extent::EMPTY, keys, has_spares })
    }

    /// Takes over what a walk over all frames has found.
    pub(crate) fn set_extent(&mut self, extent: Extent) {
        self.extent = extent;
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn extent(&self) -> &Extent {
        &self.extent
    }

    /// Describes the generation, where `next` is the record that an empty one will start with.
    pub(crate) fn info(&self, next: Seq, sealed: bool) -> GenerationInfo {
        GenerationInfo {
            number: self.number,
            first_seq: self.extent.first_seq.unwrap_or(next),
            last_seq: self.extent.first_seq.map_or(Seq(next.0 - 1), |_| self.extent.last_seq),
            sealed,
            payload_bytes: self.extent.payload_bytes,
        }
    }

    /// Stores `frame` and returns once it is durable.
    pub(crate) fn append(&mut self, frame: &Frame) -> io::Result<()> {
        let count = chunk_count(frame);
        self.make_spares(count)?;
        let chunks = (self.extent.chunks..).map(u64::to_be_bytes).zip(frame.bytes().chunks(VALUE_BYTES_MAX));
        // Without spares entries split leaves, and take many times their bytes.
        if count == 1 || (self.has_spares && count <= CHUNKS_AS_ENTRIES_MAX) {
            for (key, chunk) in chunks {
                self.dir.tree().insert(key, chunk).map_err(io_error)?;
            }
            self.dir.sync()?;
        } else {
            let mut batch = sled::Batch::default();
            chunks.for_each(|(key, chunk)| batch.insert(&key, chunk));
            self.dir.commit(batch, count as usize)?;
        }
        self.extent.add(frame);
        Ok(())
    }

    /// Sees to it that the next `chunks` chunks find spares, and returns once they are durable: between two syncs there are spares or one
    /// frame, never both, because a segment that sled begins names what it takes for durable before it.
    fn make_spares(&mut self, chunks: u64) -> io::Result<()> {
        let needed = self.extent.chunks + chunks + SPARES_MIN;
        if !self.has_spares || needed <= self.keys {
            return Ok(());
        }
        while self.keys < needed + SPARES_AT_ONCE {
            let end = (self.keys + SPARES_AT_ONCE).min(needed + SPARES_AT_ONCE);
            // In their order: so each leaf is left with nine keys, and with their chunks it has as many pieces as sled leaves apart.
            for number in self.keys..end {
                self.dir.tree().insert(number.to_be_bytes(), SPARE).map_err(io_error)?;
            }
            self.dir.sync()?;
            self.keys = end;
        }
        Ok(())
    }

    /// Takes out every chunk from number `chunk` on as one batch, durably; returns how many there were.
    pub(crate) fn cut(&mut self, chunk: u64) -> io::Result<u64> {
        let keys = self.chunks_from(chunk)?;
        let mut batch = sled::Batch::default();
        keys.iter().for_each(|key| batch.insert(key, SPARE));
        self.dir.commit(batch, keys.len())?;
        Ok(keys.len() as u64)
    }

    /// Lists the keys of the chunks from number `chunk` on.
    pub(crate) fn chunks_from(&self, chunk: u64) -> io::Result<Vec<sled::IVec>> {
        let entries = self.dir.tree().range(key_range(chunk));
        let is_chunk = |entry: &sled::Result<_>| !matches!(entry, Ok((_, value)) if value == SPARE);
        entries.filter(is_chunk).map(|entry| entry.map(|(key, _)| key).map_err(io_error)).collect()
    }

    /// Reads the frames in order; ends after the first error.
    pub(crate) fn frames(&self) -> GenerationFrames {
        GenerationFrames { entries: self.dir.tree().iter(), next_chunk: 0, ended: false }
    }

    /// Reads the frames in order, from the one on that starts at `chunk`.
    pub(crate) fn frames_from(&self, chunk: u64) -> GenerationFrames {
        GenerationFrames { entries: self.dir.tree().range(key_range(chunk)), next_chunk: chunk, ended: false }
    }

    #[cfg(test)]
    pub(crate) fn dir(&self) -> &SledDir {
        &self.dir
    }
}

fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

fn key_range(chunk: u64) -> RangeInclusive<[u8; 8]> {
    chunk.to_be_bytes()..=u64::MAX.to_be_bytes()
}

/// The frames of one generation.
pub(crate) struct GenerationFrames {
    entries: sled::Iter,
    next_chunk: u64,
    ended: bool,
}

impl Iterator for GenerationFrames {
    type Item = Result<Located, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let chunk = self.next_chunk;
        let read = match self.next_entry() {
            Ok(None) => None,
            Ok(Some((_, value))) if value == SPARE => self.only_spares_follow().err().map(Err),
            Ok(Some(entry)) => {
                let first = self.next_chunk_of(entry);
                Some(first.and_then(|value| self.frame_from(&value)).map(|frame| Located { frame, chunk }))
            }
            Err(error) => Some(Err(error)),
        };
        self.ended = !matches!(read, Some(Ok(_)));
        read.map(|read| {
            read.map_err(|error| match error {
                // Whatever is wrong, it is the frame that started here which cannot be read.
                Broken::At { flaw, .. } => Broken::At { chunk, flaw },
                error => error,
            })
        })
    }
}

impl GenerationFrames {
    fn frame_from(&mut self, first: &[u8]) -> Result<Frame, Broken> {
        let at = self.next_chunk - 1;
        let damaged = |damage: FrameDamage| Broken::At { chunk: at, flaw: Flaw::Frame { chunk: at, damage } };
        let length = frame_length(first).map_err(damaged)?;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(first);
        while bytes.len() < length {
            if !bytes.len().is_multiple_of(VALUE_BYTES_MAX) {
                return Err(damaged(FrameDamage::Short { expected: length, found: bytes.len() }));
            }
            match self.next_value()? {
                Some(value) => bytes.extend_from_slice(&value),
                None => return Err(damaged(FrameDamage::Short { expected: length, found: bytes.len() })),
            }
        }
        Frame::parse(bytes).map_err(damaged)
    }

    /// Reads on from a spare: there must be nothing else, but there may be gaps.
    fn only_spares_follow(&mut self) -> Result<(), Broken> {
        while let Some((found, value)) = self.next_entry()? {
            if value != SPARE {
                let expected = self.next_chunk;
                return Err(Broken::At { chunk: expected, flaw: Flaw::ChunkMissing { expected, found } });
            }
        }
        Ok(())
    }

    fn next_value(&mut self) -> Result<Option<sled::IVec>, Broken> {
        self.next_entry()?.map(|entry| self.next_chunk_of(entry)).transpose()
    }

    /// Returns the value of an entry that must be the next chunk.
    fn next_chunk_of(&mut self, (found, value): (u64, sled::IVec)) -> Result<sled::IVec, Broken> {
        let expected = self.next_chunk;
        if found != expected {
            return Err(Broken::At { chunk: expected, flaw: Flaw::ChunkMissing { expected, found } });
        }
        if value.is_empty() {
            let damage = FrameDamage::Short { expected: 1, found: 0 };
            return Err(Broken::At { chunk: expected, flaw: Flaw::Frame { chunk: expected, damage } });
        }
        self.next_chunk += 1;
        Ok(value)
    }

    fn next_entry(&mut self) -> Result<Option<(u64, sled::IVec)>, Broken> {
        let chunk = self.next_chunk;
        let Some(entry) = self.entries.next() else { return Ok(None) };
        let (key, value) = entry.map_err(|error| match error {
            sled::Error::Io(error) if error.raw_os_error().is_some() => Broken::Io(error),
            error => Broken::At { chunk, flaw: Flaw::StoreRefused { said: error.to_string() } },
        })?;
        match number_of(&key) {
            Some(number) if value.len() <= VALUE_BYTES_MAX => Ok(Some((number, value))),
            _ => {
                let flaw = Flaw::ChunkShape { entry: chunk, key: key.len(), value: value.len() };
                Err(Broken::At { chunk, flaw })
            }
        }
    }
}

#[cfg(test)]
mod tests;
