//! The journal on disk: generations in sled, the head beside them, one owner. Opening is in `recovery`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use kembali_core::Seq;

use crate::files::{SyncFault, remove_tree};
use crate::frame::Frame;
use crate::head::{Head, HeadFile, LedgerId};
use crate::journal::{
    AppendError, Frames, GenerationInfo, Journal, JournalFault, Position, ReadError, SealError, TrimError,
};
use crate::sled_dir::{Purpose, StoreError};
use crate::sled_generation::{Broken, Generation, GenerationFrames, directory_name};

/// Default bound of a generation: 128 MiB of frames.
pub const GENERATION_BYTES_MAX_DEFAULT: u64 = 128 * 1024 * 1024;

/// How a journal is run; nothing here decides what is durable.
#[derive(Clone, Debug)]
pub struct Options {
    /// A generation that holds at least so many bytes of frames is sealed.
    pub generation_bytes_max: u64,
    /// The ledger that the journal belongs to.
    pub ledger: LedgerId,
    /// Counts syncs, and makes them fail in tests.
    pub syncs: SyncFault,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            generation_bytes_max: GENERATION_BYTES_MAX_DEFAULT,
            ledger: LedgerId::default(),
            syncs: SyncFault::default(),
        }
    }
}

/// The generation after the current one.
pub(crate) enum Prepared {
    None,
    Running(JoinHandle<io::Result<Generation>>),
}

/// The journal in one data directory.
///
/// One process owns the directory while it lives. Dropping it closes the files; nothing that was acknowledged depends
/// on that.
pub struct SledJournal {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) head: HeadFile,
    /// Oldest first; the last one takes the frames. Never empty.
    pub(crate) generations: Vec<Generation>,
    pub(crate) prepared: Prepared,
    /// Removes what is left of a generation that was dropped.
    pub(crate) removal: Option<JoinHandle<io::Result<()>>>,
    pub(crate) position: Position,
    pub(crate) fault: Option<JournalFault>,
    /// Held for its lock, and last, so that the files are closed when it is released.
    pub(crate) _lock: File,
}

impl SledJournal {
    fn current(&mut self) -> &mut Generation {
        self.generations.last_mut().expect("a journal has a current generation")
    }

    fn current_info(&self) -> &Generation {
        self.generations.last().expect("a journal has a current generation")
    }

    fn is_full(&self) -> bool {
        let extent = self.current_info().extent();
        extent.first_seq.is_some() && self.options.generation_bytes_max <= extent.payload_bytes
    }

    /// Stores and syncs in the order that the head rests on: the frame first.
    fn store(&mut self, frame: &Frame) -> Result<(), JournalFault> {
        self.rotate_when_full().map_err(|error| JournalFault::new("starting a generation", error))?;
        self.current().append(frame).map_err(|error| JournalFault::new("storing a frame", error))?;
        let head = Head {
            seq: frame.last_seq(),
            hash: frame.hash(),
            generation: self.current_info().number(),
            ..*self.head.newest()
        };
        self.head.write(head).map_err(|error| JournalFault::new("writing the head", error))
    }

    fn rotate_when_full(&mut self) -> io::Result<()> {
        if self.is_full() { self.rotate() } else { Ok(()) }
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.prepare();
        // Waits only when the generation filled up faster than the next one was made.
        let next = match std::mem::replace(&mut self.prepared, Prepared::None) {
            Prepared::Running(thread) => join(thread)?,
            Prepared::None => unreachable!("preparing leaves a thread"),
        };
        self.generations.push(next);
        Ok(())
    }

    /// Starts to make the next generation, once.
    fn prepare(&mut self) {
        if !matches!(self.prepared, Prepared::None) {
            return;
        }
        let number = self.current_info().number() + 1;
        let (dir, syncs) = (self.dir.clone(), self.options.syncs.clone());
        self.prepared = Prepared::Running(thread::spawn(move || create_and_open(&dir, number, &syncs)));
    }

    /// Prepares the next generation in time, and seals a full one as soon as the next is there. Learns what became of one that was dropped.
    fn look_ahead(&mut self) {
        if self.removal.as_ref().is_some_and(JoinHandle::is_finished)
            && let Err(error) = self.wait_for_removal()
        {
            self.fault = Some(JournalFault::new("removing a generation", error));
        }
        if self.options.generation_bytes_max / 2 <= self.current_info().extent().payload_bytes {
            self.prepare();
        }
        let ready = match &self.prepared {
            Prepared::Running(thread) => thread.is_finished(),
            Prepared::None => false,
        };
        // Otherwise the next append waits for it: the frame just stored is durable and must not.
        if ready && let Err(error) = self.rotate_when_full() {
            self.fault = Some(JournalFault::new("starting a generation", error));
        }
    }

    fn drop_oldest(&mut self, generation: u64) -> Result<(), JournalFault> {
        self.wait_for_removal().map_err(|error| JournalFault::new("removing a generation", error))?;
        // The head comes first: a generation that is missing without its word is damage.
        let head = Head { oldest: generation + 1, ..*self.head.newest() };
        self.head.write(head).map_err(|error| JournalFault::new("writing the head", error))?;
        let dropped = self.generations.remove(0);
        let (dir, syncs) = (self.dir.clone(), self.options.syncs.clone());
        // Closing it and giving back hundreds of megabytes takes longer than a purchase should wait.
        self.removal = Some(thread::spawn(move || {
            drop(dropped);
            retire(&dir, generation, &syncs)
        }));
        Ok(())
    }

