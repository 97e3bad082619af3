//! The journal in memory, with faults on demand. It outlives its owners as a disk does, and forgets with the process.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, mem};

use kembali_core::Seq;

use crate::chain::{Break, Walker};
use crate::damage::{Flaw, Mended, OpenError};
use crate::durable::Options;
use crate::frame::{Frame, FrameDamage, frame_length};
use crate::head::Head;
use crate::journal::{
    AppendError, Frames, GenerationInfo, Journal, JournalFault, Position, ReadError, SealError, TrimError,
};
use crate::recovery::OpenReport;

/// How an append fails. After it the journal takes no more frames, until a new owner opens the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryFault {
    /// Nothing is stored.
    BeforeStore,
    /// Only so many bytes of the frame are stored, and they are not synced.
    Torn {
        /// Bytes stored.
        bytes: usize,
    },
    /// The whole frame is stored, not synced, and the answer is a failure.
    BeforeSync,
    /// The whole frame is stored and synced, and the answer is a failure.
    AfterSync,
}

/// A disk in memory: what journals leave behind. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Stored>>);

#[derive(Debug)]
struct Stored {
    head: Head,
    generations: Vec<StoredGeneration>,
    /// The owner that may write; an older one is fenced.
    epoch: u64,
    /// Appends until a fault, counted down.
    fault: Option<(u64, MemoryFault)>,
}

#[derive(Debug)]
struct StoredGeneration {
    number: u64,
    bytes: Vec<u8>,
    /// What a power cut leaves of `bytes`.
    synced: usize,
}

impl StoredGeneration {
    fn new(number: u64) -> StoredGeneration {
        StoredGeneration { number, bytes: Vec::new(), synced: 0 }
    }
}

impl Default for Stored {
    fn default() -> Stored {
        let generations = vec![StoredGeneration::new(Head::EMPTY.oldest)];
        Stored { head: Head::EMPTY, generations, epoch: 0, fault: None }
    }
}

impl MemoryDisk {
    /// Makes the `n`-th append from now, counted from 1, fail in the way of `fault`, once.
    pub fn fail_append(&self, n: u64, fault: MemoryFault) {
        self.stored().fault = Some((n, fault));
    }

    /// Cuts the power: what was not synced is gone, and so is the owner.
    pub fn crash(&self) {
        let mut stored = self.stored();
        for generation in &mut stored.generations {
            let synced = generation.synced;
            generation.bytes.truncate(synced);
        }
        stored.epoch += 1;
    }

    /// Returns the stored bytes of the newest generation that has any.
    #[must_use]
    pub fn newest_bytes(&self) -> Vec<u8> {
        self.stored().newest().map_or_else(Vec::new, |generation| generation.bytes.clone())
    }

    /// Changes the stored bytes of the newest generation that has any, as damage or a tampering hand would.
    pub fn change_newest_bytes(&self, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(generation) = self.stored().newest() {
            change(&mut generation.bytes);
            generation.synced = generation.bytes.len();
        }
    }

    /// Copies the disk; the copy is changed on its own.
    #[must_use]
    pub fn image(&self) -> MemoryDisk {
        let stored = self.stored();
        let generations = stored
            .generations
            .iter()
            .map(|generation| StoredGeneration { bytes: generation.bytes.clone(), ..*generation })
            .collect();
        MemoryDisk(Arc::new(Mutex::new(Stored {
            head: stored.head,
            generations,
            epoch: stored.epoch,
            fault: stored.fault,
        })))
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        // A test that panicked with the lock held has left whole values behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    fn newest(&mut self) -> Option<&mut StoredGeneration> {
        self.generations.iter_mut().rev().find(|generation| !generation.bytes.is_empty())
    }

    fn due_fault(&mut self) -> Option<MemoryFault> {
        let (left, fault) = self.fault.as_mut()?;
        *left -= 1;
        if *left != 0 {
            return None;
        }
        let fault = *fault;
        self.fault = None;
        Some(fault)
    }

