// My account: what a customer has, what each purchase earned, what points may be spent on, and what happens to the account as it happens.

import { fill, h } from "./dom.js";
import { NOTHING, big, date, pointsText, whole, words } from "./format.js";
import { columns, pagedTable, panel, renew, rowButton, table } from "./ui.js";
import { field, typedWhole } from "./forms.js";
import { balancesView, declinedText, earnedView, effectText, operationName } from "./effects.js";
import { eventList } from "./events.js";
import { EXPIRING_DAYS, campaignsView, customerFigures, lotsView, standingView } from "./holdings.js";
import { nameOf } from "./links.js";
import { operate } from "./operate.js";
import { accountText, causeText, entryText, heldText, statementButton, whenCell } from "./statement.js";

export const account = { name: "account", title: "My account", open };

async function open(page) {
  const id = page.session.account.customer;
  const path = `/v1/customers/${id}`;
  const read = () => Promise.all([
    page.get(path, { expiring_within_days: EXPIRING_DAYS }),
    page.get(`${path}/wallets`),
    page.get(`${path}/tiers`, { limit: 1 }),
    page.get("/v1/offers"),
  ]);
  const first = await read();
  page.currency = { code: first[0].currency, exponent: first[0].currency_exponent };
  const { money } = page;
  const names = ["trouble", "numbers", "offers", "points", "tiers", "campaigns"];
  const parts = Object.fromEntries(names.map((name) => [name, h("div")]));
  const bought = pagedTable({
    load: (cursor) => page.get(`${path}/purchases`, { cursor }),
    caption: "Purchases and what they earned",
    columns: [
      { title: "When", tight: true, value: ({ at, seq }) => whenCell(at, seq) },
      { title: "Amount", numeric: true, value: (own) => money(own.amount) },
      { title: "Earned", value: (own) => earnedView(own, money) },
      { title: "Afterwards", numeric: true, value: (own) => balancesView(own, money) },
    ],
    empty: "No purchase yet. The next one appears here, with what it earns.",
  });
  const moved = pagedTable({
    load: (cursor) => page.get(`${path}/statement`, { cursor }),
    caption: "Movements of all accounts",
    columns: [
      { title: "When", tight: true, value: ({ received_at, seq }) => whenCell(received_at, seq) },
      { title: "What", value: (own) => [causeText(own), own.source].filter(Boolean).join(", ") },
      { title: "Account", value: (own) => accountText(own) },
      { title: "Amount", numeric: true, value: (own) => entryText(own, money) },
      { title: "Balance", numeric: true, value: (own) => heldText({ ...own, balance: own.balance_after }, money) },
    ],
    empty: "Nothing moved yet. Money and points that come or go appear here.",
  });
  page.show({ intro: nameOf(first[0]) },
    parts.trouble, parts.numbers,
    panel("Spend points", {}, parts.offers),
    columns(panel("Tiers", {}, parts.tiers), panel("Points", { note: "In the order in which they are spent." }, parts.points)),
    columns(panel("Campaigns", {}, parts.campaigns), panel("What happened", { note: "Since this page was opened." }, eventList(page, {
      topics: ["*"],
      said: (event) => saidOf(event, money),
      empty: "Nothing yet. A purchase appears here as soon as it is booked.",
    }))),
    panel("Purchases", { note: "What each one earned." }, bought),
    panel("Statement", { note: "All that moved.", actions: statementButton(page, id, parts.trouble) }, moved));

  const draw = ([customer, { data: wallets }, { tiers }, { data: offers }]) => {
    fill(parts.numbers, customerFigures(customer, wallets, money));
    renew(parts.offers, offersView(page, customer, offers, again));
    fill(parts.points, lotsView(customer));
    fill(parts.tiers, tiersView(tiers, money));
    fill(parts.campaigns, campaignsView(customer, money));
  };
  const again = page.soon(async () => {
    const [seen] = await Promise.all([read(), bought.refresh(), moved.refresh()]);
    draw(seen);
  }, { trouble: parts.trouble });
  draw(first);
  page.on(["*"], again);
}

