// Customers: found by any id; one with wallets, points, tiers and all that happened; why a purchase got what it got; and changes of all
// this, which are looked at first.

import { fill, h } from "./dom.js";
import { NOTHING, big, dateTime, duration, whole, wholeTyped, words } from "./format.js";
import { addressOf, link } from "./page.js";
import {
  badge, button, changeDialog, columns, emptiness, field, figure, figures, lineForm, pagedTable, panel, table, toast,
} from "./ui.js";
import { Problem } from "./session.js";
import {
  EXPIRING_DAYS, LiveList, backText, balancesView, campaignsView, coalesced, concerns, customerFigures, earnedView, givenText,
  keys, lotsView, nameOf, operationName, operationView, pieceCount, plainList, pointsText, purchaseCount, remarkText, renew, standingView,
  statementButton, timelineColumns, timelineOf, walletText, whenCell,
} from "./customer_parts.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Nothing has this id, or nothing can. */
const UNKNOWN = ["customer_not_found", "customer_invalid", "purchase_not_found", "after_ahead"];

export const customers = { name: "customers", title: "Customers", open };

async function open(page) {
  const [purchase, operation] = [page.query.get("purchase"), page.query.get("operation")];
  if (page.path === "") showAll(page);
  else if (purchase !== null) await showPurchase(page, purchase);
  else if (operation !== null) await showOperation(page, operation);
  else await showCustomer(page, page.path);
}

// Search, and the list.

function showAll(page) {
  const found = h("div");
  const search = lineForm({
    label: "Search",
    fields: field({
      name: "id", label: "Customer id, e-mail or ref, purchase id, or seq", type: "search", autocapitalize: "none", spellcheck: "false",
    }),
    submit: "Search",
    onsubmit: async ({ id }) => {
      fill(found);
      showHits(found, id, await hitsOf(page, (id ?? "").trim()));
    },
  });
  page.show({ intro: "Who buys, what they have, and why they have it." },
    panel("Search", {}, search, found),
    panel("All customers", { note: "In order of their ids." }, pagedTable({
      load: (cursor) => page.get("/v1/reports/customers", { cursor }),
      caption: "List of customers",
      columns: [
        { title: "Customer", value: (own) => link("customers", own.id, nameOf(own)) },
        { title: "Purchases", numeric: true, value: (own) => whole(own.purchases) },
        { title: "Balance", numeric: true, value: (own) => page.money(own.balance) },
        { title: "Points", value: (own) => holdingsText(own.points) || NOTHING },
        { title: "Tiers", value: (own) => own.tiers.map(({ program, level }) => `${program} ${level}`).join(", ") || NOTHING },
      ],
      empty: "No customer yet. The first purchase of somebody makes one.",
    })));
}

function holdingsText(points) {
  return points.map(({ kind, balance }) => pointsText(balance, kind)).join(", ");
}

/** What an id may be of: customers, purchases and operations, each with its address. Digits may be a ref, and a position too. */
async function hitsOf(page, id) {
  if (id === "") return [];
  const customer = async (query) => {
    const own = await known(page.api.get("/v1/customers", query, page.signal));
    return own && { text: `Customer ${nameOf(own)}`, address: addressOf("customers", own.id) };
  };
  const seq = /^(?:seq)?\s*([\d,]+)$/i.exec(id)?.[1].replaceAll(",", "");
  const asked = [
    UUID.test(id) && (async () => await customer({ id }) ?? await purchaseHit(page, id)),
    // A ref may look like an e-mail address.
    !UUID.test(id) && (async () => (id.includes("@") ? await customer({ email: id }) : undefined) ?? await customer({ ref: id })),
    seq !== undefined && (() => seqHit(page, seq)),
  ];
  const hits = await Promise.all(asked.filter(Boolean).map((ask) => ask()));
  return hits.filter((hit) => hit !== undefined);
}

async function purchaseHit(page, id) {
  const own = await known(page.api.get(`/v1/purchases/${id}`, {}, page.signal));
  return own && { text: `Purchase of ${page.money(own.amount)}`, address: addressOf("customers", own.customer, { purchase: own.id }) };
}

/** What stands at a position of the ledger, if it is about a customer. */
async function seqHit(page, seq) {
  if (big(seq) < 1n) return undefined;
  const answer = await known(page.api.get("/v1/events", { after: big(seq) - 1n, limit: 1 }, page.signal));
  const events = answer?.data.filter(({ sequence, data }) => big(sequence) === big(seq) && data.customer) ?? [];
  if (events.length === 0) return undefined;
  const { customer } = events[0].data;
  const [bought, done] = ["purchase.accepted", "operation.accepted"].map((type) => events.find((event) => event.type === type));
  if (bought) return { text: `Purchase of seq ${whole(seq)}`, address: addressOf("customers", customer, { purchase: bought.data.id }) };
  if (done) return { text: `Operation of seq ${whole(seq)}`, address: addressOf("customers", customer, { operation: seq }) };
  return { text: `Customer of seq ${whole(seq)}`, address: addressOf("customers", customer) };
}

