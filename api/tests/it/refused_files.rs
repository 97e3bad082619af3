//! Catalogue files that are refused, each with the line that is wrong: one for every kind of refusal.

use std::path::Path;

use crate::program::{Server, run, run_well, sample};

/// A file that is refused: edits of the sample, a text of the line that is shown, and what is said.
///
/// An edit replaces the first text by the second. A line that begins with `^` is the one above the line of that text,
/// where the table stands that it belongs to.
struct Case(&'static [(&'static str, &'static str)], &'static str, &'static str);

const KEYLESS: (&str, &str) = ("api_key = \"grocer-demo-key\"\n", "");
const SLUG: (&str, &str) = ("slug = \"journey\"", "slug = \"other\"");
const LONG: &str = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";

const CASES: &[Case] = &[
    // The file cannot be read.
    Case(&[("quota = 10000", "quota = ")], "quota = ", "string values must be quoted"),
    Case(&[("quota = 10000", "quota = \"many\"")], "quota = \"many\"", "expected u64"),
    Case(&[("quota = 10000", "quotas = 10000")], "quotas = 10000", "unknown field `quotas`"),
    Case(&[("quota = 10000\n", "")], "[[promos]]", "missing field `quota`"),
    Case(
        &[("starts_at = \"2017-01-01 00:00:00\"", "starts_at = 2017-01-01 00:00:00")],
        "starts_at = 2017",
        "expected a string",
    ),
    Case(&[("quota = 10000", "quota = 1\nquota = 2")], "quota = 2", "duplicate key"),
    // The tenant.
    Case(
        &[KEYLESS, ("slug = \"journey\"", "slug = \"Journey\"")],
        "slug = \"Journey\"",
        "tenant.slug: must be 1 to 64 of",
    ),
    Case(&[("\"IDR\"", "\"rupiah\"")], "currency = ", "tenant.currency: must be three upper-case letters"),
    Case(
        &[("\"IDR\"", "\"USD\"")],
        "currency = ",
        "tenant.currency: cannot change once a wallet was moved or an invoice opened",
    ),
    Case(
        &[KEYLESS, SLUG, ("exponent = 0", "exponent = 5")],
        "exponent = 5",
        "tenant.currency_exponent: must be 0 to 4",
    ),
    Case(&[("Asia/Jakarta", "Mars/Olympus")], "Mars/Olympus", "no time zone has this IANA name"),
    Case(&[("Journey Rewards", LONG)], LONG, "tenant.name: a name is longer than 64 bytes"),
    Case(&[("Journey Rewards", "\\u001b[2J")], "u001b", "tenant.name: a name has a control character"),
    // Partners.
    Case(&[("The Grocer", LONG)], LONG, "partners[grocer].name: a name is longer than 64 bytes"),
    Case(
        &[("[[promos]]", "[[partners]] # again\nslug = \"grocer\"\nname = \"G\"\n[[promos]]")],
        "# again",
        "partners[grocer]: stands twice",
    ),
    Case(
        &[("[[promos]]", "[[partners]]\nslug = \"A shop\"\nname = \"G\"\n[[promos]]")],
        "^slug = \"A shop\"",
        "the slug must be 1 to 64",
    ),
    Case(
        &[KEYLESS, ("slug = \"grocer\"", "slug = \"other\"")],
        "^slug = \"other\"",
        "partners[grocer]: cannot be removed",
    ),
    Case(&[("\"grocer-demo-key\"", "\"short\"")], "api_key = \"short\"", "8 to 128 visible ASCII"),
    Case(
        &[
            ("[[promos]]", "[[partners]]\nslug = \"b\"\nname = \"B\"\napi_key = \"grocer-demo-key\"\n[[promos]]"),
            ("api_key = \"grocer-demo-key\"\n\n", "\n"),
        ],
        "api_key = \"grocer-demo-key\"",
        "api_key_taken",
    ),
    // Risk rules.
    Case(
        &[(
            "# Tiers count",
            "[[risk_rules]] # odd\nname = \"R\"\namount_above = 1\ncount_above = 1\naction = \"flag\"\n#",
        )],
        "[[risk_rules]] # odd",
        "risk_rules[R]: must have exactly one of amount_above, count_above and sum_above",
    ),
    Case(
        &[("# Tiers count", "[[risk_rules]]\nname = \"R\"\ncount_above = 1\nwithin_seconds = 0\naction = \"flag\"\n#")],
        "within_seconds = 0",
        "risk_rules[R].within_seconds: must be 1 to 2678400",
    ),
    Case(
        &[("# Tiers count", "[[risk_rules]]\nname = \"R\"\namount_above = 1\naction = \"stop\"\n#")],
        "action = \"stop\"",
        "unknown variant `stop`",
    ),
    // Promos.
    Case(
        &[(
            "# Tiers count",
            "[[promos]] # again\ncode = \"JOURNEY2017\"\nquota = 1\nstarts_at = \"2017-01-01 00:00:00\"\nends_at = \"2017-01-01 00:00:00\"\n#",
        )],
        "[[promos]] # again",
        "promos[JOURNEY2017]: stands twice",
    ),
    Case(&[("\"JOURNEY2017\"", "\"\"")], "^code = \"\"", "the code must have 1 to 64 bytes"),
    Case(&[("\"JOURNEY2017\"", "\"A\\u0007\"")], "^code = \"A", "a name has a control character"),
    Case(&[("quota = 10000", "quota = 9007199254740992")], "quota = 9", "must be at most 9007199254740991"),
    Case(&[("\"2017-01-01 00:00:00\"", "\"soon\"")], "\"soon\"", "promos[JOURNEY2017].starts_at: must be local"),
    Case(
        &[("\"2017-12-31 23:59:59\"", "\"2016-12-31 00:00:00\"")],
        "^code = \"JOURNEY2017\"",
        "the period ends before",
    ),
    Case(
        &[("# funded_by = \"grocer\"", "funded_by = \"nobody\"")],
        "^code = \"JOURNEY2017\"",
        "funded_by names no partner",
    ),
    Case(
        &[("{ quantity = 2, amount_min = 500000", "{ quantity = 0, amount_min = 500000")],
        "{ quantity = 0",
        "bands[3]: the quantity must be at least 1",
    ),
    Case(
        &[("amount_min = 1000000, amount_end = 1500000", "amount_min = 1000000, amount_end = 7")],
        "amount_end = 7",
        "amount_end above amount_min",
    ),
    Case(
        &[("amount_end = 500000, percent = \"1.75\"", "amount_end = 500001, percent = \"1.75\"")],
        "percent = \"2.30\"",
        "bands[2]: overlaps with bands[1]",
    ),
    Case(&[("\"2.75\"", "\"275\"")], "\"275\"", "bands[4].percent: must be 0 to 100"),
    Case(
        &[("amount_min = 0, amount_end = 100000", "amount_min = -1, amount_end = 100000")],
        "amount_min = -1",
        "bands[0].amount_min: must be 0 to",
    ),
    Case(
        &[("amount_end = 100000,", "amount_end = 9007199254740992,")],
        "9007199254740992",
        "bands[0].amount_end: must be 0 to",
    ),
    // Tier programmes of the policy journey.
    Case(&[("name = \"Spend\"", "name = \"JOURNEY\"")], "^name = \"JOURNEY\"", "tier_programs[journey]: stands twice"),
    Case(&[("name = \"Spend\"", "name = \"Spent\"")], "^name = \"Journey\"", "tier_programs[Spend]: cannot be removed"),
    Case(&[KEYLESS, SLUG, ("name = \"Spend\"", "name = \"\"")], "^name = \"\"", "needs a name and at least one level"),
    Case(&[("downgrade_after_days = 30 ", "# ")], "^name = \"Journey\"", "downgrade_after_days: is missing"),
    Case(
        &[("reset_after_days = 60", "reset_after_days = 29")],
        "^name = \"Journey\"",
        "reset_after_days must not be below",
    ),
    Case(&[("policy = \"journey\"", "policy = \"ladder\"")], "policy = \"ladder\"", "unknown variant `ladder`"),
    Case(&[("name = \"GOLD\"", "name = \"silver\"")], "^name = \"silver\"", "levels[silver]: stands twice"),
    Case(
        &[("name = \"GOLD\"\n", "name = \"TIN\"\nrenamed_from = \"LEAD\"\n")],
        "renamed_from = \"LEAD\"",
        "levels[TIN].renamed_from: names no present level: LEAD",
    ),
    Case(
        &[
            ("name = \"SILVER\"\n", "name = \"TIN\"\nrenamed_from = \"BRONZE\"\n"),
            ("name = \"GOLD\"\n", "name = \"LEAD\"\nrenamed_from = \"BRONZE\" # again\n"),
        ],
        "# again",
        "levels[LEAD].renamed_from: names a level that another takes: BRONZE",
    ),
    Case(
        &[
            ("name = \"SILVER\"\n", "name = \"TIN\"\n"),
            ("name = \"GOLD\"\n", "name = \"GOLD\"\nrenamed_from = \"SILVER\"\n"),
        ],
        "renamed_from = \"SILVER\"",
        "levels[GOLD].renamed_from: names SILVER, but GOLD is a level already",
    ),
    Case(&[("name = \"GOLD\"\n", "name = \"GOLD\"\nprevious = \"TIN\"\n")], "^name = \"GOLD\"", "names no level: TIN"),
    Case(
        &[("name = \"SILVER\"\n", "name = \"SILVER\"\nnext = \"BRONZE\"\n")],
        "^name = \"SILVER\"",
        "next must name a level above",
    ),
    Case(
        &[("name = \"BRONZE\"\n", "name = \"BRONZE\"\nprevious = \"GOLD\"\n")],
        "^name = \"BRONZE\"",
        "previous must name a level below",
    ),
    Case(
        &[("name = \"BRONZE\"\n", "name = \"BRONZE\"\nnext = \"BRONZE\"\n")],
        "^name = \"SILVER\"",
        "no way leads there",
    ),
    Case(
        &[("name = \"GOLD\"\ncount_max = 7", "name = \"GOLD\"\ncount_max = 0")],
        "^name = \"GOLD\"",
        "a count_max of at least 1",
    ),
    Case(&[("name = \"GOLD\"\ncount_max = 7", "name = \"GOLD\"")], "^name = \"GOLD\"", "needs count_max"),
    Case(
        &[("name = \"GOLD\"\n", "name = \"GOLD\"\nspent_min = 1\n")],
        "^name = \"GOLD\"",
        "spent_min is of the policy threshold",
    ),
    Case(
        &[("{ at_count = 7, points = 38000 }", "{ at_count = 8, points = 38000 }")],
        "^name = \"GOLD\"",
        "a milestone must lie at 1 to 7",
    ),
    Case(
        &[("{ at_count = 7, points = 38000 }", "{ at_count = 5, points = 38000 }")],
        "^name = \"GOLD\"",
        "has two milestones at 5",
    ),
    Case(
        &[
            ("name = \"GOLD\"\ncount_max = 7\nmilestones = [", "name = \"GOLD\"\ncount_max = 7\nmilestones = [ # here"),
            ("points = 38000", "points = -1"),
        ],
        "# here",
        "milestones: must be 0 to",
    ),
    Case(&[("name = \"GOLD\"", "name = \"A\\nB\"")], "^name = \"A", "a name has a control character"),
    // Tier programmes of the policy threshold.
    Case(
        &[("policy = \"threshold\"", "policy = \"threshold\"\nat_maximum = \"pay_nothing\"")],
        "at_maximum = \"pay_nothing\"\n",
        "at_maximum: is of the policy journey",
    ),
    Case(
        &[("spent_min = 5000000 }", "spent_min = 5000000, count_max = 1 }")],
        "count_max = 1 }",
        "are of the policy journey",
    ),
    Case(
        &[("{ name = \"Silver\", spent_min = 5000000 }", "{ name = \"Silver\" }")],
        "{ name = \"Silver\" }",
        "needs spent_min",
    ),
    Case(&[("spent_min = 15000000", "spent_min = 5000000")], "name = \"Gold\"", "no customer can ever stand there"),
    Case(&[("spent_min = 0", "spent_min = -5")], "spent_min = -5", "levels[Bronze].spent_min: must be 0 to"),
    Case(&[KEYLESS, SLUG, ("name = \"Silver\", spent", "name = \"\", spent")], "{ name = \"\"", "needs a name"),
    Case(
        &[("policy = \"threshold\"\nlevels = [", "policy = \"threshold\"\nlevels = []\nold = [")],
        "old = [",
        "unknown field `old`",
    ),
    Case(
        &[
            ("policy = \"threshold\"", "policy = \"journey\"\ndowngrade_after_days = 1\nreset_after_days = 2"),
            ("spent_min = 0 ", "count_max = 1 "),
            ("spent_min = 5000000 ", "count_max = 1 "),
            ("spent_min = 15000000 ", "count_max = 1 "),
            ("spent_min = 40000000 ", "count_max = 1 "),
        ],
        "^name = \"Spend\"",
        "the policy cannot change",
    ),
    // Points and cashback rules.
    Case(
        &[("rate = \"0.02\"", "rate = \"0.02\"\nlife_days = 0")],
        "life_days = 0",
        "cashback_rules[Dairy 2%].life_days: must be 1 to",
    ),
    Case(
        &[
            ("[\"cashback\", \"reward\"]", "[\"reward\"]"),
            ("pays = \"cashback\"", "pays = \"reward\""),
            ("pays = \"cashback\"", "pays = \"reward\""),
        ],
        "point_kinds = ",
        "point_kinds[cashback]: cannot be removed",
    ),
    Case(
        &[("[\"cashback\", \"reward\"]", "[\"cashback\", \"reward\", \"reward\"]")],
        "point_kinds = ",
        "point_kinds[reward]: stands twice",
    ),
    Case(
        &[("[\"cashback\", \"reward\"]", "[\"cashback\", \"reward\", \"\"]")],
        "point_kinds = ",
        "point_kinds[]: needs a name",
    ),
    Case(
        &[("\"Pizza 5%\"", "\"Dairy 2%\"")],
        "^name = \"Dairy 2%\"\nrate = \"0.05\"",
        "cashback_rules[Dairy 2%]: stands twice",
    ),
    Case(&[("\"Pizza 5%\"", "\"\"")], "^name = \"\"", "cashback_rules[]: needs a name"),
    Case(&[("\"0.05\"", "\"5\"")], "rate = \"5\"", "rate: must be above 0 and below 1"),
    Case(
        &[("[\"FROZEN PIZZA\"]", "[\"FROZEN PIZZA\", \"FROZEN PIZZA\"]")],
        "products = [\"FROZEN",
        "names a product twice",
    ),
    Case(&[("[\"FROZEN PIZZA\"]", "[\"\"]")], "products = [\"\"]", "a product must have 1 to 256 bytes"),
    Case(
        &[("pays = \"cashback\"", "partner = \"nobody\"\npays = \"cashback\"")],
        "partner = \"nobody\"",
        "partner: names no partner: nobody",
    ),
    Case(
        &[("pays = \"cashback\"", "pays = \"miles\"")],
        "pays = \"miles\"",
        "pays: names nothing that is there: miles",
    ),
    Case(&[("\"2017-06-30 23:59:59\"", "\"2017-06-31 23:59:59\"")], "2017-06-31", "ends_at: must be local"),
    // Fulfillments and rewards.
    Case(
        &[("product = \"BEEF\"", "product = \"\"")],
        "^name = \"Beef for 200,000\"",
        "a product or a tag must have 1 to 256 bytes",
    ),
    Case(
        &[("amount_min = 200000 }", "amount_min = 0, cumulative = true }")],
        "^name = \"Beef for 200,000\"",
        "a sum of at least 0 is there before",
    ),
    Case(
        &[("buy = { product = \"BEEF\", amount_min = 200000 }", "tag = { tag = \"beef\", count = 0 }")],
        "^name = \"Beef for 200,000\"",
        "count must be at least 1",
    ),
    Case(
        &[("buy = { product = \"BEEF\", amount_min = 200000 }", "")],
        "^name = \"Beef for 200,000\"",
        "exactly one of buy and tag",
    ),
    Case(
        &[("amount_min = 200000 }", "amount_min = -200000 }")],
        "amount_min = -200000",
        "buy.amount_min: must be 0 to",
    ),
    Case(
        &[("name = \"Onions\"", "name = \"Potatoes for 45,000\"")],
        "^name = \"Potatoes for 45,000\"\nbuy = { product = \"ONIONS\"",
        "stands twice",
    ),
    Case(&[("kind = \"reward\"", "kind = \"miles\"")], "kind = \"miles\"", "kind: names nothing that is there: miles"),
    Case(&[("points = 250\n", "points = 0\n")], "^name = \"250 points\"", "pays nothing"),
    Case(&[("points = 250\n", "points = -1\n")], "points = -1", "points: must be 0 to"),
    Case(
        &[("points = 250\nkind = \"reward\"", "wallet_credit = -1")],
        "wallet_credit = -1",
        "wallet_credit: must be 0 to",
    ),
    Case(
        &[("points = 250\nkind = \"reward\"", "wallet_credit = 1\nlife_days = 9")],
        "life_days = 9",
        "rewards[250 points].life_days: is of points",
    ),
    Case(&[("points = 250\n", "")], "^name = \"250 points\"", "needs points and their kind, or wallet_credit"),
    Case(&[("\"250 points\"", "\"100 points\"")], "^name = \"100 points\"\npoints = 250", "stands twice"),
    // Campaigns.
    Case(
        &[("[\"Pizza for 90,000\", \"Soft drinks for 60,000\"]", "[]")],
        "fulfillments = []",
        "fulfillments: needs a fulfillment",
    ),
    Case(&[("rewards = [\"100 points\"]", "rewards = []")], "rewards = []", "rewards: needs a reward"),
    Case(
        &[("rewards = [\"100 points\"]", "rewards = [\"A car\"]")],
        "\"A car\"",
        "rewards: names nothing that is there: A car",
    ),
    Case(
        &[("\"Potatoes for 45,000\", \"Onions\"]", "\"Onions\", \"Onions\"]")],
        "\"Onions\", \"Onions\"",
        "fulfillments: names one twice",
    ),
    Case(
        &[("completions_max = 2", "completions_max = 0")],
        "completions_max = 0",
        "completions_max: must be at least 1",
    ),
    Case(
        &[("completions_max = 2", "starts_at = \"2017-02-01 00:00:00\"\nends_at = \"2017-01-31 00:00:00\"")],
        "ends_at = \"2017-01-31",
        "ends_at: the period ends before it starts",
    ),
    Case(&[("completions_max = 2", "starts_at = \"2017\"")], "starts_at = \"2017\"", "starts_at: must be local"),
    Case(&[("budget = 10000", "budget = 0")], "budget = 0", "campaigns[Movie night].budget: must be at least 1"),
    Case(
        &[("rate = \"0.02\"", "rate = \"0.02\"\nlife_days = 9\npending_days = 9")],
        "pending_days = 9",
        "cashback_rules[Dairy 2%].pending_days: must be fewer than life_days",
    ),
    Case(
        &[("\"Sunday roast\"", "\"Movie night\"")],
        "^name = \"Movie night\"\nfulfillments = [\"Beef",
        "campaigns[Movie night]: stands twice",
    ),
];

/// Returns the number of the line that a case is about, from 1, and the line.
fn line_of<'a>(text: &'a str, wanted: &str) -> (usize, &'a str) {
    let (above, wanted) = wanted.strip_prefix('^').map_or((0, wanted), |wanted| (1, wanted));
    let mut found = text.match_indices(wanted).map(|(at, _)| text[..at].matches('\n').count());
    let line = found.next().unwrap_or_else(|| panic!("no line has {wanted}")) - above;
    assert_eq!(found.next(), None, "{wanted} stands twice");
    (line + 1, text.lines().nth(line).expect("it was counted"))
}

