//! Opening the journal on disk: everything is checked on copies and against the head before an original is touched.
//!
//! sled rewrites its file while it opens, and can come up shorter without a word; so a damaged original must not be
//! opened. A torn frame is cut only after the head. Everything else that does not fit refuses to start.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use kembali_core::Seq;

use crate::chain::{Break, End, Walker, remedy_of};
use crate::damage::{Flaw, Mended, OpenError};
use crate::durable::{Options, Prepared, SledJournal, create_and_open, retire};
use crate::files::{SyncFault, copy_tree, create_dir_durably, remove_tree};
use crate::frame::FrameHash;
use crate::head::{Head, HeadError, HeadFile, LedgerId, Loaded};
use crate::journal::{Journal, Position};
use crate::sled_dir::{Purpose, StoreError, unwinding};
use crate::sled_generation::{Broken, Extent, Generation, directory_name};

pub(crate) const HEAD_NAME: &str = "head";
const LOCK_NAME: &str = "lock";

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// The end of what is durable, with the epoch of the new owner.
    pub position: Position,
    /// The first record still held.
    pub first_seq: Seq,
    /// Frames read.
    pub frames: u64,
    /// Everything that was put right.
    pub mended: Vec<Mended>,
}

/// What a walk over one generation found.
pub(crate) struct Scan {
    pub(crate) number: u64,
    pub(crate) extent: Extent,
    pub(crate) frames: u64,
    /// The last whole frame: where it starts, and its hash.
    last_frame: Option<(u64, FrameHash)>,
    /// Where a torn frame starts, and how many chunks of it there are.
    pub(crate) torn: Option<(u64, u64)>,
}

impl SledJournal {
    /// Opens the journal in `dir`, making it when there is none, and takes ownership with the next epoch.
    ///
    /// Reads everything that is kept. Needs room for a copy of the largest generation.
    ///
    /// # Errors
    ///
    /// When another process owns the directory, when a file cannot be read or written, or when what is stored does not
    /// hold everything that was acknowledged; damage leaves the originals as they were.
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<(SledJournal, OpenReport), OpenError> {
        SledJournal::open_owned(JournalOwner::of(dir, &options.syncs)?, options)
    }

    /// Opens the journal of a directory that is owned already; see [`SledJournal::open`].
    ///
    /// # Errors
    ///
    /// As [`SledJournal::open`].
    pub fn open_owned(owner: JournalOwner, options: Options) -> Result<(SledJournal, OpenReport), OpenError> {
        let JournalOwner { dir, lock } = owner;
        let syncs = options.syncs.clone();
        let mut mended = Vec::new();
        let (mut head, loaded) = open_head(&dir, options.ledger, &syncs)?;
        let numbers = complete_numbers(&dir, &loaded.head)?;
        let (scans, end) = check_copies(&dir, &numbers, &loaded)?;
        // Only now: under a head of another ledger these would remove what is still needed.
        remove_leftovers(&dir, &mut mended).map_err(io_at("removing leftovers from", &dir))?;
        finish_trims(&dir, &loaded.head, &mut mended, &syncs)?;
        let mut generations = open_originals(&dir, &scans, &mut mended, &syncs)?;
        cut_torn_tail(&mut generations, &scans, &mut mended)?;
        report_head(&loaded, &end, &mut mended);
        let current = with_current(generations, &dir, &options)?;

        // A lost slot may have named an epoch after this one, with which no frame that is left was written.
        let epoch = loaded.head.epoch.max(end.epoch) + 1 + u64::from(loaded.slot_lost.is_some());
        let position = Position { seq: end.seq, hash: end.hash, epoch };
        let named = Head { seq: end.seq, hash: end.hash, epoch, generation: end.generation, ..loaded.head };
        let writes = if loaded.copies_lost.is_empty() { 1 } else { 2 };
        for _ in 0..writes {
            head.write(named).map_err(io_at("writing", &dir.join(HEAD_NAME)))?;
        }
        let journal = SledJournal {
            dir,
            options,
            head,
            generations: current,
            prepared: Prepared::None,
            removal: None,
            position,
            fault: None,
            _lock: lock,
        };
        let frames = scans.iter().map(|scan| scan.frames).sum();
        let report = OpenReport { position, first_seq: journal.first_seq(), frames, mended };
        Ok((journal, report))
    }
}

