//! The snapshots of one directory: which there are, the newest that is whole, and how many are kept.

use std::path::{Path, PathBuf};

use kembali_core::Seq;
use kembali_core::event::Record;

use crate::damage::{Flaw, Found, IoFault, ReadError, Remedy};
use crate::disk::{Listing, Steps, create_dir, list, remove};
use crate::snapshot::{Cut, Fold, Snapshot, TakeError};

/// How many whole snapshots are kept.
pub const SNAPSHOTS_KEPT: usize = 2;

const PREFIX: &str = "snapshot-";
const DIGITS: usize = 20;
const ENDING: &str = ".ksnap";

/// Returns the name of the snapshot at a position.
#[must_use]
pub fn snapshot_name(seq: Seq) -> String {
    format!("{PREFIX}{:0DIGITS$}{ENDING}", seq.0)
}

/// The snapshots of one directory.
#[derive(Debug)]
pub struct Snapshots {
    dir: PathBuf,
    /// Newest first.
    files: Vec<(Seq, PathBuf)>,
    removed: Vec<PathBuf>,
    steps: Steps,
}

/// The newest snapshot that is whole, and what is wrong with the newer ones.
#[derive(Debug)]
pub struct Newest {
    /// It, or `None` when the ledger has to be folded from its first record on.
    pub snapshot: Option<Snapshot>,
    /// Each is worth a line in the log: file, what, remedy.
    pub bad: Vec<ReadError>,
}

impl Snapshots {
    /// Lists the snapshots of `dir`, which is made where it is missing, and removes what a crash left half-written.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read or written; no snapshot is opened.
    pub fn open(dir: &Path) -> Result<Snapshots, IoFault> {
        Snapshots::open_with(dir, Steps::default())
    }

    /// Lists the snapshots of `dir` and changes nothing: for a look at a ledger that nobody runs.
    ///
    /// A directory that is not there holds none.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn open_for_reading(dir: &Path) -> Result<Snapshots, IoFault> {
        let files = if dir.exists() { list(dir, PREFIX, DIGITS, ENDING)?.files } else { Vec::new() };
        Ok(Snapshots::of(dir, files, Vec::new(), Steps::default()))
    }

    pub(crate) fn open_with(dir: &Path, steps: Steps) -> Result<Snapshots, IoFault> {
        create_dir(dir)?;
        let Listing { files, leftovers, .. } = list(dir, PREFIX, DIGITS, ENDING)?;
        remove(&leftovers, dir, &steps)?;
        Ok(Snapshots::of(dir, files, leftovers, steps))
    }

    fn of(dir: &Path, files: Vec<(u64, PathBuf)>, removed: Vec<PathBuf>, steps: Steps) -> Snapshots {
        let files = files.into_iter().rev().map(|(seq, path)| (Seq(seq), path)).collect();
        Snapshots { dir: dir.to_path_buf(), files, removed, steps }
    }

    /// Lists the half-written files that opening removed; each is worth a line in the log.
    #[must_use]
    pub fn removed(&self) -> &[PathBuf] {
        &self.removed
    }

    /// Lists the positions of the snapshots, newest first, whole or not.
    pub fn positions(&self) -> impl ExactSizeIterator<Item = Seq> + '_ {
        self.files.iter().map(|(seq, _)| *seq)
    }

    /// Finds the newest snapshot that is whole: every byte is as it was written.
    #[must_use]
    pub fn newest_valid(&self) -> Newest {
        self.newest_valid_through(Seq(u64::MAX))
    }

    /// Finds the newest snapshot at `through` or before it that is whole.
    #[must_use]
    pub fn newest_valid_through(&self, through: Seq) -> Newest {
        let mut bad = Vec::new();
        for (seq, path) in self.files.iter().filter(|(seq, _)| *seq <= through) {
            match open_whole(*seq, path) {
                Ok(snapshot) => return Newest { snapshot: Some(snapshot), bad },
                Err(error) => bad.push(error),
            }
        }
        Newest { snapshot: None, bad }
    }

    /// Takes a snapshot at `cut` from the previous one and the records since, durably, and reads it back.
    ///
    /// `records` are those after `previous`, or from the first on when there is none, up to the cut.
    ///
    /// # Errors
    ///
    /// [`TakeError`]. The snapshots are then as they were; where a file was already renamed, the next open finds it
    /// whole.
    pub fn take<E: std::error::Error + 'static>(
        &mut self,
        previous: Option<&Snapshot>,
        records: impl IntoIterator<Item = Result<Record, E>>,
        cut: Cut,
    ) -> Result<Snapshot, TakeError<E>> {
        let mut fold = Fold::start(previous, cut)?;
        for record in records {
            fold.record(&record.map_err(TakeError::Records)?)?;
        }
        self.put(fold)
    }

    /// Puts a snapshot that has all of its records among the others, durably, and reads it back.
    ///
    /// # Errors
    ///
    /// As [`Snapshots::take`].
    pub fn put<E: std::error::Error>(&mut self, fold: Fold<'_>) -> Result<Snapshot, TakeError<E>> {
        let cut = fold.cut();
        let path = self.dir.join(snapshot_name(cut.seq));
        let snapshot = fold.write(&path, &self.steps)?;
        let at = self.files.partition_point(|(seq, _)| cut.seq < *seq);
        if self.files.get(at).is_none_or(|(seq, _)| *seq != cut.seq) {
            self.files.insert(at, (cut.seq, path));
        }
        Ok(snapshot)
    }

    /// Removes what is older than the newest `keep` whole snapshots, at least one, and returns it.
    ///
    /// A snapshot that is damaged does not count; it stays until `keep` newer ones are whole.
    ///
    /// # Errors
    ///
    /// When a file cannot be removed.
    pub fn retain(&mut self, keep: usize) -> Result<Vec<PathBuf>, IoFault> {
        let mut whole = 0;
        let kept = self.files.iter().take_while(|(seq, path)| {
            let is_kept = whole < keep.max(1);
            whole += usize::from(is_kept && open_whole(*seq, path).is_ok());
            is_kept
        });
        let kept = kept.count();
        let doomed: Vec<PathBuf> = self.files[kept..].iter().map(|(_, path)| path.clone()).collect();
        // Oldest first: whatever interrupts it, the newest are there.
        let oldest_first: Vec<PathBuf> = doomed.iter().rev().cloned().collect();
        remove(&oldest_first, &self.dir, &self.steps)?;
        self.files.truncate(kept);
        Ok(doomed)
    }
}

fn open_whole(seq: Seq, path: &Path) -> Result<Snapshot, ReadError> {
    let snapshot = Snapshot::open(path)?;
    let inside = snapshot.cut().seq;
    if inside != seq {
        let what = Flaw::Name { name: seq.0, inside: inside.0 };
        return Err(Found::of(inside, what).in_file(path, Remedy::MoveSnapshot));
    }
    snapshot.check_bytes()?;
    Ok(snapshot)
}
