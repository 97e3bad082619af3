//! Who waits for what, step by step.

use kembali_core::command::{Command, Query};
use kembali_core::draft::CatalogueDraft;
use kembali_core::{CustomerName, Instant, Seq, TenantId};
use kembali_machine::{Answer, Answered, GROUP_RECORDS_MAX, OPEN_TICKETS_MAX, Outcome, ProfileText, Reply};

use crate::rig::{Rig, alias, apply, check_journal, command, draft, fold, show};

/// Runs a script of lines `step -> what is seen` over `shards` shards and a promo of `quota` units; the rules stand at
/// position 1. A step that shows nothing has no arrow.
///
/// Steps: `1: COMMAND; COMMAND` submits (see [`command`]); `seal` gives the shards their work; `work N` lets shard N do
/// its oldest batch and `answer N` hands the answers over; `group` gives the disk a group, `confirm` makes it durable;
/// `release` lets go what may leave; `drain` does all of these until nothing is open; `clock N`; `reserved`; `poison`;
/// `crash N` keeps N records of the group.
fn check(shards: usize, quota: u64, script: &str) -> Rig {
    let mut rig = Rig::new(shards, quota);
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted: Vec<String> = script.lines().map(squeeze).filter(|line| !line.is_empty()).collect();
    let mut seen = Vec::new();
    for line in &wanted {
        let text = line.split(" -> ").next().unwrap();
        let (next, shown) = step(rig, text);
        rig = next;
        seen.push(if shown.is_empty() { text.to_string() } else { format!("{text} -> {shown}") });
    }
    assert_eq!(seen.join("\n"), wanted.join("\n"));
    check_journal(&rig.disk);
    rig
}

fn step(mut rig: Rig, text: &str) -> (Rig, String) {
    if let Some((to, commands)) = text.split_once(": ") {
        rig.submit(to.parse().unwrap(), commands.split(';').map(command).collect());
        return (rig, String::new());
    }
    let (verb, rest) = text.split_once(' ').unwrap_or((text, "0"));
    let number: usize = rest.parse().unwrap();
    let shown = match verb {
        "seal" => {
            let sizes = rig.seal();
            let sizes: Vec<String> = sizes.iter().map(|(shard, size)| format!("{size} to {shard}")).collect();
            if sizes.is_empty() { "nothing".into() } else { sizes.join(", ") }
        }
        "work" => {
            assert!(rig.work(number), "the shard has no work");
            String::new()
        }
        "answer" => {
            assert!(rig.answer(number), "the shard has no answers");
            String::new()
        }
        "group" => match rig.take_group() {
            false => "nothing".into(),
            true => {
                let records = &rig.groups.back().unwrap().records;
                format!("{} to {}", records[0].seq.0, records[records.len() - 1].seq.0)
            }
        },
        "confirm" => {
            assert!(rig.confirm(), "no group is with the disk");
            String::new()
        }
        "release" => show_replies(&rig.router.release()),
        "drain" => show_replies(&rig.drain()),
        "clock" => {
            rig.now = Instant(number as i64);
            String::new()
        }
        "poison" => format!("{:?}", rig.router.poison()),
        "idle" => rig.router.is_idle().to_string(),
        "crash" => {
            rig = rig.crash(number);
            String::new()
        }
        other => panic!("no step: {other}"),
    };
    (rig, shown)
}

fn show_replies(replies: &[Reply<u32>]) -> String {
    let shown: Vec<String> = replies
        .iter()
        .map(|reply| {
            let outcomes: Vec<String> = reply.outcomes.iter().map(show).collect();
            format!("{}: {}", reply.to, outcomes.join("; "))
        })
        .collect();
    if shown.is_empty() { "nothing".into() } else { shown.join(" | ") }
}

#[test]
fn replies_wait_for_the_disk() {
    check(
        1,
        9,
        "1: buy A 100 key=a code=P
         release -> nothing
         seal -> 1 to 0
         release -> nothing
         work
         release -> nothing
         answer
         release -> nothing
         group -> 2 to 2
         release -> nothing
         confirm
         release -> 1: booked 2 new promo 10 balance 10
         release -> nothing
         idle -> true",
    );
}