/// The one who may open the journal in a directory, and whatever lies beside it: nobody else opens it meanwhile.
#[derive(Debug)]
pub struct JournalOwner {
    dir: PathBuf,
    lock: File,
}

impl JournalOwner {
    /// Takes the directory `dir`, making it when there is none. Reads nothing of it.
    ///
    /// # Errors
    ///
    /// When another process owns the directory, or it cannot be made.
    pub fn of(dir: impl Into<PathBuf>, syncs: &SyncFault) -> Result<JournalOwner, OpenError> {
        let dir = dir.into();
        create_dir_durably(&dir, syncs).map_err(io_at("creating", &dir))?;
        let lock = take_lock(&dir.join(LOCK_NAME))?;
        Ok(JournalOwner { dir, lock })
    }
}

/// Makes an error of one step at one path.
pub(crate) fn io_at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Io { doing, path, source }
}

/// Makes an error of what a store said.
pub(crate) fn store_error(error: StoreError, generation: Option<u64>, path: &Path, seq: Option<Seq>) -> OpenError {
    match error {
        StoreError::Io(doing, source) => OpenError::Io { doing, path: path.to_path_buf(), source },
        StoreError::Flaw(what) => {
            let remedy = remedy_of(&what);
            OpenError::Damage { generation, file: path.to_path_buf(), seq, what: Box::new(what), remedy }
        }
    }
}

fn broken(found: Break, generation: u64, path: &Path) -> OpenError {
    let remedy = found.remedy();
    OpenError::Damage {
        generation: Some(generation),
        file: path.to_path_buf(),
        seq: Some(found.seq),
        what: Box::new(found.flaw),
        remedy,
    }
}

fn flaw_at(what: Flaw, generation: Option<u64>, file: PathBuf, seq: Option<Seq>) -> OpenError {
    let remedy = remedy_of(&what);
    OpenError::Damage { generation, file, seq, what: Box::new(what), remedy }
}

/// Turns what loading the head at `path` said into an error.
pub(crate) fn head_error(error: HeadError, path: &Path) -> OpenError {
    match error {
        HeadError::Io(source) => io_at("reading", path)(source),
        HeadError::Flaw(what) => flaw_at(what, None, path.to_path_buf(), None),
    }
}

fn take_lock(path: &Path) -> Result<File, OpenError> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(io_at("opening", path))?;
    lock(file, path)
}

fn lock(file: File, path: &Path) -> Result<File, OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(io_at("locking", path)(source)),
    }
}

/// Takes the lock of a directory that is only read; there may be none.
pub(crate) fn lock_for_reading(dir: &Path) -> Result<Option<File>, OpenError> {
    let path = dir.join(LOCK_NAME);
    match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => lock(opened.map_err(io_at("opening", &path))?, &path).map(Some),
    }
}

fn remove_leftovers(dir: &Path, mended: &mut Vec<Mended>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let generation = ["new-", "del-", "check-"].iter().find_map(|prefix| name.strip_prefix(prefix));
        if generation.is_some_and(|name| number_of(name).is_some()) || name == format!("new-{HEAD_NAME}") {
            remove_tree(&entry.path())?;
            mended.push(Mended::Leftover { path: entry.path() });
        }
    }
    Ok(())
}

fn number_of(directory_name: &str) -> Option<u64> {
    directory_name.strip_prefix('g')?.parse().ok()
}

/// Lists the numbers of the generations, lowest first.
pub(crate) fn list_numbers(dir: &Path) -> Result<Vec<u64>, OpenError> {
    let names = |dir: &Path| fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
    let names = names(dir).map_err(io_at("listing", dir))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name.to_str()?)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn open_head(dir: &Path, ledger: LedgerId, syncs: &SyncFault) -> Result<(HeadFile, Loaded), OpenError> {
    let path = dir.join(HEAD_NAME);
    if let Some(opened) = HeadFile::open(&path, ledger, syncs).map_err(|error| head_error(error, &path))? {
        return Ok(opened);
    }
    // The head is made before the first generation, so generations without it have lost it.
    if !list_numbers(dir)?.is_empty() {
        return Err(head_missing(dir)?);
    }
    HeadFile::create(dir, HEAD_NAME, ledger, syncs).map_err(io_at("creating", &path))?;
    let opened = HeadFile::open(&path, ledger, syncs).map_err(|error| head_error(error, &path))?;
    opened.ok_or_else(|| flaw_at(Flaw::HeadMissing, None, path, None))
}

