//! What the tests share: KezBek's rules, a sequential driver of the rules, and the one `check` that runs a script.

use std::sync::Arc;

use kembali_core::catalogue::{AtMaximum, Catalogue, Currency, RuleClock, UnknownCustomer, UnknownPromo};
use kembali_core::command::{ApplyCatalogue, PurchaseCommand};
use kembali_core::customer::{Decision, decide};
use kembali_core::desk::{self, Admission, Reservations, Terms};
use kembali_core::draft::{
    BandDraft, CatalogueDraft, EarningDraft, JourneyDraft, LevelDraft, PartnerDraft, PolicyDraft, ProgramDraft,
    PromoDraft,
};
use kembali_core::event::{Body, DeclineReason, Event, Placed, PlacementReason, Record, TierPlaced};
use kembali_core::hold::{HoldClosed, HoldEnd};
use kembali_core::journey::Remark;
use kembali_core::ledger::Ledger;
use kembali_core::operation::OperationRejection;
use kembali_core::purchase::{Line, Purchase};
use kembali_core::refund::RefundPolicy;
use kembali_core::{
    Alias, AliasKind, Amount, CatalogueRejection, CurrencyCode, CustomerName, DAY_US, Fingerprint, Instant, PartnerId,
    Percent, PurchaseKey, Rejection, RejectionCode, RuleId, Seq, TenantId,
};

/// Multiplies the depth of the long tests.
pub(crate) fn depth() -> u32 {
    let depth = std::env::var("KEMBALI_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1);
    eprintln!("KEMBALI_DEPTH is {depth}");
    depth
}

/// FNV-1a of 128 bits: what stands in for the installation's keyed hash.
pub(crate) fn hash(text: &str) -> u128 {
    let start: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    text.bytes().fold(start, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b))
}

pub(crate) fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).unwrap()
}

/// Reads `2023-01-31 23:59:59`, with `.000001` or without, as the local time of Jakarta (UTC+7).
pub(crate) fn jakarta(text: &str) -> Instant {
    let numbers: Vec<i64> = text.split(['-', ' ', ':', '.']).map(|part| part.parse().unwrap()).collect();
    let (year, month, day) = (numbers[0], numbers[1], numbers[2]);
    let leap = |year: i64| i64::from((year % 4 == 0 && year % 100 != 0) || year % 400 == 0);
    let lengths = [31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days = (1970..year).map(|year| 365 + leap(year)).sum::<i64>()
        + lengths[..month as usize - 1].iter().sum::<i64>()
        + (day - 1);
    let seconds = numbers[3] * 3600 + numbers[4] * 60 + numbers[5] - 7 * 3600;
    let micros = numbers.get(6).copied().unwrap_or(0);
    Instant(days * DAY_US + seconds * 1_000_000 + micros)
}

/// Reads `30d23h`, `5us` or `-2d`.
pub(crate) fn duration_us(text: &str) -> i64 {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut sum = 0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap();
        let letters = rest[digits..].find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let unit = match &rest[digits..digits + letters] {
            "d" => DAY_US,
            "h" => 3_600_000_000,
            "s" => 1_000_000,
            "us" => 1,
            other => panic!("no unit of time: {other}"),
        };
        sum += unit * rest[..digits].parse::<i64>().unwrap();
        rest = &rest[digits + letters..];
    }
    sign * sum
}

pub(crate) fn idr() -> Currency {
    Currency { code: CurrencyCode::parse("IDR").unwrap(), exponent: 0 }
}

/// Reads `quantity amount_min amount_end percent`, where `+` after a quantity means "or more" and `-` means no end.
pub(crate) fn band(text: &str) -> BandDraft {
    let words: Vec<&str> = text.split_whitespace().collect();
    BandDraft {
        quantity: words[0].trim_end_matches('+').parse().unwrap(),
        or_more: words[0].ends_with('+'),
        amount_min: amount(words[1].parse().unwrap()),
        amount_end: (words[2] != "-").then(|| amount(words[2].parse().unwrap())),
        percent: Percent::parse(words[3]).unwrap(),
    }
}

pub(crate) fn bands(text: &str) -> Vec<BandDraft> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(band).collect()
}

