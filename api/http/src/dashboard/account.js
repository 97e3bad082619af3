// My account: what a customer has, what each purchase earned, what points may be spent on, and what happens to the account as it happens.

import { fill, h } from "./dom.js";
import { NOTHING, big, date, dateTime, money, whole, wholeTyped, words } from "./format.js";
import { button, changeDialog, columns, emptiness, field, panel, table, toast } from "./ui.js";
import { Problem } from "./session.js";
import {
  EXPIRING_DAYS, LiveList, accountText, balancesView, campaignsView, causeText, coalesced, customerFigures, declinedText, earnedView,
  effectText, entryText, heldText, keys, lotsView, nameOf, operationName, operationView, pointsText, renew, standingView,
  statementButton, whenCell,
} from "./customer_parts.js";

const EVENTS_SHOWN = 15;

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
  const amount = (minor) => money(minor, currencyOf(first[0]));
  const names = ["trouble", "numbers", "offers", "points", "tiers", "campaigns", "happened"];
  const parts = Object.fromEntries(names.map((name) => [name, h("div")]));
  const bought = new LiveList({
    read: (cursor) => page.get(`${path}/purchases`, { cursor }),
    caption: "Purchases and what they earned",
    columns: [
      { title: "When", tight: true, value: ({ at, seq }) => whenCell(at, seq) },
      { title: "Amount", numeric: true, value: (own) => amount(own.amount) },
      { title: "Earned", value: (own) => earnedView(own, amount) },
      { title: "Afterwards", numeric: true, value: (own) => balancesView(own, amount) },
    ],
    empty: "No purchase yet. The next one appears here, with what it earns.",
  });
  const moved = new LiveList({
    read: (cursor) => page.get(`${path}/statement`, { cursor }),
    caption: "Movements of all accounts",
    columns: [
      { title: "When", tight: true, value: ({ received_at, seq }) => whenCell(received_at, seq) },
      { title: "What", value: (own) => [causeText(own), own.source].filter(Boolean).join(", ") },
      { title: "Account", value: (own) => accountText(own) },
      { title: "Amount", numeric: true, value: (own) => entryText(own, amount) },
      { title: "Balance", numeric: true, value: (own) => heldText({ ...own, balance: own.balance_after }, amount) },
    ],
    empty: "Nothing moved yet. Money and points that come or go appear here.",
  });
  page.show({ intro: nameOf(first[0]) },
    parts.trouble, parts.numbers,
    panel("Spend points", {}, parts.offers),
    columns(panel("Tiers", {}, parts.tiers), panel("Points", { note: "In the order in which they are spent." }, parts.points)),
    columns(panel("Campaigns", {}, parts.campaigns), panel("What happened", { note: "Since this page was opened." }, parts.happened)),
    panel("Purchases", { note: "What each one earned." }, bought.node),
    panel("Statement", { note: "All that moved.", actions: statementButton(page, id, parts.trouble) }, moved.node));

  const draw = ([customer, { data: wallets }, { tiers }, { data: offers }]) => {
    fill(parts.numbers, customerFigures(customer, wallets, amount));
    renew(parts.offers, offersView(page, customer, offers, amount, again));
    fill(parts.points, lotsView(customer));
    fill(parts.tiers, tiersView(tiers, amount));
    fill(parts.campaigns, campaignsView(customer, amount));
  };
  const again = coalesced(page, parts.trouble, async () => {
    const [seen] = await Promise.all([read(), bought.refresh(), moved.refresh()]);
    draw(seen);
  });
  draw(first);
  watchEvents(page, parts.happened, amount, again);
}

/** The currency of an answer, as `money` wants it. */
function currencyOf({ currency, currency_exponent }) {
  return { code: currency, exponent: currency_exponent };
}

function tiersView(standings, amount) {
  return table({
    caption: "State of each tier programme",
    columns: [
      { title: "Programme", value: ({ program }) => program },
      { title: "Level", tight: true, value: ({ level }) => h("strong", {}, level) },
      { title: "Progress", value: (state) => standingView(state, undefined, amount) },
    ],
    rows: standings,
    empty: "In no tier programme yet. The first purchase enters them all.",
  });
}

function offersView(page, customer, offers, amount, again) {
  return table({
    caption: "Offers",
    columns: [
      { title: "Offer", value: ({ name }) => name },
      { title: "Costs", numeric: true, value: ({ points, kind }) => pointsText(points, kind) },
      { title: "Gives", numeric: true, value: ({ wallet_credit }) => (wallet_credit === null ? "one of it" : amount(wallet_credit)) },
      { title: "Left", numeric: true, value: ({ remaining }) => (remaining === null ? "no limit" : whole(remaining)) },
      { title: "Runs", value: ({ starts_at, ends_at }) => runsText(starts_at, ends_at) },
      { title: "Redeem", value: (offer) => redeemCell(page, customer, offer, amount, again) },
    ],
    rows: offers,
    empty: "Nothing to spend points on now.",
  });
}

