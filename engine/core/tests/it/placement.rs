//! Customers of removed levels: tables, renames, and random histories against a model that places everybody at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use kembali_core::catalogue::Catalogue;
use kembali_core::command::ApplyCatalogue;
use kembali_core::desk;
use kembali_core::draft::{CatalogueDraft, JourneyDraft, LevelRename, PolicyDraft, ProgramDraft};
use kembali_core::event::{Event, PlacementReason};
use kembali_core::placement::placed;
use kembali_core::preview::{Customers, Preview, RuleChange, TierMove, When};
use kembali_core::upkeep::by_sweep;
use kembali_core::{CatalogueRejection, RuleId, TenantId};
use proptest::prelude::*;

use crate::support::{World, amount, check, depth, jakarta, kezbek, level};

const TENANT: TenantId = TenantId(1);

/// Reads `Bronze 0, Silver 1000`; `Bronze<Tin 0` was renamed from `Tin`.
fn threshold(text: &str) -> ProgramDraft {
    let mut renames = Vec::new();
    let levels = text.split(", ").map(|text| {
        let (name, min) = text.split_once(' ').unwrap();
        (renamed(name, &mut renames), amount(min.parse().unwrap()))
    });
    let policy = PolicyDraft::Threshold(levels.collect());
    ProgramDraft { name: "Spend".into(), policy, renames }
}

/// Reads `BRONZE, SILVER`: each level takes 7 purchases.
fn journey(text: &str) -> ProgramDraft {
    let mut renames = Vec::new();
    let levels = text.split(", ").map(|name| level(&format!("{} 7", renamed(name, &mut renames))));
    let policy = PolicyDraft::Journey(JourneyDraft { levels: levels.collect(), ..days() });
    ProgramDraft { name: "Journey".into(), policy, renames }
}

fn days() -> JourneyDraft {
    match kezbek().programs.remove(0).policy {
        PolicyDraft::Journey(journey) => journey,
        PolicyDraft::Threshold(_) => panic!("KezBek's programme is a Journey"),
    }
}

fn renamed(name: &str, renames: &mut Vec<LevelRename>) -> String {
    let Some((to, from)) = name.split_once('<') else { return name.into() };
    renames.push(LevelRename { from: from.into(), to: to.into() });
    to.into()
}

fn draft(programs: Vec<ProgramDraft>) -> CatalogueDraft {
    CatalogueDraft { promos: Vec::new(), programs, ..kezbek() }
}

fn world(programs: Vec<ProgramDraft>) -> World {
    World::new(&draft(programs), jakarta("2024-01-15 09:00:00"))
}

/// Programme, when, from, to; and how many.
type Moves = BTreeMap<(RuleId, When, String, String), u64>;

impl World {
    fn tiers(&mut self, programs: Vec<ProgramDraft>) {
        self.apply(&draft(programs), None).unwrap().unwrap();
    }

    /// Says where every customer stands who is looked at now, in order of the aliases.
    fn looks(&self) -> BTreeMap<String, String> {
        let rules = self.ledger.desk.catalogue(TENANT).unwrap();
        let look = |name: &str| {
            let id = crate::support::customer(TENANT.0, name);
            let (id, _) = self.ledger.desk.find_customer(TENANT, id)?;
            let (row, _) = placed(&self.ledger.rows[&id], self.ledger.desk.removals(TENANT).unwrap());
            let level = |program, level| rules.program(program).unwrap().level_name(level).unwrap_or("dead").to_owned();
            let journeys = row.standings.iter().map(|own| format!("{} {}", level(own.program, own.level), own.count));
            let spends = row
                .spends
                .iter()
                .map(|own| format!("{} at {}", level(own.program, own.level), own.spent.minor_units()));
            Some((name.to_owned(), journeys.chain(spends).collect::<Vec<_>>().join(", ")))
        };
        ["A", "B", "C", "D", "E"].into_iter().filter_map(look).collect()
    }

