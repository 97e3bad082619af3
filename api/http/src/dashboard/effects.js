// What purchases, operations and refunds did, in words.

import { h } from "./dom.js";
import { big, dateTime, pointsText, whole, words } from "./format.js";
import { emptiness, plainList } from "./ui.js";
import { customerLink } from "./links.js";

/** Why a promo paid nothing. */
const DECLINES = {
  outside_period: "the purchase is outside of its period",
  no_band: "no band is for this quantity and amount",
  rounds_to_zero: "its share rounds to nothing",
  quota_exhausted: "its quota is used up",
};

/** What a step in a tier programme was. */
const REMARKS = {
  none: "",
  first_transaction: "the first purchase",
  upgrade: "a level up",
  downgrade: "a level down after days without a purchase",
  reset: "the lowest level after days without a purchase",
  maximum: "the highest level, full",
  restart: "the highest level, started again",
  promote: "a level up by hand",
  demote: "a level down by hand",
  tier_removed: "its level was removed from the rules",
  refund: "a refund",
};

const OPERATIONS = {
  adjust: "Adjustment",
  redeem: "Redemption",
  refund_purchase: "Refund",
  settle_hold: "Hold settled",
  pay_invoice: "Invoice paid",
  report_activity: "Activity",
  release_review: "Review released",
  reverse: "Reversal",
};

/** What operations are called. */
export function operationName(type) {
  return OPERATIONS[type] ?? words(type);
}

export function remarkText(remark) {
  return REMARKS[remark] ?? words(remark);
}

/** What a purchase or an operation caused, in words. */
export function effectText(effect, money) {
  const say = EFFECTS[effect.type];
  return say === undefined ? words(effect.type) : say(effect, money);
}

const EFFECTS = {
  cashback: ({ promo, percent, points }, money) => `+${money(points)} cashback: promo ${promo}, ${percent}%`,
  milestone: ({ program, level, at_count, points }, money) =>
    `+${money(points)} milestone: purchase ${whole(at_count)} of ${level} (${program})`,
  tier_change: ({ program, from, to, remark }) => `${program}: ${from} to ${to}, ${remarkText(remark)}`,
  cashback_rule: ({ name, kind, points }) => `+${pointsText(points, kind)}: ${name}`,
  fulfillment: ({ campaign, fulfillment, met }) => `${campaign}: “${fulfillment}” ${met ? "is met" : "came nearer"}`,
  campaign: ({ campaign, completions }) => `${campaign}: completed, time ${whole(completions)}`,
  reward: ({ campaign, reward, ...gives }, money) => `+${givenText(gives, money)}: reward “${reward}” of ${campaign}`,
  customer_created: () => "The customer is new",
  customer_erased: () => "Nothing says any more who the customer is",
  wallet_opened: ({ wallet }) => `Wallet ${wallet} is open`,
  wallet_status: ({ wallet, before, after }) => `Wallet ${wallet}: ${before} to ${after}`,
  wallet_entry: ({ wallet, direction, amount, balance_before, balance_after }, money) => {
    const way = direction === "credit" ? "into" : "out of";
    return `${money(amount)} ${way} wallet ${wallet}: ${money(balance_before)} becomes ${money(balance_after)}`;
  },
  offer_redeemed: ({ offer, quantity, kind, points }) => `${whole(quantity)} × ${offer} for ${pointsText(points, kind)}`,
  hold_placed: ({ hold, partner, amount, expires_at }, money) =>
    `Hold ${hold} of ${money(amount)} is placed for ${partner}, until ${dateTime(expires_at)}`,
  hold_closed: ({ hold, partner, amount, settled }, money) =>
    `Hold ${hold} is closed: ${partner} is paid ${money(settled)}, and ${money(big(amount) - big(settled))} are free`,
  transfer: ({ state, amount, other, other_wallet }, money) =>
    [`Transfer of ${money(amount)} to wallet ${other_wallet ?? 0} of customer `, customerLink(other), `: ${state}`],
  invoice_cancelled: ({ va_number, partner }) => `Invoice ${va_number} of ${partner} is cancelled`,
  invoice_paid: ({ va_number, partner, amount }, money) => `Invoice ${va_number} is paid: ${money(amount)} to ${partner}`,
  operation_reversed: ({ operation }) => `The operation of seq ${whole(operation)} is taken back`,
  review_opened: () => "It is set aside for an operator to release or reject; nothing has moved",
  review_released: () => "It is done, and leaves the queue",
  review_rejected: () => "It is refused, and leaves the queue; no money moves",
  risk_check_archived: () => "The check is hidden from the list, and stays in the log",
  refund: refundNodes,
};

/** What a refund takes back, part by part. */
function refundNodes({ amount, lines = [], remaining, clawed_back, unit_returned, shortfall }, money) {
  return [
    `Refunded: ${money(amount)}; of the purchase remain ${money(remaining)}`,
    plainList([
      ...lines.map((line) => `${line.product}: ${whole(line.quantity)} for ${money(line.amount)}`),
      ...clawed_back.map((back) => `Taken back: ${backText(back, money)}`),
      clawed_back.length === 0 && "Nothing is taken back: what remains earns as much",
      unit_returned && `Promo ${unit_returned} gets a unit of its quota back`,
      shortfall && `The wallet holds ${money(shortfall)} too little, which the house bears`,
    ]),
  ];
}

/** What a refund claws back. */
export function backText(back, money) {
  if (back.type === "cashback") return `${money(back.points)} cashback of promo ${back.promo}`;
  if (back.type === "milestones") return `${money(back.points)} of milestones`;
  if (back.type === "cashback_rule") return `${pointsText(back.points, back.kind)} of ${back.name}`;
  return `${givenText(back, money)}, the reward “${back.reward}” of ${back.campaign}`;
}

/** What a reward gives: points of a kind, or money. */
export function givenText({ kind, points, wallet_credit }, money) {
  return points === undefined ? money(wallet_credit) : pointsText(points, kind);
}

/** Why a promo paid nothing. */
export function reasonText(reason) {
  return DECLINES[reason] ?? words(reason);
}

/** Why a purchase got nothing by a promo. */
export function declinedText({ promo, reason, points }, money) {
  const missed = points === undefined ? "" : `; it would have paid ${money(points)}`;
  return `Promo ${promo} paid nothing: ${reasonText(reason)}${missed}`;
}

/** What a purchase earned, and did not. */
export function earnedView(purchase, money) {
  const said = [
    ...purchase.effects.map((effect) => effectText(effect, money)),
    ...purchase.declined.map((declined) => h("span", { class: "quiet" }, declinedText(declined, money))),
  ];
  return said.length === 0 ? h("span", { class: "quiet" }, "Earned nothing") : plainList(said);
}

/** What is in the accounts afterwards, by the `balances` and `points` of a result. */
export function balancesView({ balances = [], points = [] }, money) {
  return plainList([
    ...balances.map(({ wallet, balance }) => `${wallet === 0 ? "" : `Wallet ${wallet}: `}${money(balance)}`),
    ...points.map(({ kind, balance }) => pointsText(balance, kind)),
  ]);
}

/** What an operation would do, or did. */
export function operationView(result, money) {
  if (result.changed === false) return emptiness("Nothing: it is so already.");
  const points = result.points ?? [];
  return [
    h("ul", {}, result.effects.map((effect) => h("li", {}, effectText(effect, money)))),
    result.balances.length + points.length > 0 && [h("h3", {}, "Balance after"), balancesView(result, money)],
  ];
}