/// A running server with the whole sample as its rules, whose grocer has booked a purchase.
fn with_sample(data_dir: &Path) -> Server {
    let server = Server::start(data_dir, 1);
    run_well(&["apply", "--yes", &sample("full.toml").to_string_lossy(), "--url", &server.url]);
    let line = r#"{"origin_id":"1","customer":{"ref":"ann"},"amount":200000,"quantity":1,"promo_code":"JOURNEY2017","occurred_at":"2017-03-01T00:00:00Z"}"#;
    assert!(server.send(&[line.to_owned()], |answer| answer.contains("\"status\":201")));
    server
}

#[test]
fn a_refused_file_is_shown_with_its_line() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = with_sample(&dir.path().join("data"));
    let full = std::fs::read_to_string(sample("full.toml")).expect("the sample is there");
    let file = dir.path().join("broken.toml");
    let file_name = file.to_string_lossy();
    let mut wrong = Vec::new();
    for Case(edits, line, said) in CASES {
        let edit = |text: String, (old, new): &(&str, &str)| {
            assert!(text.contains(old), "the sample has no {old}");
            text.replacen(old, new, 1)
        };
        let text = edits.iter().fold(full.clone(), edit);
        std::fs::write(&file, &text).expect("it is written");
        let refused = run(&["apply", "--yes", &file_name, "--url", &server.url, "--dry-run"]);
        let stderr = String::from_utf8_lossy(&refused.stderr);
        // A key is shown as stars.
        let starred = |text: &str| {
            ["grocer-demo-key", "short"]
                .iter()
                .fold(text.to_owned(), |text, key| text.replace(&format!("\"{key}\""), &"*".repeat(key.len() + 2)))
        };
        let text = starred(&text);
        let (number, shown) = line_of(&text, &starred(line));
        let is_shown = stderr.contains(&format!("--> {file_name}:{number}:"))
            && stderr.contains(&format!("{number} | {shown}\n"))
            && !stderr.contains("grocer-demo-key");
        if !is_shown || !stderr.contains(said) || !matches!(refused.status.code(), Some(1 | 4)) {
            wrong.push(format!("{said}, in line {number}: {}: {stderr}", refused.status));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
    server.stop();
}

/// Too many of something is shown where they stand.
#[test]
fn a_file_that_is_too_large_is_shown_at_its_table() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let server = with_sample(&dir.path().join("data"));
    let full = std::fs::read_to_string(sample("full.toml")).expect("the sample is there");
    let file = dir.path().join("large.toml");
    let many = |count: usize, of: fn(usize) -> String| (0..count).map(of).collect::<Vec<String>>().join(", ");
    let kinds = format!("point_kinds = [{}, ", many(4_096, |index| format!("\"kind {index}\"")));
    let partners = format!("partners = [{}]\n", many(2_049, |index| format!("{{ slug = \"p{index}\", name = \"\" }}")));
    let without =
        full.replace("[[partners]]\nslug = \"grocer\"\nname = \"The Grocer\"\napi_key = \"grocer-demo-key\"\n", "");
    for (text, place) in [
        (full.replace("point_kinds = [", &kinds), "8:1\n"),
        (without.replace("point_kinds = ", &format!("{partners}point_kinds = ")), "6:12\n"),
    ] {
        std::fs::write(&file, &text).expect("it is written");
        let refused = run(&["apply", "--yes", &file.to_string_lossy(), "--url", &server.url]);
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(4), "{stderr}");
        assert!(stderr.contains("more than") && stderr.contains(place), "{stderr}");
        assert!(stderr.len() < 2_000, "a long line is cut");
    }
    server.stop();
}
