//! KezBek's loyalty factor: the journey through the levels, its milestones, and what a gap does.

use kembali_core::Instant;
use kembali_core::catalogue::TierPolicy;
use kembali_core::journey::{Remark, Standing, effective_level, step};

use crate::support::{World, check, jakarta, kezbek, ladder, level};

fn world() -> World {
    World::new(&kezbek(), jakarta("2024-01-15 09:00:00"))
}

/// KezBek's verified simulation: one purchase a day by a new customer, 243,500 after 21, then nothing for ever.
#[test]
fn kezbek_journey_of_one_purchase_a_day() {
    check(
        &mut world(),
        "buy A 1000 -> new, BRONZE 1 FIRST
         after 1d
         buy A 1000 -> BRONZE 2
         after 1d
         buy A 1000 -> BRONZE 3, milestone 15000, balance 15000
         after 1d
         buy A 1000 -> BRONZE 4
         after 1d
         buy A 1000 -> BRONZE 5, milestone 25000, balance 40000
         after 1d
         buy A 1000 -> BRONZE 6
         after 1d
         buy A 1000 -> BRONZE 7, milestone 35000, balance 75000
         after 1d
         buy A 1000 -> SILVER 1 UPGRADE
         after 1d
         buy A 1000 -> SILVER 2
         after 1d
         buy A 1000 -> SILVER 3, milestone 17500, balance 92500
         after 1d
         buy A 1000 -> SILVER 4
         after 1d
         buy A 1000 -> SILVER 5, milestone 28500, balance 121000
         after 1d
         buy A 1000 -> SILVER 6
         after 1d
         buy A 1000 -> SILVER 7, milestone 37500, balance 158500
         after 1d
         buy A 1000 -> GOLD 1 UPGRADE
         after 1d
         buy A 1000 -> GOLD 2
         after 1d
         buy A 1000 -> GOLD 3, milestone 18000, balance 176500
         after 1d
         buy A 1000 -> GOLD 4
         after 1d
         buy A 1000 -> GOLD 5, milestone 29000, balance 205500
         after 1d
         buy A 1000 -> GOLD 6
         after 1d
         buy A 1000 -> GOLD 7, milestone 38000, balance 243500
         after 1d
         buy A 1000 -> GOLD 8 MAX
         after 1d
         buy A 1000 -> GOLD 9 MAX
         daily A 100 -> GOLD 109 MAX",
    );
}

/// KezBek: below 31 whole days active, below 61 one level down, else the lowest level; a gap is counted in days of 24
/// hours since the last purchase.
#[test]
fn kezbek_gaps() {
    let steps_from = |days: u32, script: &str| {
        let mut world = world();
        world.step_days(days);
        check(&mut world, script);
    };
    steps_from(11, "after 30d23h\nbuy A 1000 -> SILVER 5, milestone 28500, balance 121000");
    steps_from(11, "after 30d86399s999999us\nbuy A 1000 -> SILVER 5, milestone 28500, balance 121000");
    steps_from(11, "after 31d\nbuy A 1000 -> BRONZE 1 DOWNGRADE");
    steps_from(11, "after 60d86399s999999us\nbuy A 1000 -> BRONZE 1 DOWNGRADE");
    steps_from(11, "after 61d\nbuy A 1000 -> BRONZE 1 RESET");
    steps_from(17, "after 30d23h\nbuy A 1000 -> GOLD 4");
    steps_from(17, "after 31d\nbuy A 1000 -> SILVER 1 DOWNGRADE");
    steps_from(17, "after 60d23h\nbuy A 1000 -> SILVER 1 DOWNGRADE");
    steps_from(17, "after 61d\nbuy A 1000 -> BRONZE 1 RESET");
    steps_from(6, "after 30d23h\nbuy A 1000 -> BRONZE 7, milestone 35000, balance 75000");
    steps_from(6, "after 31d\nbuy A 1000 -> BRONZE 1 DOWNGRADE");
    steps_from(6, "after 61d\nbuy A 1000 -> BRONZE 1 RESET");
    // A full count and a long gap: the gap decides.
    steps_from(7, "after 31d\nbuy A 1000 -> BRONZE 1 DOWNGRADE");
    steps_from(21, "after 31d\nbuy A 1000 -> SILVER 1 DOWNGRADE");
    steps_from(25, "after 61d\nbuy A 1000 -> BRONZE 1 RESET");
}

