// What the screens of a customer share: what happened to one in words, where one stands, and lists that go on by themselves.

import { fill, h } from "./dom.js";
import { big, date, dateTime, whole, words } from "./format.js";
import { addressOf } from "./page.js";
import { badge, button, emptiness, figure, figures, meter, problemBox, save, settle, table } from "./ui.js";

/** Points that expire within so many days are told of. */
export const EXPIRING_DAYS = 30;
const ROWS = 25;
const CSV_ROWS = 200;
/** What happens within this time is read at once. */
const COALESCED_MS = 300;

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

/** What a customer is called: the name that the tenant knows it by, where there is one. */
export function nameOf(customer) {
  return customer.email ?? customer.ref ?? (customer.erased ? "Erased customer" : "Customer without a name");
}

/** "300 reward points". */
export function pointsText(points, kind) {
  return `${whole(points)} ${kind} ${big(points) === 1n ? "point" : "points"}`;
}

/** What operations are called. */
export function operationName(type) {
  return OPERATIONS[type] ?? words(type);
}

export function remarkText(remark) {
  return REMARKS[remark] ?? words(remark);
}

/** A list of texts and nodes without marks. */
export function plainList(items) {
  return h("ul", { class: "plain-list" }, items.map((item) => h("li", {}, item)));
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
  wallet_entry: ({ wallet, direction, amount, balance_before, balance_after }, money) =>
    `Wallet ${wallet}: ${signed(direction, money(amount))}, from ${money(balance_before)} to ${money(balance_after)}`,
  offer_redeemed: ({ offer, quantity, kind, points }) => `${whole(quantity)} × ${offer} for ${pointsText(points, kind)}`,
  hold_placed: ({ hold, partner, amount, expires_at }, money) =>
    `Hold ${hold}: ${money(amount)} set aside for ${partner} until ${dateTime(expires_at)}`,
  hold_closed: ({ hold, partner, end, settled }, money) => `Hold ${hold} is ${end}: ${partner} is paid ${money(settled)}`,
  transfer: ({ state, amount, other_wallet }, money) => `Transfer of ${money(amount)} to wallet ${other_wallet ?? 0}: ${state}`,
  operation_reversed: ({ operation }) => `The operation of seq ${whole(operation)} is taken back`,
  review_opened: () => "It is set aside for an operator to release or reject; nothing has moved",
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
    ].filter(Boolean)),
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

