//! The archive: the sealed generations of the journal, a segment each, dense and chained from the first record on.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kembali_core::event::Record;
use kembali_core::totals::Totals;
use kembali_core::{CustomerId, Seq};
use kembali_journal::{Frame, FrameHash, GenerationInfo};

use crate::damage::{Flaw, Found, ReadError, Remedy};
use crate::disk::{Listing, Steps, create_dir, list, remove};
use crate::segment::{self, AddError, BookedKey, Expected, Segment, SegmentReport, frame_in};

/// Decoded blocks that are kept: some 4 MiB of frames.
const BLOCKS_KEPT_MAX: usize = 16;

const PREFIX: &str = "segment-";
const DIGITS: usize = 10;
const ENDING: &str = ".kseg";

/// Returns the name of the segment of a generation.
#[must_use]
pub fn segment_name(generation: u64) -> String {
    format!("{PREFIX}{generation:0DIGITS$}{ENDING}")
}

/// The segments of one directory.
///
/// Reading is shared; adding needs the archive for itself.
#[derive(Debug)]
pub struct Archive {
    dir: PathBuf,
    /// In order, dense, chained.
    segments: Vec<Arc<Segment>>,
    removed: Vec<PathBuf>,
    blocks: Mutex<BlockCache>,
    steps: Steps,
}

impl Archive {
    /// Opens all segments of `dir`, which is made where it is missing, and removes what a crash left half-written.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when a segment is damaged, missing, there twice or of another ledger: file, what, remedy.
    pub fn open(dir: &Path) -> Result<Archive, ReadError> {
        Archive::open_with(dir, Steps::default())
    }

    /// Opens all segments of `dir` and changes nothing: for a look at a ledger that nobody runs.
    ///
    /// A directory that is not there holds no segment.
    ///
    /// # Errors
    ///
    /// As [`Archive::open`].
    pub fn open_for_reading(dir: &Path) -> Result<Archive, ReadError> {
        if !dir.exists() {
            return Ok(Archive::of(dir, Vec::new(), Vec::new(), Steps::default()));
        }
        let (segments, _) = open_segments(dir)?;
        Ok(Archive::of(dir, segments, Vec::new(), Steps::default()))
    }

    pub(crate) fn open_with(dir: &Path, steps: Steps) -> Result<Archive, ReadError> {
        create_dir(dir)?;
        let (segments, leftovers) = open_segments(dir)?;
        // Only now: whoever has to look into damage finds everything as it was.
        remove(&leftovers, dir, &steps)?;
        Ok(Archive::of(dir, segments, leftovers, steps))
    }

    fn of(dir: &Path, segments: Vec<Arc<Segment>>, removed: Vec<PathBuf>, steps: Steps) -> Archive {
        Archive { dir: dir.to_path_buf(), segments, removed, blocks: Mutex::default(), steps }
    }

    /// Returns another archive of the same segments, to which more can be added while this one is read. No file is opened: what that
    /// takes grows with the archive.
    #[must_use]
    pub fn another(&self) -> Archive {
        Archive::of(&self.dir, self.segments.clone(), Vec::new(), self.steps.clone())
    }

    /// Lists the half-written files that opening removed; each is worth a line in the log.
    #[must_use]
    pub fn removed(&self) -> &[PathBuf] {
        &self.removed
    }