/// Reads `NAME count_max at:points at:points`.
pub(crate) fn level(text: &str) -> LevelDraft {
    let mut words = text.split_whitespace();
    let name = words.next().unwrap().to_string();
    let count_max = words.next().unwrap().parse().unwrap();
    let milestone = |word: &str| {
        let (at, points) = word.split_once(':').unwrap();
        (at.parse().unwrap(), amount(points.parse().unwrap()))
    };
    LevelDraft { name, count_max, next: None, previous: None, milestones: words.map(milestone).collect() }
}

/// KezBek's rules as its seed data has them: one promo of seven bands, three levels of seven purchases.
pub(crate) fn kezbek() -> CatalogueDraft {
    let partner = |slug: &str| PartnerDraft { slug: slug.into(), name: slug.into() };
    CatalogueDraft {
        slug: "kezbek".into(),
        name: "KezBek".into(),
        currency: idr(),
        timezone: "Asia/Jakarta".into(),
        clock: RuleClock::Received,
        unknown_customer: UnknownCustomer::AutoCreate,
        unknown_promo: UnknownPromo::Refuse,
        partners: vec![partner("bukalapak"), partner("tokopedia")],
        promos: vec![PromoDraft {
            code: "KEZBEK1000".into(),
            quota: 1_000,
            starts_at: jakarta("2023-01-01 00:00:00"),
            ends_at: jakarta("2023-01-31 23:59:59"),
            funded_by: None,
            bands: bands(
                "1       0  100000 1.20
                 1  100000  500000 1.75
                 1  500000 1000000 2.30
                 2  500000 1000000 2.45
                 2 1000000 1500000 2.75
                 2 1500000       - 2.95
                 3+ 1500000      - 3.35",
            ),
        }],
        programs: vec![ProgramDraft {
            renames: Vec::new(),
            name: "Journey".into(),
            policy: PolicyDraft::Journey(JourneyDraft {
                downgrade_after_days: 30,
                reset_after_days: 60,
                at_maximum: AtMaximum::PayNothing,
                levels: vec![
                    level("BRONZE 7 3:15000 5:25000 7:35000"),
                    level("SILVER 7 3:17500 5:28500 7:37500"),
                    level("GOLD   7 3:18000 5:29000 7:38000"),
                ],
            }),
        }],
        earning: EarningDraft::default(),
        refunds: RefundPolicy::default(),
        risk_rules: Vec::new(),
    }
}

/// What became of a purchase in the sequential driver.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    Booked(Record),
    WouldBook(Body),
    Known(Seq),
    Refused { rejection: Rejection, replayed: bool },
    Wait,
}

/// The rules driven one command at a time: admit, decide, write, fold.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) ledger: Ledger,
    pub(crate) open: Reservations,
    pub(crate) records: Vec<Record>,
    pub(crate) now: Instant,
    pub(crate) keys: u32,
}

impl World {
    pub(crate) fn new(draft: &CatalogueDraft, now: Instant) -> World {
        let mut world = World { now, ..World::default() };
        world.apply(draft, None).unwrap();
        world
    }

    /// Applies a draft. Returns the new version, or `None` when nothing changed.
    pub(crate) fn apply(
        &mut self,
        draft: &CatalogueDraft,
        expected_version: Option<u32>,
    ) -> Result<Option<Arc<Catalogue>>, CatalogueRejection> {
        let command =
            ApplyCatalogue { actor: None, draft: draft.clone(), keys: Vec::new(), expected_version, dry_run: false };
        let Some(catalogue) = desk::apply(&self.ledger.desk, &command)? else { return Ok(None) };
        let event = Event::CatalogueApplied(Arc::clone(&catalogue));
        self.write(self.desk_body(catalogue.tenant, catalogue.version, vec![event]));
        Ok(Some(catalogue))
    }

    pub(crate) fn desk_body(&self, tenant: TenantId, catalogue_version: u32, events: Vec<Event>) -> Body {
        let (customer, previous) = (None, Seq::ZERO);
        Body { received_at: self.now, tenant, catalogue_version, customer, previous, events }
    }

    pub(crate) fn write(&mut self, mut body: Body) -> Record {
        if let Some(customer) = body.customer {
            body.previous = self.ledger.desk.last_record_of(customer);
        }
        let record = Record { seq: self.ledger.desk.last().next(), body };
        self.ledger.evolve(&record).unwrap();
        self.records.push(record.clone());
        record
    }