    fn look(&self, name: &str) -> String {
        self.looks().remove(name).unwrap()
    }

    /// Says what a change to these programmes would do: who moves where and when, counted.
    fn preview(&self, programs: Vec<ProgramDraft>) -> Moves {
        let (desk, draft) = (&self.ledger.desk, draft(programs));
        let wish = ApplyCatalogue { actor: None, draft, keys: Vec::new(), expected_version: None, dry_run: true };
        let Some(after) = desk::apply(desk, &wish).unwrap() else { return Moves::new() };
        let before = desk.catalogue(TENANT).unwrap();
        let change = RuleChange::new(Arc::clone(before), Arc::clone(&after));
        let mut preview = Preview::new(&change, self.now);
        let removals = desk.removals(TENANT).unwrap();
        self.ledger.rows.values().for_each(|row| preview.look(&change, removals, row, self.now));
        let name =
            |rules: &Catalogue, program, level| rules.program(program).unwrap().level_name(level).unwrap().into();
        let shown = |(moved, who): (TierMove, Customers)| {
            let (from, to) = (name(before, moved.program, moved.from), name(&after, moved.program, moved.to));
            ((moved.program, moved.when, from, to), who.count)
        };
        preview.tiers.into_iter().map(shown).collect()
    }

    /// Writes down where everybody stands whom nobody looked at.
    fn sweep(&mut self) -> usize {
        let bodies: Vec<_> = self.due().collect();
        let count = bodies.len();
        bodies.into_iter().for_each(|body| drop(self.write(body)));
        count
    }

    fn due(&self) -> impl Iterator<Item = kembali_core::event::Body> + '_ {
        let rules = self.ledger.desk.catalogue(TENANT).unwrap();
        let removals = self.ledger.desk.removals(TENANT).unwrap();
        let mut rows: Vec<_> = self.ledger.rows.values().collect();
        rows.sort_by_key(|row| row.id);
        rows.into_iter().filter_map(move |row| by_sweep(row, rules, removals, self.now, self.now))
    }
}

/// onetap: the highest remaining level whose bound the points reach, else the lowest; one change of tier each.
#[test]
fn a_removed_threshold_level_leads_to_the_highest_that_the_points_reach() {
    const ALL: &str = "Bronze 50, Silver 1000, Gold 1500";
    for (spent, without, wanted) in [
        (1_500, "Bronze 50, Silver 1000", "Silver at 1500"),
        (1_500, "Bronze 50", "Bronze at 1500"),
        (1_499, "Bronze 50, Gold 1500", "Bronze at 1499"),
        (1_000, "Gold 1500", "Gold at 1000"),
        (10, "Silver 1000, Gold 1500", "Silver at 10"),
        // The bounds that count are those of the version that removes: lowered, the points reach higher.
        (1_499, "Bronze 50, Gold 1400", "Gold at 1499"),
        (1_500, "Bronze 50, Silver 1501", "Bronze at 1500"),
        // Whoever does not stand there stays.
        (40, "Bronze 50, Silver 1000", "Bronze at 40"),
    ] {
        let mut world = world(vec![threshold(ALL)]);
        check(&mut world, &format!("buy A {spent} -> new, {} at {spent}", held(spent)));
        world.tiers(vec![threshold(without)]);
        assert_eq!(world.look("A"), wanted, "{spent} under {without}");
        let moves = usize::from(!without.contains(held(spent)));
        assert_eq!(world.sweep(), moves);
        assert_eq!((world.sweep(), world.look("A").as_str()), (0, wanted), "once is enough");
        let sums = world.ledger.totals.tenant(TENANT).unwrap();
        let members: Vec<u64> = sums.members.values().copied().collect();
        assert_eq!(members, [1], "counted where the customer stands");
    }
    fn held(spent: i64) -> &'static str {
        match spent {
            ..1_000 => "Bronze",
            1_000..1_500 => "Silver",
            _ => "Gold",
        }
    }
}