    /// Returns the segments in order.
    #[must_use]
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// Returns the last record that is archived, [`Seq::ZERO`] when none is.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.segments.last().map_or(Seq::ZERO, |last| last.last_seq())
    }

    /// Returns the hash of the last frame that is archived, [`FrameHash::GENESIS`] when none is.
    #[must_use]
    pub fn last_hash(&self) -> FrameHash {
        self.segments.last().map_or(FrameHash::GENESIS, |last| last.last_hash())
    }

    /// Returns the generation that is archived last, if any is.
    #[must_use]
    pub fn last_generation(&self) -> Option<u64> {
        self.segments.last().map(|last| last.generation())
    }

    /// Archives a sealed generation, durably, and reads it back before it returns.
    ///
    /// `frames` are those of the generation and no others.
    ///
    /// # Errors
    ///
    /// [`AddError`]. The archive is then as it was; where a file was already renamed, the next open finds it whole.
    pub fn add<E: std::error::Error + 'static>(
        &mut self,
        generation: &GenerationInfo,
        frames: impl IntoIterator<Item = Result<Frame, E>>,
    ) -> Result<&Segment, AddError<E>> {
        self.add_seeing(generation, frames, |_| ())
    }

    /// Archives a sealed generation as [`Archive::add`] does, and shows every record of it to `see` on the way.
    ///
    /// # Errors
    ///
    /// As [`Archive::add`]. Some of the records have been shown by then.
    pub fn add_seeing<E: std::error::Error + 'static>(
        &mut self,
        generation: &GenerationInfo,
        frames: impl IntoIterator<Item = Result<Frame, E>>,
        see: impl FnMut(&Record),
    ) -> Result<&Segment, AddError<E>> {
        let &GenerationInfo { number, first_seq, last_seq, sealed, .. } = generation;
        if !sealed || last_seq < first_seq {
            return Err(AddError::NotSealed { generation: number });
        }
        let expected_generation = self.last_generation().map_or(number, |last| last + 1);
        let expected_first = self.last_seq().next();
        if number != expected_generation || first_seq != expected_first {
            return Err(AddError::NotNext {
                generation: number,
                first: first_seq,
                expected_generation,
                expected_first,
            });
        }
        let expected = Expected { generation: number, first_seq, last_seq, previous: self.last_hash() };
        let path = self.dir.join(segment_name(number));
        let sums = self.sums().map_err(AddError::SumsBefore)?;
        let segment = segment::write(&path, &self.steps, expected, (frames, see), sums)?;
        self.segments.push(Arc::new(segment));
        Ok(&self.segments[self.segments.len() - 1])
    }

    /// Returns the sums at the end of the last segment that ends at `seq` or before it; none of any record where there is
    /// no such segment. [`Totals::last`] says what is in them.
    ///
    /// A segment whose sums are of an older version is passed over.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the sums are damaged.
    pub fn sums_through(&self, seq: Seq) -> Result<Totals, ReadError> {
        for segment in self.segments.iter().rev().filter(|segment| segment.last_seq() <= seq) {
            match segment.sums() {
                Err(error) if error.is_older_version() => (),
                sums => return sums,
            }
        }
        Ok(Totals::default())
    }

    /// Returns the sums of all archived records: those at the end of the last segment, or counted anew where these are of
    /// an older version.
    fn sums(&self) -> Result<Totals, ReadError> {
        match self.segments.last().map(|last| last.sums()) {
            None => return Ok(Totals::default()),
            Some(Err(error)) if error.is_older_version() => (),
            Some(sums) => return sums,
        }
        let mut sums = Totals::default();
        for segment in &self.segments {
            segment.verify(&mut sums)?;
        }
        Ok(sums)
    }

    /// Reads the frame that holds `seq`, or `None` when it is not archived.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when the block that should hold it is damaged.
    pub fn frame_of(&self, seq: Seq) -> Result<Option<Frame>, ReadError> {
        let at = self.segments.partition_point(|segment| segment.last_seq() < seq);
        let Some(segment) = self.segments.get(at) else { return Ok(None) };
        let Some(block) = segment.block_of(seq) else { return Ok(None) };
        if let Some(frames) = self.cache(|blocks| blocks.get(at, block)) {
            return Ok(frame_in(&frames, seq));
        }
        // Read without the lock: a slow disk must not hold up those whose block is there.
        let frames: Arc<[Frame]> = segment.read_block(block)?.into();
        let found = frame_in(&frames, seq);
        self.cache(|blocks| blocks.put(at, block, frames));
        Ok(found)
    }

    fn cache<T>(&self, with: impl FnOnce(&mut BlockCache) -> T) -> T {
        // Nothing in the cache is ever half-changed, so a panic elsewhere does not spoil it.
        with(&mut self.blocks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[cfg(test)]
    pub(crate) fn kept_blocks(&self) -> usize {
        self.cache(|blocks| blocks.0.len())
    }

    /// Iterates over the archived frames from the one that holds `from`; ends after the first error.
    pub fn frames(&self, from: Seq) -> impl Iterator<Item = Result<Frame, ReadError>> + '_ {
        let mut failed = false;
        let segments = self.segments.iter().skip_while(move |segment| segment.last_seq() < from);
        segments
            .flat_map(|segment| segment.frames())
            .skip_while(move |read| read.as_ref().is_ok_and(|frame| frame.last_seq() < from))
            .take_while(move |read| !std::mem::replace(&mut failed, read.is_err()))
    }

    /// Finds the last archived record that names `customer`, or `None` when none does.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when a customer table cannot be read.
    pub fn last_record_of(&self, customer: CustomerId) -> Result<Option<Seq>, ReadError> {
        let found = self.segments.iter().rev().map(|segment| segment.last_record_of(customer));
        found.filter_map(Result::transpose).next().transpose()
    }

    /// Hands every booked purchase of a record up to `through` to `see`.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when a key table is damaged.
    pub fn keys(&self, through: Seq, mut see: impl FnMut(BookedKey)) -> Result<(), ReadError> {
        for segment in self.segments.iter().take_while(|segment| segment.first_seq() <= through) {
            segment.keys()?.into_iter().filter(|key| key.seq <= through).for_each(&mut see);
        }
        Ok(())
    }

    /// Checks that a frame of the journal, its first above all, and the archive belong together: it is the same as the
    /// archived one, or follows the last.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when records between the two are missing, or when they are of different ledgers.
    pub fn meets(&self, frame: &Frame) -> Result<(), ReadError> {
        let (first, end) = (frame.first_seq(), self.last_seq().next());
        let what = match self.frame_of(first)? {
            Some(archived) if archived == *frame => return Ok(()),
            Some(archived) => {
                let (first, last, found) = (archived.first_seq(), archived.last_seq(), archived.hash());
                Flaw::Chain { first, last, expected: frame.hash(), found }
            }
            None if first != end => Flaw::NotDense { expected: end, found: first },
            None if frame.previous() == self.last_hash() => return Ok(()),
            None => {
                let start = self.segments.last().map_or(Seq::ZERO, |last| last.first_seq());
                let (last, expected, found) = (self.last_seq(), frame.previous(), self.last_hash());
                Flaw::Chain { first: start, last, expected, found }
            }
        };
        let file = self.segments.last().map_or(self.dir.as_path(), |last| last.path());
        Err(Found::of(first.min(end), what).in_file(file, Remedy::RestoreBoth))
    }

    /// Reads everything.
    ///
    /// # Errors
    ///
    /// [`ReadError`] of the first thing that is wrong.
    pub fn verify(&self) -> Result<Vec<SegmentReport>, ReadError> {
        let mut last: Option<&Segment> = None;
        let mut reports = Vec::with_capacity(self.segments.len());
        let mut sums = Totals::default();
        for segment in &self.segments {
            // Opened anew: what was checked when the archive was opened may have changed since.
            let present = Segment::open(segment.path())?;
            follow(&self.dir, last, &present)?;
            reports.push(present.verify(&mut sums)?);
            last = Some(segment);
        }
        Ok(reports)
    }
}