    pub(crate) fn admit(&self, command: &PurchaseCommand) -> Admission {
        desk::admit(&self.ledger.desk, &self.open, self.now, command)
    }

    pub(crate) fn purchase(&mut self, command: PurchaseCommand) -> Seen {
        match self.admit(&command) {
            Admission::Admitted(terms) => self.decide(&terms, command),
            Admission::Known(seq) => Seen::Known(seq),
            Admission::Wait => Seen::Wait,
            Admission::Refused { rejection, replayed: true, .. } => Seen::Refused { rejection, replayed: true },
            Admission::Refused { rejection, replaces, replayed: false } => self.refuse(command, rejection, replaces),
        }
    }

    fn decide(&mut self, terms: &Terms, command: PurchaseCommand) -> Seen {
        let dry_run = command.dry_run;
        match decide(self.ledger.rows.get(&terms.customer), terms, Box::new(command)) {
            Decision::Decided(body) if dry_run => Seen::WouldBook(body),
            Decision::Decided(body) => Seen::Booked(self.write(body)),
            Decision::Refused(rejection, command) => {
                let receipt = self.ledger.desk.receipt(command.key);
                let is_same = receipt.is_some_and(|receipt| {
                    (receipt.code, receipt.fingerprint) == (rejection.code(), command.fingerprint)
                });
                match is_same {
                    true => Seen::Refused { rejection, replayed: true },
                    false => self.refuse(*command, rejection, terms.replaces),
                }
            }
        }
    }

    fn refuse(&mut self, command: PurchaseCommand, rejection: Rejection, replaces: Option<RejectionCode>) -> Seen {
        if !command.dry_run {
            let tenant = command.tenant;
            let version = self.ledger.desk.catalogue(tenant).unwrap().version;
            let events = desk::refusal(command, &rejection, replaces);
            self.write(self.desk_body(tenant, version, events));
        }
        Seen::Refused { rejection, replayed: false }
    }

    pub(crate) fn canonical(&self) -> Vec<u8> {
        canonical(&self.ledger)
    }

    /// Finds a promo of any tenant.
    pub(crate) fn promo(&self, code: &str) -> (TenantId, RuleId) {
        let of = |rules: &Arc<Catalogue>| Some((rules.tenant, rules.promo_by_code(code)?.id));
        self.ledger.desk.catalogues().find_map(of).unwrap()
    }