/** Why a purchase got nothing by a promo. */
export function declinedText({ promo, reason, points }, money) {
  const missed = points === undefined ? "" : `; it would have paid ${money(points)}`;
  return `Promo ${promo} paid nothing: ${DECLINES[reason] ?? words(reason)}${missed}`;
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

function signed(direction, text) {
  return `${direction === "credit" ? "+" : "−"}${text}`;
}

/** The amount of an entry of a statement, in or out. */
export function entryText(entry, money) {
  return signed(entry.direction, entry.holds === "money" ? money(entry.amount) : pointsText(entry.amount, entry.unit));
}

/** What an account of a statement holds. */
export function heldText({ holds, unit, balance }, money) {
  return holds === "money" ? money(balance) : pointsText(balance, unit);
}

/** "Wallet 0", or "cashback points". */
export function accountText({ holds, wallet, unit }) {
  return holds === "money" ? `Wallet ${wallet}` : `${unit} points`;
}

/** What caused an entry of a statement. */
export function causeText({ purchase, operation }) {
  if (operation !== null) return operationName(operation);
  return purchase === null ? "Points expired" : "Purchase";
}

/** A time, and the position of what happened then. */
export function whenCell(at, seq) {
  return h("div", {}, h("time", { datetime: at }, dateTime(at)), h("div", { class: "quiet" }, `seq ${whole(seq)}`));
}

/** A customer in numbers: what is in the wallets, points, purchases, levels. */
export function customerFigures(customer, wallets, money) {
  const open = wallets.filter(({ status }) => status !== "closed");
  return figures(
    open.length === 0 && figure("Balance", money(customer.balance)),
    open.map(({ wallet, name, balance, available }) =>
      figure(open.length === 1 ? "Balance" : walletText(wallet, name), money(balance), `${money(available)} can be spent`)),
    customer.points.map(({ kind, balance, available, expiring }) =>
      figure(`${words(kind)} points`, whole(balance),
        `${whole(available)} can be spent, ${whole(expiring)} expire within ${EXPIRING_DAYS} days`)),
    figure("Purchases", whole(customer.purchases)),
    customer.tiers.map(({ program, level }) => figure(`Tier, ${program}`, level)));
}

/** "Wallet 1, Holiday"; the first is the one that cashback goes to. */
export function walletText(wallet, name) {
  return [`Wallet ${wallet}`, name].filter((part) => part !== undefined).join(", ");
}

/** Points, lot by lot, in the order in which they are spent. */
export function lotsView(customer) {
  const rows = customer.points.flatMap(({ kind, lots }) => lots.map((lot) => ({ kind, ...lot })));
  return table({
    caption: "Points by lots",
    columns: [
      { title: "Kind", value: ({ kind }) => kind },
      { title: "Earned by", value: ({ source }) => source },
      { title: "Points", numeric: true, value: ({ points }) => whole(points) },
      { title: "Can be spent", value: ({ matures_at }) => (matures_at ? `from ${date(matures_at)}` : "at once") },
      { title: "Expire", value: ({ expires_at }) => (expires_at ? date(expires_at) : "never") },
    ],
    rows,
    empty: "No points. Cashback rules and campaigns grant them.",
  });
}

/** Where a customer stands in each campaign; `rules` say what is still asked for, where they may be seen. */
export function campaignsView(customer, money, rules) {
  return table({
    caption: "State of each campaign",
    columns: [
      { title: "Campaign", value: ({ campaign }) => campaign },
      { title: "Completed", numeric: true, value: ({ completions }) => whole(completions) },
      { title: "Towards the next time", value: (state) => progressView(state, money, rules) },
    ],
    rows: customer.campaigns,
    empty: "Nothing towards a campaign yet. A purchase that meets a part of one shows it here.",
  });
}

function progressView({ campaign, progress }, money, rules) {
  const asked = rules?.campaigns?.find(({ name }) => name === campaign)?.fulfillments ?? progress.map(({ fulfillment }) => fulfillment);
  if (asked.length === 0) return "begins anew";
  return plainList(asked.map((name) => {
    const state = progress.find(({ fulfillment }) => fulfillment === name);
    if (state?.met) return badge(name, "good");
    const { tag, buy } = rules?.fulfillments.find((own) => own.name === name) ?? {};
    if (tag) return badge(`${name}: ${whole(state?.so_far ?? 0)} of ${whole(tag.count)}`);
    if (buy?.cumulative) return badge(`${name}: ${money(state?.so_far ?? 0)} of ${money(buy.amount_min)}`);
    return badge(`${name}: ${state === undefined ? "not yet" : "begun"}`);
  }));
}

/** How far a customer is in a tier programme; `programs` are the rules', where they may be seen. */
export function standingView(state, programs, money) {
  const program = programs?.find(({ name }) => name === state.program);
  const [bar, said] = program?.policy === "threshold" ? spendProgress(state, program, money) : countProgress(state, program, money);
  if (state.effective_level === null) said.push(badge("The rules have this programme no longer", "warn"));
  else if (state.effective_level !== state.level) {
    said.push(badge(`${state.effective_level} at the next purchase, after the days without one`, "warn"));
  }
  return h("div", {}, bar, plainList(said));
}

/** A bar, where something is missing for a level, and what is said of it. */
function spendProgress({ level, spent }, { levels }, money) {
  const above = levels.slice(levels.findIndex(({ name }) => name === level) + 1);
  const next = above.find(({ spent_min }) => big(spent) < big(spent_min));
  if (next === undefined) return [undefined, [`Spent ${money(spent)} in all. No level above.`]];
  const bar = meter(`Spent towards ${next.name}`);
  bar.set({ used: spent, total: next.spent_min });
  return [bar, [`Needs ${money(big(next.spent_min) - big(spent))} more for ${next.name}, which begins at ${money(next.spent_min)}.`]];
}

function countProgress({ level, count, spent, last_at }, program, money) {
  const last = last_at === undefined ? [] : [h("span", { class: "quiet" }, `Last purchase ${date(last_at)}.`)];
  const own = program?.levels.find(({ name }) => name === level);
  if (own === undefined) {
    const so = spent === undefined ? `${purchaseCount(count)} within ${level}.` : `Spent ${money(spent)} in all.`;
    return [undefined, [so, ...last]];
  }
  const isHighest = own.next === level;
  if (isHighest && own.count_max <= count) return [undefined, [`${purchaseCount(count)} within ${level}, the highest level.`, ...last]];
  const bar = meter(`Purchases within ${level}`);
  bar.set({ used: Math.min(count, own.count_max), total: own.count_max });
  // A level is full with its last purchase, and the one after that begins the next.
  const missing = purchaseCount(own.count_max + 1 - count, "more ");
  const said = [isHighest ? `${level} is the highest level.` : `Needs ${missing} for ${own.next}.`];
  const milestone = own.milestones.find(({ at_count }) => count < at_count);
  if (milestone) said.push(`Next milestone: ${money(milestone.points)} at purchase ${whole(milestone.at_count)} of ${level}.`);
  return [bar, [...said, ...last]];
}

/** "3 purchases", "1 more purchase". */
export function purchaseCount(count, more = "") {
  return `${whole(count)} ${more}${count === 1 ? "purchase" : "purchases"}`;
}

/** "1 piece". */
export function pieceCount(count) {
  return `${whole(count)} ${count === 1 ? "piece" : "pieces"}`;
}

/**
 * Reads what happened to a customer, the newest first: purchases and movements of all accounts, put together by the position of their
 * record. What one list has of before the other one's last row waits for the next page.
 */
export function timelineOf(page, customer) {
  const begin = { records: [], lists: { purchases: { floor: Infinity }, statement: { floor: Infinity } } };
  return async (from = begin) => {
    const records = new Map(from.records);
    const lists = { ...from.lists };
    /** The position from which on both lists are known. */
    const floor = () => Math.max(...Object.values(lists).map((list) => list.floor));
    const known = () => [...records.values()].filter(({ seq }) => floor() <= seq);
    do {
      const behind = floor();
      const waiting = Object.keys(lists).filter((name) => lists[name].floor === behind);
      await Promise.all(waiting.map(async (name) => {
        const { data, next_cursor } = await page.get(`/v1/customers/${customer}/${name}`, { cursor: lists[name].cursor, limit: ROWS });
        lists[name] = { cursor: next_cursor, floor: next_cursor === null ? 0 : data.at(-1).seq };
        for (const own of data) put(records, name, own);
      }));
    } while (known().length < ROWS && floor() > 0);
    const data = known().sort((one, other) => other.seq - one.seq);
    for (const { seq } of data) records.delete(seq);
    return { data, next_cursor: floor() === 0 ? null : { lists, records } };
  };
}

/** Puts a purchase or an entry with what else is of its record. A page may be read once more: records that were there stay as they are. */
function put(records, name, own) {
  const record = records.get(own.seq) ?? { seq: own.seq, entries: [] };
  records.set(own.seq, name === "purchases" ? { ...record, result: own } : { ...record, entries: [...record.entries, own] });
}

/** The columns of a timeline. What may be opened is a link to the customer's screen. */
export function timelineColumns(customer, money) {
  return [
    { title: "When", tight: true, value: ({ seq, result, entries }) => whenCell(result?.at ?? entries[0].received_at, seq) },
    { title: "What", value: (record) => whatCell(record, customer, money) },
    {
      title: "What it did",
      value: ({ result, entries }) => (result ? boughtCell(result, entries, money) : movedList(entries, money)),
    },
    { title: "Afterwards", numeric: true, value: ({ result, entries }) => balancesView(result ?? afterwards(entries), money) },
  ];
}

function whatCell({ seq, result, entries }, customer, money) {
  if (result !== undefined) {
    const address = addressOf("customers", customer, { purchase: result.id });
    return h("div", {}, h("a", { href: address }, `Purchase of ${money(result.amount)}`),
      h("div", { class: "quiet" }, `${pieceCount(result.quantity)}, ${result.partner} `, h("code", {}, result.origin_id)));
  }
  const [{ operation, purchase }] = entries;
  const name = causeText(entries[0]);
  // The records of a transfer are no operations of their own.
  const isOperation = operation !== null && operation !== "transfer";
  return h("div", {}, isOperation ? h("a", { href: addressOf("customers", customer, { operation: seq }) }, name) : name,
    purchase && h("div", { class: "quiet" }, "of ", h("a", { href: addressOf("customers", customer, { purchase }) }, "a purchase")));
}

/** What a purchase did; points whose time was over are written down with the purchase that comes next. */
function boughtCell(result, entries, money) {
  const expired = entries.filter(({ against }) => against.some(({ account }) => account === "points_expired"));
  const told = expired.map((entry) => `${entryText(entry, money)} expired: ${entry.source}`);
  return h("div", {}, plainList(told), earnedView(result, money));
}

function movedList(entries, money) {
  return plainList(entries.map((entry) => [entryText(entry, money), entry.source && h("span", { class: "quiet" }, ` ${entry.source}`)]));
}

/** What the accounts hold after entries of one record, which are the newest first. */
function afterwards(entries) {
  const last = entries.filter((entry, index) => entries.findIndex((own) => accountText(own) === accountText(entry)) === index);
  return {
    balances: last.filter(({ holds }) => holds === "money").map(({ wallet, balance_after }) => ({ wallet, balance: balance_after })),
    points: last.filter(({ holds }) => holds === "points").map(({ unit, balance_after }) => ({ kind: unit, balance: balance_after })),
  };
}

/**
 * A list, the newest first, whose newest rows are read again whenever something happens; what was shown of older ones stays. Rows have
 * the `seq` of their record; `key(row)` tells those of one record apart where a page may end within it.
 */
export class LiveList {
  #read;
  #key;
  #how;
  #rows = [];
  #cursor;

  constructor({ read, key = ({ seq }) => seq, ...how }) {
    this.#read = read;
    this.#key = key;
    this.#how = how;
    this.node = h("div");
    settle(this.node, () => this.refresh());
  }

  /** Reads the newest rows. */
  async refresh() {
    const { data, next_cursor } = await this.#read();
    const [last, known] = [data.at(-1)?.seq, this.#rows[0]?.seq];
    if (next_cursor !== null && last <= known) {
      const fresh = new Set(data.map(this.#key));
      this.#rows = [...data, ...this.#rows.filter((row) => row.seq <= last && !fresh.has(this.#key(row)))];
    } else {
      // All there is, or so much that what was shown does not follow any more.
      [this.#rows, this.#cursor] = [data, next_cursor];
    }
    this.#draw();
  }

  async #more() {
    const cursor = this.#cursor;
    const { data, next_cursor } = await this.#read(cursor);
    // Unless the list began anew meanwhile: then this is not what follows.
    if (cursor === this.#cursor) [this.#rows, this.#cursor] = [[...this.#rows, ...data], next_cursor];
    this.#draw();
  }

  #draw() {
    const more = this.#cursor && button("Show more", () => settle(this.node, () => this.#more(), { keep: true }));
    renew(this.node, table({ ...this.#how, rows: this.#rows }), more && h("p", {}, more));
  }
}

/** Shows newer children. Whoever stood on a control stands on the same one afterwards. */
export function renew(node, ...children) {
  const identity = (control) => control.name || control.getAttribute("href") || control.textContent;
  const active = node.contains(document.activeElement) ? identity(document.activeElement) : undefined;
  fill(node, ...children);
  if (active === undefined) return;
  [...node.querySelectorAll("a, button, [tabindex]")].find((control) => identity(control) === active)?.focus();
}

/** Returns true where an event is about this customer. */
export function concerns({ subject, data }, customer) {
  return subject === customer || data.customer === customer;
}

/**
 * Returns what asks for `work`: it is done soon, once for all that came until then, never twice at a time, and not behind a dialog that
 * is open. What goes wrong is shown in `node`.
 */
export function coalesced(page, node, work) {
  let timer;
  let isBusy = false;
  const ask = () => {
    timer ??= setTimeout(run, COALESCED_MS);
  };
  const run = async () => {
    timer = undefined;
    if (isBusy || document.querySelector("dialog[open]") !== null) {
      ask();
      return;
    }
    isBusy = true;
    try {
      await work();
      fill(node);
    } catch (error) {
      if (!page.signal.aborted) fill(node, problemBox(error, ask));
    } finally {
      isBusy = false;
    }
  };
  page.signal.addEventListener("abort", () => clearTimeout(timer));
  return ask;
}

/** Saves the whole statement of a customer as a file. */
async function saveStatement(page, customer) {
  const path = `/v1/customers/${customer}/statement`;
  let [text, cursor] = ["", undefined];
  do {
    const query = { limit: CSV_ROWS, cursor };
    const answer = await page.api.fetch("GET", path, { query, headers: { Accept: "text/csv" }, signal: page.signal });
    const lines = await answer.text();
    // Each page begins with the names of the columns.
    text += cursor === undefined ? lines : lines.slice(lines.indexOf("\n") + 1);
    cursor = /[?&]cursor=([^&>]+)/.exec(answer.headers.get("link") ?? "")?.[1];
  } while (cursor !== undefined);
  save(`statement-${customer}.csv`, text, "text/csv");
}

/** A button that saves the statement; what goes wrong is shown in `node`. */
export function statementButton(page, customer, node) {
  return button("Save the statement (CSV)", () => saveStatement(page, customer).catch((error) => fill(node, problemBox(error))));
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

/** Returns what gives a key for a body: the same for as long as the body is, since a key stands for one content for ever. */
export function keys() {
  let [meant, key] = [];
  return (body) => {
    const text = JSON.stringify(body) ?? "";
    if (text !== meant) [meant, key] = [text, crypto.randomUUID()];
    return key;
  };
}
