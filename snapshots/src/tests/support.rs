//! What the tests share: seeded chance, ledgers driven through the rules, frames and generations made of them.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use kembali_core::catalogue::{AtMaximum, Currency, RuleClock, UnknownCustomer, UnknownPromo};
use kembali_core::command::{ApplyCatalogue, PurchaseCommand};
use kembali_core::customer::{Decision, decide};
use kembali_core::desk::{self, Admission, Desk, Reservations};
use kembali_core::draft::{
    BandDraft, CatalogueDraft, EarningDraft, JourneyDraft, LevelDraft, PartnerDraft, PolicyDraft, ProgramDraft,
    PromoDraft,
};
use kembali_core::event::{Body, Event, Record};
use kembali_core::ledger::Ledger;
use kembali_core::purchase::Purchase;
use kembali_core::refund::RefundPolicy;
use kembali_core::{
    Alias, AliasKind, Amount, CurrencyCode, CustomerName, Fingerprint, Instant, PartnerId, Percent, PurchaseKey, Seq,
    TenantId,
};
use kembali_journal::{Frame, FrameHash, GenerationInfo, codec};

use crate::archive::Archive;
use crate::{Cut, Snapshot, Snapshots};

/// Multiplies the depth of the long tests.
pub(crate) fn depth() -> u64 {
    std::env::var("KEMBALI_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1)
}

/// Chance from a seed, which is printed: xorshift64*.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        println!("seed {seed}, KEMBALI_DEPTH {}", depth());
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Stands in for the installation's keyed hash.
pub(crate) fn hash(text: &str) -> u128 {
    let bytes = *blake3::hash(text.as_bytes()).as_bytes();
    u128::from_le_bytes(bytes[..16].try_into().unwrap())
}

fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).unwrap()
}

pub(crate) fn draft(slug: &str, quota: u64) -> CatalogueDraft {
    let partner = |slug: &str| PartnerDraft { slug: slug.into(), name: slug.into() };
    let band = |quantity, percent| BandDraft {
        quantity,
        or_more: quantity == 2,
        amount_min: Amount::ZERO,
        amount_end: None,
        percent: Percent::parse(percent).unwrap(),
    };
    let level = |name: &str, points| LevelDraft {
        name: name.into(),
        count_max: 3,
        next: None,
        previous: None,
        milestones: vec![(2, amount(points))],
    };
    CatalogueDraft {
        slug: slug.into(),
        name: slug.into(),
        currency: Currency { code: CurrencyCode(*b"IDR"), exponent: 0 },
        timezone: "Asia/Jakarta".into(),
        clock: RuleClock::Occurred,
        unknown_customer: UnknownCustomer::AutoCreate,
        unknown_promo: UnknownPromo::Refuse,
        partners: vec![partner("grocer"), partner("baker")],
        promos: vec![PromoDraft {
            code: "KEMBALI".into(),
            quota,
            starts_at: Instant(0),
            ends_at: Instant(i64::MAX),
            funded_by: None,
            bands: vec![band(1, "1.20"), band(2, "3.35")],
        }],
        programs: vec![ProgramDraft {
            renames: Vec::new(),
            name: "Journey".into(),
            policy: PolicyDraft::Journey(JourneyDraft {
                downgrade_after_days: 30,
                reset_after_days: 60,
                at_maximum: AtMaximum::PayNothing,
                levels: vec![level("BRONZE", 15_000), level("GOLD", 18_000)],
            }),
        }],
        earning: EarningDraft::default(),
        refunds: RefundPolicy::default(),
        risk_rules: Vec::new(),
    }
}

/// The rules driven one command at a time.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) records: Vec<Record>,
    now: Instant,
}

impl World {
    pub(crate) fn new() -> World {
        World { now: Instant(1_700_000_000_000_000), ..World::default() }
    }

    pub(crate) fn apply(&mut self, draft: CatalogueDraft) {
        let command = ApplyCatalogue { actor: None, draft, keys: Vec::new(), expected_version: None, dry_run: false };
        let Some(catalogue) = desk::apply(&self.ledger.desk, &command).unwrap() else { return };
        let (tenant, version) = (catalogue.tenant, catalogue.version);
        self.write_events(tenant, version, vec![Event::CatalogueApplied(catalogue)]);
    }

    fn write_events(&mut self, tenant: TenantId, catalogue_version: u32, events: Vec<Event>) {
        let (customer, previous, received_at) = (None, Seq::ZERO, self.now);
        self.write(Body { received_at, tenant, catalogue_version, customer, previous, events });
    }

    fn write(&mut self, mut body: Body) {
        if let Some(customer) = body.customer {
            body.previous = self.ledger.desk.last_record_of(customer);
        }
        let record = Record { seq: self.ledger.desk.last().next(), body };
        self.ledger.evolve(&record).unwrap();
        self.records.push(record);
    }

