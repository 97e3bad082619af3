//! Random histories.

use kembali_core::accounts::Direction;
use kembali_core::wallet::WalletStatus;
use kembali_core::{AMOUNT_MAX, DAY_US};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::changes::{Change, any_change};
use super::commands::{Buy, Line, NO_WALLET, TAG, Verb};
use super::draw_rules::{PRODUCTS, SECONDS};

/// What happens next.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// `occurred` is told as a distance from now.
    Buy(Buy),
    /// A refund of one of the purchases that are booked.
    Refund(Index, u8, How, bool),
    /// Who, by whom (0 is an operator), what, dry.
    Ask(u8, u32, Verb, bool),
    /// Settles or voids one of the holds that are open.
    CloseHold(u8, u32, Index, Option<Settle>),
    /// Reverses one of the operations that were done, or sees to it that one cannot be.
    Reverse(Index, bool),
    /// Releases or rejects one of what was set aside.
    Close(Index, bool, bool),
    /// Archives one of the last records, as if it were a check.
    Archive(u64),
    /// Pays the invoice of this count, its amount or another one.
    Pay(u8, u16, usize, Option<i64>),
    /// Takes the invoice of this count back.
    Unbill(u32, usize),
    /// The same as before.
    Again(Index),
    /// Something else under an identity that was used before.
    Clash(Index),
    Change(Change),
    Wait(i64),
    /// Waits for the end of the day, and so many microseconds more.
    Midnight(i64),
    /// Buys when the next promo or campaign ends, and so many microseconds more.
    Edge(Buy, i64),
    /// Deposits when the last operation that risk rules remember leaves the shortest window, and so many microseconds
    /// more.
    Window(u8, i64),
    Sweep,
}

/// How much of a hold is settled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Settle {
    Whole,
    /// Hundredths.
    Part(i64),
    Amount(i64),
}

/// What of a purchase comes back.
#[derive(Clone, Debug)]
pub(super) enum How {
    /// All that remains, by amount.
    Whole,
    /// Hundredths of what remains of each product, and of the pieces.
    Parts([u8; 3], bool),
    Amount(i64),
    Lines(Vec<Line>),
}

/// Now and then what is no amount, or one of the largest.
fn any_amount(usual: i64) -> impl Strategy<Value = i64> + Clone {
    prop_oneof![
        40 => 1..=usual,
        1 => AMOUNT_MAX - 80..=AMOUNT_MAX + 1,
        1 => prop_oneof![Just(i64::MIN), Just(-1), Just(0), Just(i64::MAX)],
    ]
}

fn any_lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (select(&PRODUCTS[..]), 0..=3i64, prop_oneof![1 => Just(0), 8 => 1..700i64]);
    prop::collection::vec(line, 1..=4)
}

fn any_buy() -> BoxedStrategy<Buy> {
    let shape = prop_oneof![
        20 => any_lines().prop_map(|lines| (lines.iter().map(|line| line.2).sum(), None, lines)),
        1 => (any_lines(), 1..700i64).prop_map(|(lines, sum)| (sum, None, lines)),
        1 => (any_lines(), prop_oneof![Just(("TEA", -1, 1)), Just(("TEA", 1, -1)), Just(("MILK", 4_294_967_296, 0))])
            .prop_map(|(lines, bad)| (500, None, [lines, vec![bad]].concat())),
        12 => (any_amount(1_500), prop::option::weighted(0.8, select(&PRODUCTS[..])))
            .prop_map(|(amount, product)| (amount, product, Vec::new())),
    ];
    let quantity = prop_oneof![30 => 1..=3i64, 1 => -1..=0i64, 1 => 4_294_967_295..=4_294_967_296i64];
    let days = prop_oneof![(-70..=70i64).prop_map(|days| days * DAY_US), -DAY_US..=DAY_US, 0..=1i64];
    let who = (prop_oneof![10 => 0..3u8, 1 => Just(3)], prop::bool::weighted(0.1), 1..=2u32, 0..200u16);
    let code = prop::option::weighted(0.6, prop_oneof![9 => 0..2u8, 1 => Just(2)]);
    let flags = (any::<bool>(), prop::option::weighted(0.4, days), prop::bool::weighted(0.03));
    (who, shape, quantity, code, flags)
        .prop_map(|((who, by_id, partner, key), (amount, product, lines), quantity, code, (has_tag, occurred, dry))| {
            Buy { who, by_id, partner, key, amount, quantity, code, product, lines, has_tag, occurred, dry }
        })
        .boxed()
}