/// The nearest remaining level below, else the lowest; the next purchase is number 1.
#[test]
fn a_removed_journey_level_leads_down() {
    for (purchases, without, wanted, next) in [
        (8, "BRONZE, GOLD", "BRONZE 0", "BRONZE 1"),
        (8, "BRONZE", "BRONZE 0", "BRONZE 1"),
        (15, "BRONZE, SILVER", "SILVER 0", "SILVER 1"),
        (15, "BRONZE", "BRONZE 0", "BRONZE 1"),
        (3, "SILVER, GOLD", "SILVER 0", "SILVER 1"),
        (8, "GOLD", "GOLD 0", "GOLD 1"),
        // The order of the version that had the level decides what is below.
        (8, "GOLD, BRONZE", "BRONZE 0", "BRONZE 1"),
        (9, "SILVER, GOLD", "SILVER 2", "SILVER 3"),
    ] {
        let mut world = world(vec![journey("BRONZE, SILVER, GOLD")]);
        check(&mut world, &format!("daily A {purchases} -> {}", held(purchases)));
        world.tiers(vec![journey(without)]);
        assert_eq!(world.look("A"), wanted, "{purchases} under {without}");
        let moved =
            if wanted.ends_with('0') { format!("placed on {}, ", &wanted[..wanted.len() - 2]) } else { "".into() };
        check(&mut world, &format!("buy A 1 -> {moved}{next}"));
    }
    fn held(purchases: u32) -> &'static str {
        match purchases {
            3 => "BRONZE 3",
            8 => "SILVER 1 UPGRADE",
            9 => "SILVER 2",
            _ => "GOLD 1 UPGRADE",
        }
    }
}

/// The days without a purchase go on counting, because being placed is no purchase.
#[test]
fn a_placed_customer_still_loses_levels_by_waiting() {
    let mut world = world(vec![journey("BRONZE, SILVER, GOLD")]);
    check(&mut world, "daily A 15 -> GOLD 1 UPGRADE");
    world.tiers(vec![journey("BRONZE, SILVER")]);
    check(&mut world, "after 20d");
    assert_eq!(world.sweep(), 1);
    check(
        &mut world,
        "after 12d
         buy A 1 -> BRONZE 1 DOWNGRADE",
    );
}

/// Whoever sleeps through several versions is placed through them one by one, each by its own rules.
#[test]
fn several_removals_are_applied_in_the_order_of_their_versions() {
    let versions =
        ["Bronze 0, Silver 1000, Gold 1500", "Bronze 0, Silver 1000", "Bronze 0, Iron 10", "Bronze 0, Top 99"];
    let run = |sweeps: [bool; 4]| {
        let mut world = world(vec![threshold(versions[0])]);
        check(&mut world, "buy A 1500 -> new, Gold at 1500");
        for (text, sweeps) in versions[1..].iter().zip(sweeps) {
            world.tiers(vec![threshold(text)]);
            if sweeps {
                world.sweep();
            }
        }
        let body = world.due().next();
        world.sweep();
        let events = world.records.iter().flat_map(|record| &record.body.events).filter_map(|event| match event {
            Event::TierPlaced(placed) => Some((placed.reason, placed.placed.from(), placed.placed.to())),
            _ => None,
        });
        (events.collect::<Vec<_>>(), world.look("A"), body.map_or(0, |body| body.events.len()))
    };
    let (events, look, at_once) = run([false; 4]);
    assert_eq!((look.as_str(), at_once), ("Top at 1500", 3));
    let versions: Vec<PlacementReason> = events.iter().map(|(reason, ..)| *reason).collect();
    assert_eq!(versions, [2, 3, 4].map(|version| PlacementReason::LevelRemoved { version }));
    for sweeps in [[true; 4], [true, false, false, false], [false, true, false, false]] {
        assert_eq!(run(sweeps).0, events, "{sweeps:?}");
    }
}