impl World {
    /// Lets A buy once a day; the clock stands at the last purchase.
    fn step_days(&mut self, days: u32) {
        for day in 0..days {
            if 0 < day {
                check(self, "after 1d");
            }
            let command = self.command(&["A", "1000"]);
            self.purchase(command);
        }
    }
}

/// KezBek: a negative gap is treated as active; the latest purchase goes on to count as the last.
#[test]
fn kezbek_a_negative_gap_is_active() {
    let mut draft = kezbek();
    draft.clock = kembali_core::catalogue::RuleClock::Occurred;
    let mut world = World::new(&draft, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "buy A 1000 occurred=-10d -> new, BRONZE 1 FIRST
         buy A 1000 occurred=-100d -> BRONZE 2
         after 20d23h
         buy A 1000 -> BRONZE 3, milestone 15000, balance 15000
         after 30d
         buy A 1000 occurred=-45d -> BRONZE 4
         after 1d
         buy A 1000 -> BRONZE 1 DOWNGRADE",
    );
}

/// KezBek: third purchase at BRONZE, two items for 1,200,000: 15,000 of loyalty and 33,000 of promo in one entry.
#[test]
fn kezbek_combined_cashback_is_48000() {
    let mut world = World::new(&kezbek(), jakarta("2023-01-10 09:00:00"));
    check(
        &mut world,
        "daily A 2 -> BRONZE 2
         after 1d
         buy A 1200000 qty=2 code=KEZBEK1000 -> promo 33000, BRONZE 3, milestone 15000, balance 48000",
    );
    let record = world.records.last().unwrap();
    let entries: Vec<String> = record.body.events.iter().filter_map(show_entry).collect();
    assert_eq!(entries, ["48000 against PromoExpense(PartnerId(1)) 33000, LoyaltyExpense 15000"]);
}

fn show_entry(event: &kembali_core::event::Event) -> Option<String> {
    let kembali_core::event::Event::WalletEntry(entry) = event else { return None };
    let leg = |leg: &kembali_core::accounts::HouseLeg| format!("{:?} {}", leg.account, leg.amount.minor_units());
    let legs: Vec<String> = entry.against.iter().map(leg).collect();
    Some(format!("{} against {}", entry.amount.minor_units(), legs.join(", ")))
}

/// KezBek knows its top by the name GOLD; here the top is the level that leads to itself, so a fourth level just works.
#[test]
fn the_top_is_a_level_that_leads_to_itself() {
    let mut draft = kezbek();
    ladder(&mut draft).levels.push(level("PLATINUM 1 1:50000"));
    let mut world = World::new(&draft, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "daily A 21 -> GOLD 7, milestone 38000, balance 243500
         buy A 1000 -> PLATINUM 1 UPGRADE, milestone 50000, balance 293500
         buy A 1000 -> PLATINUM 2 MAX
         after 31d
         buy A 1000 -> GOLD 1 DOWNGRADE",
    );
}

/// KezBek does not look for milestones at a first purchase; after a reset the same count pays.
#[test]
fn a_first_purchase_meets_no_milestone() {
    let mut draft = kezbek();
    ladder(&mut draft).levels = vec![level("ONLY 2 1:500 2:700")];
    let mut world = World::new(&draft, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "buy A 1000 -> new, ONLY 1 FIRST
         buy A 1000 -> ONLY 2, milestone 700, balance 700
         buy A 1000 -> ONLY 3 MAX
         after 61d
         buy A 1000 -> ONLY 1 RESET, milestone 500, balance 1200",
    );
}