#[test]
fn a_refusal_waits_for_lower_tickets() {
    check(
        1,
        9,
        "1: buy A 100 key=a
         2: buy A 0 key=b
         seal -> 1 to 0
         group -> nothing
         work
         answer
         group -> 2 to 3
         release -> nothing
         confirm
         release -> 1: booked 2 new | 2: refused amount_not_positive
         3: buy A 100 key=c
         4: buy A 0 key=b
         release -> nothing
         seal -> 1 to 0
         work
         answer
         release -> nothing
         group -> 4 to 4
         confirm
         release -> 3: booked 4 milestone 5 balance 5 | 4: refused amount_not_positive replayed",
    );
}

#[test]
fn a_refusal_that_nothing_stands_before_still_waits_for_its_receipt() {
    check(
        1,
        9,
        "1: buy A 0 key=a
         seal -> nothing
         release -> nothing
         group -> 2 to 2
         release -> nothing
         confirm
         release -> 1: refused amount_not_positive",
    );
}

#[test]
fn reads_wait_for_what_they_rest_on() {
    check(
        2,
        9,
        "1: buy A 100 key=a code=P
         2: row A; row B; use; find a; rules; totals
         release -> nothing
         seal -> 2 to 0, 1 to 1
         work 1
         answer 1
         release -> nothing
         work
         answer
         release -> nothing
         group -> 2 to 2
         confirm
         release -> 1: booked 2 new promo 10 balance 10 | 2: balance 10 count 1 purchases 1 version 1 now 1000 last 2 \
         as of 2; nobody; used 1 of 9 as of 2; at [2]; rules 1; 1 accepted version 1 as of 2
         3: row A; totals
         seal -> 1 to 0
         work
         answer
         release -> 3: balance 10 count 1 purchases 1 version 1 now 1000 last 2 as of 2; 1 accepted version 1 as of 2",
    );
}

/// A read sees all before it and nothing behind it, although its shard has done more by then.
#[test]
fn a_read_stands_at_its_ticket() {
    check(
        2,
        9,
        "1: buy B 100 key=b; row A; buy A 100 key=a; row A
         seal -> 3 to 0, 1 to 1
         work
         answer
         work 1
         answer 1
         drain -> 1: booked 2 new; nobody; booked 3 new; \
         balance 0 count 1 purchases 1 version 1 now 1000 last 3 as of 3",
    );
}

/// The instant of a read is its own stamp, whatever is admitted before it is answered.
#[test]
fn the_now_of_a_read_is_its_own_stamp() {
    check(
        2,
        9,
        "1: buy A 100 key=a
         drain -> 1: booked 2 new
         clock 2000
         2: row A
         clock 3000
         3: buy B 100 key=b
         drain -> 2: balance 0 count 1 purchases 1 version 1 now 2000 last 2 as of 2 | 3: booked 3 new",
    );
}

#[test]
fn a_group_follows_while_another_is_in_flight() {
    check(
        1,
        9,
        "1: buy A 100 key=a
         seal -> 1 to 0
         work
         answer
         group -> 2 to 2
         2: buy A 100 key=b
         3: buy A 0 key=c
         seal -> 1 to 0
         work
         answer
         group -> 3 to 4
         group -> nothing
         confirm
         release -> 1: booked 2 new
         release -> nothing
         confirm
         release -> 2: booked 3 milestone 5 balance 5 | 3: refused amount_not_positive",
    );
}

#[test]
fn a_submission_leaves_whole_and_in_its_order() {
    check(
        2,
        9,
        "1: buy A 100 key=a; buy B 100 key=b; buy A 0 key=c
         2: buy B 200 key=d
         seal -> 1 to 0, 2 to 1
         work 1
         answer 1
         group -> nothing
         work
         answer
         group -> 2 to 5
         confirm
         release -> 1: booked 2 new; booked 3 new; refused amount_not_positive | 2: booked 5 milestone 5 balance 5",
    );
}