/** What was asked for; undefined where nothing has the id. */
async function known(asked) {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Problem && UNKNOWN.includes(error.code)) return undefined;
    throw error;
  }
}

/** Opens what was found; lists it where it is more than one. */
function showHits(found, id, hits) {
  if (hits.length === 1) {
    location.hash = hits[0].address;
    return;
  }
  const links = hits.map(({ text, address }) => h("a", { href: address }, text));
  const nothing = id === undefined
    ? "Type an id first."
    : "No customer, purchase or operation has this id. A partner's own id of a purchase (origin_id) is not looked for.";
  const several = [h("p", {}, "More than one has this id:"), plainList(links)];
  fill(found, h("div", { role: "status" }, hits.length === 0 ? emptiness(nothing) : several));
}

// One customer.

async function showCustomer(page, id) {
  const path = `/v1/customers/${encodeURIComponent(id)}`;
  const money = page.money.bind(page);
  const read = () => Promise.all([
    page.get(path, { expiring_within_days: EXPIRING_DAYS }),
    page.get(`${path}/wallets`),
    page.get(`${path}/tiers`, { limit: 1 }),
    page.get(`${path}/holds`),
  ]);
  let seen = await read();
  const names = ["trouble", "badges", "numbers", "wallets", "walletActions", "points", "tiers", "campaigns", "holds"];
  const parts = Object.fromEntries(names.map((name) => [name, h("div")]));
  const timeline = new LiveList({
    read: timelineOf(page, id),
    caption: "Purchases and operations",
    columns: timelineColumns(id, money),
    empty: "Nothing happened yet. A purchase, or money that moves, appears here.",
  });
  const history = tierHistory(page, path);
  const erase = button("Erase", () => eraseCustomer(page, path, seen), { kind: "danger" });
  page.show({
    title: nameOf(seen[0]),
    intro: ["Customer ", h("code", {}, id)],
    actions: page.session.isAdmin && !seen[0].erased && erase,
  },
  parts.trouble, parts.badges, parts.numbers,
  panel("Wallets", { actions: parts.walletActions }, parts.wallets),
  panel("Open holds", { note: "Money that is set aside for a partner." }, parts.holds),
  panel("Tiers", {}, parts.tiers, history.node),
  columns(panel("Points", { note: "In the order in which they are spent." }, parts.points), panel("Campaigns", {}, parts.campaigns)),
  panel("What happened", { actions: statementButton(page, id, parts.trouble) }, timeline.node));

  const draw = () => {
    const [customer, { data: wallets }, { tiers }, { data: holds }] = seen;
    fill(parts.badges, badgesOf(page, customer, wallets));
    fill(parts.numbers, customerFigures(customer, wallets, money));
    renew(parts.wallets, walletsView(page, path, wallets, again));
    // Who has no wallet has no row with buttons either.
    renew(parts.walletActions, wallets.length === 0 && walletButtons(page, path, { wallet: 0, status: "active" }, again));
    fill(parts.points, lotsView(customer));
    renew(parts.tiers, tiersView(page, path, tiers, again));
    fill(parts.campaigns, campaignsView(customer, money, page.rules.catalogue));
    fill(parts.holds, holdsView(page, holds));
  };
  const again = coalesced(page, parts.trouble, async () => {
    [seen] = await Promise.all([read(), timeline.refresh(), history.refresh()]);
    draw();
  });
  draw();
  page.on(["*"], (event) => {
    if (concerns(event, id) || event.type === "catalogue.applied") again();
  });
}

/** What somebody who looks should know first. */
function badgesOf(page, customer, wallets) {
  const held = wallets.reduce((sum, own) => sum + big(own.held), 0n);
  const said = [
    customer.erased && badge("Erased: nothing says any more who this is", "bad"),
    ...wallets.filter(({ status }) => status === "frozen").map(({ wallet }) => badge(`Wallet ${wallet} is frozen`, "bad")),
    ...wallets.filter(({ balance }) => big(balance) < 0n)
      .map(({ wallet, balance }) => badge(`Wallet ${wallet} is below zero: ${page.money(balance)}`, "warn")),
    held > 0n && badge(`${page.money(held)} on hold`, "warn"),
  ].filter(Boolean);
  return said.length > 0 && h("p", { class: "actions" }, said);
}