fn any_refund() -> BoxedStrategy<Op> {
    let share = || prop_oneof![Just(0), Just(100), 0..=100u8];
    let parts = ([share(), share(), share()], any::<bool>());
    let bad =
        prop_oneof![Just(("TEA", 0, -1)), Just(("SALT", 0, 1)), Just(("MILK", -1, 1)), Just(("MILK", 0, AMOUNT_MAX)),];
    let how = prop_oneof![
        4 => Just(How::Whole),
        10 => parts.prop_map(|(shares, has_pieces)| How::Parts(shares, has_pieces)),
        3 => any_amount(1_500).prop_map(How::Amount),
        1 => any_lines().prop_map(How::Lines),
        1 => bad.prop_map(|line| How::Lines(vec![line, ("MILK", 0, 1)])),
    ];
    let refund = (any::<Index>(), 0..6u8, how, prop::bool::weighted(0.03));
    refund.prop_map(|(which, id, how, dry)| Op::Refund(which, id, how, dry)).boxed()
}

fn any_seconds(max: i64) -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        6 => select(&SECONDS[..]).prop_map(Some),
        2 => (1..200_000i64).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(Some(0)), Just(Some(max)), Just(Some(max + 1))],
    ]
}

fn any_wallet() -> impl Strategy<Value = u16> {
    prop_oneof![7 => Just(0), 6 => 1..=4u16, 1 => Just(NO_WALLET)]
}

/// One that is not the first, as a rule: that one is never closed, and earns.
fn any_other_wallet() -> impl Strategy<Value = u16> {
    prop_oneof![1 => Just(0), 3 => 1..=4u16, 1 => Just(NO_WALLET)]
}

fn any_money() -> BoxedStrategy<Verb> {
    let deposit = (any_wallet(), any_amount(900)).prop_map(|(wallet, amount)| Verb::Deposit(wallet, amount));
    let fill = (1..=4u16, AMOUNT_MAX - 20..AMOUNT_MAX).prop_map(|(wallet, amount)| Verb::Deposit(wallet, amount));
    let direction = prop_oneof![1 => Just(Direction::In), 2 => Just(Direction::Out)];
    let adjust = (any_wallet(), direction, any_amount(400))
        .prop_map(|(wallet, direction, amount)| Verb::Adjust(wallet, direction, amount));
    let target = prop_oneof![12 => 0..3u8, 1 => Just(3)];
    let sum = prop_oneof![2 => any_amount(80), 1 => any_amount(400)];
    let send = (any_wallet(), target, any_other_wallet(), sum)
        .prop_map(|(wallet, target, to, amount)| Verb::Send(wallet, target, to, amount));
    prop_oneof![12 => deposit, 6 => fill, 6 => adjust, 18 => send].boxed()
}

fn any_set_aside() -> BoxedStrategy<Verb> {
    let hold = (any_wallet(), 1..=2u32, any_amount(250), any_seconds(30 * 86_400))
        .prop_map(|(wallet, partner, amount, seconds)| Verb::Hold(wallet, partner, amount, seconds));
    let settle = (0..6u32, prop::option::of(any_amount(300))).prop_map(|(id, amount)| Verb::Settle(id, amount));
    let prefix = prop_oneof![3 => Just(None), 1 => Just(Some("INV-")), 1 => Just(Some("x"))];
    let bill = (1..=2u32, prefix, any_amount(200), any_seconds(90 * 86_400))
        .prop_map(|(partner, prefix, amount, seconds)| Verb::Bill(partner, prefix, amount, seconds));
    prop_oneof![12 => hold, 1 => settle, 1 => (0..6u32).prop_map(Verb::Void), 5 => bill].boxed()
}

fn any_wallets() -> BoxedStrategy<Verb> {
    let status = prop_oneof![
        3 => Just(WalletStatus::Frozen),
        4 => Just(WalletStatus::Active),
        5 => Just(WalletStatus::Closed),
    ];
    let status = (any_other_wallet(), status).prop_map(|(wallet, status)| Verb::Status(wallet, status));
    prop_oneof![2 => Just(Verb::Create), 8 => Just(Verb::Open), 2 => any_wallet().prop_map(Verb::Rename), 14 => status, 1 => Just(Verb::Erase)]
        .boxed()
}