    fn append(&mut self, frame: &Frame) -> Result<(), io::Error> {
        let fault = self.due_fault();
        let generation = self.generations.last_mut().expect("a disk has a generation");
        let stored = match fault {
            Some(MemoryFault::BeforeStore) => 0,
            Some(MemoryFault::Torn { bytes }) => bytes.min(frame.bytes().len()),
            _ => frame.bytes().len(),
        };
        generation.bytes.extend_from_slice(&frame.bytes()[..stored]);
        match fault {
            None => (),
            Some(fault) => {
                if fault == MemoryFault::AfterSync {
                    generation.synced = generation.bytes.len();
                }
                return Err(io::Error::other("append failed by a fault plan"));
            }
        }
        generation.synced = generation.bytes.len();
        self.head.seq = frame.last_seq();
        self.head.hash = frame.hash();
        self.head.generation = generation.number;
        Ok(())
    }
}

/// A journal on a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryJournal {
    disk: MemoryDisk,
    generation_bytes_max: u64,
    generations: Vec<HeldGeneration>,
    position: Position,
    fault: Option<JournalFault>,
}

#[derive(Debug)]
struct HeldGeneration {
    number: u64,
    frames: Vec<Frame>,
    payload_bytes: u64,
}

impl HeldGeneration {
    fn new(number: u64) -> HeldGeneration {
        HeldGeneration { number, frames: Vec::new(), payload_bytes: 0 }
    }

    fn push(&mut self, frame: Frame) {
        self.payload_bytes += frame.bytes().len() as u64;
        self.frames.push(frame);
    }

    fn info(&self, next: Seq, sealed: bool) -> GenerationInfo {
        GenerationInfo {
            number: self.number,
            first_seq: self.frames.first().map_or(next, Frame::first_seq),
            last_seq: self.frames.last().map_or(Seq(next.0 - 1), Frame::last_seq),
            sealed,
            payload_bytes: self.payload_bytes,
        }
    }
}

impl MemoryJournal {
    /// Opens what is stored on `disk` and takes ownership with the next epoch; the owner before it is fenced.
    ///
    /// # Errors
    ///
    /// When what is stored does not hold everything that was acknowledged.
    pub fn open(disk: &MemoryDisk, options: &Options) -> Result<(MemoryJournal, OpenReport), OpenError> {
        let mut stored = disk.stored();
        if stored.head == Head::EMPTY {
            stored.head.ledger = options.ledger;
        }
        if stored.head.ledger != options.ledger {
            let what = Box::new(Flaw::OtherLedger { expected: options.ledger, found: stored.head.ledger });
            let remedy = crate::chain::remedy_of(&what);
            return Err(OpenError::Damage { generation: None, file: PathBuf::from("memory"), seq: None, what, remedy });
        }
        let mut walker = Walker::new(stored.head, false);
        let mut generations = Vec::new();
        let mut mended = Vec::new();
        for generation in &mut stored.generations {
            generations.push(read_generation(generation, &mut walker, &mut mended)?);
        }
        let oldest = generations.first().map_or(stored.head.oldest, |generation| generation.number);
        let end = walker.finish(oldest).map_err(|found| damage(stored.head.generation, found))?;
        if end.past_head != 0 {
            mended.push(Mended::FramesPastHead { frames: end.past_head });
        }
        let epoch = stored.head.epoch.max(stored.epoch).max(end.epoch) + 1;
        stored.epoch = epoch;
        stored.head = Head { seq: end.seq, hash: end.hash, epoch, generation: end.generation, ..stored.head };
        drop(stored);
        let frames = generations.iter().map(|generation| generation.frames.len() as u64).sum();
        let journal = MemoryJournal {
            disk: disk.clone(),
            generation_bytes_max: options.generation_bytes_max,
            generations,
            position: Position { seq: end.seq, hash: end.hash, epoch },
            fault: None,
        };
        let report = OpenReport { position: journal.position, first_seq: journal.first_seq(), frames, mended };
        Ok((journal, report))
    }

    fn rotate_when_full(&mut self) {
        let current = self.generations.last().expect("a journal has a current generation");
        if self.generation_bytes_max <= current.payload_bytes {
            self.rotate();
        }
    }

    fn rotate(&mut self) {
        let current = self.generations.last().expect("a journal has a current generation");
        if current.frames.is_empty() {
            return;
        }
        let number = current.number + 1;
        self.disk.stored().generations.push(StoredGeneration::new(number));
        self.generations.push(HeldGeneration::new(number));
    }
}