function walletsView(page, path, wallets, again) {
  const state = { active: "good", frozen: "bad", closed: "plain" };
  return table({
    caption: "State of each wallet",
    columns: [
      { title: "Wallet", value: ({ wallet, name }) => walletText(wallet, name) },
      { title: "State", value: ({ status }) => badge(status, state[status]) },
      { title: "Balance", numeric: true, value: ({ balance }) => page.money(balance) },
      { title: "On hold", numeric: true, value: ({ held }) => page.money(held) },
      { title: "Can be spent", numeric: true, value: ({ available }) => page.money(available) },
      { title: "Change", value: (own) => own.status !== "closed" && walletButtons(page, path, own, again) },
    ],
    rows: wallets,
    empty: "No wallet yet. The first cashback or deposit opens one.",
  });
}

function walletButtons(page, path, { wallet, status, balance }, again) {
  const own = `${path}/wallets/${wallet}`;
  const named = (text, work) => {
    const node = button(text, work);
    node.setAttribute("aria-label", `${text}: wallet ${wallet}`);
    node.name = `${text} ${wallet}`;
    return node;
  };
  return h("div", { class: "actions" },
    named("Deposit", () => deposit(page, own, wallet, again)),
    named("Adjust", () => adjust(page, own, wallet, again)),
    // A wallet that is not there yet cannot be frozen.
    balance !== undefined && (status === "frozen"
      ? named("Make active", () => setStatus(page, own, wallet, "active", again))
      : named("Freeze", () => setStatus(page, own, wallet, "frozen", again))));
}

function tiersView(page, path, standings, again) {
  const programs = page.rules.catalogue.tier_programs;
  return table({
    caption: "State of each tier programme",
    columns: [
      { title: "Programme", value: ({ program }) => program },
      { title: "Level", tight: true, value: ({ level }) => h("strong", {}, level) },
      { title: "Progress", value: (state) => standingView(state, programs, page.money.bind(page)) },
      { title: "Change", value: (state) => state.effective_level !== null && tierButtons(page, path, state, again) },
    ],
    rows: standings,
    empty: "In no tier programme yet. The first purchase enters them all.",
  });
}

function tierButtons(page, path, { program, level }, again) {
  const { policy, levels = [] } = page.rules.catalogue.tier_programs.find(({ name }) => name === program) ?? {};
  const index = levels.findIndex(({ name }) => name === level);
  // Where the rules have this level no longer, the ledger knows what is above and below.
  const isAny = index === -1;
  const isUp = isAny || (policy === "journey" ? levels[index].next !== level : index + 1 < levels.length);
  const isDown = isAny || (policy === "journey" ? levels[index].previous !== level : index > 0);
  const named = (text, way) => {
    const node = button(text, () => moveTier(page, path, program, way, again));
    node.setAttribute("aria-label", `${text}: ${program}`);
    node.name = `${way} ${program}`;
    return node;
  };
  return h("div", { class: "actions" }, isUp && named("Promote", "promote"), isDown && named("Demote", "demote"));
}

/** The steps in tier programmes, which are read once somebody asks for them. */
function tierHistory(page, path) {
  let list;
  const node = h("details", {}, h("summary", {}, "History of tiers"));
  node.addEventListener("toggle", () => {
    list = new LiveList({
      read: (cursor) => page.get(`${path}/tiers`, { cursor }),
      key: ({ seq, step }) => `${seq} ${step.program}`,
      caption: "History of tiers",
      columns: [
        { title: "When", value: ({ at, seq }) => whenCell(at, seq) },
        { title: "Programme", value: ({ step }) => step.program },
        { title: "From", value: ({ step }) => placeText(page, step.before) },
        { title: "To", value: ({ step }) => placeText(page, step.after) },
        { title: "Because of", value: ({ purchase, step }) => causeOfStep(page, purchase, step) },
      ],
      empty: "No step yet.",
    });
    node.append(list.node);
  }, { once: true });
  return { node, refresh: async () => list?.refresh() };
}

function causeOfStep(page, purchase, { remark }) {
  const said = remarkText(remark);
  const bought = purchase && h("a", { href: addressOf("customers", page.path, { purchase }) }, "a purchase");
  return h("div", {}, bought, bought && said && ": ", said);
}

/** A place in a tier programme: the level, and how far within it. */
function placeText(page, place) {
  if (place === null) return NOTHING;
  return place.count === undefined ? `${place.level}, ${page.money(place.spent)}` : `${place.level}, ${whole(place.count)}`;
}

function holdsView(page, holds) {
  return table({
    caption: "Holds that are open",
    columns: [
      { title: "Hold", numeric: true, value: ({ hold }) => whole(hold) },
      { title: "For", value: ({ partner }) => partner },
      { title: "Wallet", numeric: true, value: ({ wallet }) => whole(wallet) },
      { title: "Amount", numeric: true, value: ({ amount }) => page.money(amount) },
      { title: "Until", value: ({ expires_at }) => dateTime(expires_at) },
    ],
    rows: holds,
    empty: "No open hold.",
  });
}

// Changes.

