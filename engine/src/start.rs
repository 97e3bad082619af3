//! Starting the engine: open, recover, then the actors and the journal thread.

use std::io;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use actix::{Actor as _, Addr, Arbiter, Context, System};
use kembali_core::{CustomerId, PartnerId, Seq, TenantId};
use kembali_journal::{
    Journal, JournalOwner, LedgerId, OpenError, Options, ProfileError, ProfileStore, SledJournal, SyncFault, TrimError,
    profile_value,
};
use kembali_machine::{Limit, Restore, Router, Shard, ShardOf};
use kembali_snapshots::{Archive, IoFault, Snapshots};

use crate::accounts::index_accounts;
use crate::archiver::{self, Archiver};
use crate::away_file::AwayFile;
use crate::clock_guard::{Clock, ClockGuard, Monotonic};
use crate::erase::forget_again;
use crate::free_space::{FreeBytes, FreeSpace};
use crate::handle::{Engine, IN_FLIGHT_UNITS, Parts};
use crate::history::History;
use crate::installation::{InstallationKey, KeyError};
use crate::journal_thread::{self, Fault, Stores};
use crate::naming::Naming;
use crate::partner_keys::{KeyOwner, PARTNER_VALUE_VERSION, Unopened};
use crate::profile_keys::{API_KEY_PREFIX, PARTNER_PREFIX, SIGNING_KEY_PREFIX, WEBHOOK_PREFIX};
use crate::recovery::{
    ARCHIVE_DIR, DECODED_MAX, Decoded, FoldError, JOURNAL_DIR, PROFILES_HEAD, Recovered, SNAPSHOTS_DIR, parts_of,
    read_tail, recover,
};
use crate::router_actor::{JournalReport, ReplyTo, RouterActor, Shards};
use crate::scrub;
use crate::seal::Sealer;
use crate::shard_actor::ShardActor;
use crate::shared::Shared;
use crate::signing_keys::{self, Unread};
use crate::tell::tell;
use crate::timings::Timings;
use crate::webhooks;

/// Slots that customers hash to; slots are spread over the shards at start.
const SLOTS: usize = 256;
/// The seed of the slot hash. Fixed: tests of balance between shards can be repeated.
const SLOT_SEED: u64 = 0x6b65_6d62_616c_6921;

/// How the engine is run.
pub struct EngineConfig {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// How many shards decide; the ledger is the same for any number.
    pub shards: NonZeroUsize,
    /// Customers who are in memory between two batches, of all shards together; `None` for all. The others lie in a file of the data
    /// directory, which is gone with the process.
    pub resident_max: Option<NonZeroUsize>,
    /// Bytes of frames that a generation of the journal holds before it is archived.
    pub generation_bytes_max: u64,
    /// A key to make a new ledger with, or to insist on; `None` draws one.
    pub installation_key: Option<[u8; 32]>,
    /// What the secrets of API keys are sealed under; `None` where no key has one.
    pub secrets_key: Option<[u8; 32]>,
    /// What says how many bytes are free on the disk; see [`crate::free_bytes_of`].
    pub free_bytes: FreeBytes,
    /// With fewer bytes free the ledger is read-only; 0 to go on until the disk is full.
    pub free_bytes_min: u64,
    /// What reads the time.
    pub clock: Clock,
    /// What tells whether that runs as it should; see [`crate::monotonic`].
    pub monotonic: Monotonic,
    /// What to do after a fault, once nothing is answered any more. A server ends its process here.
    pub on_fault: Box<dyn FnOnce(Fault) + Send>,
}