function runsText(from, to) {
  return [from && `from ${date(from)}`, to && `until ${date(to)}`].filter(Boolean).join(" ") || NOTHING;
}

/** A button where one unit can be had; else what is in the way. */
function redeemCell(page, customer, offer, amount, again) {
  const has = big(customer.points.find(({ kind }) => kind === offer.kind)?.available ?? 0);
  const missing = big(offer.points) - has;
  const quiet = (text) => h("span", { class: "quiet" }, text);
  if (!offer.active) return quiet("not now");
  if (offer.remaining !== null && big(offer.remaining) === 0n) return quiet("none left");
  if (missing > 0n) return quiet(`needs ${whole(missing)} more`);
  const node = button("Redeem", () => redeem(page, customer, offer, amount, again));
  node.setAttribute("aria-label", `Redeem: ${offer.name}`);
  node.name = `redeem ${offer.name}`;
  return node;
}

async function redeem(page, customer, offer, amount, again) {
  const path = `/v1/customers/${customer.id}/redemptions`;
  const keyOf = keys();
  const wanted = ({ quantity }) => {
    const typed = wholeTyped(quantity ?? "");
    if (typed !== undefined) return { offer: offer.name, quantity: typed };
    throw new Problem(400, { code: "field_invalid", title: "How many is a whole number.", detail: "Type digits, as 1." });
  };
  const send = (values, query) => {
    const body = wanted(values);
    return page.api.send("POST", path, body, { query, key: keyOf(body) });
  };
  const done = await changeDialog({
    title: `Redeem ${offer.name}`,
    intro: `One costs ${pointsText(offer.points, offer.kind)}. Points that expire soonest are spent first.`,
    fields: field({ name: "quantity", label: "How many", value: "1", inputmode: "numeric", required: true }),
    preview: async (values) => operationView(await send(values, { dry_run: "true" }), amount),
    commit: (values) => send(values),
    submit: "Redeem",
  });
  if (done === undefined) return;
  toast(`Redeemed ${offer.name}, seq ${whole(done.seq)}.`);
  again();
}

/** Shows what happens to the account, and asks for everything to be read again. */
function watchEvents(page, happened, amount, again) {
  const lines = [];
  fill(happened, emptiness("Nothing yet. A purchase appears here as soon as it is booked."));
  page.on(["*"], (event) => {
    lines.unshift(event);
    lines.length = Math.min(lines.length, EVENTS_SHOWN);
    fill(happened, h("ol", { class: "events" }, lines.map((own) => lineOf(own, amount))));
    again();
  });
}

function lineOf(event, amount) {
  return h("li", {},
    h("span", { class: "seq" }, whole(Number(event.sequence))),
    h("span", {}, saidOf(event, amount)),
    h("time", { class: "quiet", datetime: event.time, title: dateTime(event.time) }, dateTime(event.time).split(", ").at(-1)));
}

/** What an event says, in words. */
function saidOf({ type, data }, amount) {
  const signed = (text) => `${data.direction === "credit" ? "+" : "−"}${text}`;
  switch (type) {
    case "purchase.accepted":
      return `Purchase of ${amount(data.amount)}`;
    case "purchase.refunded":
      return `Refund of ${amount(data.amount)}; ${amount(data.remaining)} of the purchase remain`;
    case "promo.declined":
    case "promo.exhausted":
      return declinedText(data, amount);
    case "wallet.entry":
      return `Wallet ${data.wallet}: ${signed(amount(data.amount))}, now ${amount(data.balance_after)}`;
    case "points.entry":
      return `${signed(pointsText(data.points, data.kind))} ${data.reason}, now ${whole(data.points_after)}`;
    case "tier.changed":
      return `${data.program}: ${data.before?.level ?? "new"} to ${data.after.level}`;
    case "operation.accepted":
      return operationName(data.operation.type);
    case "promo.applied":
      return effectText({ type: "cashback", ...data }, amount);
    case "milestone.reached":
      return effectText({ type: "milestone", ...data }, amount);
    case "campaign.completed":
      return effectText({ type: "campaign", ...data }, amount);
    case "cashback.earned":
    case "fulfillment.completed":
    case "reward.granted":
      return effectText(data, amount);
    default:
      return words(type);
  }
}