/** Asks for an operation in a dialog, shows what it would do, and does it: `body(values)` is what is sent. Returns true once it is done. */
async function operate(page, { path, method = "POST", body = () => undefined, ...how }) {
  const money = page.money.bind(page);
  const keyOf = keys();
  const send = (values, query) => {
    const sent = body(values);
    return page.api.send(method, path, sent, { query, key: keyOf(sent) });
  };
  const done = await changeDialog({
    ...how,
    preview: async (values) => operationView(await send(values, { dry_run: "true" }), money),
    commit: (values) => send(values),
  });
  if (done === undefined) return false;
  toast(doneText(done));
  return true;
}

function doneText({ changed, effects, seq }) {
  if (changed === false) return "Nothing to change.";
  if (effects.some(({ type }) => type === "review_opened")) return "Set aside: it waits in the risk queue.";
  return `Done, seq ${whole(seq)}.`;
}

function amountField(page) {
  const { code, exponent } = page.currency;
  // Whoever counts in cents is told so, and sees in the preview what it comes to.
  const label = `Amount in ${exponent === 0 ? code : `units of ${page.money(1)}`}`;
  return field({ name: "amount", label, inputmode: "numeric", required: true });
}

function reasonField(more) {
  return field({ name: "reason", label: "Reason", hint: "No personal data: it is kept for ever.", maxlength: "128", ...more });
}

/** The digits that were typed. */
function typedWhole(text, what) {
  const typed = wholeTyped(text ?? "");
  if (typed === undefined) throw mistyped(`${what} is a whole number.`, "Type digits, as 50000.");
  return typed;
}

function mistyped(title, detail) {
  return new Problem(400, { code: "field_invalid", title, detail });
}

async function deposit(page, path, wallet, again) {
  const done = await operate(page, {
    path: `${path}/deposits`,
    title: `Deposit into wallet ${wallet}`,
    intro: "Money that came in from outside, such as by a bank transfer.",
    fields: [
      amountField(page),
      field({ name: "reference", label: "Reference", hint: "Such as the number of a bank transfer. No personal data.", maxlength: "128" }),
    ],
    body: ({ amount, reference }) => ({ amount: typedWhole(amount, "The amount"), reference }),
    submit: "Deposit",
  });
  if (done) again();
}

async function adjust(page, path, wallet, again) {
  const done = await operate(page, {
    path: `${path}/adjustments`,
    title: `Adjust wallet ${wallet}`,
    intro: "Puts a wallet right by hand. The house bears it.",
    fields: [
      field({
        name: "direction", label: "Direction", type: "select", options: [["credit", "Into the wallet"], ["debit", "Out of the wallet"]],
      }),
      amountField(page),
      reasonField({ required: true }),
    ],
    body: ({ direction, amount, reason }) => ({ direction, amount: typedWhole(amount, "The amount"), reason }),
    submit: "Adjust",
  });
  if (done) again();
}

async function setStatus(page, path, wallet, status, again) {
  const isFreeze = status === "frozen";
  const done = await operate(page, {
    path,
    method: "PATCH",
    title: isFreeze ? `Freeze wallet ${wallet}` : `Make wallet ${wallet} active again`,
    intro: isFreeze
      ? "A frozen wallet takes no debit and no credit: a purchase that would pay into it is refused."
      : "The wallet takes debits and credits again.",
    body: () => ({ status }),
    submit: isFreeze ? "Freeze" : "Make active",
    danger: isFreeze,
  });
  if (done) again();
}

async function moveTier(page, path, program, way, again) {
  const isUp = way === "promote";
  const done = await operate(page, {
    path: `${path}/tiers/${encodeURIComponent(program)}/${way}`,
    title: `${words(way)} in ${program}`,
    intro: `One level ${isUp ? "up" : "down"}. It holds until the customer's own purchases lead to another level.`,
    submit: words(way),
  });
  if (done) again();
}

async function eraseCustomer(page, path, [customer, { data: wallets }, , { data: holds }]) {
  const money = page.money.bind(page);
  const left = [
    ...wallets.filter(({ balance }) => big(balance) !== 0n).map(({ wallet, balance }) => `${money(balance)} in wallet ${wallet}`),
    ...customer.points.filter(({ balance }) => big(balance) > 0n).map(({ kind, balance }) => pointsText(balance, kind)),
    ...holds.map(({ hold, amount }) => `${money(amount)} on hold (hold ${whole(hold)})`),
  ];
  const done = await operate(page, {
    path: `${path}/erase`,
    title: `Erase ${nameOf(customer)}`,
    intro: [
      "The name of the customer and of the wallets, and the accounts to log in with, are removed for ever. ",
      "What happened stays in the ledger, by an id that nothing leads to but the same e-mail address or ref.",
      left.length > 0 && ` Pay out, void holds and close wallets before: there are ${left.join(", ")}.`,
    ],
    fields: reasonField({ required: true }),
    body: ({ reason }) => ({ reason }),
    submit: "Erase for ever",
    danger: true,
  });
  // Nothing of the name is to be left on the screen: it is opened anew.
  if (done) dispatchEvent(new HashChangeEvent("hashchange"));
}

