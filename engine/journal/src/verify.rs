//! Reads a journal that nobody runs, always on copies: the originals are never opened by sled. Nothing is mended.

use std::fs::File;
use std::path::{Path, PathBuf};

use kembali_core::Seq;

use crate::chain::Walker;
use crate::damage::{Mended, OpenError};
use crate::durable::read_generation;
use crate::files::{SyncFault, copy_tree, remove_tree};
use crate::frame::{Frame, FrameHash};
use crate::head::{HeadFile, LedgerId, Loaded};
use crate::journal::ReadError;
use crate::recovery::{
    HEAD_NAME, check_copy, complete_numbers, head_error, head_missing, io_at, list_numbers, lock_for_reading,
    report_head, store_error,
};
use crate::sled_dir::{Purpose, unwinding};
use crate::sled_generation::{Generation, GenerationFrames, directory_name};

/// What a journal holds, all of it read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// The last record.
    pub seq: Seq,
    /// The hash of the frame that holds it.
    pub hash: FrameHash,
    /// The epoch in the head.
    pub epoch: u64,
    /// Numbers of the generations that are kept.
    pub generations: Vec<u64>,
    /// Frames read.
    pub frames: u64,
    /// What the next start would put right.
    pub would_mend: Vec<Mended>,
}

/// Checks everything in `dir`, the journal of `ledger`, against its head, on copies made one at a time in `scratch`.
///
/// # Errors
///
/// As [`crate::SledJournal::open`]; nothing in `dir` is changed either way.
pub fn verify_copy(dir: &Path, ledger: LedgerId, scratch: &Path) -> Result<VerifyReport, OpenError> {
    let _lock = lock_for_reading(dir)?;
    let path = dir.join(HEAD_NAME);
    let loaded = read_head(dir, ledger, &path)?;
    let numbers = complete_numbers(dir, &loaded.head)?;
    let mut walker = Walker::new(loaded.head, loaded.slot_lost.is_some());
    let (mut frames, mut would_mend) = (0, Vec::new());
    for number in &numbers {
        let scan = check_copy(dir, scratch, *number, &mut walker)?;
        frames += scan.frames;
        would_mend.extend(scan.torn.map(|(_, chunks)| Mended::TornTail { generation: *number, chunks }));
    }
    let oldest = numbers.first().copied().unwrap_or(loaded.head.oldest);
    let end = walker.finish(oldest).map_err(|found| {
        let (generation, remedy) = (loaded.head.generation, found.remedy());
        let file = dir.join(directory_name(generation));
        OpenError::Damage {
            generation: Some(generation),
            file,
            seq: Some(found.seq),
            what: Box::new(found.flaw),
            remedy,
        }
    })?;
    let trimmed = list_numbers(dir)?.into_iter().filter(|number| *number < loaded.head.oldest);
    would_mend.extend(trimmed.map(|generation| Mended::Trim { generation }));
    report_head(&loaded, &end, &mut would_mend);
    Ok(VerifyReport {
        seq: end.seq,
        hash: end.hash,
        epoch: loaded.head.epoch,
        generations: numbers,
        frames,
        would_mend,
    })
}

/// Reads the frames in `dir` that [`verify_copy`] has checked, in order, on copies made one at a time in `scratch`. What lies behind them is a
/// torn frame, if anything.
///
/// # Errors
///
/// When another process owns the directory.
pub fn read_only_frames(dir: &Path, checked: &VerifyReport, scratch: &Path) -> Result<FramesOnCopy, OpenError> {
    let lock = lock_for_reading(dir)?;
    let left = checked.generations.iter().rev().copied().collect();
    Ok(FramesOnCopy {
        dir: dir.to_path_buf(),
        scratch: scratch.to_path_buf(),
        left,
        frames_left: checked.frames,
        open: None,
        _lock: lock,
    })
}

/// The frames of a directory, read on copies; ends after the first error.
pub struct FramesOnCopy {
    dir: PathBuf,
    scratch: PathBuf,
    /// Numbers of the generations that are still to be read, the next one last.
    left: Vec<u64>,
    frames_left: u64,
    open: Option<OpenCopy>,
    _lock: Option<File>,
}

struct OpenCopy {
    number: u64,
    frames: Box<dyn Iterator<Item = Result<Frame, ReadError>>>,
    path: PathBuf,
    _generation: Generation,
}

impl Drop for OpenCopy {
    fn drop(&mut self) {
        // A copy that is left over is harmless, and there is nobody to tell.
        let _removed = remove_tree(&self.path);
    }
}

impl Iterator for FramesOnCopy {
    type Item = Result<Frame, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.frames_left = self.frames_left.checked_sub(1)?;
        let read = self.advance();
        if let Err(error) = read {
            self.frames_left = 0;
            return Some(Err(error));
        }
        read.transpose()
    }
}

impl FramesOnCopy {
    fn advance(&mut self) -> Result<Option<Frame>, OpenError> {
        loop {
            if let Some(open) = &mut self.open {
                let original = self.dir.join(directory_name(open.number));
                let read = unwinding(&original, || open.frames.next());
                match read.map_err(|error| store_error(error, Some(open.number), &original, None))? {
                    Some(Ok(frame)) => return Ok(Some(frame)),
                    Some(Err(error)) => return Err(read_error(error, &original)),
                    None => self.open = None,
                }
            }
            let Some(number) = self.left.pop() else { return Ok(None) };
            self.open = Some(self.open_copy(number)?);
        }
    }

    fn open_copy(&self, number: u64) -> Result<OpenCopy, OpenError> {
        let original = self.dir.join(directory_name(number));
        let path = self.scratch.join(format!("check-{}", directory_name(number)));
        copy_tree(&original, &path).map_err(io_at("copying", &original))?;
        let syncs = SyncFault::default();
        let open = || Generation::open(path.clone(), number, Purpose::Copy, &mut Vec::new(), &syncs);
        let generation = unwinding(&original, open)
            .and_then(|opened| opened)
            .map_err(|error| store_error(error, Some(number), &original, None))?;
        let frames: GenerationFrames = generation.frames();
        Ok(OpenCopy { number, frames: Box::new(read_generation(number, frames)), path, _generation: generation })
    }
}

fn read_error(error: ReadError, original: &Path) -> OpenError {
    match error {
        ReadError::Io { source, .. } => io_at("reading", original)(source),
        ReadError::Damage { generation, after, flaw } => OpenError::Damage {
            generation: Some(generation),
            file: original.to_path_buf(),
            seq: Some(after.next()),
            remedy: crate::chain::remedy_of(&flaw),
            what: Box::new(flaw),
        },
        ReadError::Trimmed { .. } => unreachable!("a generation is read from its start"),
    }
}

fn read_head(dir: &Path, ledger: LedgerId, path: &Path) -> Result<Loaded, OpenError> {
    match HeadFile::read(path, ledger).map_err(|error| head_error(error, path))? {
        Some(loaded) => Ok(loaded),
        None => Err(head_missing(dir)?),
    }
}