/// Says that `dir` has no head; generations that stand there are of no use without it.
pub(crate) fn head_missing(dir: &Path) -> Result<OpenError, OpenError> {
    let generation = list_numbers(dir)?.first().copied();
    Ok(flaw_at(Flaw::HeadMissing, generation, dir.join(HEAD_NAME), None))
}

fn finish_trims(dir: &Path, head: &Head, mended: &mut Vec<Mended>, syncs: &SyncFault) -> Result<(), OpenError> {
    for number in list_numbers(dir)?.into_iter().filter(|number| *number < head.oldest) {
        retire(dir, number, syncs).map_err(io_at("removing", &dir.join(directory_name(number))))?;
        mended.push(Mended::Trim { generation: number });
    }
    Ok(())
}

/// Lists the generations and checks that none is missing; an empty list means that none was ever needed.
pub(crate) fn complete_numbers(dir: &Path, head: &Head) -> Result<Vec<u64>, OpenError> {
    let mut numbers = list_numbers(dir)?;
    // Older ones are left by an interrupted trim, which a start finishes.
    numbers.retain(|number| head.oldest <= *number);
    let missing =
        |number| flaw_at(Flaw::GenerationMissing { number }, Some(number), dir.join(directory_name(number)), None);
    if numbers.is_empty() && head.seq == Seq::ZERO {
        return Ok(numbers);
    }
    for (number, found) in (head.oldest..).zip(&numbers) {
        if number != *found {
            return Err(missing(number));
        }
    }
    // A trim leaves the generation after the trimmed one, so there always is one that is not older than the head.
    let next = head.oldest + numbers.len() as u64;
    if next <= head.generation || numbers.is_empty() {
        return Err(missing(next));
    }
    Ok(numbers)
}

/// Copies each generation, opens the copy and walks over its frames.
fn check_copies(dir: &Path, numbers: &[u64], loaded: &Loaded) -> Result<(Vec<Scan>, End), OpenError> {
    let mut walker = Walker::new(loaded.head, loaded.slot_lost.is_some());
    let mut scans: Vec<Scan> = Vec::new();
    for number in numbers {
        scans.push(check_copy(dir, dir, *number, &mut walker)?);
    }
    let oldest = numbers.first().copied().unwrap_or(loaded.head.oldest);
    let end = walker
        .finish(oldest)
        .map_err(|found| broken(found, loaded.head.generation, &dir.join(directory_name(loaded.head.generation))))?;
    Ok((scans, end))
}

/// Copies generation `number` of `dir` into `scratch`, reads the copy, and removes it.
pub(crate) fn check_copy(dir: &Path, scratch: &Path, number: u64, walker: &mut Walker) -> Result<Scan, OpenError> {
    let original = dir.join(directory_name(number));
    let copy = scratch.join(format!("check-{}", directory_name(number)));
    copy_tree(&original, &copy).map_err(io_at("copying, to check it before it is opened,", &original))?;
    let seq = walker.next_seq();
    let scan = unwinding(&original, || walk_copy(&original, &copy, number, walker));
    remove_tree(&copy).map_err(io_at("removing", &copy))?;
    scan.map_err(|error| store_error(error, Some(number), &original, Some(seq)))?
}

fn walk_copy(original: &Path, copy: &Path, number: u64, walker: &mut Walker) -> Result<Scan, OpenError> {
    let syncs = SyncFault::default();
    // What is mended in a copy is mended again, and reported, in the original.
    let generation = Generation::open(copy.to_path_buf(), number, Purpose::Copy, &mut Vec::new(), &syncs)
        .map_err(|error| store_error(error, Some(number), original, Some(walker.next_seq())))?;
    let mut scan = Scan { number, extent: Extent::EMPTY, frames: 0, last_frame: None, torn: None };
    for read in generation.frames() {
        match read {
            Ok(located) => {
                walker.frame(number, &located.frame).map_err(|found| broken(found, number, original))?;
                scan.extent.add(&located.frame);
                scan.frames += 1;
                scan.last_frame = Some((located.chunk, located.frame.hash()));
            }
            Err(Broken::At { chunk, flaw }) => {
                walker.torn(flaw).map_err(|found| broken(found, number, original))?;
                let chunks = generation.chunks_from(chunk).map_err(io_at("reading", copy))?;
                scan.torn = Some((chunk, chunks.len() as u64));
            }
            Err(Broken::Io(error)) => return Err(io_at("reading", copy)(error)),
        }
    }
    Ok(scan)
}