// One operation.

async function showOperation(page, seq) {
  const result = await page.get(`/v1/operations/${encodeURIComponent(seq)}`);
  const customer = await page.get(`/v1/customers/${result.customer}`);
  const { type, ...asked } = result.operation;
  const by = h("span", {}, result.by);
  const facts = [
    ...Object.entries(asked).map(([name, value]) => [words(name), askedView(page, customer.id, name, value)]),
    ["By", by],
    ["Received", dateTime(result.received_at)],
    ["Rules", `version ${whole(result.catalogue_version)}`],
  ];
  page.show({
    title: `${operationName(type)}, seq ${whole(result.seq)}`,
    intro: ["Of customer ", link("customers", customer.id, nameOf(customer))],
  }, columns(panel("What was asked", {}, pairs(facts)), panel("What it did", {}, operationView(result, page.money.bind(page)))));
  if (UUID.test(result.by)) {
    // Whose account is gone by now stays an id.
    const account = await page.api.get(`/v1/accounts/${result.by}`, {}, page.signal).catch(() => undefined);
    if (account !== undefined) fill(by, `${account.username} (${account.role})`);
  }
}

/** What was asked of an operation, field by field. */
function askedView(page, customer, name, value) {
  if (name === "amount") return page.money(value);
  if (name === "purchase") return h("a", { href: addressOf("customers", customer, { purchase: value }) }, value);
  if (name === "to") return link("customers", value, value);
  if (name === "lines") return plainList(value.map((line) => `${line.product}: ${whole(line.quantity)} for ${page.money(line.amount)}`));
  if (name === "operation") return h("a", { href: addressOf("customers", customer, { operation: value }) }, whole(value));
  return String(value);
}

/** Names and values beneath each other. */
function pairs(rows) {
  return table({
    caption: "Details",
    columns: [{ title: "What", tight: true, value: ([name]) => name }, { title: "Value", value: ([, value]) => value }],
    rows,
  });
}

// One purchase.

async function showPurchase(page, id) {
  const path = `/v1/purchases/${encodeURIComponent(id)}`;
  const purchase = await page.get(path);
  const customer = await page.get(`/v1/customers/${purchase.customer}`);
  const [trouble, actions, body, why] = [h("div"), h("div"), h("div"), h("div")];
  const back = addressOf("customers", customer.id);
  page.show({
    title: `Purchase ${purchase.origin_id}`,
    intro: ["Of customer ", h("a", { href: back }, nameOf(customer)), `, sent by ${purchase.partner}, `, h("code", {}, purchase.id)],
    actions,
  }, trouble, body, panel("Why this, and why not more", {
    note: `What each rule of version ${whole(purchase.catalogue_version)} said to the purchase, with the numbers that it saw then.`,
  }, why));
  const draw = (seen) => {
    const remaining = seen.refunds?.remaining ?? seen.amount;
    renew(actions, big(remaining) > 0n && button("Refund", () => refund(page, seen, remaining, again), { kind: "danger" }));
    renew(body, purchaseView(page, seen));
  };
  const again = coalesced(page, trouble, async () => draw(await page.get(path)));
  draw(purchase);
  page.on(["purchase.refunded"], ({ data }) => {
    if (data.purchase === id) again();
  });
  await page.load(why, () => page.get(`${path}/explain`), (said) => explanationView(page, said));
}

function purchaseView(page, purchase) {
  const money = page.money.bind(page);
  const { refunds } = purchase;
  const points = new Map();
  for (const { kind, points: own } of purchase.effects) if (kind !== undefined) points.set(kind, big(points.get(kind)) + big(own));
  const tiers = purchase.tiers.map(({ program, after }) => `${program}: ${placeText(page, after)}`);
  const [promos, milestones] = [money(purchase.point_transaction), money(purchase.point_loyalty)];
  return [
    figures(
      figure("Amount", money(purchase.amount), `${pieceCount(purchase.quantity)}, ${dateTime(purchase.at)}`),
      figure("Cashback", money(purchase.point_total), `promos ${promos}, milestones ${milestones}`),
      [...points].map(([kind, own]) => figure(`${words(kind)} points`, whole(own))),
      refunds && figure("Refunded", money(refunds.refunded), `${money(refunds.remaining)} remain`)),
    columns(
      panel("What it did", {}, earnedView(purchase, money)),
      panel("Afterwards", {}, balancesView(purchase, money), plainList(tiers))),
    refunds && panel("Refunds", {},
      table({
        caption: "Refunds of the purchase",
        columns: [
          { title: "When", value: ({ at }) => dateTime(at) },
          { title: "Refund", value: ({ refund_id }) => h("code", {}, refund_id) },
          { title: "Amount", numeric: true, value: ({ amount }) => money(amount) },
        ],
        rows: refunds.refunds,
      }),
      h("h3", {}, "Taken back so far"),
      refunds.clawed_back.length + refunds.unit_returned === 0 ? h("p", {}, "Nothing: what remains earns as much.") : plainList([
        ...refunds.clawed_back.map((back) => backText(back, money)),
        refunds.unit_returned && "The promo has a unit of its quota back",
      ].filter(Boolean))),
  ];
}

