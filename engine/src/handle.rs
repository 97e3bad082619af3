//! The handle that callers hold: requests in, answers out. The only part of the engine that is called from many threads.
//!
//! Room is counted here, at the door: what is in flight takes units of a fixed number, by commands and by their size,
//! until its outcome has left. Behind the door nothing is refused for want of room.

use std::collections::VecDeque;
use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use actix::Addr;
use actix::prelude::SendError;
use kembali_core::catalogue::Catalogue;
use kembali_core::command::{Command, PurchaseCommand, Query};
use kembali_core::customer::Row;
use kembali_core::event::{Body, Event, PlacementReason, Record, TierPlaced};
use kembali_core::purchase::Purchase;
use kembali_core::{CustomerId, CustomerName, Instant, PurchaseKey, RuleId, Seq, TenantId, WalletId, upkeep};
use kembali_journal::{ProfileError, ProfileKey, ProfileReader};
use kembali_machine::{CustomerView, Outcome, PromoUse, TotalsView};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot, watch};

use crate::accounts::AccountCache;
use crate::as_of::HISTORY_READS_MAX;
use crate::clock_guard::ClockGuard;
use crate::free_space::FreeSpace;
use crate::history::History;
use crate::journal_thread::{Ended, Fault, Report, Work, WorkSender};
use crate::naming::Naming;
use crate::profile_keys::{ProfileChange, alias_key, wallet_name_key};
use crate::request::{
    AdministerError, BookError, Booking, CustomerRef, NotTaken, PurchaseRequest, ReadError, ReadOnly, RecordAndRules,
    StopError, Stopped,
};
use crate::router_actor::{JournalReport, ReplyTo, RouterActor, Stop, Submit};
use crate::scrub::Scrub;
use crate::seal::Sealer;
use crate::shared::Shared;
use crate::tell::tell;
use crate::timings::Timings;

/// Units of room: each command takes one, and one more for each KiB of its text.
pub const IN_FLIGHT_UNITS: u32 = 65_536;
/// How often a stream that waits for room on the disk looks again.
const DISK_LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most units that one submission may take, so that it always fits.
pub(crate) const SUBMISSION_UNITS_MAX: u32 = IN_FLIGHT_UNITS / 4;

/// A handle on the running engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// What a start has made for the handle.
pub(crate) struct Parts {
    pub(crate) router: Addr<RouterActor>,
    pub(crate) naming: Naming,
    pub(crate) sealer: Option<Sealer>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) history: History,
    pub(crate) profiles: ProfileReader,
    pub(crate) journal: WorkSender,
    pub(crate) space: Arc<FreeSpace>,
    pub(crate) clock: Arc<ClockGuard>,
    /// The journal thread, the archiver and the scrub, in the order in which they end.
    pub(crate) threads: Vec<JoinHandle<Ended>>,
    pub(crate) scrub: Scrub,
    pub(crate) shards: NonZeroUsize,
    /// How long writing and syncing a frame takes.
    pub(crate) syncs: Arc<Timings>,
}

