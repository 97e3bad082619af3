//! From a data directory to a ledger: everything is read, decoded and folded before anything is answered.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender};

use kembali_core::event::Record;
use kembali_core::ledger::{Inconsistency, Ledger};
use kembali_core::{Seq, Unit};
use kembali_journal::codec::{self, DecodeError};
use kembali_journal::{Frame, Journal, OpenError, Position, ReadError, read_only_frames, verify_copy, verify_profiles};
use kembali_machine::{AwayError, Restore, RestoreError};
use kembali_snapshots::{Archive, Snapshot, Snapshots, ledger_digest, snapshot_name};

use crate::digest::LedgerDigest;
use crate::installation::{InstallationKey, KeyError};

/// The journal's directory within the data directory.
pub(crate) const JOURNAL_DIR: &str = "journal";
/// The archive's directory within the data directory.
pub(crate) const ARCHIVE_DIR: &str = "archive";
/// The snapshots' directory within the data directory.
pub(crate) const SNAPSHOTS_DIR: &str = "snapshots";

/// The head of the profile store, within the data directory.
pub(crate) const PROFILES_HEAD: &str = "profiles-head";

/// Lists what every ledger has beside its key, from its first start on.
pub(crate) fn parts_of(dir: &Path) -> Vec<PathBuf> {
    vec![dir.join(JOURNAL_DIR).join("head"), dir.join(PROFILES_HEAD)]
}

/// Why frames are no ledger.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// A frame could not be read.
    #[error(transparent)]
    Frame(#[from] ReadError),
    /// A frame could not be read from a copy.
    #[error(transparent)]
    Copy(#[from] OpenError),
    /// The archive could not be read, or does not belong to the journal.
    #[error(transparent)]
    Archive(#[from] kembali_snapshots::ReadError),
    /// Records are missing that something else proves to have been there.
    #[error(
        "the ledger ends at sequence number {} and must reach {}: archive or journal are incomplete; \
         restore both from one backup, nothing was changed here",
        found.0, expected.0
    )]
    Shorter {
        /// Where it ends.
        found: Seq,
        /// Where it must end.
        expected: Seq,
    },
    /// The archive reaches further than the head of the journal, which is always ahead of it.
    #[error(
        "the archive reaches sequence number {} and the journal's head {}: they are of different times; \
         restore both from one backup, nothing was changed here",
        archived.0, head.0
    )]
    OtherTime {
        /// Where the archive ends.
        archived: Seq,
        /// Where the journal's head says that the ledger ends.
        head: Seq,
    },
    /// Archive and journal end at the same position in different frames.
    #[error(
        "archive and journal are of different ledgers at sequence number {}: restore both from one backup, \
         nothing was changed here",
        seq.0
    )]
    OtherLedger {
        /// Where.
        seq: Seq,
    },
    /// A record's bytes are whole and no record.
    #[error("the record at sequence number {} cannot be read: {source}", seq.0)]
    Decode {
        /// Which.
        seq: Seq,
        /// Why.
        source: DecodeError,
    },
    /// A record contradicts the ones before it.
    #[error("the record at sequence number {} contradicts the ledger: {what:?}", seq.0)]
    Inconsistent {
        /// Which.
        seq: Seq,
        /// How.
        what: Inconsistency,
    },
    /// Customers who are not in memory cannot be put away, or be fetched again.
    #[error(transparent)]
    Away(#[from] AwayError),
}

impl From<RestoreError> for FoldError {
    fn from(error: RestoreError) -> FoldError {
        match error {
            RestoreError::Inconsistent { seq, what } => FoldError::Inconsistent { seq, what },
            RestoreError::Away(error) => FoldError::Away(error),
        }
    }
}

impl FoldError {
    /// Returns true when bytes are damaged, as opposed to not being readable at all.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            FoldError::Frame(error) => !matches!(error, ReadError::Io { .. }),
            FoldError::Copy(error) => matches!(error, OpenError::Damage { .. }),
            FoldError::Archive(error) => matches!(error, kembali_snapshots::ReadError::Damage(_)),
            FoldError::Away(_) => false,
            FoldError::Shorter { .. }
            | FoldError::OtherTime { .. }
            | FoldError::OtherLedger { .. }
            | FoldError::Decode { .. }
            | FoldError::Inconsistent { .. } => true,
        }
    }
}

/// Decodes the records of a frame.
pub(crate) fn records_of(frame: &Frame) -> Result<Vec<Record>, FoldError> {
    let numbered = (frame.first_seq().0..).map(Seq).zip(frame.records());
    let record = |(seq, bytes)| codec::decode(seq, bytes).map_err(|source| FoldError::Decode { seq, source });
    numbered.map(record).collect()
}