// A refund.

async function refund(page, purchase, remaining, again) {
  const refundId = crypto.randomUUID();
  const { partner, origin_id } = purchase;
  const ask = (what, query) => page.api.send("POST", "/v1/refunds", { partner, origin_id, refund_id: refundId, ...what }, { query });
  const part = h("div", { hidden: true });
  let lines = [];
  const choices = [["all", `All that remains: ${page.money(remaining)}`], ["part", "A part of it"]];
  const of = field({ name: "of", label: "What comes back", type: "select", options: choices });
  of.control.addEventListener("change", () => {
    part.hidden = of.control.value === "all";
  });
  // A purchase does not tell its lines; what a refund of all that remains would take back does.
  page.load(part, () => ask({ amount: remaining }, { dry_run: "true" }), ({ effects }) => {
    lines = (effects.find(({ type }) => type === "refund")?.lines ?? []).filter(({ amount }) => big(amount) > 0n);
    return lines.length === 0 ? amountField(page) : linesFields(page, lines);
  });
  const wanted = ({ reason, ...values }) => {
    if (values.of === "all") return { amount: remaining, reason };
    if (lines.length === 0) return { amount: typedWhole(values.amount, "The amount"), reason };
    return { lines: typedLines(lines, values), reason };
  };
  const done = await changeDialog({
    title: "Refund",
    intro: "What the purchase had earned is taken back, less what the rest of it earns. A refund is not undone.",
    fields: [of, part, reasonField()],
    preview: async (values) => operationView(await ask(wanted(values), { dry_run: "true" }), page.money.bind(page)),
    commit: (values) => ask(wanted(values)),
    submit: "Refund",
    danger: true,
  });
  if (done === undefined) return;
  toast(`Refunded, seq ${whole(done.seq)}.`);
  again();
}

/** Pieces and amount of each line that may come back. */
function linesFields(page, lines) {
  const input = (index, what, product) =>
    h("input", { name: `${what}-${index}`, inputmode: "numeric", autocomplete: "off", "aria-label": `${words(what)} of ${product}` });
  return table({
    caption: "Lines of the purchase",
    columns: [
      { title: "Product", value: ({ product }) => product },
      { title: "Remains", value: ({ quantity, amount }) => `${whole(quantity)} for ${page.money(amount)}` },
      { title: "Pieces", value: ({ pieces }) => pieces },
      { title: "Amount", value: ({ back }) => back },
    ],
    rows: lines.map(({ product, quantity, amount }, index) => {
      const [pieces, back] = [input(index, "pieces", product), input(index, "amount", product)];
      pieces.addEventListener("input", () => {
        const typed = wholeTyped(pieces.value);
        // What so many pieces of the line cost, rounded down; it may be changed.
        if (typed !== undefined && big(quantity) > 0n) back.value = String((big(amount) * big(typed)) / big(quantity));
      });
      return { product, quantity, amount, pieces, back };
    }),
  });
}

/** The lines of which something was typed. */
function typedLines(lines, values) {
  const typed = lines.flatMap(({ product }, index) => {
    const [pieces, amount] = [values[`pieces-${index}`], values[`amount-${index}`]];
    if (pieces === undefined && amount === undefined) return [];
    const quantity = typedWhole(pieces ?? "0", `The number of pieces of ${product}`);
    return [{ product, quantity, amount: typedWhole(amount, `The amount of ${product}`) }];
  });
  if (typed.length === 0) throw mistyped("Nothing comes back yet.", "Type pieces and amount of a line.");
  return typed;
}

// Why a purchase got what it got.