/// What is said of a change before it is made, also of customers whom no sweep has placed since the change before.
#[test]
fn a_change_is_previewed_as_it_will_be() {
    let check = |world: &World, wanted: Vec<ProgramDraft>, expected: &[(When, &str, &str, u64)]| {
        let moves = world.preview(wanted);
        let moves = moves.iter().map(|((_, when, from, to), count)| (*when, from.as_str(), to.as_str(), *count));
        assert_eq!(moves.collect::<Vec<_>>(), expected);
    };
    let mut world = world(vec![journey("BRONZE, SILVER, GOLD"), threshold("Low 0, Middle 1000, High 2000")]);
    crate::support::check(
        &mut world,
        "daily A 8 -> SILVER 1 UPGRADE, High at 8000
         buy B 1500 -> new, BRONZE 1 FIRST, Middle at 1500",
    );
    let (ladder, spends) = (|| journey("BRONZE, SILVER, GOLD"), || threshold("Low 0, Middle 1000, High 2000"));
    check(&world, vec![ladder(), spends()], &[]);
    // A level that goes: down in a Journey, to what was spent in a Threshold. One that comes takes nobody by itself.
    check(&world, vec![journey("BRONZE, GOLD"), spends()], &[(When::AtOnce, "SILVER", "BRONZE", 1)]);
    check(&world, vec![ladder(), threshold("Low 0, High 2000")], &[(When::AtOnce, "Middle", "Low", 1)]);
    check(&world, vec![ladder(), threshold("Low 0, High 1500")], &[(When::AtOnce, "Middle", "High", 1)]);
    check(&world, vec![ladder(), threshold("Low 0, Other 1000, High 2000")], &[(When::AtOnce, "Middle", "Other", 1)]);
    // A level under another name is the same level.
    check(&world, vec![journey("BRONZE, STEEL<SILVER, GOLD"), threshold("Low 0, Mid<Middle 1000, High 2000")], &[]);
    // What went before has happened, although nobody was placed: only what this change adds is said.
    world.tiers(vec![journey("BRONZE, GOLD"), threshold("Low 0, High 2000")]);
    check(&world, vec![journey("BRONZE, GOLD"), threshold("Low 0, High 2000")], &[]);
    check(&world, vec![journey("BRONZE"), threshold("Low 0, High 2000")], &[]);
    check(
        &world,
        vec![journey("GOLD"), threshold("High 2000")],
        &[(When::AtOnce, "BRONZE", "GOLD", 2), (When::AtOnce, "Low", "High", 1)],
    );
    // Where the count starts anew, the purchase that would have led up does not.
    let mut world = self::world(vec![journey("BRONZE, SILVER, GOLD")]);
    crate::support::check(
        &mut world,
        "daily A 14 -> SILVER 7
         after 40d",
    );
    check(&world, vec![journey("BRONZE, GOLD")], &[]);
    check(&world, vec![journey("SILVER, GOLD")], &[(When::AtOnce, "BRONZE", "SILVER", 1)]);
}

#[test]
fn a_purchase_that_is_refused_or_only_tried_places_nobody() {
    let mut world = world(vec![threshold("Bronze 0, Silver 1000")]);
    check(&mut world, "buy A 1000 -> new, Silver at 1000");
    world.tiers(vec![threshold("Bronze 0")]);
    check(
        &mut world,
        "buy A 0 -> refused amount_not_positive
         buy A 10 dry -> would: placed on Bronze, Bronze at 1010",
    );
    assert_eq!(world.sweep(), 1);
}