function tiersView(standings, money) {
  return table({
    caption: "State of each tier programme",
    columns: [
      { title: "Programme", value: ({ program }) => program },
      { title: "Level", tight: true, value: ({ level }) => h("strong", {}, level) },
      { title: "Progress", value: (state) => standingView(state, undefined, money) },
    ],
    rows: standings,
    empty: "In no tier programme yet. The first purchase enters them all.",
  });
}

function offersView(page, customer, offers, again) {
  return table({
    caption: "Offers",
    columns: [
      { title: "Offer", value: ({ name }) => name },
      { title: "Costs", numeric: true, value: ({ points, kind }) => pointsText(points, kind) },
      { title: "Gives", numeric: true, value: ({ wallet_credit }) => (wallet_credit === null ? "one of it" : page.money(wallet_credit)) },
      { title: "Left", numeric: true, value: ({ remaining }) => (remaining === null ? "no limit" : whole(remaining)) },
      { title: "Runs", value: ({ starts_at, ends_at }) => runsText(starts_at, ends_at) },
      { title: "Redeem", value: (offer) => redeemCell(page, customer, offer, again) },
    ],
    rows: offers,
    empty: "Nothing to spend points on now.",
  });
}

function runsText(from, to) {
  return [from && `from ${date(from)}`, to && `until ${date(to)}`].filter(Boolean).join(" ") || NOTHING;
}

/** A button where one unit can be had; else what is in the way. */
function redeemCell(page, customer, offer, again) {
  const has = big(customer.points.find(({ kind }) => kind === offer.kind)?.available ?? 0);
  const missing = big(offer.points) - has;
  const quiet = (text) => h("span", { class: "quiet" }, text);
  if (!offer.active) return quiet("not now");
  if (offer.remaining !== null && big(offer.remaining) === 0n) return quiet("none left");
  if (missing > 0n) return quiet(`needs ${whole(missing)} more`);
  return rowButton("Redeem", `Redeem: ${offer.name}`, () => redeem(page, customer, offer, again));
}

async function redeem(page, customer, offer, again) {
  const done = await operate(page, {
    path: `/v1/customers/${customer.id}/redemptions`,
    title: `Redeem ${offer.name}`,
    intro: `One costs ${pointsText(offer.points, offer.kind)}. Points that expire soonest are spent first.`,
    fields: field({ name: "quantity", label: "How many", value: "1", inputmode: "numeric", required: true }),
    body: ({ quantity }) => ({ offer: offer.name, quantity: typedWhole(quantity, "How many", "1") }),
    submit: "Redeem",
    said: `Redeemed ${offer.name}`,
  });
  if (done) again();
}

/** What an event says, in words. */
function saidOf({ type, data }, money) {
  const signed = (text) => `${data.direction === "credit" ? "+" : "−"}${text}`;
  switch (type) {
    case "purchase.accepted":
      return `Purchase of ${money(data.amount)}`;
    case "purchase.refunded":
      return `Refund of ${money(data.amount)}; ${money(data.remaining)} of the purchase remain`;
    case "promo.declined":
    case "promo.exhausted":
      return declinedText(data, money);
    case "wallet.entry":
      return `Wallet ${data.wallet}: ${signed(money(data.amount))}, now ${money(data.balance_after)}`;
    case "points.entry":
      return `${signed(pointsText(data.points, data.kind))} ${data.reason}, now ${whole(data.points_after)}`;
    case "tier.changed":
      return `${data.program}: ${data.before?.level ?? "new"} to ${data.after.level}`;
    case "operation.accepted":
      return operationName(data.operation.type);
    case "promo.applied":
      return effectText({ type: "cashback", ...data }, money);
    case "milestone.reached":
      return effectText({ type: "milestone", ...data }, money);
    case "campaign.completed":
      return effectText({ type: "campaign", ...data }, money);
    case "cashback.earned":
    case "fulfillment.completed":
    case "reward.granted":
      return effectText(data, money);
    default:
      return words(type);
  }
}