    /// Sends a purchase. Sent again, one that was booked changes nothing.
    pub(crate) fn buy(&mut self, tenant: u32, customer: &str, purchase: Purchase) {
        self.now.0 += 1_000_000;
        let partner = PartnerId(tenant * 2 - 1);
        let key = PurchaseKey::from_hash(hash(&format!("{} {}", partner.0, purchase.origin_id)));
        let fingerprint = Fingerprint { version: 1, hash: hash(&format!("{purchase:?}")) };
        let alias = Alias { kind: AliasKind::Ref, hash: hash(&format!("{tenant} {customer}")) };
        let command = PurchaseCommand {
            tenant: TenantId(tenant),
            partner,
            key,
            fingerprint,
            customer: CustomerName::Alias(alias),
            alias_text: None,
            purchase,
            dry_run: false,
            other_records: Vec::new(),
        };
        match desk::admit(&self.ledger.desk, &Reservations::default(), self.now, &command) {
            Admission::Known(_) | Admission::Refused { replayed: true, .. } => (),
            Admission::Wait => panic!("nothing is reserved"),
            Admission::Refused { rejection, replaces, .. } => {
                let tenant = command.tenant;
                let version = self.ledger.desk.catalogue(tenant).unwrap().version;
                self.write_events(tenant, version, desk::refusal(command, &rejection, replaces));
            }
            Admission::Admitted(terms) => {
                match decide(self.ledger.rows.get(&terms.customer), &terms, Box::new(command)) {
                    Decision::Decided(body) => self.write(body),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Two tenants and `commands` commands of every kind.
    pub(crate) fn random(seed: u64, commands: u64) -> World {
        let mut chance = Chance::new(seed);
        let mut world = World::new();
        world.apply(draft("grocer-club", 5 + chance.below(10)));
        world.apply(draft("baker-club", 1_000));
        for at in 0..commands {
            let tenant = 1 + chance.below(2) as u32;
            if chance.below(25) == 0 {
                let slug = if tenant == 1 { "grocer-club" } else { "baker-club" };
                world.apply(draft(slug, 5 + chance.below(1_000)));
                continue;
            }
            let customer = format!("C{}", chance.below(1 + commands / 4));
            let gap = [0, 0, 1, 35, 70][chance.below(5) as usize] * kembali_core::DAY_US;
            let purchase = Purchase {
                // Some are sent again; some that were refused come back corrected.
                origin_id: format!("{}-{}", seed, chance.below(commands + at)).into(),
                amount: [-1, 0, 1, 1_000, 99_999][chance.below(5) as usize],
                quantity: [1, 1, 2, 3][chance.below(4) as usize],
                occurred_at: Some(Instant(world.now.0 - gap)),
                promo_code: [None, Some("KEMBALI".into()), Some("NONE".into())][chance.below(3) as usize].clone(),
                store: (chance.below(2) == 0).then(|| "330".into()),
                ..Purchase::default()
            };
            world.buy(tenant, &customer, purchase);
        }
        world
    }
}

/// Makes frames of records, some 1 to `most` in each.
pub(crate) fn frames(records: &[Record], most: u64, seed: u64) -> Vec<Frame> {
    let mut chance = Chance::new(seed);
    let (mut frames, mut previous, mut rest) = (Vec::new(), FrameHash::GENESIS, records);
    while !rest.is_empty() {
        let (group, left) = rest.split_at(rest.len().min(1 + chance.below(most) as usize));
        let frame = frame(group, previous);
        previous = frame.hash();
        frames.push(frame);
        rest = left;
    }
    frames
}

pub(crate) fn frame(records: &[Record], previous: FrameHash) -> Frame {
    let encode = |record: &Record| {
        let mut bytes = Vec::new();
        codec::encode(&record.body, &mut bytes).unwrap();
        bytes
    };
    let bytes: Vec<Vec<u8>> = records.iter().map(encode).collect();
    Frame::build(1, records[0].seq, previous, &bytes).unwrap()
}

/// Says that `frames` are all of a sealed generation.
pub(crate) fn generation(number: u64, frames: &[Frame]) -> GenerationInfo {
    GenerationInfo {
        number,
        first_seq: frames[0].first_seq(),
        last_seq: frames[frames.len() - 1].last_seq(),
        sealed: true,
        payload_bytes: frames.iter().map(|frame| frame.bytes().len() as u64).sum(),
    }
}

pub(crate) fn whole(frames: &[Frame]) -> impl Iterator<Item = Result<Frame, Infallible>> + '_ {
    frames.iter().cloned().map(Ok)
}

/// A ledger of `commands` commands whose frames are archived as `segments` segments of about equal length.
pub(crate) struct Archived {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) world: World,
    /// The frames of each segment.
    pub(crate) parts: Vec<Vec<Frame>>,
}

impl Archived {
    pub(crate) fn new(seed: u64, commands: u64, segments: usize) -> Archived {
        let world = World::random(seed, commands);
        let frames = frames(&world.records, 5, seed);
        let length = frames.len().div_ceil(segments);
        let parts: Vec<Vec<Frame>> = frames.chunks(length).map(<[Frame]>::to_vec).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut archive = Archive::open(dir.path()).unwrap();
        for (number, part) in (1..).zip(&parts) {
            archive.add(&generation(number, part), whole(part)).unwrap();
        }
        Archived { dir, world, parts }
    }

    pub(crate) fn open(&self) -> Archive {
        Archive::open(self.dir.path()).unwrap()
    }

    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.parts.concat()
    }

    pub(crate) fn path(&self, generation: u64) -> PathBuf {
        self.dir.path().join(crate::segment_name(generation))
    }
}

/// Copies the files of a directory into a new one.
pub(crate) fn copy_dir(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

/// Lists the names in a directory.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

/// Folds the first `count` records.
pub(crate) fn replay(records: &[Record], count: usize) -> Ledger {
    let mut ledger = Ledger::default();
    records[..count].iter().for_each(|record| ledger.evolve(record).unwrap());
    ledger
}

/// Checks that two ledgers hold the same, receipts, positions and the index of keys included.
pub(crate) fn assert_same(found: &Ledger, expected: &Ledger, records: &[Record]) {
    assert_eq!(found.rows, expected.rows);
    assert_eq!(found.totals, expected.totals);
    let pieces = |ledger: &Ledger| ledger.desk.pieces().collect::<Vec<_>>();
    assert_eq!(pieces(found), pieces(expected));
    assert_eq!(found.desk.keys().len(), expected.desk.keys().len());
    // What the pieces should hold, asked for in another way.
    assert_eq!(answers(&found.desk), answers(&expected.desk));
    for record in records {
        if let Some(customer) = record.body.customer {
            let name = CustomerName::Id(customer);
            let known = expected.desk.find_customer(record.body.tenant, name);
            assert_eq!(found.desk.find_customer(record.body.tenant, name), known);
        }
        for event in &record.body.events {
            if let Event::PurchaseRefused(refused) = event {
                assert_eq!(found.desk.receipt(refused.key), expected.desk.receipt(refused.key));
            }
            if let Event::PurchaseBooked(booked) = event {
                let candidates = |ledger: &Ledger| ledger.desk.keys().candidates(booked.key).collect::<Vec<_>>();
                assert_eq!(candidates(found), candidates(expected));
            }
        }
    }
    assert_eq!(crate::ledger_digest(found), crate::ledger_digest(expected));
}

/// Asks a desk what its tenants, counters, stamps and drafts come to.
fn answers(desk: &Desk) -> String {
    let mut answers = format!("{:?} {:?}", desk.last(), desk.last_received_at());
    for rules in desk.catalogues() {
        let (tenant, slug) = (rules.tenant, desk.tenant_by_slug(&rules.slug));
        let versions: Vec<_> = (0..=rules.version + 1).map(|version| desk.catalogue_at(tenant, version)).collect();
        answers += &format!("{slug:?} {:?} {versions:?}", desk.now(tenant, Instant(-1)));
        // Which currency and which partner ids a draft may have hangs on what was booked and numbered before.
        let mut draft = draft(&rules.slug, 7);
        draft.currency.exponent = 2;
        draft.partners.push(PartnerDraft { slug: "newcomer".into(), name: "newcomer".into() });
        for draft in [CatalogueDraft { currency: rules.currency, ..draft.clone() }, draft] {
            let command =
                ApplyCatalogue { actor: None, draft, keys: Vec::new(), expected_version: None, dry_run: true };
            answers += &format!("{:?}", desk::apply(desk, &command));
        }
    }
    answers += &format!("{:?}", desk.promos_used().collect::<Vec<_>>());
    answers
}

/// Says where a snapshot at the end of a frame is cut.
pub(crate) fn cut(frame: &Frame, archived: Seq) -> Cut {
    Cut { seq: frame.last_seq(), hash: frame.hash(), archived }
}

/// Takes the records from the one after `after` to `through`.
pub(crate) fn since(
    records: &[Record],
    after: Seq,
    through: Seq,
) -> impl Iterator<Item = Result<Record, Infallible>> + '_ {
    records[after.0 as usize..through.0 as usize].iter().cloned().map(Ok)
}

/// A ledger and a directory with snapshots of it at the ends of some frames, each made from the one before.
pub(crate) struct Taken {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) records: Vec<Record>,
    pub(crate) frames: Vec<Frame>,
    pub(crate) cuts: Vec<Cut>,
}

impl Taken {
    pub(crate) fn new(seed: u64, commands: u64, count: usize) -> Taken {
        let records = World::random(seed, commands).records;
        let frames = frames(&records, 5, seed);
        let dir = tempfile::tempdir().unwrap();
        let mut snapshots = Snapshots::open(dir.path()).unwrap();
        let (mut previous, mut cuts) = (None, Vec::new());
        for at in 1..=count {
            let cut = cut(&frames[frames.len() * at / count - 1], Seq::ZERO);
            let after = previous.as_ref().map_or(Seq::ZERO, |previous: &Snapshot| previous.cut().seq);
            previous = Some(snapshots.take(previous.as_ref(), since(&records, after, cut.seq), cut).unwrap());
            cuts.push(cut);
        }
        Taken { dir, records, frames, cuts }
    }

    pub(crate) fn path(&self, at: usize) -> PathBuf {
        self.dir.path().join(crate::snapshot_name(self.cuts[at].seq))
    }

    pub(crate) fn open(&self, at: usize) -> Snapshot {
        Snapshot::open(&self.path(at)).unwrap()
    }
}