    /// Reads `buy NAME AMOUNT` and options; see [`check`].
    pub(crate) fn command(&mut self, words: &[&str]) -> PurchaseCommand {
        let mut purchase = Purchase { amount: words[1].parse().unwrap(), quantity: 1, ..Purchase::default() };
        self.keys += 1;
        let (mut tenant, mut partner, mut dry_run) = (1, 1, false);
        let (mut key, mut other_records) = (format!("key {}", self.keys), Vec::new());
        for option in &words[2..] {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "qty" => purchase.quantity = value.parse().unwrap(),
                "code" => purchase.promo_code = Some(value.into()),
                "key" => key = value.into(),
                "tenant" => tenant = value.parse().unwrap(),
                "by" => partner = value.parse().unwrap(),
                "dry" => dry_run = true,
                "occurred" => purchase.occurred_at = Some(Instant(self.now.0 + duration_us(value))),
                "other" => other_records.push(Seq(value.parse().unwrap())),
                "product" => purchase.product = Some(value.into()),
                "tags" => purchase.tags = value.split('+').map(str::to_string).collect(),
                "store" => purchase.store = Some(value.into()),
                "lines" => purchase.lines = value.split('+').map(line).collect(),
                other => panic!("no option: {other}"),
            }
        }
        purchase.origin_id = key.as_str().into();
        let content = hash(&format!("{} {purchase:?}", words[0]));
        PurchaseCommand {
            tenant: TenantId(tenant),
            partner: PartnerId(partner),
            key: PurchaseKey::from_hash(hash(&format!("{partner}/{key}"))),
            fingerprint: Fingerprint { version: 1, hash: content },
            customer: customer(tenant, words[0]),
            alias_text: None,
            purchase,
            dry_run,
            other_records,
        }
    }

    fn step(&mut self, step: &str) -> String {
        let words: Vec<&str> = step.split_whitespace().collect();
        match words[0] {
            "buy" => {
                let command = self.command(&words[1..]);
                let seen = self.purchase(command);
                self.show(&seen)
            }
            "daily" => {
                let mut last = String::new();
                for _ in 0..words[2].parse().unwrap() {
                    last = self.step(&format!("buy {} 1000", words[1]));
                    self.now.0 += DAY_US;
                }
                // The clock stands at the last purchase, so that a gap counts from there.
                self.now.0 -= DAY_US;
                last
            }
            "after" => {
                self.now.0 += duration_us(words[1]);
                String::new()
            }
            "at" => {
                self.now = jakarta(&words[1..].join(" "));
                String::new()
            }
            "reserve" => {
                let promo = self.promo(words[1]);
                self.open.take(self.key(words[2]), Some(promo));
                String::new()
            }
            "settle" => {
                let promo = self.promo(words[1]);
                self.open.settle(self.key(words[2]), Some(promo));
                String::new()
            }
            "used" => {
                let (tenant, promo) = self.promo(words[1]);
                self.ledger.desk.promo_used(tenant, promo).to_string()
            }
            "receipt" => match self.ledger.desk.receipt(self.key(words[1])) {
                None => "none".into(),
                Some(receipt) => receipt.code.as_str().into(),
            },
            "rows" => self.ledger.rows.len().to_string(),
            "ask" => self.ask(&words[1..]),
            "invoice" => self.invoice(&words[1..]),
            other => panic!("no step: {other}"),
        }
    }

    fn key(&self, name: &str) -> PurchaseKey {
        PurchaseKey::from_hash(hash(&format!("1/{name}")))
    }

    pub(crate) fn show(&self, seen: &Seen) -> String {
        match seen {
            Seen::Booked(record) => self.show_body(&record.body),
            Seen::WouldBook(body) => format!("would: {}", self.show_body(body)),
            Seen::Known(seq) => format!("known {}", seq.0),
            Seen::Refused { rejection, replayed } => {
                format!("refused {}{}", rejection.code().as_str(), if *replayed { ", replayed" } else { "" })
            }
            Seen::Wait => "wait".into(),
        }
    }

    pub(crate) fn show_body(&self, body: &Body) -> String {
        let rules = self.ledger.desk.catalogue_at(body.tenant, body.catalogue_version).unwrap();
        let mut parts = Vec::new();
        for event in &body.events {
            match event {
                Event::CustomerCreated(_) => parts.push("new".to_string()),
                Event::CustomerErased => parts.push("erased".to_string()),
                Event::PurchaseBooked(booked) => {
                    if let Some(code) = booked.replaces {
                        parts.push(format!("replaces {}", code.as_str()));
                    }
                }
                Event::PromoGranted(granted) => parts.push(format!("promo {}", granted.points.minor_units())),
                Event::PromoDeclined(declined) => parts.push(match declined.reason {
                    DeclineReason::OutsidePeriod => "outside period".into(),
                    DeclineReason::NoBand => "no band".into(),
                    DeclineReason::RoundsToZero { .. } => "rounds to zero".into(),
                    DeclineReason::QuotaExhausted { quota, points, .. } => {
                        format!("exhausted {quota} of {}", points.minor_units())
                    }
                }),
                Event::TierStepped(stepped) => {
                    let program = rules.program(stepped.after.program).unwrap();
                    let level = program.level_name(stepped.after.level).unwrap();
                    let remark = match stepped.remark {
                        Remark::None => "",
                        Remark::FirstTransaction => " FIRST",
                        Remark::Upgrade => " UPGRADE",
                        Remark::Downgrade => " DOWNGRADE",
                        Remark::Reset => " RESET",
                        Remark::Maximum => " MAX",
                        Remark::Restart => " RESTART",
                    };
                    parts.push(format!("{level} {}{remark}", stepped.after.count));
                }
                Event::MilestoneReached(reached) => parts.push(format!("milestone {}", reached.points.minor_units())),
                Event::OfferRedeemed(redeemed) => {
                    parts.push(format!("{} {}", rules.offer(redeemed.offer).unwrap().name, redeemed.quantity));
                }
                Event::WalletEntry(entry) => parts.push(format!("balance {}", entry.balance_after.minor_units())),
                Event::SpendCounted(counted) => {
                    let program = rules.program(counted.after.program).unwrap();
                    let level = program.level_name(counted.after.level).unwrap();
                    parts.push(format!("{level} at {}", counted.after.spent.minor_units()));
                }
                Event::TierPlaced(placed) if matches!(placed.reason, PlacementReason::LevelRemoved { .. }) => {
                    let (program, level) = (placed.placed.program(), placed.placed.to());
                    let level = rules.program(program).unwrap().level_name(level).unwrap();
                    parts.push(format!("placed on {level}"));
                }
                Event::CashbackEarned(earned) => {
                    let rule = rules.cashback_rule(earned.rule).unwrap();
                    parts.push(format!("{} {}", rule.name, earned.points.minor_units()));
                }
                Event::FulfillmentAdvanced(advanced) => {
                    let fulfillment = &rules.fulfillment(advanced.progress.fulfillment).unwrap().name;
                    let campaign = &rules.campaign(advanced.campaign).unwrap().name;
                    let met = if advanced.progress.is_met { "met" } else { "at" };
                    parts.push(format!("{campaign}/{fulfillment} {met} {}", advanced.progress.so_far));
                }
                Event::CampaignCompleted(completed) => {
                    let campaign = &rules.campaign(completed.campaign).unwrap().name;
                    parts.push(format!("{campaign} done {}", completed.completions));
                }
                Event::RewardGranted(granted) => {
                    parts.push(format!("reward {}", rules.reward(granted.reward).unwrap().name));
                }
                Event::PointEntry(entry) => {
                    let kind = &rules.point_kind(entry.kind).unwrap().name;
                    parts.push(format!("{kind} {}", entry.balance_after.minor_units()));
                }
                Event::PurchaseRefunded(refunded) => {
                    parts.push(format!("refunded {}", refunded.amount.minor_units()));
                    if refunded.returned_unit.is_some() {
                        parts.push("unit returned".into());
                    }
                }
                Event::HousePosted(entry) => {
                    let sum: i64 = entry.debit.iter().map(|leg| leg.amount.minor_units()).sum();
                    parts.push(format!("shortfall {sum}"));
                }
                Event::TierPlaced(TierPlaced { placed: Placed::Journey { after, .. }, reason }) => {
                    let program = rules.program(after.program).unwrap();
                    let level = program.level_name(after.level).unwrap();
                    parts.push(format!("{level} {} {reason:?}", after.count));
                }
                Event::TierPlaced(TierPlaced { placed: Placed::Threshold { after, .. }, reason }) => {
                    let program = rules.program(after.program).unwrap();
                    let level = program.level_name(after.level).unwrap();
                    parts.push(format!("{level} at {} {reason:?}", after.spent.minor_units()));
                }
                Event::RiskChecked(checked) => parts.push(match checked.rule {
                    Some(rule) => format!("flagged {}", rules.risk_rule(rule).unwrap().name),
                    None => "safe".into(),
                }),
                Event::InvoiceOpened(opened) => {
                    parts.push(format!("{} for {}", opened.number, opened.amount.minor_units()));
                }
                Event::InvoiceCancelled(own) => parts.push(format!("{} cancelled", own.number)),
                Event::OperationReversed(own) => parts.push(format!("reversed {}", own.operation.0)),
                Event::InvoicePaid(paid) => parts.push(format!("{} paid", paid.number)),
                Event::TransferSent(sent) => parts.push(format!("sent {}", sent.amount.minor_units())),
                Event::TransferCredited(credited) => parts.push(format!("got {}", credited.amount.minor_units())),
                Event::TransferDeclined(_) => parts.push("declined".into()),
                Event::TransferSettled(settled) => parts.push(format!("left {}", settled.balance_after.minor_units())),
                Event::TransferReturned(_) => parts.push("returned".into()),
                Event::HoldPlaced(hold) => parts.push(format!("hold {} of {}", hold.id.0, hold.amount.minor_units())),
                Event::HoldClosed(HoldClosed { hold, end }) => parts.push(match end {
                    HoldEnd::Settled { amount } => format!("hold {} settled {}", hold.id.0, amount.minor_units()),
                    HoldEnd::Voided => format!("hold {} voided", hold.id.0),
                    HoldEnd::Expired => format!("hold {} expired", hold.id.0),
                }),
                Event::OperationDone(_) => (),
                Event::WalletOpened(opened) => parts.push(format!("wallet {}", opened.wallet.0)),
                Event::WalletStatusSet(set) => parts.push(format!("{:?}", set.after).to_lowercase()),
                Event::ReviewOpened(own) => {
                    parts.push(format!("set aside by {}", rules.risk_rule(own.rule).unwrap().name));
                }
                Event::ReviewClosed(own) => parts.push(format!(
                    "{} {}",
                    if own.released_by.is_some() { "released" } else { "rejected" },
                    own.review.0
                )),
                Event::OperationCounted(own) => {
                    let parties = [own.partner.map(|_| "partner"), own.device.map(|_| "device")];
                    parts.push(format!("for {}", parties.into_iter().flatten().collect::<Vec<_>>().join("+")));
                }
                Event::RiskCheckArchived(own) => parts.push(format!("check {} archived", own.check.0)),
                // That of what was set aside.
                Event::OperationRefused(own) if own.rejection == OperationRejection::ReviewRejected => (),
                Event::CatalogueApplied(_)
                | Event::PurchaseRefused(_)
                | Event::PurchaseBlocked(_)
                | Event::Audited(_)
                | Event::OperationRefused(_) => {
                    panic!("nothing is decided so: {event:?}")
                }
            }
        }
        parts.join(", ")
    }
}