fn any_loyalty() -> BoxedStrategy<Verb> {
    let tag = prop_oneof![4 => Just(TAG), 1 => Just("other")];
    let days = prop_oneof![(-3..=6i64).prop_map(|days| days * DAY_US), -DAY_US..=DAY_US];
    let did = (tag, prop::option::weighted(0.4, days)).prop_map(|(tag, occurred)| Verb::Did(tag, occurred));
    let offer = prop_oneof![6 => Just("Thing"), 6 => Just("Money"), 1 => Just("Off"), 1 => Just("None")];
    let quantity = prop_oneof![12 => 1..4i64, 1 => -1..=0i64, 1 => 1_000_000..=1_000_001i64];
    let redeem = (offer, quantity).prop_map(|(offer, quantity)| Verb::Redeem(offer, quantity));
    let program = || prop_oneof![6 => Just("Ladder"), 6 => Just("Spend"), 1 => Just("Late"), 1 => Just("Other")];
    prop_oneof![4 => did, 6 => redeem, 3 => program().prop_map(Verb::Promote), 2 => program().prop_map(Verb::Demote)]
        .boxed()
}

/// Strategies are nested by value, and all of these would not fit on the stack of a test.
pub(super) fn any_op() -> BoxedStrategy<Op> {
    let who = || prop_oneof![12 => 0..3u8, 1 => Just(3)];
    let actor = || prop_oneof![3 => Just(0), 2 => 1..=2u32];
    let verb = prop_oneof![36 => any_money(), 19 => any_set_aside(), 26 => any_wallets(), 15 => any_loyalty()];
    let ask = (who(), actor(), verb, prop::bool::weighted(0.03));
    let settle = prop_oneof![
        Just(Settle::Whole),
        (1..=100i64).prop_map(Settle::Part),
        any_amount(300).prop_map(Settle::Amount),
    ];
    let close = (who(), actor(), any::<Index>(), prop::option::weighted(0.8, settle));
    let pay = (who(), any_wallet(), 0..4usize, prop::option::weighted(0.1, any_amount(300)));
    let gap = prop_oneof![
        2 => 0..DAY_US / 24,
        6 => select(&SECONDS[..]).prop_map(|seconds| seconds * 1_000_000),
        2 => 0..2 * DAY_US,
        1 => (1..65i64).prop_map(|days| days * DAY_US),
        1 => (1..65i64).prop_map(|days| days * DAY_US - 1),
        1 => Just(30 * DAY_US),
    ];
    prop_oneof![
        26 => any_buy().prop_map(Op::Buy),
        16 => any_refund(),
        52 => ask.prop_map(|(who, by, verb, dry)| Op::Ask(who, by, verb, dry)),
        11 => close.prop_map(|(who, by, hold, settle)| Op::CloseHold(who, by, hold, settle)),
        7 => (any::<Index>(), prop::bool::weighted(0.03)).prop_map(|(which, dry)| Op::Reverse(which, dry)),
        10 => (any::<Index>(), prop::bool::weighted(0.7), prop::bool::weighted(0.2))
            .prop_map(|(which, release, dry)| Op::Close(which, release, dry)),
        2 => (0..6u64).prop_map(Op::Archive),
        7 => pay.prop_map(|(who, wallet, invoice, other)| Op::Pay(who, wallet, invoice, other)),
        2 => (actor(), 0..4usize).prop_map(|(by, invoice)| Op::Unbill(by, invoice)),
        4 => any::<Index>().prop_map(Op::Again),
        2 => any::<Index>().prop_map(Op::Clash),
        5 => any_change().prop_map(Op::Change),
        9 => gap.prop_map(Op::Wait),
        5 => (0..3u8, -1..=0i64).prop_map(|(who, more)| Op::Window(who, more)),
        2 => (-1..=0i64).prop_map(Op::Midnight),
        3 => (any_buy(), -1..=1i64).prop_map(|(buy, more)| Op::Edge(buy, more)),
        2 => Just(Op::Sweep),
    ]
    .boxed()
}
