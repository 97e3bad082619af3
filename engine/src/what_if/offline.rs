//! What if on a ledger that no server runs: read on copies, as the offline check does it. Nothing is changed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;

use kembali_core::catalogue::Catalogue;
use kembali_core::command::ApplyCatalogue;
use kembali_core::desk::{self, Desk, DeskPiece};
use kembali_core::draft::CatalogueDraft;
use kembali_core::event::{Event, Record};
use kembali_core::{CatalogueRejection, Seq, TenantId};
use kembali_journal::{Frame, Position, codec, read_only_frames, verify_copy};
use kembali_snapshots::{Archive, Snapshots};

use super::history::{History, untouched};
use super::run::{range, run};
use super::{WhatIfProgress, WhatIfRefused, WhatIfReport, WhatIfRequest};
use crate::installation::InstallationKey;
use crate::recovery::{
    ARCHIVE_DIR, FoldError, JOURNAL_DIR, SNAPSHOTS_DIR, VerifyError, is_after, is_ledger, meet_end, parts_of,
};

/// Why a ledger that no server runs gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum WhatIfOfflineError {
    /// See [`WhatIfRefused`].
    #[error(transparent)]
    Refused(#[from] WhatIfRefused),
    /// The ledger cannot be read, or is damaged.
    #[error(transparent)]
    Ledger(#[from] VerifyError),
    /// No thread could be started.
    #[error("starting the thread that reads")]
    Thread(#[source] io::Error),
    /// A record cannot be what was written.
    #[error("the record at sequence number {} is damaged: {what}", seq.0)]
    Record {
        /// Which.
        seq: Seq,
        /// What is wrong with it.
        what: String,
    },
}

impl From<FoldError> for WhatIfOfflineError {
    fn from(error: FoldError) -> WhatIfOfflineError {
        WhatIfOfflineError::Ledger(error.into())
    }
}

impl WhatIfOfflineError {
    /// Returns where in the catalogue the mistake is, such as `promos[JOURNEY2017].bands[3]`, when that was refused.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        match self {
            WhatIfOfflineError::Refused(WhatIfRefused::Rules(CatalogueRejection::Invalid { place, .. })) => Some(place),
            _ => None,
        }
    }

    /// Returns true when bytes are damaged, as opposed to not being readable at all.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            WhatIfOfflineError::Refused(_) | WhatIfOfflineError::Thread(_) => false,
            WhatIfOfflineError::Ledger(error) => error.is_damage(),
            WhatIfOfflineError::Record { .. } => true,
        }
    }
}

/// Decides the recorded purchases of a tenant again under other rules, in a data directory that no engine runs.
///
/// Works on copies in `scratch` and changes nothing in `dir`. `tell` hears of the progress.
///
/// # Errors
///
/// [`WhatIfOfflineError`].
pub fn what_if_offline(
    dir: &Path,
    scratch: &Path,
    request: WhatIfRequest,
    tell: impl FnMut(WhatIfProgress),
) -> Result<WhatIfReport, WhatIfOfflineError> {
    let WhatIfRequest { draft, from, to, largest } = request;
    let offline = Offline::open(dir, scratch)?;
    let wanted = offline.wanted(&draft)?;
    let range = range(&offline, from, to)??;
    let report = run(&offline, wanted, range, largest, || true, tell)?;
    Ok(report.expect("nobody gave it up"))
}

/// A ledger that nobody runs.
struct Offline {
    archive: Archive,
    /// The frames that are not archived; a server has them in memory too.
    tail: Vec<Frame>,
    end: Seq,
}

impl Offline {
    fn open(dir: &Path, scratch: &Path) -> Result<Offline, VerifyError> {
        if !is_ledger(dir) {
            return Err(VerifyError::NoLedger { path: dir.to_path_buf() });
        }
        let key = InstallationKey::of_ledger(dir, &parts_of(dir))?;
        let failed = |source| VerifyError::Scratch { path: scratch.to_path_buf(), source };
        std::fs::create_dir_all(scratch).map_err(failed)?;
        let journal = dir.join(JOURNAL_DIR);
        let report = verify_copy(&journal, key.ledger(), scratch)?;
        let archive = Archive::open_for_reading(&dir.join(ARCHIVE_DIR)).map_err(FoldError::from)?;
        let (mut tail, mut found) = (Vec::new(), archive.last_seq());
        for frame in read_only_frames(&journal, &report, scratch)? {
            let frame = frame?;
            if is_after(&archive, found, &frame)? {
                found = frame.last_seq();
                tail.push(frame);
            }
        }
        let head = Position { seq: report.seq, hash: report.hash, epoch: report.epoch };
        meet_end(found, &archive, tail.is_empty(), head)?;
        let snapshots = Snapshots::open_for_reading(&dir.join(SNAPSHOTS_DIR))?;
        if let Some(expected) = snapshots.positions().find(|seq| found < *seq) {
            return Err(FoldError::Shorter { found, expected }.into());
        }
        Ok(Offline { archive, tail, end: found })
    }