fn open_originals(
    dir: &Path,
    scans: &[Scan],
    mended: &mut Vec<Mended>,
    syncs: &SyncFault,
) -> Result<Vec<Generation>, OpenError> {
    scans.iter().map(|scan| open_original(dir, scan, mended, syncs)).collect()
}

fn open_original(
    dir: &Path,
    scan: &Scan,
    mended: &mut Vec<Mended>,
    syncs: &SyncFault,
) -> Result<Generation, OpenError> {
    let (number, path) = (scan.number, dir.join(directory_name(scan.number)));
    let opened = unwinding(&path, || {
        let generation = Generation::open(path.clone(), number, Purpose::Real, mended, syncs)?;
        let same = reads_like(&generation, scan).map_err(|error| StoreError::Io("reading", error))?;
        Ok((generation, same))
    });
    let opened = opened.and_then(|opened| opened).map_err(|error| store_error(error, Some(number), &path, None));
    let (mut generation, same) = opened?;
    if !same {
        return Err(flaw_at(Flaw::CopyDiffers, Some(number), path, Some(scan.extent.last_seq)));
    }
    generation.set_extent(scan.extent);
    Ok(generation)
}

/// Tells whether the generation ends with the same frame as the copy that was walked over, and with what that had behind it.
fn reads_like(generation: &Generation, scan: &Scan) -> io::Result<bool> {
    let mut frames = generation.frames_from(scan.last_frame.map_or(0, |(chunk, _)| chunk));
    if let Some((_, hash)) = scan.last_frame {
        match frames.next() {
            Some(Ok(located)) if located.frame.hash() == hash => (),
            Some(Err(Broken::Io(error))) => return Err(error),
            _ => return Ok(false),
        }
    }
    match frames.next() {
        None => Ok(scan.torn.is_none()),
        Some(Ok(_)) => Ok(false),
        Some(Err(Broken::At { chunk, .. })) => Ok(scan.torn.is_some_and(|(torn, _)| torn == chunk)),
        Some(Err(Broken::Io(error))) => Err(error),
    }
}

fn cut_torn_tail(generations: &mut [Generation], scans: &[Scan], mended: &mut Vec<Mended>) -> Result<(), OpenError> {
    for (generation, scan) in generations.iter_mut().zip(scans) {
        if let Some((chunk, _)) = scan.torn {
            let path = generation.path().to_path_buf();
            let chunks = generation.cut(chunk).map_err(io_at("cutting a torn frame from", &path))?;
            mended.push(Mended::TornTail { generation: scan.number, chunks });
        }
    }
    Ok(())
}

/// Reports what the head has lost and what it lags behind.
pub(crate) fn report_head(loaded: &Loaded, end: &End, mended: &mut Vec<Mended>) {
    mended.extend(loaded.copies_lost.iter().map(|(slot, copy)| Mended::HeadCopy { slot: *slot, copy: *copy }));
    mended.extend(loaded.slot_lost.map(|slot| Mended::HeadSlot { slot }));
    if end.past_head != 0 {
        mended.push(Mended::FramesPastHead { frames: end.past_head });
    }
}

/// Sees that there is a current generation: the newest. One that was only prepared when its maker ended takes over too;
/// the one before it is then sealed before it was full, whatever the present bound is.
fn with_current(mut generations: Vec<Generation>, dir: &Path, options: &Options) -> Result<Vec<Generation>, OpenError> {
    if generations.is_empty() {
        let first = Head::EMPTY.oldest;
        let created = create_and_open(dir, first, &options.syncs);
        generations.push(created.map_err(io_at("creating", &dir.join(directory_name(first))))?);
    }
    Ok(generations)
}