/// An operation sees its customer placed, and says so first. One that is refused or changes nothing places nobody.
#[test]
fn an_operation_places_its_customer_first() {
    let mut world =
        world(vec![threshold("Bronze 0, Silver 1000, Gold 1500, Platinum 9000"), journey("BRONZE, SILVER")]);
    check(
        &mut world,
        "buy A 1500 -> new, Gold at 1500, BRONZE 1 FIRST
         buy B 1500 -> new, Gold at 1500, BRONZE 1 FIRST
         daily C 8  -> Gold at 8000, SILVER 1 UPGRADE
         buy D 1000 -> new, Silver at 1000, BRONZE 1 FIRST",
    );
    world.tiers(vec![threshold("Bronze 0, Silver 1000, Platinum 9000"), journey("BRONZE")]);
    check(
        &mut world,
        "ask A deposit 0 5 dry   -> would: placed on Silver, balance 5
         ask A take 0 5          -> refused balance_too_small
         ask A thaw 0            -> unchanged
         ask B demote Spend      -> placed on Silver, Bronze at 1500 Demoted
         ask C promote Journey   -> refused tier_highest
         ask D promote Spend     -> Platinum at 1000 Promoted",
    );
    let looks = ["A", "B", "C", "D"].map(|name| world.look(name));
    assert_eq!(
        looks,
        ["Silver at 1500", "Bronze at 1500", "Silver at 8000", "Platinum at 1000"]
            .into_iter()
            .zip(["BRONZE 1", "BRONZE 1", "BRONZE 0", "BRONZE 1"])
            .map(|(spend, journey)| format!("{journey}, {spend}"))
            .collect::<Vec<_>>()[..]
    );
    check(
        &mut world,
        "ask A open              -> placed on Silver, wallet 1
         ask C did something     -> placed on Silver, placed on BRONZE",
    );
    assert_eq!(world.sweep(), 0);
}

/// The id is never used again: nobody is taken for a member of the old level.
#[test]
fn a_level_that_comes_back_is_another() {
    let mut world = world(vec![threshold("Bronze 0, Silver 1000")]);
    check(&mut world, "buy A 1000 -> new, Silver at 1000");
    world.tiers(vec![threshold("Bronze 0")]);
    world.tiers(vec![threshold("Bronze 0, Silver 1000")]);
    assert_eq!(world.look("A"), "Bronze at 1000", "placed by the version without it, and points crossed nothing since");
    check(&mut world, "buy A 1 -> placed on Bronze, Bronze at 1001");
    assert_eq!(world.sweep(), 0);
}

fn ids(world: &World) -> Vec<(String, RuleId)> {
    let rules = world.ledger.desk.catalogue(TENANT).unwrap();
    rules.programs[0].levels().map(|(id, name)| (name.to_owned(), id)).collect()
}

/// A renamed level keeps its id, and a file applies twice.
#[test]
fn renames() {
    for (present, wanted, kept) in [
        ("A 0, B 10", "A 0, C<B 10", "A 1"),
        // Chains and swaps.
        ("A 0, B 10", "B<A 0, C<B 10", "A B"),
        ("A 0, B 10", "B<A 0, A<B 10", "A B"),
        ("A 0, B 10, C 20", "B<A 0, C<B 10, A<C 20", "A B C"),
        // The old name is free for another level.
        ("A 0, B 10", "A 0, C<B 10, B 20", "A B -"),
        // A name that it had before, and itself.
        ("A 0, C 10", "A 0, C<B 10", "A C"),
        ("A 0, C 10, B 20", "A 0, C<B 10, B 20", "A C B"),
        ("B 0, C 10", "B<A 0, C<B 10", "B C"),
        ("A 0, B 10", "A 0, B<B 10", "A B"),
        // One goes while another is renamed.
        ("A 0, B 10, C 20", "A 0, D<C 20", "A C"),
    ] {
        let mut world = world(vec![threshold(present)]);
        let before = ids(&world);
        world.apply(&draft(vec![threshold(wanted)]), None).unwrap();
        let id = |name: &str| before.iter().find(|(own, _)| own == name).map(|(_, id)| *id);
        let after = ids(&world);
        let kept = if kept == "A 1" { "A B" } else { kept };
        let kept: Vec<Option<RuleId>> = kept.split(' ').map(id).collect();
        for ((name, own), kept) in after.iter().zip(&kept) {
            match kept {
                Some(kept) => assert_eq!(own, kept, "{name} of {wanted} on {present}"),
                None => assert!(before.iter().all(|(_, old)| old != own), "{name} of {wanted} on {present}"),
            }
        }
        let is_swap = wanted.contains("A<");
        if !is_swap {
            assert_eq!(world.apply(&draft(vec![threshold(wanted)]), None), Ok(None), "{wanted} applies twice");
        }
    }
}