/// Folds a frame into a ledger.
fn fold_frame(ledger: &mut Ledger, frame: &Frame) -> Result<(), FoldError> {
    for record in records_of(frame)? {
        ledger.evolve(&record).map_err(|what| FoldError::Inconsistent { seq: record.seq, what })?;
    }
    Ok(())
}

/// What a start has to go on from.
pub(crate) struct Recovered {
    pub(crate) ledger: Restore,
    /// The frames that are not archived.
    pub(crate) tail: VecDeque<Frame>,
    /// Snapshots that could not be used, a line each.
    pub(crate) bad_snapshots: Vec<String>,
}

/// Frames that may be decoded before they are folded.
pub(crate) const DECODED_MAX: usize = 16;

/// A frame of the journal and its records; without these where it is archived too.
pub(crate) type Decoded = Result<(Frame, Vec<Record>), FoldError>;

/// Makes the ledger of the newest whole snapshot, what the archive holds after it, and what is read of the journal after that. `ledger` is an
/// empty one. Whoever reads the journal may have come to no end: [`Recovered::check`] tells.
pub(crate) fn recover(
    mut ledger: Restore,
    archive: &Archive,
    snapshots: &Snapshots,
    decoded: Receiver<Decoded>,
) -> Result<Recovered, FoldError> {
    let newest = snapshots.newest_valid_through(archive.last_seq());
    let mut tail = VecDeque::new();
    if let Some(snapshot) = newest.snapshot {
        of_snapshot(&mut ledger, &snapshot, archive)?;
    }
    for frame in archive.frames(ledger.last().next()) {
        ledger.fold(&records_of(&frame?)?)?;
    }
    for read in decoded {
        let (frame, records) = read?;
        if is_after(archive, ledger.last(), &frame)? {
            ledger.fold(&records)?;
            tail.push_back(frame);
        }
    }
    let said = |error: &kembali_snapshots::ReadError| match error.is_older_version() {
        true => "a snapshot of an older version of the program is not used".to_owned(),
        false => format!("an older snapshot is used: {error}"),
    };
    let bad_snapshots = newest.bad.iter().map(said).collect();
    Ok(Recovered { ledger, tail, bad_snapshots })
}

impl Recovered {
    /// Checks that nothing is missing of a ledger whose journal ends at `end`.
    pub(crate) fn check(&self, archive: &Archive, snapshots: &Snapshots, end: Position) -> Result<(), FoldError> {
        let last = self.ledger.last();
        if let Some(newer) = snapshots.positions().find(|seq| last < *seq) {
            return Err(FoldError::Shorter { found: last, expected: newer });
        }
        meet_end(last, archive, self.tail.is_empty(), end)
    }
}

/// Reads the frames of the journal, all of which stay in memory, and decodes them as they are taken. Ends after the first error, or once
/// nobody takes any more.
pub(crate) fn read_tail(journal: &dyn Journal, archived: Seq, to: &SyncSender<Decoded>) {
    let frames: Vec<_> = match journal.frames(journal.first_seq()) {
        Ok(frames) => frames.collect(),
        Err(error) => vec![Err(error)],
    };
    for frame in frames {
        let decoded = frame.map_err(FoldError::from).and_then(|frame| {
            let records = if archived < frame.first_seq() { records_of(&frame)? } else { Vec::new() };
            Ok((frame, records))
        });
        if to.send(decoded).is_err() {
            return;
        }
    }
}

/// A snapshot is derived from the records: one that an older program made is left, and the next is of this version.
fn older_snapshot(seq: Seq) -> String {
    format!("the snapshot at sequence number {} is of an older version of the program and is not used", seq.0)
}

/// Checks that the ledger ends where the journal's head says: neither archive nor journal may be lost without a word.
pub(crate) fn meet_end(found: Seq, archive: &Archive, is_tail_empty: bool, end: Position) -> Result<(), FoldError> {
    if found < end.seq {
        return Err(FoldError::Shorter { found, expected: end.seq });
    }
    if end.seq < found {
        return Err(FoldError::OtherTime { archived: found, head: end.seq });
    }
    // Otherwise the frames of the journal are the end, and the journal has checked them against its head.
    if is_tail_empty && archive.last_hash() != end.hash {
        return Err(FoldError::OtherLedger { seq: end.seq });
    }
    Ok(())
}