/// Outcomes of a submission whose last command is still open stay, although the first ones are durable.
#[test]
fn a_submission_waits_for_its_last_command() {
    check(
        2,
        9,
        "1: buy A 100 key=a; buy B 100 key=b
         2: buy A 0 key=c
         seal -> 1 to 0, 1 to 1
         work
         answer
         group -> 2 to 2
         confirm
         release -> nothing
         idle -> false
         work 1
         answer 1
         group -> 3 to 4
         confirm
         release -> 1: booked 2 new; booked 3 new | 2: refused amount_not_positive",
    );
}

#[test]
fn a_submission_of_nothing_is_answered() {
    check(1, 9, "1: buy A 0 key=a\ndrain -> 1: refused amount_not_positive");
    let mut rig = Rig::new(1, 9);
    rig.submit(7, Vec::new());
    let replies = rig.router.release();
    assert_eq!((replies.len(), replies[0].to, replies[0].outcomes.len()), (1, 7, 0));
    assert!(rig.router.is_idle());
}

#[test]
fn a_key_in_flight_is_waited_for_and_then_known() {
    check(
        2,
        9,
        "1: buy A 100 key=a
         2: buy A 100 key=a
         3: buy B 100 key=b
         seal -> 1 to 0
         work
         answer
         seal -> 1 to 1
         group -> 2 to 2
         confirm
         release -> 1: booked 2 new | 2: known 2
         work 1
         answer 1
         group -> 3 to 3
         confirm
         release -> 3: booked 3 new",
    );
}

/// Known is an answer like any other: it does not leave before the booking is durable.
#[test]
fn r34_known_waits_for_the_booking() {
    check(
        1,
        9,
        "1: buy A 100 key=a
         seal -> 1 to 0
         work
         answer
         2: buy A 100 key=a
         release -> nothing
         group -> 2 to 2
         release -> nothing
         confirm
         release -> 1: booked 2 new | 2: known 2",
    );
}

#[test]
fn r13_corrected_content_is_decided_anew() {
    check(
        1,
        9,
        "1: buy A 0 key=a
         2: buy A 0 key=a
         3: buy A 100 key=a
         4: buy A 0 key=a
         drain -> 1: refused amount_not_positive | 2: refused amount_not_positive replayed \
         | 3: booked 3 new replaces amount_not_positive | 4: known 3",
    );
}

/// With one unit left and reserved, the next claim waits: it is declined once the unit is used.
#[test]
fn the_edge_of_the_quota_waits_and_then_declines() {
    check(
        2,
        1,
        "1: buy A 100 key=a code=P
         2: buy B 100 key=b code=P
         3: buy B 100 key=c
         seal -> 1 to 0
         work
         answer
         seal -> 2 to 1
         work 1
         answer 1
         group -> 2 to 4
         confirm
         release -> 1: booked 2 new promo 10 balance 10 | 2: booked 3 new declined \
         | 3: booked 4 milestone 5 balance 5",
    );
}

const MAX: &str = "9007199254740991";

/// A unit that its row refused is back before the next ticket, and comes back once.
#[test]
fn r20_an_unused_unit_comes_back_exactly_once() {
    check(
        2,
        3,
        &format!(
            "1: buy A {MAX} key=a code=P; buy A 100 key=b code=P; use
             drain -> 1: booked 2 new promo {MAX} balance {MAX}; refused balance_too_large; used 1 of 3 as of 3
             2: buy A 100 key=b code=P; buy A 100 key=c code=P
             drain -> 2: refused balance_too_large replayed; refused balance_too_large
             3: buy B 100 key=d code=P; buy B 100 key=e code=P; buy B 100 key=f code=P; use
             drain -> 3: booked 5 new promo 10 balance 10; booked 6 promo 10 milestone 5 balance 25; \
             booked 7 declined; used 3 of 3 as of 7"
        ),
    );
}