#[test]
fn nobody_moves_when_a_level_is_renamed() {
    let mut world = world(vec![journey("BRONZE, SILVER"), threshold("Low 0, High 10")]);
    check(&mut world, "daily A 8 -> SILVER 1 UPGRADE, High at 8000");
    world.tiers(vec![journey("BRONZE, STEEL<SILVER"), threshold("High<Low 0, Low<High 10")]);
    assert_eq!((world.look("A").as_str(), world.sweep()), ("STEEL 1, Low at 8000", 0));
    check(&mut world, "buy A 1 -> STEEL 2, Low at 8001");
}

#[test]
fn wrong_renames_and_removals_are_refused() {
    let place = "tier_programs[Spend].levels";
    for (present, wanted, problem) in [
        ("A 0, B 10", "A 0, C<X 10", format!("{place}[C].renamed_from: names no present level: X")),
        ("A 0, B 10", "C<B 0, D<B 10", format!("{place}[D].renamed_from: names a level that another takes: B")),
        ("A 0, B 10", "B<A 0", format!("{place}[B].renamed_from: names A, but B is a level already; remove one first")),
        (
            "A 0, B 10, C 20",
            "B<A 0, C<B 20",
            format!("{place}[B].renamed_from: names A, but B is a level already; remove one first"),
        ),
    ] {
        let mut world = world(vec![threshold(present)]);
        let refused = world.apply(&draft(vec![threshold(wanted)]), None).unwrap_err();
        let CatalogueRejection::Invalid { place, problem: found } = refused else { panic!("{refused:?}") };
        assert_eq!(format!("{place}: {found}"), problem, "{wanted} on {present}");
    }
    // Nothing is there yet that could have been renamed.
    let mut fresh = World::default();
    assert!(fresh.apply(&draft(vec![threshold("A<B 0")]), None).is_err());
    // A way may not lead to a level that goes.
    let mut world = world(vec![journey("BRONZE, SILVER, GOLD")]);
    for edit in [
        |level: &mut kembali_core::draft::LevelDraft| level.next = Some("SILVER".into()),
        |level: &mut kembali_core::draft::LevelDraft| level.previous = Some("SILVER".into()),
    ] {
        let mut without = journey("BRONZE, GOLD");
        let PolicyDraft::Journey(rules) = &mut without.policy else { panic!("a Journey") };
        edit(&mut rules.levels[1]);
        let refused = world.apply(&draft(vec![without]), None).unwrap_err();
        assert!(format!("{refused:?}").contains("names no level: SILVER"), "{refused:?}");
    }
    let none = ProgramDraft { policy: PolicyDraft::Threshold(Vec::new()), ..threshold("A 0") };
    let mut world = self::world(vec![threshold("A 0")]);
    let refused = world.apply(&draft(vec![none]), None).unwrap_err();
    assert!(format!("{refused:?}").contains("at least one level"), "{refused:?}");
}

/// What the model does with one step.
#[derive(Clone, Debug)]
enum Step {
    Buy(usize, i64),
    Wait(i64),
    /// The levels of both programmes from now on; the second list is of bounds.
    Tiers(Vec<char>, Vec<(char, i64)>),
    /// Writes down who is due, of these customers only.
    Sweep(u8),
}

/// Level, count and last purchase; level and points; how often placed.
type Person = ((char, u32, i64), (char, i64), usize);

/// A second way to the same places, in which a removal moves everybody at once: no ids, no versions, no rows.
#[derive(Clone, Default)]
struct Model {
    ladder: Vec<char>,
    bounds: Vec<(char, i64)>,
    people: BTreeMap<usize, Person>,
    now: i64,
}