/// A level's own `previous` and `next` win over its place in the list.
#[test]
fn named_neighbours_win_over_the_order() {
    let mut far_down = kezbek();
    ladder(&mut far_down).levels[2].previous = Some("BRONZE".into());
    let mut world = World::new(&far_down, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "daily A 15 -> GOLD 1 UPGRADE
         after 31d
         buy A 1000 -> BRONZE 1 DOWNGRADE",
    );
    let mut far_up = kezbek();
    ladder(&mut far_up).levels[0].next = Some("GOLD".into());
    let mut world = World::new(&far_up, jakarta("2024-01-15 09:00:00"));
    check(
        &mut world,
        "daily A 8 -> GOLD 1 UPGRADE
         after 31d
         buy A 1000 -> SILVER 1 DOWNGRADE",
    );
}

/// A lowered `count_max` leads up at the next purchase; a raised one lets a full level count on.
#[test]
fn a_changed_count_max_holds_from_the_next_purchase() {
    let mut draft = kezbek();
    let mut world = world();
    check(&mut world, "daily A 5 -> BRONZE 5, milestone 25000, balance 40000");
    ladder(&mut draft).levels[0] = level("BRONZE 4 3:15000");
    world.apply(&draft, None).unwrap().unwrap();
    check(&mut world, "buy A 1000 -> SILVER 1 UPGRADE");
    ladder(&mut draft).levels[1] = level("SILVER 9 9:90000");
    world.apply(&draft, None).unwrap().unwrap();
    check(&mut world, "daily A 8 -> SILVER 9, milestone 90000, balance 130000\nbuy A 1000 -> GOLD 1 UPGRADE");
}

/// What a read shows: the level that the gap so far already means, with the same edges as the step itself.
#[test]
fn the_effective_level_agrees_with_the_step() {
    let world = world();
    let rules = world.ledger.desk.catalogues().next().unwrap();
    let program = &rules.programs[0];
    let TierPolicy::Journey(journey) = &program.policy else { panic!("a Journey") };
    let mut falls = 0;
    for level in &journey.levels {
        for days in [-40, 0, 29, 30, 31, 32, 59, 60, 61, 62, 400] {
            for rest in [0, 1, kembali_core::DAY_US - 1] {
                let standing = Standing { program: program.id, level: level.id, count: 1, last_at: Instant(0) };
                let at = Instant(days * kembali_core::DAY_US + rest);
                let stepped = step(program.id, journey, Some(&standing), at);
                assert_eq!(effective_level(journey, &standing, at), stepped.standing.level, "{days} d {rest}");
                falls += u32::from(matches!(stepped.remark, Remark::Downgrade | Remark::Reset));
            }
        }
    }
    // Three levels, three instants a day, six days of which fall.
    assert_eq!(falls, 3 * 3 * 7);
}

/// At the top, once its count is full, nothing is paid, not even where a milestone were set beyond it.
#[test]
fn a_full_top_level_pays_nothing() {
    let world = world();
    let program = world.ledger.desk.catalogues().next().unwrap().programs[0].clone();
    let TierPolicy::Journey(mut journey) = program.policy else { panic!("a Journey") };
    let gold = journey.levels[2].id;
    journey.levels[2].milestones[2].at_count = 8;
    let standing = |count| Standing { program: program.id, level: gold, count, last_at: Instant(0) };
    let seen = |count| step(program.id, &journey, Some(&standing(count)), Instant(0));
    assert_eq!((seen(7).standing.count, seen(7).remark, seen(7).milestone), (8, Remark::Maximum, None));
    assert_eq!(seen(4).milestone.unwrap().at_count, 5);
}

/// A day is 24 hours, counted down to whole ones on either side of nothing.
#[test]
fn whole_days_are_counted_down() {
    let day = kembali_core::DAY_US;
    let days = |later: i64| Instant(later).whole_days_since(Instant(0));
    for (later, wanted) in [(0, 0), (1, 0), (day - 1, 0), (day, 1), (-1, -1), (-day, -1), (-day - 1, -2)] {
        assert_eq!(days(later), wanted, "{later} us");
    }
    let most = i64::MAX / day;
    assert_eq!(Instant(i64::MAX).whole_days_since(Instant(i64::MIN)), most, "the widest gap counts as the largest");
    assert_eq!(Instant(i64::MIN).whole_days_since(Instant(i64::MAX)), -most - 1);
}