/// Reads `QUANTITY*AMOUNT`, or `PRODUCT:QUANTITY:AMOUNT`.
fn line(text: &str) -> Line {
    let (product, numbers) = text.split_once(':').unwrap_or(("product", text));
    let numbers: Vec<i64> = numbers.split(['*', ':']).map(|part| part.parse().unwrap()).collect();
    Line { product: product.into(), quantity: numbers[0], amount: numbers[1] }
}

/// Reads `NAME`, an alias, or `id:NAME`, the id that this alias would give, or `id:2:NAME`, that of another tenant.
pub(crate) fn customer(tenant: u32, text: &str) -> CustomerName {
    let alias = |tenant: u32, name: &str| Alias { kind: AliasKind::Ref, hash: hash(&format!("{tenant}/{name}")) };
    match text.split(':').collect::<Vec<_>>()[..] {
        ["id", name] => CustomerName::Id(alias(tenant, name).first_customer_id()),
        ["id", other, name] => CustomerName::Id(alias(other.parse().unwrap(), name).first_customer_id()),
        _ => CustomerName::Alias(alias(tenant, text)),
    }
}

pub(crate) fn canonical(ledger: &Ledger) -> Vec<u8> {
    let mut bytes = Vec::new();
    ledger.canonical(|piece| bytes.extend_from_slice(piece));
    bytes
}