/// The claim behind a reservation that is given back gets the unit; the one behind that finds it used.
#[test]
fn r20_the_next_claim_gets_the_unit_that_comes_back() {
    check(
        2,
        2,
        &format!(
            "1: buy A {MAX} key=a code=P
             drain -> 1: booked 2 new promo {MAX} balance {MAX}
             2: buy A 100 key=b code=P
             3: buy B 100 key=c code=P
             4: buy B 100 key=d code=P
             seal -> 1 to 0
             work
             answer
             seal -> 1 to 1
             group -> 3 to 3
             confirm
             release -> 2: refused balance_too_large
             work 1
             answer 1
             drain -> 3: booked 4 new promo 10 balance 10 | 4: booked 5 declined milestone 5 balance 15"
        ),
    );
}

#[test]
fn a_catalogue_change_is_a_barrier() {
    check(
        2,
        1,
        "1: buy A 100 key=a code=P
         2: quota 5
         3: buy B 100 key=b code=P
         seal -> 1 to 0
         group -> nothing
         seal -> nothing
         work
         answer
         seal -> 1 to 1
         group -> 2 to 3
         confirm
         release -> 1: booked 2 new promo 10 balance 10 | 2: version 2 by 3
         work 1
         answer 1
         drain -> 3: booked 4 new promo 10 balance 10
         4: quota 5
         drain -> 4: version 2",
    );
}

#[test]
fn a_dry_run_leaves_nothing() {
    let rig = check(
        1,
        1,
        "1: buy A 100 key=a code=P dry
         seal -> 1 to 0
         work
         answer
         group -> nothing
         release -> 1: would new promo 10 balance 10
         2: buy A 0 key=a dry; row A; use; find a
         drain -> 2: refused amount_not_positive; nobody; used 0 of 1 as of 1; at []
         3: buy A 100 key=a code=P
         4: buy A 100 key=b code=P dry
         seal -> 2 to 0
         work
         answer
         release -> nothing
         group -> 2 to 2
         confirm
         release -> 3: booked 2 new promo 10 balance 10 | 4: would promo 10 milestone 5 balance 25
         5: buy A 100 key=a code=P dry; buy A 100 key=b code=P dry
         drain -> 5: known 2; would declined milestone 5 balance 15",
    );
    assert_eq!(rig.disk.len(), 2);
}

/// A dry run stands in the order too: it does not leave before what it saw is durable.
#[test]
fn r34_a_dry_run_waits_for_what_it_saw() {
    check(
        1,
        9,
        "1: buy A 100 key=a
         2: buy A 100 key=b dry
         seal -> 2 to 0
         work
         answer
         release -> nothing
         group -> 2 to 2
         release -> nothing
         confirm
         release -> 1: booked 2 new | 2: would milestone 5 balance 5",
    );
}

/// Sums are of what is durable, and so are the rules that they come with.
#[test]
fn r34_sums_show_no_rules_that_are_not_durable() {
    check(
        1,
        9,
        "1: buy A 100 key=a
         2: totals
         3: quota 5
         4: totals
         seal -> 1 to 0
         work
         answer
         group -> 2 to 3
         confirm
         release -> 1: booked 2 new | 2: 1 accepted version 2 as of 3 | 3: version 2 by 3 \
         | 4: 1 accepted version 2 as of 3
         5: totals
         6: quota 6
         release -> 5: 1 accepted version 2 as of 3
         drain -> 6: version 3 by 4",
    );
}

/// A tenant that is not durable yet has no sums.
#[test]
fn r34_sums_of_a_tenant_that_comes_later_are_none() {
    let mut rig = Rig::recover(Vec::new(), 1);
    rig.submit(1, vec![command("totals")]);
    rig.submit(2, vec![command("quota 9")]);
    assert_eq!(show_replies(&rig.router.release()), "1: none");
    assert_eq!(show_replies(&rig.drain()), "2: version 1 by 1");
}

/// The id of a customer who is just being created is as good as the alias: what the desk says must not hang on how far
/// a shard has come.
#[test]
fn an_id_in_creation_is_waited_for() {
    check(
        2,
        9,
        "1: buy A 100 key=a
         2: buy id:A 100 key=b
         drain -> 1: booked 2 new | 2: booked 3 milestone 5 balance 5
         3: buy id:B 100 key=c
         drain -> 3: refused customer_unknown",
    );
}