    /// Lays a draft beside the present rules of its tenant, as a server would.
    fn wanted(&self, draft: &CatalogueDraft) -> Result<Arc<Catalogue>, WhatIfOfflineError> {
        let desk = self.rules_of(&draft.slug)?;
        let unknown = || WhatIfRefused::TenantUnknown { slug: draft.slug.clone() };
        let tenant = desk.tenant_by_slug(&draft.slug).ok_or_else(unknown)?;
        let present = desk.catalogue(tenant).cloned();
        let command = ApplyCatalogue {
            actor: None,
            draft: draft.clone(),
            keys: Vec::new(),
            expected_version: None,
            dry_run: true,
        };
        let next = desk::apply(&desk, &command).map_err(WhatIfRefused::Rules)?;
        Ok(next.or(present).ok_or_else(unknown)?)
    }

    /// Makes a desk that knows the rules of every tenant, and whether a wallet of the tenant `slug` was moved.
    fn rules_of(&self, slug: &str) -> Result<Desk, WhatIfOfflineError> {
        let mut versions: BTreeMap<TenantId, Vec<Arc<Catalogue>>> = BTreeMap::new();
        let (mut own, mut has_entries) = (None, false);
        self.read(|seq, bytes| {
            let head = codec::decode_head(bytes).map_err(|error| Offline::damaged(seq, &error))?;
            let is_looked_for = own == Some(head.tenant) && !has_entries;
            if head.has_customer && !is_looked_for {
                return Ok(());
            }
            let Record { body, .. } = codec::decode(seq, bytes).map_err(|error| Offline::damaged(seq, &error))?;
            for event in &body.events {
                match event {
                    Event::CatalogueApplied(rules) => {
                        versions.entry(rules.tenant).or_default().push(Arc::clone(rules));
                        own = own.or((rules.slug == slug).then_some(rules.tenant));
                    }
                    Event::WalletEntry(_) => has_entries |= own == Some(body.tenant),
                    _ => (),
                }
            }
            Ok(())
        })?;
        let partners = versions.values().flatten().flat_map(|rules| &rules.partners);
        let next_partner = partners.map(|partner| partner.id.0).max().unwrap_or(0) + 1;
        let last_received_at = if self.end == Seq::ZERO { Default::default() } else { self.received_at(self.end)? };
        let mut desk = Desk::default();
        if self.end != Seq::ZERO {
            restore(&mut desk, DeskPiece::Head { last: self.end, last_received_at, next_partner }, self.end)?;
        }
        for (tenant, versions) in versions {
            let has_entries = has_entries && own == Some(tenant);
            restore(&mut desk, DeskPiece::Tenant { watermark: None, has_entries }, self.end)?;
            for rules in versions {
                restore(&mut desk, DeskPiece::Version(Box::new(Catalogue::clone(&rules))), self.end)?;
            }
        }
        Ok(desk)
    }

    /// Hands every record to `see`.
    fn read(
        &self,
        mut see: impl FnMut(Seq, &[u8]) -> Result<(), WhatIfOfflineError>,
    ) -> Result<(), WhatIfOfflineError> {
        for frame in self.frames(Seq(1)) {
            let frame = frame?;
            let numbered = (frame.first_seq().0..=self.end.0).map(Seq).zip(frame.records());
            for (seq, bytes) in numbered {
                see(seq, bytes)?;
            }
        }
        Ok(())
    }
}

fn restore(desk: &mut Desk, piece: DeskPiece, end: Seq) -> Result<(), WhatIfOfflineError> {
    desk.restore(piece).map_err(|misfit| Offline::damaged(end, &misfit))
}

impl History for Offline {
    type Error = WhatIfOfflineError;

    fn end(&self) -> Seq {
        self.end
    }

    fn frame_of(&self, seq: Seq) -> Result<Option<Frame>, WhatIfOfflineError> {
        if seq <= self.archive.last_seq() {
            return Ok(self.archive.frame_of(seq).map_err(FoldError::from)?);
        }
        let at = self.tail.partition_point(|frame| frame.last_seq() < seq);
        Ok(self.tail.get(at).filter(|frame| frame.first_seq() <= seq).cloned())
    }

    fn frames(&self, first: Seq) -> impl Iterator<Item = Result<Frame, WhatIfOfflineError>> + '_ {
        let archived = self.archive.frames(first).map(|frame| Ok(frame.map_err(FoldError::from)?));
        let tail = self.tail.iter().filter(move |frame| first <= frame.last_seq());
        archived.chain(tail.cloned().map(Ok))
    }

    fn untouched_through(&self, tenant: TenantId) -> Result<Seq, WhatIfOfflineError> {
        Ok(untouched(&self.archive.sums_through(self.end).map_err(FoldError::from)?, tenant))
    }

    fn no_thread(source: io::Error) -> WhatIfOfflineError {
        WhatIfOfflineError::Thread(source)
    }

    fn damaged(seq: Seq, what: &dyn Display) -> WhatIfOfflineError {
        WhatIfOfflineError::Record { seq, what: what.to_string() }
    }
}