function explanationView(page, said) {
  const result = (paid) => (paid ? badge(`paid ${paid}`, "good") : badge("paid nothing"));
  const row = (kind, name, state, why) => ({ kind, name, state, why });
  const rows = [
    ...said.promos.map((own) => row("Promo", own.code, result(own.reason === null && page.money(own.points)), promoWhy(page, said, own))),
    ...said.tiers.map((own) => row("Tier programme", own.step.program, tierState(page, own), tierWhy(page, own))),
    ...said.cashback_rules.map((own) =>
      row("Cashback rule", own.name, result(own.reason === null && pointsText(own.points, own.kind)), cashbackWhy(page, own))),
    ...said.campaigns.map((own) => {
      const state = isNearer(own) ? badge("came nearer", "good") : result(own.completed && rewardsText(page, own));
      return row("Campaign", own.name, state, campaignWhy(page, own));
    }),
    ...said.risk_rules.map((own) => row("Risk rule", own.definition.name, riskState(own), riskWhy(page, own))),
  ];
  return table({
    caption: "What each rule said",
    columns: [
      { title: "Rule", value: ({ kind, name }) => h("div", {}, h("strong", {}, name), h("div", { class: "quiet" }, kind)) },
      { title: "Result", value: ({ state }) => state },
      { title: "Why", value: ({ why }) => h("div", {}, why) },
    ],
    rows,
    empty: "The rules of that version had nothing that looks at purchases.",
  });
}

function promoWhy(page, { promo_code, amount, quantity, at }, promo) {
  const share = promo.band && `${promo.band.percent}% of ${page.money(amount)}`;
  switch (promo.reason) {
    case null:
      return `${share}, by its band for ${bandText(page, promo.band)}. ${quotaText(promo)}`;
    case "not_named":
      return promo_code === null ? "The purchase named no promo." : `The purchase named another code, ${promo_code}.`;
    case "outside_period":
      return `It ran from ${dateTime(promo.starts_at)} to ${dateTime(promo.ends_at)}; the purchase was on ${dateTime(at)}.`;
    case "rounds_to_zero":
      return `${share} rounds to nothing.`;
    case "quota_exhausted":
      return `${quotaText(promo)} The purchase missed ${page.money(promo.points_missed)}, ${share}.`;
    case "no_band":
      return noBandWhy(page, promo.bands, quantity, amount);
    default:
      return words(promo.reason);
  }
}

function quotaText({ quota, used_before }) {
  return `It pays for ${whole(quota)} purchases, and had paid for ${whole(used_before)} before.`;
}

/** What a purchase lacked for the nearest band. */
function noBandWhy(page, bands, quantity, amount) {
  const fits = bands.filter((band) => (band.or_more ? band.quantity <= quantity : band.quantity === quantity));
  const said = `No band is for ${pieceCount(quantity)} and ${page.money(amount)}.`;
  if (fits.length === 0) return `${said} It has bands for ${bands.map((band) => bandText(page, band)).join("; ")}.`;
  const [above] = fits.filter((band) => big(amount) < big(band.amount_min))
    .sort((one, other) => Number(big(one.amount_min) - big(other.amount_min)));
  if (above === undefined) return `${said} For so many pieces: ${fits.map((band) => bandText(page, band)).join("; ")}.`;
  const missing = page.money(big(above.amount_min) - big(amount));
  return `${said} Its band for ${bandText(page, above)} pays ${above.percent}%: ${missing} were missing.`;
}

/** "3 pieces or more, from Rp 1.500.000 to below Rp 2.000.000". */
function bandText(page, { quantity, or_more, amount_min, amount_end }) {
  const end = amount_end === undefined ? "" : ` to below ${page.money(amount_end)}`;
  return `${pieceCount(quantity)}${or_more ? " or more" : ""}, from ${page.money(amount_min)}${end}`;
}

/** What a tier programme did: milestones that paid, or a level. */
function tierState(page, { step: { before, after, remark }, journey }) {
  const paid = (journey?.milestones ?? []).filter((own) => own.paid);
  if (paid.length > 0) return badge(`paid ${page.money(paid.reduce((sum, { points }) => sum + big(points), 0n))}`, "good");
  if (before === null) return badge(`begins on ${after.level}`, "good");
  if (before.level === after.level) return badge(`stays on ${after.level}`);
  return badge(`${before.level} to ${after.level}`, remark === "upgrade" ? "good" : "warn");
}

function tierWhy(page, { step, journey, next_level }) {
  const { before, after, remark } = step;
  const place = journey ? `Purchase ${whole(after.count)} of ${after.level}` : `Spent ${page.money(after.spent)} in all`;
  const said = [`${[place, remarkText(remark)].filter(Boolean).join(": ")}.`];
  if (next_level) {
    const [missing, from] = [page.money(next_level.missing), page.money(next_level.spent_min)];
    said.push(`${missing} are missing for ${next_level.level}, which begins at ${from}.`);
  }
  if (journey?.count_max) said.push(`${before.level} is full with ${purchaseCount(journey.count_max)}.`);
  if (Number.isInteger(journey?.gap_days)) {
    const [down, reset] = [whole(journey.downgrade_after_days), whole(journey.reset_after_days)];
    said.push(`Days since the last: ${whole(journey.gap_days)}; more than ${down} lead a level down, more than ${reset} to the lowest.`);
  }
  const milestone = (own) => `Milestone at purchase ${whole(own.at_count)}, ${page.money(own.points)}: ${milestoneWhy(own, after)}`;
  return [said.join(" "), plainList((journey?.milestones ?? []).map(milestone))];
}