    /// Waits until a generation that was dropped is gone. What cannot be removed now is removed by the next start.
    fn wait_for_removal(&mut self) -> io::Result<()> {
        let Some(thread) = self.removal.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that removes a generation panicked")))
    }
}

/// Renames a generation out of the way, durably, and removes it.
pub(crate) fn retire(dir: &Path, generation: u64, syncs: &SyncFault) -> io::Result<()> {
    let name = directory_name(generation);
    let doomed = dir.join(format!("del-{name}"));
    remove_tree(&doomed)?;
    fs::rename(dir.join(name), &doomed)?;
    syncs.path(dir)?;
    remove_tree(&doomed)
}

/// Makes and opens generation `number`.
pub(crate) fn create_and_open(dir: &Path, number: u64, syncs: &SyncFault) -> io::Result<Generation> {
    Generation::create(dir, number, syncs)?;
    let opened = Generation::open(dir.join(directory_name(number)), number, Purpose::Real, &mut Vec::new(), syncs);
    opened.map_err(|error| match error {
        StoreError::Io(_, error) => error,
        StoreError::Flaw(flaw) => io::Error::other(flaw),
    })
}

fn join(thread: JoinHandle<io::Result<Generation>>) -> io::Result<Generation> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that makes a generation panicked")))
}

impl Journal for SledJournal {
    fn position(&self) -> Position {
        self.position
    }

    fn append(&mut self, frame: &Frame) -> Result<(), AppendError> {
        if let Some(fault) = &self.fault {
            return Err(AppendError::Poisoned(fault.clone()));
        }
        self.position.admit(frame)?;
        if let Err(fault) = self.store(frame) {
            self.fault = Some(fault.clone());
            return Err(AppendError::Failed(fault));
        }
        self.position.seq = frame.last_seq();
        self.position.hash = frame.hash();
        self.look_ahead();
        Ok(())
    }

    fn frames(&self, from: Seq) -> Result<Frames<'_>, ReadError> {
        let first = self.first_seq();
        // 0 stands before the first record, so it asks for everything there ever was.
        let from = from.max(Seq(1));
        if from < first {
            return Err(ReadError::Trimmed { asked: from, first });
        }
        let holds = move |generation: &&Generation| from <= generation.extent().last_seq;
        let generations = self.generations.iter().skip_while(move |generation| !holds(generation));
        let frames = generations.flat_map(|generation| read_generation(generation.number(), generation.frames()));
        let mut failed = false;
        Ok(Box::new(
            frames
                .take_while(move |read| !std::mem::replace(&mut failed, read.is_err()))
                .skip_while(move |read| read.as_ref().is_ok_and(|frame| frame.last_seq() < from)),
        ))
    }

    fn first_seq(&self) -> Seq {
        let first = self.generations.iter().find_map(|generation| generation.extent().first_seq);
        first.unwrap_or_else(|| self.position.seq.next())
    }

    fn generations(&self) -> Vec<GenerationInfo> {
        let (next, last) = (self.position.seq.next(), self.generations.len() - 1);
        self.generations.iter().enumerate().map(|(at, generation)| generation.info(next, at < last)).collect()
    }

    fn seal(&mut self) -> Result<(), SealError> {
        if let Some(fault) = &self.fault {
            return Err(SealError::Poisoned(fault.clone()));
        }
        if self.current_info().extent().first_seq.is_none() {
            return Ok(());
        }
        self.rotate().map_err(|error| {
            let fault = JournalFault::new("starting a generation", error);
            self.fault = Some(fault.clone());
            SealError::Failed(fault)
        })
    }

    fn trim(&mut self, generation: u64) -> Result<(), TrimError> {
        if let Some(fault) = &self.fault {
            return Err(TrimError::Poisoned(fault.clone()));
        }
        let oldest = self.generations[0].number();
        if generation != oldest {
            return Err(TrimError::NotOldest { asked: generation, oldest });
        }
        if self.generations.len() == 1 {
            return Err(TrimError::NotSealed { asked: generation });
        }
        self.drop_oldest(generation).map_err(|fault| {
            self.fault = Some(fault.clone());
            TrimError::Failed(fault)
        })
    }
}

impl Drop for SledJournal {
    fn drop(&mut self) {
        // A thread that still makes or removes a directory would do it in the hands of the next owner.
        if let Prepared::Running(thread) = std::mem::replace(&mut self.prepared, Prepared::None) {
            drop(join(thread));
        }
        drop(self.wait_for_removal());
    }
}

impl std::fmt::Debug for SledJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledJournal").field("dir", &self.dir).field("position", &self.position).finish_non_exhaustive()
    }
}

/// Reads the frames of one generation as the journal's readers see them.
pub(crate) fn read_generation(
    generation: u64,
    frames: GenerationFrames,
) -> impl Iterator<Item = Result<Frame, ReadError>> {
    let mut after = Seq::ZERO;
    frames.map(move |read| match read {
        Ok(located) => {
            after = located.frame.last_seq();
            Ok(located.frame)
        }
        Err(Broken::At { flaw, .. }) => Err(ReadError::Damage { generation, after, flaw }),
        Err(Broken::Io(source)) => Err(ReadError::Io { generation, source }),
    })
}