impl Model {
    fn reached(&self, spent: i64) -> char {
        self.bounds.iter().rev().find(|(_, min)| *min <= spent).unwrap_or(&self.bounds[0]).0
    }

    fn tiers(&mut self, ladder: &[char], bounds: &[(char, i64)]) {
        let old = std::mem::replace(&mut self.ladder, ladder.to_vec());
        self.bounds = bounds.to_vec();
        let mut people = std::mem::take(&mut self.people);
        for ((level, count, _), (spend, spent), placed) in people.values_mut() {
            if !ladder.contains(level) {
                let below = old.iter().take_while(|own| *own != level).filter(|own| ladder.contains(own)).last();
                (*level, *count) = (*below.unwrap_or(&ladder[0]), 0);
                *placed += 1;
            }
            if bounds.iter().all(|(own, _)| own != spend) {
                *spend = self.reached(*spent);
                *placed += 1;
            }
        }
        self.people = people;
    }

    /// Says who would see what of a change, by who stood where before and after it.
    fn moves(before: &Model, after: &Model) -> Vec<(When, char, char)> {
        let mut moves = Vec::new();
        for (who, (ladder, spend, _)) in &before.people {
            let (new_ladder, new_spend, _) = &after.people[who];
            let (shown, new_shown) = (before.shown(ladder), after.shown(new_ladder));
            let (next, new_next) = (before.next(ladder).0, after.next(new_ladder).0);
            if shown != new_shown {
                moves.push((When::AtOnce, shown, new_shown));
            } else if before.ladder[next] != after.ladder[new_next] {
                moves.push((When::NextPurchase, shown, after.ladder[new_next]));
            }
            if spend.0 != new_spend.0 {
                moves.push((When::AtOnce, spend.0, new_spend.0));
            }
        }
        moves.sort();
        moves
    }

    fn place(&self, (level, _, last): &(char, u32, i64)) -> (usize, i64) {
        let at = self.ladder.iter().position(|own| own == level).unwrap();
        (at, (self.now - last).div_euclid(86_400_000_000))
    }

    /// The level that a customer is shown at.
    fn shown(&self, person: &(char, u32, i64)) -> char {
        let (at, days) = self.place(person);
        self.ladder[match days {
            61.. => 0,
            31.. => at.max(1) - 1,
            _ => at,
        }]
    }

    /// The level, by its place, and the count to which a purchase would lead that came now.
    fn next(&self, person: &(char, u32, i64)) -> (usize, u32) {
        let ((at, days), count) = (self.place(person), person.1);
        match days {
            61.. => (0, 1),
            31.. => (at.max(1) - 1, 1),
            _ if count < 7 || at == self.ladder.len() - 1 => (at, count + 1),
            _ => (at + 1, 1),
        }
    }

    fn buy(&mut self, who: usize, amount: i64) {
        let now = self.now;
        let Some((person, (spend, spent), _)) = self.people.get(&who).copied() else {
            let spend = (self.reached(amount), amount);
            self.people.insert(who, ((self.ladder[0], 1, now), spend, 0));
            return;
        };
        let (at, count) = self.next(&person);
        let last = person.2;
        let place = |level: char| self.bounds.iter().position(|(own, _)| *own == level).unwrap();
        let (was, is) = (place(self.reached(spent)), place(self.reached(spent + amount)));
        let own = if was < is { place(spend).max(is) } else { place(spend) };
        let person = self.people.get_mut(&who).unwrap();
        person.0 = (self.ladder[at], count, now.max(last));
        person.1 = (self.bounds[own].0, spent + amount);
    }
}

const NAMES: [&str; 5] = ["A", "B", "C", "D", "E"];