/// Runs a script of lines `step -> what is seen` in `world`; a line without an arrow shows nothing.
///
/// Steps: `ask NAME OPERATION`, see [`World::ask`]; `invoice ...`, see [`World::invoice`]; `buy NAME AMOUNT` with `qty=`, `code=`, `key=`, `by=`, `tenant=`, `occurred=`, `lines=2*500+1*0`, `other=`,
/// `dry`; `daily NAME DAYS`; `after 30d23h`; `at 2023-01-31 23:59:59`; `reserve CODE KEY`, `settle CODE KEY`;
/// `used CODE`; `receipt KEY`; `rows`.
pub(crate) fn check(world: &mut World, script: &str) {
    let lines = || script.lines().map(str::trim).filter(|line| !line.is_empty());
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted: Vec<String> = lines().map(squeeze).collect();
    let seen: Vec<String> = lines()
        .map(|line| {
            let step = squeeze(line.split("->").next().unwrap());
            let shown = world.step(&step);
            if shown.is_empty() { step } else { format!("{step} -> {shown}") }
        })
        .collect();
    assert_eq!(seen.join("\n"), wanted.join("\n"));
}

/// The first programme of a draft, which is KezBek's.
pub(crate) fn ladder(draft: &mut CatalogueDraft) -> &mut JourneyDraft {
    match &mut draft.programs[0].policy {
        PolicyDraft::Journey(journey) => journey,
        PolicyDraft::Threshold(_) => panic!("KezBek's programme is a Journey"),
    }
}