/// And nothing leaves any more, although shards go on to answer and callers to come until the process is gone.
#[test]
fn poison_gives_everybody_back() {
    check(
        2,
        1,
        "1: buy A 100 key=a code=P
         seal -> 1 to 0
         work
         answer
         group -> 2 to 2
         2: buy B 100 key=b
         3: buy A 100 key=a
         4: buy A 0 key=c; buy B 100 key=d
         5: totals
         seal -> 2 to 1
         poison -> [1, 2, 3, 4, 5]
         release -> nothing
         work 1
         answer 1
         group -> nothing
         6: row A
         seal -> nothing
         release -> nothing
         poison -> []",
    );
}

#[test]
fn r30_stamps_never_fall() {
    let rig = check(
        1,
        9,
        "clock 2000
         1: buy A 100 key=a
         clock 1500
         2: buy A 100 key=b; row A
         clock 2001
         3: buy A 0 key=c
         drain -> 1: booked 2 new | 2: booked 3 milestone 5 balance 5; balance 5 count 2 purchases 2 version 1 \
         now 2000 last 3 as of 3 | 3: refused amount_not_positive
         crash 0
         clock 7
         4: buy A 100 key=d
         drain -> 4: booked 5",
    );
    let stamps: Vec<i64> = rig.disk.iter().map(|record| record.body.received_at.0).collect();
    assert_eq!(stamps, [1000, 2000, 2000, 2001, 2001]);
}

/// Whatever is written behind the position that the clock is told with has that stamp or a later one.
#[test]
fn the_clock_is_told_with_the_last_position_before_it() {
    check(
        1,
        9,
        "clock 2000
         1: buy A 100 key=a; time
         seal -> 1 to 0
         work
         answer
         group -> 2 to 2
         release -> nothing
         confirm
         release -> 1: booked 2 new; time 2000 as of 2
         clock 1500
         2: time
         release -> 2: time 2000 as of 2",
    );
}

/// The text of an alias goes with the group of the record that first uses it, and only then.
#[test]
fn profiles_go_before_the_records_that_name_them() {
    let mut rig = Rig::new(2, 9);
    let texts = ["buy A 100 key=a", "buy A 100 key=b", "buy B 0 key=c", "buy B 100 key=d dry", "buy C 100 key=e"];
    rig.submit(1, texts.map(command).into());
    rig.seal();
    for shard in [0, 1] {
        while rig.work(shard) || rig.answer(shard) {}
    }
    assert!(rig.take_group());
    let group = rig.groups.back().unwrap();
    let names: Vec<&str> = group.profiles.iter().map(|profile| &*profile.text).collect();
    assert_eq!((names, group.records.len()), (vec!["A", "C"], 4));
    let ids: Vec<_> = group.profiles.iter().map(|profile| Some(profile.customer)).collect();
    assert_eq!(ids, [group.records[0].body.customer, group.records[3].body.customer]);
    rig.confirm();
    rig.submit(2, vec![command("buy A 100 key=f")]);
    rig.drain();
    assert_eq!(fold(&rig.disk).rows.len(), 2);
}

/// A row is shown to its own tenant alone.
#[test]
fn a_row_of_another_tenant_is_nobody() {
    let mut rig = Rig::new(2, 9);
    rig.ask(apply(CatalogueDraft { slug: "other".into(), ..draft(9) }));
    rig.ask(command("buy A 100 key=a"));
    let read = |tenant: u32| {
        let customer = CustomerName::Id(alias("A").first_customer_id());
        Command::Read(Query::Customer { tenant: TenantId(tenant), customer })
    };
    assert_ne!(show(&rig.ask(read(1))), "nobody");
    assert_eq!(show(&rig.ask(read(2))), "nobody");
}