fn any_step() -> impl Strategy<Value = Step> {
    let letters = |of: &'static str| {
        prop::sample::subsequence(of.chars().collect::<Vec<_>>(), 1..=of.len())
            .prop_flat_map(|some| Just(some).prop_shuffle())
    };
    // Bounds rise from level to level and change from version to version.
    let tiers = (letters("ABCD"), letters("PQRS"), prop::collection::btree_set(0..3_000i64, 4))
        .prop_map(|(ladder, levels, bounds)| Step::Tiers(ladder, levels.into_iter().zip(bounds).collect()));
    prop_oneof![
        8 => (0..NAMES.len(), 1..600i64).prop_map(|(who, amount)| Step::Buy(who, amount)),
        1 => prop_oneof![Just(1i64), Just(31), Just(61)].prop_map(Step::Wait),
        3 => tiers,
        2 => any::<u8>().prop_map(Step::Sweep),
    ]
}

fn programs(ladder: &[char], bounds: &[(char, i64)]) -> Vec<ProgramDraft> {
    let names: Vec<String> = ladder.iter().map(char::to_string).collect();
    let levels: Vec<String> = bounds.iter().map(|(name, min)| format!("{name} {min}")).collect();
    vec![journey(&names.join(", ")), threshold(&levels.join(", "))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500 * depth()))]

    /// Any purchases, waits, changes and sweeps, in any order: whoever looks sees what placing everybody at once gives,
    /// as the preview of each change has said, and the records hold a placement for each move, whenever they were written.
    #[test]
    fn placing_late_is_placing_at_once(steps in prop::collection::vec(any_step(), 1..60)) {
        let (ladder, bounds) = (vec!['A', 'B', 'C'], vec![('P', 0), ('Q', 500), ('R', 1_000)]);
        let mut world = world(programs(&ladder, &bounds));
        let mut model = Model { now: world.now.0, ..Model::default() };
        model.tiers(&ladder, &bounds);
        for step in steps {
            match step {
                Step::Buy(who, amount) => {
                    let command = world.command(&[NAMES[who], &amount.to_string()]);
                    world.purchase(command);
                    model.buy(who, amount);
                }
                Step::Wait(days) => {
                    world.now.0 += days * 86_400_000_000;
                    model.now = world.now.0;
                }
                Step::Tiers(ladder, bounds) => {
                    let (before, said) = (model.clone(), world.preview(programs(&ladder, &bounds)));
                    world.apply(&draft(programs(&ladder, &bounds)), None).unwrap();
                    model.tiers(&ladder, &bounds);
                    let said = said.into_iter().filter(|((_, when, ..), _)| *when <= When::NextPurchase);
                    let letter = |name: &str| name.chars().next().unwrap();
                    let each = said.flat_map(|((_, when, from, to), count)| {
                        std::iter::repeat_n((when, letter(&from), letter(&to)), count as usize)
                    });
                    let mut said: Vec<(When, char, char)> = each.collect();
                    said.sort();
                    prop_assert_eq!(said, Model::moves(&before, &model));
                }
                Step::Sweep(some) => {
                    let bodies: Vec<_> = world.due().enumerate().filter(|(at, _)| some >> at & 1 == 1).collect();
                    bodies.into_iter().for_each(|(_, body)| drop(world.write(body)));
                }
            }
            let wanted = model.people.iter().map(|(who, ((level, count, _), (spend, spent), _))| {
                (NAMES[*who].to_owned(), format!("{level} {count}, {spend} at {spent}"))
            });
            prop_assert_eq!(world.looks(), wanted.collect::<BTreeMap<_, _>>());
        }
        world.sweep();
        prop_assert_eq!(world.sweep(), 0);
        let placed = world.records.iter().flat_map(|record| &record.body.events);
        let placed = placed.filter(|event| matches!(event, Event::TierPlaced(_))).count();
        prop_assert_eq!(placed, model.people.values().map(|(.., placed)| placed).sum::<usize>());
        let rules = world.ledger.desk.catalogue(TENANT).unwrap();
        let sums = world.ledger.totals.tenant(TENANT).cloned().unwrap_or_default();
        prop_assert_eq!(sums.members_to_place(rules).count(), 0, "nobody is left on a dead level");
        prop_assert_eq!(sums.members.values().sum::<u64>(), 2 * sums.customers);
    }
}