/// What the start found.
#[derive(Clone, Debug)]
pub struct StartReport {
    /// The last record.
    pub last: Seq,
    /// Customers.
    pub customers: u64,
    /// Booked purchases.
    pub purchases: u64,
    /// What was put right, a line each.
    pub mended: Vec<String>,
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory could not be made.
    #[error("creating {}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The journal or the profile store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The installation's key is not to be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Secrets of API keys were sealed under another key than the one that is configured.
    #[error(
        "API keys of {} have secrets that cannot be opened: start with the secrets_key that they were sealed under, or, where it \
         is lost, without one, and revoke them",
        partners.join(", ")
    )]
    Sealed {
        /// The tenant and the partner of each key.
        partners: Vec<String>,
    },
    /// What the profile store holds of a key or a partner is not what was written.
    #[error("the entry of {0} is damaged; restore the profile store from a backup")]
    Entry(&'static str),
    /// The journal's records are no ledger.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The profile store cannot be read.
    #[error(transparent)]
    Profiles(#[from] ProfileError),
    /// The snapshots could not be listed.
    #[error(transparent)]
    Snapshots(#[from] IoFault),
    /// A generation that is archived could not be dropped.
    #[error(transparent)]
    Trim(#[from] TrimError),
    /// The file for customers who are not in memory could not be made.
    #[error("making the file for customers who are not in memory in {}", path.display())]
    AwayFile {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("starting the {thread} thread")]
    Thread {
        /// Which.
        thread: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    /// Returns true when bytes are damaged, as opposed to not being readable at all.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            StartError::Open(error) => matches!(error, OpenError::Damage { .. }),
            StartError::Key(error) => error.is_damage(),
            StartError::Fold(error) => error.is_damage(),
            StartError::Entry(_) => true,
            StartError::Profiles(error) => matches!(error, ProfileError::Damage(_)),
            StartError::DataDir { .. }
            | StartError::Sealed { .. }
            | StartError::Thread { .. }
            | StartError::AwayFile { .. }
            | StartError::Snapshots(_)
            | StartError::Trim(_) => false,
        }
    }
}

/// Spreads customers over slots, and slots over shards.
fn shard_of(shards: NonZeroUsize) -> ShardOf {
    Box::new(move |tenant: TenantId, customer: CustomerId| {
        let mut name = [0; 20];
        name[..4].copy_from_slice(&tenant.0.to_le_bytes());
        name[4..].copy_from_slice(&customer.0.to_le_bytes());
        let slot = xxhash_rust::xxh3::xxh3_64_with_seed(&name, SLOT_SEED) as usize % SLOTS;
        slot % shards
    })
}

impl Engine {
    /// Opens the data directory, recovers the ledger, and starts to answer.
    ///
    /// # Errors
    ///
    /// [`StartError`]. Damage leaves the files as they were.
    pub fn start(config: EngineConfig) -> Result<(Engine, StartReport), StartError> {
        let data_dir = config.data_dir.clone();
        create_private_dir(&data_dir).map_err(|source| StartError::DataDir { path: data_dir.clone(), source })?;
        let key = InstallationKey::open(&data_dir, config.installation_key, &parts_of(&data_dir))?;
        let (ledger, generation_bytes_max) = (key.ledger(), config.generation_bytes_max);
        let options = Options { generation_bytes_max, ledger, ..Options::default() };
        // First of all: nobody else may change what is read beside the journal.
        let owner = JournalOwner::of(data_dir.join(JOURNAL_DIR), &options.syncs)?;
        Engine::start_with(config, &key, || {
            let (journal, report) = SledJournal::open_owned(owner, options)?;
            Ok((Box::new(journal), report.mended.iter().map(ToString::to_string).collect()))
        })
    }

    /// Starts on a journal that is open already. Profiles and the installation's key lie in the data directory.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start_on(
        config: EngineConfig,
        journal: Box<dyn Journal>,
        mended: Vec<String>,
    ) -> Result<(Engine, StartReport), StartError> {
        let profiles = vec![config.data_dir.join(PROFILES_HEAD)];
        let key = InstallationKey::open(&config.data_dir, config.installation_key, &profiles)?;
        Engine::start_with(config, &key, || Ok((journal, mended)))
    }

    fn start_with(
        config: EngineConfig,
        key: &InstallationKey,
        open_journal: impl FnOnce() -> Result<OpenedJournal, StartError> + Send,
    ) -> Result<(Engine, StartReport), StartError> {
        let (opened, Recovered { ledger, tail, bad_snapshots }) = open(&config, key.ledger(), open_journal)?;
        let Opened { journal, mut profiles, archive, snapshots, mut mended } = opened;
        key.keep()?;
        mended.extend(bad_snapshots);
        let naming = Naming::new(&key.bytes);
        index_accounts(&mut profiles)?;
        let forgotten = forget_again(ledger.erased(), &mut profiles, &naming)?;
        if 0 < forgotten {
            mended.push(format!("the profiles said who {forgotten} erased customers were; they were erased again"));
        }
        let shared = Arc::new(Shared::new(archive, tail));
        ledger.desk().catalogue_versions().for_each(|catalogue| shared.publish_rules(catalogue));
        for (key, stored) in profiles.list(PARTNER_PREFIX)? {
            let id = key.as_bytes().get(PARTNER_PREFIX.len()..).and_then(|id| id.try_into().ok());
            let partner = id.map(|id| PartnerId(u32::from_be_bytes(id)));
            let standing = profile_value::decode(PARTNER_VALUE_VERSION, &stored);
            let (Some(partner), Some(standing)) = (partner, standing) else {
                return Err(StartError::Entry("a partner"));
            };
            shared.set_partner_standing(partner, standing);
        }
        let sealer = config.secrets_key.as_ref().map(Sealer::new);
        let mut unopened = Vec::new();
        for (key, owner) in profiles.list(API_KEY_PREFIX)? {
            let hash = key.as_bytes().get(API_KEY_PREFIX.len()..).and_then(|hash| hash.try_into().ok());
            let (Some(hash), Some(owner)) = (hash, KeyOwner::parse(&owner)) else {
                return Err(StartError::Entry("an API key"));
            };
            match owner.secret(&hash, sealer.as_ref()) {
                Ok(secret) => shared.set_key(hash, owner, secret),
                Err(Unopened) => {
                    unopened.push(format!("{}/{}", owner.tenant, owner.partner));
                    // It opens nothing without its secret, and can be revoked.
                    shared.set_key(hash, owner, None);
                }
            }
        }
        for (key, stored) in profiles.list(SIGNING_KEY_PREFIX)? {
            match signing_keys::read(key.as_bytes(), &stored, sealer.as_ref()) {
                Ok(key) => shared.set_signing_keys(|keys| keys.push(key)),
                Err(Unread::Damaged) => return Err(StartError::Entry("a key that tokens are signed with")),
                // Another one is made then. Whoever holds a token of it refreshes it.
                Err(Unread::Sealed) => {
                    tracing::warn!("a key that tokens are signed with cannot be opened; it is left aside")
                }
            }
        }
        let mut hooks = Vec::new();
        for (key, stored) in profiles.list(WEBHOOK_PREFIX)? {
            let webhook = webhooks::read(key.as_bytes(), &stored, sealer.as_ref());
            let webhook = webhook.ok_or(StartError::Entry("a webhook"))?;
            if webhook.secrets.is_empty() {
                tracing::warn!(
                    webhook = format!("{:032x}", webhook.id.0),
                    "the secret of a webhook cannot be opened: it sends nothing until it is given another"
                );
            }
            hooks.push(Arc::new(webhook));
        }
        webhooks::shown(shared.webhooks(), |all| *all = hooks);
        if !unopened.is_empty() {
            if sealer.is_some() {
                return Err(StartError::Sealed { partners: unopened });
            }
            tracing::warn!(
                partners = unopened.join(", "),
                "there is no secrets_key: API keys that have a secret are closed"
            );
        }
        let report = StartReport {
            last: ledger.last(),
            customers: ledger.customers(),
            purchases: ledger.totals().tenants().map(|(_, totals)| totals.accepted).sum(),
            mended,
        };

        let profile_reader = profiles.reader();
        let (work, queue) = mpsc::channel();
        let to_journal = work.clone();
        let space = Arc::new(FreeSpace::new(config.free_bytes, config.free_bytes_min));
        space.look();
        let clock = Arc::new(ClockGuard::new(config.clock, config.monotonic, ledger.desk().last_received_at()));
        clock.now();
        let (router, shards) = ledger.finish();
        let actors = Actors {
            machine: router,
            shards,
            clock: Arc::clone(&clock),
            on_fault: config.on_fault,
            journal: work,
            space: Arc::clone(&space),
            shared: Arc::clone(&shared),
        };
        let router = start_actors(actors)?;
        // One report of what was written together, and one from each thread that fails.
        let report_to = |router: Addr<RouterActor>| move |report| tell(&router, JournalReport(report));
        let (sealed, to_archive) = archiver::channel();
        let report_archived = report_to(router.clone());
        let archiver = Archiver { snapshots, shared: Arc::clone(&shared), journal: to_journal.clone() };
        let archiver = archiver::start(archiver, to_archive, report_archived)
            .map_err(|source| StartError::Thread { thread: "archiver", source })?;
        let report_written = report_to(router.clone());
        let syncs = Arc::new(Timings::new(std::time::Instant::now()));
        let to_disk = Arc::clone(&syncs);
        let stores =
            Stores { journal, profiles, shared: Arc::clone(&shared), space: Arc::clone(&space), syncs: to_disk };
        let writer = journal_thread::start(stores, queue, sealed, report_written)
            .map_err(|source| StartError::Thread { thread: "journal", source })?;
        let (scrub_thread, scrub) = scrub::start(Arc::clone(&shared), report_to(router.clone()))
            .map_err(|source| StartError::Thread { thread: "scrub", source })?;
        let engine = Engine::new(Parts {
            router,
            naming,
            sealer,
            history: History::new(Arc::clone(&shared), &config.data_dir.join(SNAPSHOTS_DIR)),
            shared,
            profiles: profile_reader,
            journal: to_journal,
            space,
            clock,
            threads: vec![writer, archiver, scrub_thread],
            scrub,
            shards: config.shards,
            syncs,
        });
        Ok((engine, report))
    }
}

/// A journal, and what was put right on it.
type OpenedJournal = (Box<dyn Journal>, Vec<String>);

/// The stores of a data directory, open, and what was put right on them.
struct Opened {
    journal: Box<dyn Journal>,
    profiles: ProfileStore,
    archive: Archive,
    snapshots: Snapshots,
    mended: Vec<String>,
}

/// Opens the stores of a data directory and recovers its ledger, as far as possible at once: while the journal is checked, the snapshot is
/// loaded. That changes nothing, and neither does anything else before the journal is found whole.
fn open(
    config: &EngineConfig,
    ledger: LedgerId,
    open_journal: impl FnOnce() -> Result<OpenedJournal, StartError> + Send,
) -> Result<(Opened, Recovered), StartError> {
    let dir = &config.data_dir;
    let empty = Restore::new(make_shards(config)?, shard_of(config.shards));
    let (to, decoded) = mpsc::sync_channel(DECODED_MAX);
    let (opened, recovered) = thread::scope(|scope| {
        let opening = scope.spawn(move || -> Result<Opened, StartError> {
            let (mut journal, mut mended) = open_journal()?;
            let profiles = scope.spawn(move || ProfileStore::open(dir, ledger, &SyncFault::default()));
            let half_written = |path: &PathBuf| format!("{} was half-written", path.display());
            let archive = Archive::open(&dir.join(ARCHIVE_DIR)).map_err(FoldError::from)?;
            mended.extend(archive.removed().iter().map(half_written));
            drop_archived(journal.as_mut(), &archive)?;
            let snapshots = Snapshots::open(&dir.join(SNAPSHOTS_DIR))?;
            mended.extend(snapshots.removed().iter().map(half_written));
            read_tail(journal.as_ref(), archive.last_seq(), &to);
            let (profiles, profiles_mended) = profiles.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            mended.extend(profiles_mended.iter().map(ToString::to_string));
            Ok(Opened { journal, profiles, archive, snapshots, mended })
        });
        let recovered = recover_in(dir, empty, decoded);
        (opening.join().unwrap_or_else(|panic| resume_unwind(panic)), recovered)
    });
    // Where the journal could not be opened, that is why there was less to recover.
    let (opened, recovered) = (opened?, recovered?);
    recovered.check(&opened.archive, &opened.snapshots, opened.journal.position())?;
    Ok((opened, recovered))
}

fn recover_in(dir: &Path, empty: Restore, decoded: Receiver<Decoded>) -> Result<Recovered, StartError> {
    let archive = Archive::open_for_reading(&dir.join(ARCHIVE_DIR)).map_err(FoldError::from)?;
    let snapshots = Snapshots::open_for_reading(&dir.join(SNAPSHOTS_DIR))?;
    Ok(recover(empty, &archive, &snapshots, decoded)?)
}

/// Makes the data directory where it is missing. It holds names of people and secrets: nobody else may look into it.
fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Drops generations that were archived before a crash kept them from being dropped.
fn drop_archived(journal: &mut dyn Journal, archive: &Archive) -> Result<(), StartError> {
    for generation in journal.generations() {
        if generation.sealed && generation.last_seq <= archive.last_seq() {
            for frame in journal.frames(generation.first_seq).map_err(FoldError::from)? {
                let frame = frame.map_err(FoldError::from)?;
                if generation.last_seq < frame.first_seq() {
                    break;
                }
                // Where both exist they must agree.
                archive.meets(&frame).map_err(FoldError::from)?;
            }
            journal.trim(generation.number)?;
        }
    }
    Ok(())
}

/// Makes the shards. Each has its share of the rows that may be in memory.
fn make_shards(config: &EngineConfig) -> Result<Vec<Shard>, StartError> {
    let (count, dir) = (config.shards.get(), &config.data_dir);
    let share = config.resident_max.and_then(|max| NonZeroUsize::new(max.get().div_ceil(count)));
    let shard = |_| {
        let Some(resident_max) = share else { return Ok(Shard::default()) };
        let store = AwayFile::create(dir).map_err(|source| StartError::AwayFile { path: dir.clone(), source })?;
        Ok(Shard::limited(Limit { resident_max, store: Box::new(store) }))
    };
    (0..count).map(shard).collect()
}

/// What the actors work with.
struct Actors {
    machine: Router<ReplyTo>,
    shards: Vec<Shard>,
    clock: Arc<ClockGuard>,
    on_fault: Box<dyn FnOnce(Fault) + Send>,
    journal: journal_thread::WorkSender,
    space: Arc<FreeSpace>,
    shared: Arc<Shared>,
}

/// Starts the system on a thread of its own, the router on its arbiter, and each of several shards on one of its own.
fn start_actors(actors: Actors) -> Result<Addr<RouterActor>, StartError> {
    let Actors { machine, shards, clock, on_fault, journal, space, shared } = actors;
    let (address, started) = mpsc::sync_channel(1);
    let run = move || {
        let system = System::new();
        let router = system.block_on(async move {
            let router = RouterActor {
                machine,
                clock,
                shards: Vec::new(),
                journal,
                space,
                pump_due: false,
                shared,
                stopping: None,
                on_fault: Some(on_fault),
                mailbox_messages_max: IN_FLIGHT_UNITS as usize,
            }
            .start();
            let count = shards.len();
            let shards = shards.into_iter().map(|shard| {
                let router = router.clone();
                let shard = move |_: &mut Context<ShardActor>| ShardActor { shard, router };
                // With one shard nothing is decided side by side, and two changes of threads a batch cost more than it.
                if count == 1 {
                    ShardActor::create(shard)
                } else {
                    ShardActor::start_in_arbiter(&Arbiter::new().handle(), shard)
                }
            });
            // Once this is answered the router has started, and its mailbox has the room that callers count on.
            let there = router.send(Shards(shards.collect())).await;
            there.map(|()| router)
        });
        // The receiver waits for exactly this.
        let _ = address.send(router);
        if let Err(error) = system.run() {
            tracing::error!(%error, "the actor system ended");
        }
    };
    let failed = |source| StartError::Thread { thread: "router", source };
    thread::Builder::new().name("router".into()).spawn(run).map_err(failed)?;
    let router = started.recv().map_err(|_| failed(io::Error::other("it ended before it began")))?;
    router.map_err(|error| failed(io::Error::other(error)))
}