fn damage(generation: u64, found: Break) -> OpenError {
    let remedy = found.remedy();
    let file = PathBuf::from("memory");
    OpenError::Damage { generation: Some(generation), file, seq: Some(found.seq), what: Box::new(found.flaw), remedy }
}

fn read_generation(
    stored: &mut StoredGeneration,
    walker: &mut Walker,
    mended: &mut Vec<Mended>,
) -> Result<HeldGeneration, OpenError> {
    let number = stored.number;
    let mut held = HeldGeneration::new(number);
    let mut at = 0;
    while at < stored.bytes.len() {
        match read_frame(&stored.bytes[at..]) {
            Ok(frame) => {
                walker.frame(number, &frame).map_err(|found| damage(number, found))?;
                at += frame.bytes().len();
                held.push(frame);
            }
            Err(flaw) => {
                let flaw = Flaw::Frame { chunk: held.frames.len() as u64, damage: flaw };
                walker.torn(flaw).map_err(|found| damage(number, found))?;
                mended.push(Mended::TornTail { generation: number, chunks: 1 });
                break;
            }
        }
    }
    stored.bytes.truncate(at);
    stored.synced = at;
    Ok(held)
}

fn read_frame(bytes: &[u8]) -> Result<Frame, FrameDamage> {
    let expected = frame_length(bytes)?;
    let frame = bytes.get(..expected).ok_or(FrameDamage::Short { expected, found: bytes.len() })?;
    Frame::parse(frame)
}

impl Journal for MemoryJournal {
    fn position(&self) -> Position {
        self.position
    }

    fn append(&mut self, frame: &Frame) -> Result<(), AppendError> {
        if let Some(fault) = &self.fault {
            return Err(AppendError::Poisoned(fault.clone()));
        }
        self.position.admit(frame)?;
        let owner = self.disk.stored().epoch;
        if owner != self.position.epoch {
            return Err(AppendError::Fenced { frame: frame.epoch(), owner });
        }
        let stored = self.disk.stored().append(frame);
        if let Err(error) = stored {
            let fault = JournalFault::new("storing a frame", error);
            self.fault = Some(fault.clone());
            return Err(AppendError::Failed(fault));
        }
        self.generations.last_mut().expect("a journal has a current generation").push(frame.clone());
        self.position.seq = frame.last_seq();
        self.position.hash = frame.hash();
        self.rotate_when_full();
        Ok(())
    }

    fn frames(&self, from: Seq) -> Result<Frames<'_>, ReadError> {
        let first = self.first_seq();
        let from = from.max(Seq(1));
        if from < first {
            return Err(ReadError::Trimmed { asked: from, first });
        }
        let frames = self.generations.iter().flat_map(|generation| &generation.frames);
        Ok(Box::new(frames.skip_while(move |frame| frame.last_seq() < from).map(|frame| Ok(frame.clone()))))
    }

    fn first_seq(&self) -> Seq {
        let first = self.generations.iter().find_map(|generation| generation.frames.first());
        first.map_or(self.position.seq.next(), Frame::first_seq)
    }

    fn generations(&self) -> Vec<GenerationInfo> {
        let (next, last) = (self.position.seq.next(), self.generations.len() - 1);
        self.generations.iter().enumerate().map(|(at, generation)| generation.info(next, at < last)).collect()
    }

    fn seal(&mut self) -> Result<(), SealError> {
        if let Some(fault) = &self.fault {
            return Err(SealError::Poisoned(fault.clone()));
        }
        self.rotate();
        Ok(())
    }

    fn trim(&mut self, generation: u64) -> Result<(), TrimError> {
        if let Some(fault) = &self.fault {
            return Err(TrimError::Poisoned(fault.clone()));
        }
        let oldest = self.generations[0].number;
        if generation != oldest {
            return Err(TrimError::NotOldest { asked: generation, oldest });
        }
        if self.generations.len() == 1 {
            return Err(TrimError::NotSealed { asked: generation });
        }
        let mut stored = self.disk.stored();
        stored.head.oldest = generation + 1;
        drop(mem::take(&mut stored.generations[0].bytes));
        stored.generations.remove(0);
        drop(stored);
        self.generations.remove(0);
        Ok(())
    }
}