pub(crate) struct Inner {
    router: Addr<RouterActor>,
    pub(crate) naming: Naming,
    /// Seals the secrets of API keys.
    pub(crate) sealer: Option<Sealer>,
    pub(crate) shared: Arc<Shared>,
    history: Arc<History>,
    history_room: Arc<Semaphore>,
    /// Gone once the engine is stopped, so that the store is closed although handles are left.
    profiles: RwLock<Option<ProfileReader>>,
    journal: WorkSender,
    /// One change of keys or partners at a time.
    pub(crate) administration: Arc<tokio::sync::Mutex<()>>,
    /// One change of accounts at a time.
    pub(crate) accounts: Arc<tokio::sync::Mutex<()>>,
    pub(crate) account_cache: AccountCache,
    /// One snapshot at a time.
    snapshots: tokio::sync::Mutex<()>,
    /// One preview at a time.
    walks: tokio::sync::Mutex<()>,
    /// One what-if at a time.
    what_if: Arc<Semaphore>,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) space: Arc<FreeSpace>,
    clock: Arc<ClockGuard>,
    /// The journal thread, the archiver and the scrub, in the order in which they end.
    threads: Mutex<Vec<JoinHandle<Ended>>>,
    /// Gone once the engine is stopped, which ends the scrub.
    pub(crate) scrub: Mutex<Option<Scrub>>,
    pub(crate) shards: NonZeroUsize,
    /// How long it takes from where purchases are taken to where all of them are durable and their answers known.
    pub(crate) decisions: Timings,
    pub(crate) syncs: Arc<Timings>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Engine(durable up to {})", self.durable().0)
    }
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Engine {
        let Parts { router, naming, sealer, shared, history, profiles, journal, space, clock, .. } = parts;
        Engine {
            inner: Arc::new(Inner {
                router,
                naming,
                sealer,
                shared,
                history: Arc::new(history),
                history_room: Arc::new(Semaphore::new(HISTORY_READS_MAX)),
                profiles: RwLock::new(Some(profiles)),
                journal,
                administration: Arc::default(),
                accounts: Arc::default(),
                account_cache: AccountCache::default(),
                snapshots: tokio::sync::Mutex::default(),
                walks: tokio::sync::Mutex::default(),
                what_if: Arc::new(Semaphore::new(1)),
                room: Arc::new(Semaphore::new(IN_FLIGHT_UNITS as usize)),
                space,
                clock,
                threads: Mutex::new(parts.threads),
                scrub: Mutex::new(Some(parts.scrub)),
                shards: parts.shards,
                decisions: Timings::new(std::time::Instant::now()),
                syncs: parts.syncs,
            }),
        }
    }

    /// Books purchases that arrived together, or refuses at once when too much is in flight or the disk is nearly full.
    ///
    /// # Errors
    ///
    /// [`NotTaken`]: nothing was done. The future's [`BookError`]: the outcome is unknown.
    pub fn try_book(
        &self,
        requests: Vec<PurchaseRequest>,
    ) -> Result<impl Future<Output = Result<Vec<Booking>, BookError>> + Send + 'static + use<>, NotTaken> {
        if requests.iter().any(|request| !request.dry_run) {
            self.check_room_on_disk()?;
        }
        let units = units_of(&requests);
        let permit = match Arc::clone(&self.inner.room).try_acquire_many_owned(units) {
            Err(TryAcquireError::NoPermits) => return Err(NotTaken::Overloaded),
            permit => permit.map_err(|_| Stopped),
        };
        let (engine, watch) = (self.clone(), Stopwatch::start(&requests));
        // Under way at once: room is not taken by what waits to be looked at, and the order of the calls is the order.
        let sent = permit.and_then(|permit| self.send(permit, self.commands(requests)));
        Ok(async move { engine.bookings(sent?.await.map_err(|_| Stopped)?, watch).await })
    }

    /// Books purchases that arrived together; waits for room, in flight and on the disk. For streams, whose reader then
    /// stops reading.
    ///
    /// # Errors
    ///
    /// [`BookError`]: the outcome is unknown.
    pub async fn book(&self, requests: Vec<PurchaseRequest>) -> Result<Vec<Booking>, BookError> {
        while self.check_room_on_disk().is_err() {
            // Nobody tells when an operator has made room.
            tokio::time::sleep(DISK_LOOK_EVERY).await;
            if !self.inner.router.connected() {
                return Err(Stopped.into());
            }
        }
        let permit = self.room_for(units_of(&requests)).await?;
        self.book_with(permit, requests).await
    }

    pub(crate) fn check_room_on_disk(&self) -> Result<(), ReadOnly> {
        if self.inner.space.is_enough() { Ok(()) } else { Err(ReadOnly) }
    }

    /// Returns true while the disk is so full that nothing is taken; reads go on.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.check_room_on_disk().is_err()
    }

    /// Returns true while the clock of the wall has jumped or lies far behind the ledger: stamps do not follow it, and
    /// nothing expires that nobody asks for.
    #[must_use]
    pub fn is_clock_off(&self) -> bool {
        self.inner.clock.now();
        self.inner.clock.is_off()
    }

    async fn book_with(
        &self,
        permit: OwnedSemaphorePermit,
        requests: Vec<PurchaseRequest>,
    ) -> Result<Vec<Booking>, BookError> {
        let watch = Stopwatch::start(&requests);
        let outcomes = self.submit(permit, self.commands(requests)).await?;
        self.bookings(outcomes, watch).await
    }

    fn commands(&self, requests: Vec<PurchaseRequest>) -> Vec<Command> {
        requests.into_iter().map(|request| Command::Purchase(Box::new(self.command(request)))).collect()
    }

    /// Turns outcomes into what the caller sees, and notes how long that took.
    async fn bookings(&self, outcomes: Vec<Outcome>, watch: Stopwatch) -> Result<Vec<Booking>, BookError> {
        let mut bookings = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            bookings.push(self.booking(outcome).await?);
        }
        watch.stop(&self.inner.decisions);
        Ok(bookings)
    }

    fn command(&self, request: PurchaseRequest) -> PurchaseCommand {
        let PurchaseRequest { caller, customer, purchase, dry_run } = request;
        let naming = &self.inner.naming;
        let name = naming.customer(caller.tenant, &customer);
        PurchaseCommand {
            tenant: caller.tenant,
            partner: caller.partner,
            key: naming.purchase(caller.partner, &purchase.origin_id),
            fingerprint: naming.fingerprint(name, &purchase),
            customer: name,
            alias_text: match customer {
                CustomerRef::Id(_) => None,
                CustomerRef::Email(text) | CustomerRef::Ref(text) => Some(text.into_boxed_str()),
            },
            purchase,
            dry_run,
            other_records: Vec::new(),
        }
    }

    /// Turns an outcome into what the caller sees. A candidate of the key index is looked up in its record.
    async fn booking(&self, outcome: Outcome) -> Result<Booking, BookError> {
        let mut next = outcome;
        loop {
            next = match next {
                Outcome::Booked { record, catalogue } => return Ok(Booking::Booked { record, catalogue }),
                Outcome::WouldBook { body, catalogue } => return Ok(Booking::WouldBook { body, catalogue }),
                Outcome::Refused { rejection, replayed } => return Ok(Booking::Refused { rejection, replayed }),
                Outcome::Known(seq, mut command) => {
                    let (record, catalogue) = self.durable_record(seq).await?;
                    match booked_as(&record, command.key) {
                        Some(fingerprint) if fingerprint == command.fingerprint => {
                            return Ok(Booking::Replayed { record, catalogue });
                        }
                        Some(_) => return Ok(Booking::Conflict { seq }),
                        None => {
                            // Another purchase whose key begins with the same 64 bits.
                            command.other_records.push(seq);
                            let permit = self.room_for(1).await?;
                            self.submit_one(permit, Command::Purchase(command)).await?
                        }
                    }
                }
                other => unreachable!("a purchase cannot end as {other:?}"),
            };
        }
    }

    pub(crate) async fn durable_record(&self, seq: Seq) -> Result<RecordAndRules, ReadError> {
        let missing = || ReadError::Damaged(seq, "the index names it, the journal does not hold it".to_owned());
        self.record(seq).await?.ok_or_else(missing)
    }

    fn read_record(&self, seq: Seq) -> Result<Option<RecordAndRules>, ReadError> {
        let Some(record) = self.inner.shared.record(seq)? else { return Ok(None) };
        let (tenant, version) = (record.body.tenant, record.body.catalogue_version);
        let catalogue = self.inner.shared.catalogue_at(tenant, version).ok_or_else(|| {
            ReadError::Damaged(seq, format!("it names version {version} of a catalogue, which does not exist"))
        })?;
        Ok(Some((Arc::new(record), catalogue)))
    }

    /// Returns the id that a name stands for, whether or not there is such a customer.
    #[must_use]
    pub fn customer_id(&self, tenant: TenantId, customer: &CustomerRef) -> CustomerId {
        match self.inner.naming.customer(tenant, customer) {
            CustomerName::Id(id) => id,
            CustomerName::Alias(alias) => alias.first_customer_id(),
        }
    }

    /// Finds the last rules that still had each level from which a record places its customer: where the names of levels
    /// that are gone are found. Empty of most records.
    #[must_use]
    pub fn former_rules(&self, body: &Body) -> Vec<Arc<Catalogue>> {
        let version = |event: &Event| match event {
            Event::TierPlaced(TierPlaced { reason: PlacementReason::LevelRemoved { version }, .. }) => Some(*version),
            _ => None,
        };
        let former = body.events.iter().filter_map(version).filter_map(|version| version.checked_sub(1));
        former.filter_map(|version| self.inner.shared.catalogue_at(body.tenant, version)).collect()
    }

    /// Archives all that is durable now, takes a snapshot of it, and returns its position. Nobody waits for it but the
    /// caller.
    ///
    /// # Errors
    ///
    /// [`AdministerError`].
    pub async fn snapshot(&self) -> Result<Seq, AdministerError> {
        self.check_room_on_disk()?;
        let _one_at_a_time = self.inner.snapshots.lock().await;
        let (asked, taken) = oneshot::channel();
        self.inner.journal.send(Work::Snapshot(asked)).map_err(|_| Stopped)?;
        Ok(taken.await.map_err(|_| Stopped)?)
    }

    /// Looks at a customer. Nobody is created by looking.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn customer(
        &self,
        tenant: TenantId,
        customer: &CustomerRef,
    ) -> Result<Option<Box<CustomerView>>, Stopped> {
        let customer = self.inner.naming.customer(tenant, customer);
        match self.ask(Query::Customer { tenant, customer }).await? {
            Outcome::Customer(view) => Ok(view),
            other => unreachable!("a look at a customer cannot end as {other:?}"),
        }
    }

    /// Finds the booked purchase of a key, whatever its tenant, with the rules that it was decided by.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn purchase(&self, key: PurchaseKey) -> Result<Option<RecordAndRules>, ReadError> {
        let Outcome::Candidates(candidates) = self.ask(Query::Purchase { key }).await? else {
            unreachable!("a look for a purchase gives candidates")
        };
        for seq in candidates {
            let found = self.durable_record(seq).await?;
            if booked_as(&found.0, key).is_some() {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Reads one record, with the rules that it was decided by; `None` when it is not written yet.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn record(&self, seq: Seq) -> Result<Option<RecordAndRules>, ReadError> {
        let read = if self.inner.shared.is_archived(seq) {
            // The archive is on disk: no thread of the network may wait for it.
            let engine = self.clone();
            let read = tokio::task::spawn_blocking(move || engine.read_record(seq)).await;
            read.map_err(|error| ReadError::Unreadable(seq, error.to_string()))?
        } else {
            self.read_record(seq)
        };
        read.inspect_err(|error| self.report_damage(error))
    }

    /// Ends it all when a read found damage: a ledger that is known to be damaged answers nobody.
    pub(crate) fn report_damage(&self, error: &ReadError) {
        if let ReadError::Damaged(..) = error {
            // One message a read, and the first one ends it all.
            tell(&self.inner.router, JournalReport(Report::Failed(Fault::Damage { message: error.to_string() })));
        }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.inner.shared)
    }

    /// Takes the turn of the one what-if that may run, or returns `None` while it does.
    pub(crate) fn what_if_turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.what_if).try_acquire_owned().ok()
    }

    /// Returns true once nothing is taken any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.inner.room.is_closed() || !self.inner.router.connected()
    }

    pub(crate) fn history(&self) -> &Arc<History> {
        &self.inner.history
    }

    pub(crate) fn history_room(&self) -> &Arc<Semaphore> {
        &self.inner.history_room
    }

    /// Returns a tenant's rules at a version that a durable record names.
    pub(crate) fn rules_at(&self, tenant: TenantId, version: u32) -> Option<Arc<Catalogue>> {
        self.inner.shared.catalogue_at(tenant, version)
    }

    /// Shows a row as it stands at `now` under a version of the rules.
    pub(crate) fn up_to_date(&self, row: Row, version: u32, now: Instant) -> Row {
        let removals = self.inner.shared.removals_through(row.tenant, version);
        upkeep::as_of(row, &removals, now)
    }

    /// Returns a tenant's rules at a version; `None` for the present one.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn catalogue(&self, slug: &str, version: Option<u32>) -> Result<Option<Arc<Catalogue>>, Stopped> {
        match self.ask(Query::Catalogue { tenant: slug.to_owned(), version }).await? {
            Outcome::Catalogue(catalogue) => Ok(catalogue),
            other => unreachable!("a look at rules cannot end as {other:?}"),
        }
    }

    /// Lists the present rules of every tenant, in order of their ids.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn tenants(&self) -> Result<Vec<Arc<Catalogue>>, Stopped> {
        if self.is_stopped() { Err(Stopped) } else { Ok(self.inner.shared.catalogues()) }
    }

    /// Looks at a promo's quota.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn promo_use(&self, tenant: TenantId, promo: RuleId) -> Result<Option<PromoUse>, Stopped> {
        match self.ask(Query::PromoUse { tenant, promo }).await? {
            Outcome::PromoUse(promo_use) => Ok(promo_use),
            other => unreachable!("a look at a promo cannot end as {other:?}"),
        }
    }

    /// Looks at a tenant's sums.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn totals(&self, slug: &str) -> Result<Option<Box<TotalsView>>, Stopped> {
        match self.ask(Query::Totals { tenant: slug.to_owned() }).await? {
            Outcome::Totals(totals) => Ok(totals),
            other => unreachable!("a look at sums cannot end as {other:?}"),
        }
    }

    /// Makes texts of the profile store durable, shows that, and only then lets the next change in: also where whoever asked is
    /// gone meanwhile.
    pub(crate) async fn store(
        &self,
        change: ProfileChange,
        one_at_a_time: OwnedMutexGuard<()>,
        show: impl FnOnce(&Engine) + Send + 'static,
    ) -> Result<(), Stopped> {
        let engine = self.clone();
        let stored = tokio::spawn(async move {
            let _one_at_a_time = one_at_a_time;
            let (reply, stored) = oneshot::channel();
            engine.inner.journal.send(Work::Store(change, reply)).map_err(|_| Stopped)?;
            stored.await.map_err(|_| Stopped)?;
            show(&engine);
            Ok(())
        });
        stored.await.map_err(|_| Stopped)?
    }

    /// Returns what the clock of the wall says, also where stamps do not follow it.
    #[must_use]
    pub fn wall(&self) -> Instant {
        self.inner.clock.wall()
    }

    /// Reads the text of the alias that named a customer first.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn alias_text(&self, customer: CustomerId) -> Result<Option<String>, ReadError> {
        self.profile_text(alias_key(customer))
    }

    /// Reads the name of a wallet; `None` of one that never had any.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn wallet_name(&self, customer: CustomerId, wallet: WalletId) -> Result<Option<String>, ReadError> {
        self.profile_text(wallet_name_key(customer, wallet))
    }

    fn profile_text(&self, key: Result<ProfileKey, ProfileError>) -> Result<Option<String>, ReadError> {
        Ok(self.profile(key)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Reads an entry of the profile store.
    pub(crate) fn profile(&self, key: Result<ProfileKey, ProfileError>) -> Result<Option<Vec<u8>>, ReadError> {
        let profile = |error: ProfileError| ReadError::Profile(error.to_string());
        let key = key.map_err(profile)?;
        let reader = self.inner.profiles.read().unwrap_or_else(PoisonError::into_inner);
        reader.as_ref().ok_or(Stopped)?.get(&key).map_err(profile)
    }

    /// Lists the entries of the profile store whose keys start with a prefix.
    pub(crate) fn profiles_under(&self, prefix: &[u8]) -> Result<Vec<(ProfileKey, Vec<u8>)>, ReadError> {
        let reader = self.inner.profiles.read().unwrap_or_else(PoisonError::into_inner);
        reader.as_ref().ok_or(Stopped)?.list(prefix).map_err(|error| ReadError::Profile(error.to_string()))
    }

    /// Returns the last durable position.
    #[must_use]
    pub fn durable(&self) -> Seq {
        self.inner.shared.durable()
    }

    /// Watches the last durable position.
    #[must_use]
    pub fn watch_durable(&self) -> watch::Receiver<Seq> {
        self.inner.shared.watch()
    }

    /// Waits until nothing is in flight, and lets nothing in until what is returned is dropped: what comes meanwhile is
    /// refused as overload, or waits.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub async fn pause(&self) -> Result<Pause, Stopped> {
        Ok(Pause { _room: self.room_for(IN_FLIGHT_UNITS).await? })
    }

    /// Waits until nothing is in flight, then stops the actors and closes the journal. Every later call is [`Stopped`].
    ///
    /// # Errors
    ///
    /// [`StopError`] when something failed while the last of it was put away. Nothing acknowledged is lost.
    pub async fn stop(&self) -> Result<(), StopError> {
        // Nobody else can enter once all of the room is taken; it is never given back.
        if let Ok(all) = Arc::clone(&self.inner.room).acquire_many_owned(IN_FLIGHT_UNITS).await {
            all.forget();
        }
        self.inner.room.close();
        let (done, stopped) = oneshot::channel();
        tell(&self.inner.router, Stop(done));
        // An engine that had a fault is stopped already.
        let _ = stopped.await;
        let _ = self.inner.journal.send(Work::Close);
        drop(self.inner.scrub.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.inner.profiles.write().unwrap_or_else(PoisonError::into_inner).take();
        let threads = std::mem::take(&mut *self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut failed = Ok(());
        for thread in threads {
            match tokio::task::spawn_blocking(move || thread.join()).await {
                Ok(Ok(Ended::WhenTold)) => (),
                Ok(Ok(Ended::AfterFault(message))) => failed = Err(StopError(message)),
                Ok(Err(_)) | Err(_) => failed = Err(StopError("a thread of the journal panicked".to_owned())),
            }
        }
        failed
    }

    /// Waits until no other walk over all customers is under way.
    pub(crate) async fn one_walk(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.walks.lock().await
    }

    pub(crate) async fn ask(&self, query: Query) -> Result<Outcome, Stopped> {
        let permit = self.room_for(1).await?;
        self.submit_one(permit, Command::Read(query)).await
    }

    pub(crate) async fn room_for(&self, units: u32) -> Result<OwnedSemaphorePermit, Stopped> {
        Arc::clone(&self.inner.room).acquire_many_owned(units).await.map_err(|_| Stopped)
    }

    pub(crate) async fn submit_one(&self, permit: OwnedSemaphorePermit, command: Command) -> Result<Outcome, Stopped> {
        let mut outcomes = VecDeque::from(self.submit(permit, vec![command]).await?);
        outcomes.pop_front().ok_or(Stopped)
    }

    async fn submit(&self, permit: OwnedSemaphorePermit, commands: Vec<Command>) -> Result<Vec<Outcome>, Stopped> {
        self.send(permit, commands)?.await.map_err(|_| Stopped)
    }

    fn send(
        &self,
        permit: OwnedSemaphorePermit,
        commands: Vec<Command>,
    ) -> Result<oneshot::Receiver<Vec<Outcome>>, Stopped> {
        let (sender, outcomes) = oneshot::channel();
        let message = Submit { commands, reply: ReplyTo { sender, _permit: permit } };
        match self.inner.router.try_send(message) {
            Ok(()) => Ok(outcomes),
            // The mailbox holds more messages than there are units of room.
            Err(SendError::Full(_)) => unreachable!("the mailbox is larger than the room"),
            Err(SendError::Closed(_)) => Err(Stopped),
        }
    }
}

/// Measures how long purchases take from where they are taken, dry runs aside.
#[derive(Clone, Copy)]
struct Stopwatch {
    start: std::time::Instant,
    purchases: u64,
}

impl Stopwatch {
    fn start(requests: &[PurchaseRequest]) -> Stopwatch {
        let purchases = requests.iter().filter(|request| !request.dry_run).count() as u64;
        Stopwatch { start: std::time::Instant::now(), purchases }
    }

    fn stop(self, timings: &Timings) {
        let end = std::time::Instant::now();
        if self.purchases != 0 {
            timings.record(end, end - self.start, self.purchases);
        }
    }
}

/// Keeps the door closed while it lives. See [`Engine::pause`].
#[derive(Debug)]
pub struct Pause {
    _room: OwnedSemaphorePermit,
}

/// Returns the fingerprint of the purchase that a record books under `key`.
fn booked_as(record: &Record, key: PurchaseKey) -> Option<kembali_core::Fingerprint> {
    record.body.events.iter().find_map(|event| match event {
        Event::PurchaseBooked(booked) if booked.key == key => Some(booked.fingerprint),
        _ => None,
    })
}

/// Counts the room that requests take; never more than one submission may have.
fn units_of(requests: &[PurchaseRequest]) -> u32 {
    let units: u64 = requests.iter().map(|request| 1 + text_bytes(&request.purchase) / 1024).sum();
    u32::try_from(units).unwrap_or(u32::MAX).clamp(1, SUBMISSION_UNITS_MAX)
}

fn text_bytes(purchase: &Purchase) -> u64 {
    let lines: usize = purchase.lines.iter().map(|line| line.product.len() + 32).sum();
    let tags: usize = purchase.tags.iter().map(|tag| tag.len() + 24).sum();
    (purchase.origin_id.len() + lines + tags) as u64
}