/// Opens the segments of a directory, and lists what a crash left half-written there.
fn open_segments(dir: &Path) -> Result<(Vec<Arc<Segment>>, Vec<PathBuf>), ReadError> {
    let Listing { files, leftovers, strays } = list(dir, PREFIX, DIGITS, ENDING)?;
    if let Some(stray) = strays.first() {
        let found = Found::whole(Flaw::OutOfRange("name of the file"));
        return Err(found.in_file(stray, Remedy::RestoreSegment));
    }
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(files.len());
    for (number, path) in files {
        let segment = Segment::open(&path)?;
        if segment.generation() != number {
            let what = Flaw::Name { name: number, inside: segment.generation() };
            return Err(Found::of(segment.first_seq(), what).in_file(&path, Remedy::RestoreSegment));
        }
        follow(dir, segments.last().map(Arc::as_ref), &segment)?;
        segments.push(Arc::new(segment));
    }
    Ok((segments, leftovers))
}

/// Checks that `next` follows `last`, or starts the ledger.
fn follow(dir: &Path, last: Option<&Segment>, next: &Segment) -> Result<(), ReadError> {
    let (seq, hash) = last.map_or((Seq::ZERO, FrameHash::GENESIS), |last| (last.last_seq(), last.last_hash()));
    let expected = seq.next();
    if let Some(generation) = last.map(|last| last.generation() + 1).filter(|number| *number < next.generation()) {
        let missing = dir.join(segment_name(generation));
        return Err(Found::of(expected, Flaw::Missing).in_file(&missing, Remedy::RestoreSegment));
    }
    let what = if next.first_seq() != expected {
        Flaw::NotDense { expected, found: next.first_seq() }
    } else if next.previous() != hash {
        let first = last.map_or(Seq::ZERO, Segment::first_seq);
        Flaw::Chain { first, last: seq, expected: next.previous(), found: hash }
    } else {
        return Ok(());
    };
    Err(Found::of(expected, what).in_file(next.path(), Remedy::RestoreSegment))
}

/// The blocks that were read last, the newest at the front.
#[derive(Debug, Default)]
struct BlockCache(VecDeque<(usize, usize, Arc<[Frame]>)>);

impl BlockCache {
    fn get(&mut self, segment: usize, block: usize) -> Option<Arc<[Frame]>> {
        let at = self.0.iter().position(|kept| (kept.0, kept.1) == (segment, block))?;
        let kept = self.0.remove(at)?;
        let frames = Arc::clone(&kept.2);
        self.0.push_front(kept);
        Some(frames)
    }

    fn put(&mut self, segment: usize, block: usize, frames: Arc<[Frame]>) {
        if self.get(segment, block).is_none() {
            self.0.truncate(BLOCKS_KEPT_MAX - 1);
            self.0.push_front((segment, block, frames));
        }
    }
}
