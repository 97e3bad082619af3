//! KezBek's transaction factor: which band a purchase meets, what it pays, and for how long.

use kembali_core::Instant;
use kembali_core::catalogue::Promo;
use kembali_core::promo::Miss;

use crate::support::{World, amount, band, bands, check, jakarta, kezbek};

fn promo(edit: impl FnOnce(&mut kembali_core::draft::PromoDraft)) -> Promo {
    let mut draft = kezbek();
    edit(&mut draft.promos[0]);
    let world = World::new(&draft, jakarta("2023-01-01 00:00:00"));
    let (tenant, promo) = world.promo("KEZBEK1000");
    world.ledger.desk.catalogue(tenant).unwrap().promo(promo).unwrap().clone()
}

fn find(promo: &Promo, at: Instant, quantity: i64, minor_units: i64) -> String {
    match promo.find(at, quantity, amount(minor_units)) {
        Ok(found) => {
            let band = promo.bands.iter().find(|band| band.id == found.band).unwrap();
            format!("{} %, {}", band.percent, found.points.minor_units())
        }
        Err(Miss::OutsidePeriod) => "outside".into(),
        Err(Miss::NoBand) => "none".into(),
        Err(Miss::RoundsToZero(_)) => "zero".into(),
    }
}

/// Checks lines `quantity amount -> percent, points`.
fn check_grid(promo: &Promo, table: &str) {
    let wanted: Vec<&str> = table.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let seen: Vec<String> = wanted
        .iter()
        .map(|line| {
            let input = line.split(" -> ").next().unwrap();
            let numbers: Vec<i64> = input.split_whitespace().map(|word| word.parse().unwrap()).collect();
            format!("{input} -> {}", find(promo, promo.starts_at, numbers[0], numbers[1]))
        })
        .collect();
    assert_eq!(seen.join("\n"), wanted.join("\n"));
}

#[test]
fn kezbek_acceptance_vectors() {
    check_grid(
        &promo(|_| ()),
        "1 99999 -> 1.2 %, 1200
         1 100000 -> 1.75 %, 1750
         1 500000 -> 2.3 %, 11500
         1 1000000 -> none
         2 499999 -> none
         2 500000 -> 2.45 %, 12250
         2 1200000 -> 2.75 %, 33000
         2 1500000 -> 2.95 %, 44250
         3 1499999 -> none
         5 2000000 -> 3.35 %, 67000",
    );
}

/// Both sides of every edge of the seed's seven bands, and its holes.
#[test]
fn kezbek_band_edges_include_the_smallest_and_exclude_the_end() {
    check_grid(
        &promo(|_| ()),
        "1 1 -> zero
         1 41 -> zero
         1 42 -> 1.2 %, 1
         1 100000 -> 1.75 %, 1750
         1 499999 -> 1.75 %, 8750
         1 999999 -> 2.3 %, 23000
         1 1499999 -> none
         1 1500000 -> none
         1 9007199254740991 -> none
         2 1 -> none
         2 999999 -> 2.45 %, 24500
         2 1000000 -> 2.75 %, 27500
         2 1499999 -> 2.75 %, 41250
         2 9007199254740991 -> 2.95 %, 265712378014859
         3 1 -> none
         3 1500000 -> 3.35 %, 50250
         4 1499999 -> none
         4 1500000 -> 3.35 %, 50250
         4294967295 1500000 -> 3.35 %, 50250",
    );
}

/// The seed computes in doubles and pays 15,076 here; exact decimals pay half a rupiah more, rounded up.
#[test]
fn kezbek_655500_is_exact() {
    check_grid(&promo(|_| ()), "1 655500 -> 2.3 %, 15077");
}

#[test]
fn a_quantity_matches_exactly_unless_the_band_says_or_more() {
    let exact = promo(|promo| promo.bands = bands("2 0 - 10"));
    check_grid(&exact, "1 1000 -> none\n2 1000 -> 10 %, 100\n3 1000 -> none");
    let or_more = promo(|promo| promo.bands = bands("2+ 0 - 10"));
    check_grid(&or_more, "1 1000 -> none\n2 1000 -> 10 %, 100\n3 1000 -> 10 %, 100");
}

#[test]
fn both_ends_of_the_period_are_inside() {
    let promo = promo(|_| ());
    let seen = |text: &str| find(&promo, jakarta(text), 1, 100_000);
    assert_eq!(seen("2022-12-31 23:59:59"), "outside");
    assert_eq!(find(&promo, Instant(promo.starts_at.0 - 1), 1, 100_000), "outside");
    assert_eq!(seen("2023-01-01 00:00:00"), "1.75 %, 1750");
    assert_eq!(seen("2023-01-31 23:59:59"), "1.75 %, 1750");
    assert_eq!(find(&promo, Instant(promo.ends_at.0 + 1), 1, 100_000), "outside");
    assert_eq!(seen("2023-02-01 00:00:00"), "outside");
}

#[test]
fn outside_of_the_period_a_purchase_is_booked_and_earns_nothing() {
    let mut world = World::new(&kezbek(), jakarta("2023-01-31 23:59:59"));
    check(
        &mut world,
        "buy A 100000 code=KEZBEK1000 -> new, promo 1750, BRONZE 1 FIRST, balance 1750
         after 1s
         buy A 100000 code=KEZBEK1000 -> outside period, BRONZE 2
         used KEZBEK1000 -> 1",
    );
}

/// KezBek stores the quota and never enforces it; here it is enforced, and the purchase is booked all the same.
#[test]
fn the_quota_is_enforced_and_never_refuses() {
    let mut draft = kezbek();
    draft.promos[0].quota = 2;
    let mut world = World::new(&draft, jakarta("2023-01-02 00:00:00"));
    check(
        &mut world,
        "buy A 100000 code=KEZBEK1000 -> new, promo 1750, BRONZE 1 FIRST, balance 1750
         buy A 1000000 code=KEZBEK1000 -> no band, BRONZE 2
         used KEZBEK1000 -> 1
         buy B 100000 code=KEZBEK1000 -> new, promo 1750, BRONZE 1 FIRST, balance 1750
         buy C 100000 code=KEZBEK1000 -> new, exhausted 2 of 1750, BRONZE 1 FIRST
         buy C 1 code=KEZBEK1000 -> rounds to zero, BRONZE 2
         used KEZBEK1000 -> 2",
    );
}

/// Compares `overlaps` with a search for a purchase that meets both, over all small bands.
#[test]
fn overlap_is_what_a_search_finds() {
    let mut all = Vec::new();
    for (quantity, plus) in [(1, ""), (2, ""), (3, ""), (1, "+"), (2, "+"), (3, "+")] {
        for min in 0..4 {
            for end in ["-", "1", "2", "3", "4"] {
                if end == "-" || min < end.parse().unwrap() {
                    all.push(band(&format!("{quantity}{plus} {min} {end} 1")));
                }
            }
        }
    }
    let resolved: Vec<_> =
        all.iter().map(|own| promo(|promo| promo.bands = vec![own.clone()]).bands[0].clone()).collect();
    let mut meetings = 0;
    for left in &resolved {
        for right in &resolved {
            let meets = (1..6).any(|quantity| {
                (0..6).any(|units| left.covers(quantity, amount(units)) && right.covers(quantity, amount(units)))
            });
            meetings += u32::from(meets);
            assert_eq!(left.overlaps(right), meets, "{left:?} and {right:?}");
        }
    }
    assert!(1_000 < meetings, "the search met too little: {meetings}");
}