/// Loads a snapshot, and the keys that it leaves to the archive.
fn of_snapshot(ledger: &mut Restore, snapshot: &Snapshot, archive: &Archive) -> Result<(), FoldError> {
    let cut = snapshot.cut();
    if let Some(frame) = archive.frame_of(cut.seq)? {
        snapshot.meets(&frame)?;
    }
    let Ledger { mut desk, totals, .. } = snapshot.load_but_rows(|rows| ledger.rows(rows).map_err(FoldError::from))?;
    archive.keys(cut.archived, |key| desk.restore_key(key.prefix, key.seq))?;
    ledger.go_on_from(desk, totals);
    Ok(())
}

/// Says whether a frame of the journal comes after the archive; `last` is what was read before it. One that does not must be the same as the archived one;
/// the first that does must follow the archive's end, and the journal's own chain holds for the others.
pub(crate) fn is_after(archive: &Archive, last: Seq, frame: &Frame) -> Result<bool, FoldError> {
    let is_after = archive.last_seq() < frame.first_seq();
    if !is_after || last == archive.last_seq() {
        archive.meets(frame)?;
    }
    Ok(is_after)
}

/// What an offline check found: everything is whole.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The last record.
    pub last: Seq,
    /// Frames of the journal.
    pub frames: u64,
    /// Segments of the archive.
    pub segments: u64,
    /// Snapshots, each held against the replay.
    pub snapshots: u64,
    /// Commits of the profile store.
    pub profile_commits: u64,
    /// Customers.
    pub customers: u64,
    /// Booked purchases.
    pub purchases: u64,
    /// What the next start would put right, a line each.
    pub would_mend: Vec<String>,
    /// Each tenant's slug, unit and trial balance; all zero.
    pub trial_balances: Vec<(String, String, i128)>,
    /// The ledger digest.
    pub digest: LedgerDigest,
}

/// Why an offline check failed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no ledger.
    #[error("{} holds no ledger", path.display())]
    NoLedger {
        /// Where one was looked for.
        path: PathBuf,
    },
    /// The folder for copies could not be made.
    #[error("creating {}", path.display())]
    Scratch {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The installation's key is not to be had, or a part of the ledger is missing.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The journal cannot be opened, or is damaged.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The journal's bytes are whole and no ledger.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The snapshots could not be listed.
    #[error(transparent)]
    Snapshots(#[from] kembali_snapshots::IoFault),
    /// A snapshot is whole and not what the records say.
    #[error(
        "the snapshot at sequence number {} is not what the records say: move it away, the start then uses an older one",
        seq.0
    )]
    SnapshotDiffers {
        /// Its position.
        seq: Seq,
    },
    /// Debits and credits differ.
    #[error("the trial balance of tenant {tenant} is off by {off} {unit}")]
    TrialBalance {
        /// The tenant's slug.
        tenant: String,
        /// The unit.
        unit: String,
        /// Debits minus credits.
        off: i128,
    },
}

impl VerifyError {
    /// Returns true when bytes are damaged, as opposed to not being readable at all.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            VerifyError::NoLedger { .. } | VerifyError::Scratch { .. } | VerifyError::Snapshots(_) => false,
            VerifyError::Key(error) => error.is_damage(),
            VerifyError::Journal(error) => matches!(error, OpenError::Damage { .. }),
            VerifyError::Fold(error) => error.is_damage(),
            VerifyError::SnapshotDiffers { .. } | VerifyError::TrialBalance { .. } => true,
        }
    }
}

/// The snapshots that a replay has still to meet, the oldest last.
struct SnapshotChecks {
    dir: PathBuf,
    left: Vec<Seq>,
    met: u64,
    /// Those of another version, which the next start makes anew; a line each.
    old: Vec<String>,
}

impl SnapshotChecks {
    fn open(dir: &Path) -> Result<SnapshotChecks, VerifyError> {
        let left = Snapshots::open_for_reading(dir)?.positions().collect();
        Ok(SnapshotChecks { dir: dir.to_path_buf(), left, met: 0, old: Vec::new() })
    }

    /// Holds the snapshot of the ledger's position, if there is one, against the ledger.
    fn compare(&mut self, ledger: &Ledger) -> Result<(), VerifyError> {
        let seq = ledger.desk.last();
        if self.left.last() != Some(&seq) {
            return Ok(());
        }
        self.left.pop();
        let snapshot = match Snapshot::open(&self.dir.join(snapshot_name(seq))) {
            Err(error) if error.is_older_version() => {
                self.old.push(older_snapshot(seq));
                return Ok(());
            }
            opened => opened.map_err(FoldError::from)?,
        };
        self.met += 1;
        snapshot.verify().map_err(FoldError::from)?;
        let same = snapshot.digest() == ledger_digest(ledger);
        if same { Ok(()) } else { Err(VerifyError::SnapshotDiffers { seq }) }
    }

