// Customers: found by any id; one with wallets, points, tiers and all that happened; and changes of all this, which are looked at first.

import { fill, h } from "./dom.js";
import { NOTHING, big, dateTime, pointsText, whole, words } from "./format.js";
import { addressOf } from "./page.js";
import { Problem } from "./session.js";
import { badge, button, columns, emptiness, pagedTable, panel, plainList, renew, rowActions, rowButton, table } from "./ui.js";
import { amountField, field, lineForm, reasonField, typedWhole } from "./forms.js";
import { remarkText } from "./effects.js";
import { EXPIRING_DAYS, campaignsView, customerFigures, lotsView, placeText, standingView, walletText } from "./holdings.js";
import { customerLink, isUuid, nameOf, operationAddress, purchaseAddress, purchaseLink } from "./links.js";
import { operate } from "./operate.js";
import { showOperation, showPurchase } from "./purchase.js";
import { concerns, statementButton, timelineColumns, timelineOf, whenCell } from "./statement.js";

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
        { title: "Customer", value: (own) => customerLink(own.id, nameOf(own)) },
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
    isUuid(id) && (async () => await customer({ id }) ?? await purchaseHit(page, id)),
    // A ref may look like an e-mail address.
    !isUuid(id) && (async () => (id.includes("@") ? await customer({ email: id }) : undefined) ?? await customer({ ref: id })),
    seq !== undefined && (() => seqHit(page, seq)),
  ];
  const hits = await Promise.all(asked.filter(Boolean).map((ask) => ask()));
  return hits.filter((hit) => hit !== undefined);
}

async function purchaseHit(page, id) {
  const own = await known(page.api.get(`/v1/purchases/${id}`, {}, page.signal));
  return own && { text: `Purchase of ${page.money(own.amount)}`, address: purchaseAddress(own.customer, own.id) };
}

/** What stands at a position of the ledger, if it is about a customer. */
async function seqHit(page, seq) {
  if (big(seq) < 1n) return undefined;
  const answer = await known(page.api.get("/v1/events", { after: big(seq) - 1n, limit: 1 }, page.signal));
  const events = answer?.data.filter(({ sequence, data }) => big(sequence) === big(seq) && data.customer) ?? [];
  if (events.length === 0) return undefined;
  const { customer } = events[0].data;
  const [bought, done] = ["purchase.accepted", "operation.accepted"].map((type) => events.find((event) => event.type === type));
  if (bought) return { text: `Purchase of seq ${whole(seq)}`, address: purchaseAddress(customer, bought.data.id) };
  if (done) return { text: `Operation of seq ${whole(seq)}`, address: operationAddress(customer, seq) };
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
  const read = () => Promise.all([
    page.get(path, { expiring_within_days: EXPIRING_DAYS }),
    page.get(`${path}/wallets`),
    page.get(`${path}/tiers`, { limit: 1 }),
    page.get(`${path}/holds`),
  ]);
  let seen = await read();
  const names = ["trouble", "badges", "numbers", "wallets", "walletActions", "points", "tiers", "campaigns", "holds"];
  const parts = Object.fromEntries(names.map((name) => [name, h("div")]));
  const timeline = pagedTable({
    load: timelineOf(page, id),
    caption: "Purchases and operations",
    columns: timelineColumns(id, page.money),
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
  panel("What happened", { actions: statementButton(page, id, parts.trouble) }, timeline));

  const draw = () => {
    const [customer, { data: wallets }, { tiers }, { data: holds }] = seen;
    fill(parts.badges, badgesOf(page, customer, wallets));
    fill(parts.numbers, customerFigures(customer, wallets, page.money));
    renew(parts.wallets, walletsView(page, path, wallets, again));
    // Who has no wallet has no row with buttons either.
    renew(parts.walletActions, wallets.length === 0 && walletButtons(page, path, { wallet: 0, status: "active" }, again));
    fill(parts.points, lotsView(customer));
    renew(parts.tiers, tiersView(page, path, tiers, again));
    fill(parts.campaigns, campaignsView(customer, page.money, page.rules.catalogue));
    fill(parts.holds, holdsView(page, holds));
  };
  const again = page.soon(async () => {
    [seen] = await Promise.all([read(), timeline.refresh(), history.refresh()]);
    draw();
  }, { trouble: parts.trouble });
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
  const named = (text, work) => rowButton(text, `${text}: wallet ${wallet}`, work);
  return rowActions(
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
      { title: "Progress", value: (state) => standingView(state, programs, page.money) },
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
  const named = (text, way) => rowButton(text, `${text}: ${program}`, () => moveTier(page, path, program, way, again));
  return rowActions(isUp && named("Promote", "promote"), isDown && named("Demote", "demote"));
}

/** The steps in tier programmes, which are read once somebody asks for them. */
function tierHistory(page, path) {
  let list;
  const node = h("details", {}, h("summary", {}, "History of tiers"));
  node.addEventListener("toggle", () => {
    list = pagedTable({
      load: (cursor) => page.get(`${path}/tiers`, { cursor }),
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
    node.append(list);
  }, { once: true });
  return { node, refresh: async () => list?.refresh() };
}

function causeOfStep(page, purchase, { remark }) {
  const said = remarkText(remark);
  const bought = purchase && purchaseLink(page.path, purchase, "a purchase");
  return h("div", {}, bought, bought && said && ": ", said);
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
  const left = [
    ...wallets.filter(({ balance }) => big(balance) !== 0n).map(({ wallet, balance }) => `${page.money(balance)} in wallet ${wallet}`),
    ...customer.points.filter(({ balance }) => big(balance) > 0n).map(({ kind, balance }) => pointsText(balance, kind)),
    ...holds.map(({ hold, amount }) => `${page.money(amount)} on hold (hold ${whole(hold)})`),
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