/// Tickets and groups are bounded: what is above waits in the backlog, and nothing is lost or turned round.
#[test]
fn open_tickets_and_groups_are_bounded() {
    let count = GROUP_RECORDS_MAX + 10;
    let mut rig = Rig::new(1, 9);
    rig.submit(1, (0..count).map(|index| command(&format!("buy A 100 key=k{index}"))).collect());
    let mut rest = count;
    while 0 < rest {
        let open = rest.min(OPEN_TICKETS_MAX);
        assert_eq!(rig.seal(), [(0, open)], "more is admitted as soon as there is room");
        assert!(rig.work(0) && rig.answer(0));
        rest -= open;
    }
    let mut groups = Vec::new();
    while rig.take_group() {
        groups.push(rig.groups.back().unwrap().records.len());
        rig.confirm();
    }
    assert_eq!(groups, [GROUP_RECORDS_MAX, 10]);
    let replies = rig.router.release();
    assert_eq!((replies.len(), replies[0].outcomes.len()), (1, count));
    for (index, outcome) in (2..).zip(&replies[0].outcomes) {
        assert!(matches!(outcome, Outcome::Booked { record, .. } if record.seq == Seq(index)));
    }
}

#[test]
#[should_panic(expected = "not handed out")]
fn what_was_not_handed_out_cannot_be_confirmed() {
    Rig::new(1, 9).router.confirm(Seq(99));
}

#[test]
#[should_panic(expected = "merged ticket")]
fn a_ticket_is_answered_once() {
    let mut rig = Rig::new(1, 9);
    rig.submit(1, vec![command("row A")]);
    rig.seal();
    rig.work(0);
    let ticket = rig.outboxes[0][0][0].ticket;
    rig.answer(0);
    rig.router.answered(vec![Answered { ticket, answer: Answer::Row(None) }]);
}

/// A confirmation that crosses the fault answers nobody any more.
#[test]
fn nothing_leaves_after_poison() {
    check(
        1,
        9,
        "1: buy A 100 key=a
         seal -> 1 to 0
         work
         answer
         group -> 2 to 2
         poison -> [1]
         confirm
         release -> nothing",
    );
}

/// R08, R09 and R13 for operations: the same key waits for what is in flight under it, and then gets the same answer.
#[test]
fn a_key_in_flight_is_waited_for() {
    check(
        2,
        9,
        "1: do A create
         2: do A deposit=5 key=k
         3: do A deposit=5 key=k
         4: do A deposit=6 key=k; do B create
         5: do A take=9 key=l; do A take=9 key=l
         6: do A deposit=7 key=k dry
         drain -> 1: done 2 new | 2: done 3 balance 5 | 3: known 3 | 4: reused 3; done 4 new | \
         5: refused balance_too_small; known 5 | 6: reused 3
         crash 0
         7: do A deposit=5 key=k; do A take=9 key=l; do B deposit=1 key=none; do B deposit=1 key=none
         drain -> 7: known 3; known 5; done 6 balance 1; done 7 balance 2",
    );
}

/// An operation on somebody whom a purchase in flight creates waits for that purchase.
#[test]
fn an_operation_waits_for_its_customer() {
    check(
        2,
        9,
        "1: buy A 100 key=a; do A deposit=5; do B create; do B create key=none; do C deposit=1
         drain -> 1: booked 2 new; done 3 balance 5; done 4 new; unchanged; refused customer_not_found",
    );
}

/// The name of a wallet goes with the group of its record, like the text of an alias.
#[test]
fn names_of_wallets_go_before_their_records() {
    let mut rig = Rig::new(1, 9);
    rig.ask(command("do A create"));
    rig.submit(1, ["do A open", "do A deposit=0 key=k", "do A open key=k"].map(command).into());
    rig.seal();
    while rig.work(0) || rig.answer(0) {}
    assert!(rig.take_group());
    let profiles = &rig.groups.back().unwrap().profiles;
    let kinds: Vec<ProfileText> = profiles.iter().map(|profile| profile.what).collect();
    assert_eq!(kinds, [ProfileText::WalletName(kembali_core::WalletId(1))]);
}