    /// Returns how many snapshots were met. One that was not lies between two frames, or beyond the ledger's end: then
    /// it proves that records are missing.
    fn finish(self, end: Seq) -> Result<(u64, Vec<String>), VerifyError> {
        match self.left.last() {
            None => Ok((self.met, self.old)),
            Some(seq) if end < *seq => Err(FoldError::Shorter { found: end, expected: *seq }.into()),
            Some(seq) => Err(VerifyError::SnapshotDiffers { seq: *seq }),
        }
    }
}

/// Returns true when there is any part of a ledger.
pub(crate) fn is_ledger(dir: &Path) -> bool {
    let stores = [JOURNAL_DIR, PROFILES_HEAD, ARCHIVE_DIR, SNAPSHOTS_DIR].map(|name| dir.join(name));
    stores.iter().any(|store| store.exists()) || InstallationKey::is_there(dir)
}

/// Checks the ledger of a data directory that no engine runs: the key, checksums, chain, heads, every record, every
/// balance, every profile.
///
/// Works on copies in `scratch` and changes nothing in `dir`.
///
/// # Errors
///
/// [`VerifyError`]: what is wrong, and where.
pub fn verify(dir: &Path, scratch: &Path) -> Result<Verified, VerifyError> {
    let journal = dir.join(JOURNAL_DIR);
    if !is_ledger(dir) {
        return Err(VerifyError::NoLedger { path: dir.to_path_buf() });
    }
    let key = InstallationKey::of_ledger(dir, &parts_of(dir))?;
    std::fs::create_dir_all(scratch).map_err(|source| VerifyError::Scratch { path: scratch.to_path_buf(), source })?;
    let report = verify_copy(&journal, key.ledger(), scratch)?;
    let profile_commits = verify_profiles(dir, key.ledger(), scratch)?;
    let archive = Archive::open_for_reading(&dir.join(ARCHIVE_DIR)).map_err(FoldError::from)?;
    archive.verify().map_err(FoldError::from)?;
    let mut snapshots = SnapshotChecks::open(&dir.join(SNAPSHOTS_DIR))?;
    let mut ledger = Ledger::default();
    for frame in archive.frames(Seq(1)) {
        fold_frame(&mut ledger, &frame.map_err(FoldError::from)?)?;
        snapshots.compare(&ledger)?;
    }
    let mut last_frame = None;
    for frame in read_only_frames(&journal, &report, scratch)? {
        let frame = frame?;
        if is_after(&archive, ledger.desk.last(), &frame)? {
            fold_frame(&mut ledger, &frame)?;
            snapshots.compare(&ledger)?;
        }
        last_frame = Some(frame.last_seq());
    }
    let end = Position { seq: report.seq, hash: report.hash, epoch: report.epoch };
    let is_tail_empty = last_frame.is_none_or(|last| last <= archive.last_seq());
    meet_end(ledger.desk.last(), &archive, is_tail_empty, end)?;
    let (snapshots, old_snapshots) = snapshots.finish(ledger.desk.last())?;
    let mut trial_balances = Vec::new();
    for catalogue in ledger.desk.catalogues() {
        let Some(totals) = ledger.totals.tenant(catalogue.tenant) else { continue };
        for (unit, off) in totals.trial_balance() {
            let unit = match unit {
                Unit::Money(code) => code.as_str().to_owned(),
                Unit::Points(kind) => {
                    catalogue.point_kind(kind).map_or_else(|| kind.0.to_string(), |kind| kind.name.clone())
                }
            };
            let tenant = catalogue.slug.clone();
            if off != 0 {
                return Err(VerifyError::TrialBalance { tenant, unit, off });
            }
            trial_balances.push((tenant, unit, off));
        }
    }
    Ok(Verified {
        last: ledger.desk.last(),
        frames: report.frames,
        profile_commits,
        customers: ledger.rows.len() as u64,
        purchases: ledger.totals.tenants().map(|(_, totals)| totals.accepted).sum(),
        segments: archive.segments().len() as u64,
        snapshots,
        would_mend: report.would_mend.iter().map(ToString::to_string).chain(old_snapshots).collect(),
        trial_balances,
        digest: LedgerDigest::of(&ledger),
    })
}