function milestoneWhy({ paid, reason, at_count }, { count }) {
  if (paid) return "paid";
  if (reason === "first_transaction") return "not paid, a first purchase meets none";
  if (reason === "maximum") return "not paid, the highest level was full";
  return count < at_count ? `not yet, this is purchase ${whole(count)}` : `not now, this is purchase ${whole(count)}`;
}

function cashbackWhy(page, { reason, rate, bought, exact_share, products, partner, ends_at, kind }) {
  const share = `${percentText(rate)} of ${page.money(bought)}`;
  switch (reason) {
    case null:
      return `${share} spent on ${products.join(", ") || "all products"} is ${shareText(exact_share)}, to the nearest ${kind} point.`;
    case "inactive":
      return "It was switched off.";
    case "ended":
      return `It ended on ${dateTime(ends_at)}.`;
    case "other_partner":
      return `It is for purchases of ${partner}.`;
    case "nothing_bought":
      return `None of its products was bought: ${products.join(", ") || "any"}.`;
    case "rounds_to_zero":
      return `${share} is ${shareText(exact_share)}, which rounds to nothing.`;
    default:
      return words(reason);
  }
}

/** A share before it was rounded, which is a decimal text. */
function shareText(share) {
  const [units, decimals] = share.split(".");
  return decimals === undefined ? whole(units) : `${whole(units)}.${decimals}`;
}

/** A share as the rules write it, "0.025", in percent. */
function percentText(rate) {
  const digits = rate.split(".")[1].padEnd(2, "0");
  const rest = digits.slice(2).replace(/0+$/, "");
  return `${Number(digits.slice(0, 2))}${rest && `.${rest}`}%`;
}

/** Whether the purchase met, or moved, a part of a campaign that it did not complete. */
function isNearer({ completed, fulfillments }) {
  return !completed && fulfillments.some(({ reason }) => reason === null);
}

function rewardsText(page, { rewards }) {
  return rewards.map((own) => givenText(own, page.money.bind(page))).join(", ");
}

function campaignWhy(page, campaign) {
  const { reason, completions_before, completions_max, budget, fulfillments } = campaign;
  const pays = `It pays ${rewardsText(page, campaign)}.`;
  switch (reason) {
    case null:
      return `Completed for the ${ordinal(completions_before + 1)} time.`;
    case "not_started":
      return `It begins on ${dateTime(campaign.starts_at)}.`;
    case "ended":
      return `It ended on ${dateTime(campaign.ends_at)}.`;
    case "completions_used":
      return `The customer had completed it ${whole(completions_before)} of ${whole(completions_max)} times.`;
    case "budget_used":
      return `All customers together had completed it ${whole(budget)} times, as often as it pays.`;
    default:
      return [`Not all that it asks for is met. ${pays}`, plainList(fulfillments.map((own) => fulfillmentWhy(page, own)))];
  }
}

function ordinal(count) {
  const tens = count % 100;
  const ending = tens >= 11 && tens <= 13 ? "th" : { 1: "st", 2: "nd", 3: "rd" }[count % 10] ?? "th";
  return `${whole(count)}${ending}`;
}

/** What a fulfillment lacked; whether it counts money or purchases is known by the rules that hold now. */
function fulfillmentWhy(page, { name, needed, so_far, met, reason, bought }) {
  const isTag = reason === "no_tag" || page.rules.catalogue.fulfillments?.some((own) => own.name === name && own.tag);
  const amount = (value) => (isTag ? whole(value) : page.money(value));
  if (met) return badge(`${name}: ${reason === "met_before" ? "met before" : "met"}`, "good");
  const so = `${amount(so_far)} of ${amount(needed)}`;
  const why = {
    not_bought: "not bought",
    below_minimum: `${page.money(bought)} bought, ${page.money(needed)} needed at once`,
    no_tag: `${so}, the purchase has not the tag`,
    gone: "gone from the rules",
  }[reason];
  return badge(`${name}: ${why ?? so}`);
}

function riskState({ strikes }) {
  if (strikes === null) return badge("not told");
  return strikes ? badge("struck", "warn") : badge("let be", "good");
}

function riskWhy(page, { found, definition: { amount_above, count_above, sum_above, within_seconds, per, action } }) {
  const [bound, show] = count_above === undefined ? [amount_above ?? sum_above, (value) => page.money(value)] : [count_above, whole];
  const window = within_seconds === undefined ? "" : ` within ${duration(within_seconds)}`;
  const acts = { flag: "It flags", block: "It blocks", review: "It sets aside" }[action] ?? "It strikes";
  const counted = per ? ` It counts those of a ${per}, of all customers, which is not told of one purchase.` : "";
  return `${acts} above ${show(bound)}${window}.${found === null ? counted : ` It found ${show(found)}.`}`;
}
