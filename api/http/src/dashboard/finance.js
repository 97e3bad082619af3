// Finance: what is owed to customers, rolled forward over a period, whether it ties, the accounts of the house, and what the rules cost.
// All of it is as of one position.

import { fill, h } from "./dom.js";
import { big, unitName, whole, words } from "./format.js";
import { Problem } from "./session.js";
import { badge, button, emptiness, panel, save, settle, table } from "./ui.js";
import { field, lineForm } from "./forms.js";
import { dayAfter, dayIn, midnightOf } from "./zones.js";

/** What came to what was owed, and what went from it, as the API names it. */
const CAME = ["earned", "exchanged", "deposited", "adjusted"];
const WENT = ["clawed_back", "spent", "expired", "in_transit"];
/** What each line is, for whoever does not know the word. */
const SAID = {
  opening: "owed when the period begins",
  earned: "granted by rules",
  exchanged: "given for points",
  deposited: "brought from outside",
  adjusted: "given by hand, less what was taken",
  clawed_back: "taken back of what rules had granted",
  spent: "spent, less what was given back",
  expired: "points whose time was over",
  in_transit: "on its way between wallets",
  closing: "owed when the period ends",
};
/** The accounts of customers: what the house owes. All others are its own. */
const OWED = ["wallets", "points"];

export const finance = { name: "finance", title: "Finance", open };

async function open(page) {
  const body = h("div");
  let period = {};
  const read = () => page.load(body, () => readReport(page, period), (answer) => reportView(page, answer));
  const show = (next) => {
    period = next;
    return read();
  };
  page.show({ intro: "What is owed to customers, what came and went, and what the rules cost.", actions: button("Read again", read) },
    periodPanel(page, show), body);
  await read();
}

/** The days of a period, and quick choices. Days are whole, both included, and the tenant's. */
function periodPanel(page, show) {
  const zone = page.tenant.timezone;
  const from = field({ name: "from", label: "From", type: "date" });
  const to = field({ name: "to", label: "To", type: "date" });
  const form = lineForm({ label: "Period", fields: [from, to], submit: "Show", onsubmit: (days) => show(boundsOf(days, zone)) });
  const choose = (first) => {
    [from.control.value, to.control.value] = [first, ""];
    form.requestSubmit();
  };
  const choice = (text, first) => {
    const node = h("button", { type: "button" }, text);
    node.addEventListener("click", () => choose(first(dayIn(zone))));
    return node;
  };
  return panel("Period", {
    note: `Whole days of ${zone}, by when the ledger received things. No first day means since the beginning, no last one until now.`,
    actions: [
      choice("Today", (today) => today),
      choice("This month", (today) => `${today.slice(0, 8)}01`),
      choice("Since the start", () => ""),
    ],
  }, form);
}

/**
 * The bounds of a report over whole days: behind the last instant before the first day, and with the last instant of the last one. A last
 * day that is not over is left open.
 */
function boundsOf({ from, to }, zone) {
  if (from !== undefined && to !== undefined && to < from) {
    throw new Problem(400, { code: "query_invalid", title: "The period ends before it begins.", detail: "Choose a later last day." });
  }
  return {
    from: from && lastBefore(from, zone),
    to: to && to < dayIn(zone) ? lastBefore(dayAfter(to), zone) : undefined,
  };
}

/** The last instant before a day begins. The ledger's stamps have microseconds. */
function lastBefore(day, zone) {
  return new Date(midnightOf(day, zone) - 1).toISOString().replace("999Z", "999999Z");
}

/** Reads the report and, at the position where it ends, what it is checked against; undefined where the tenant was not there yet. */
async function readReport(page, period) {
  let report;
  try {
    report = await page.get("/v1/reports/liability", period);
  } catch (error) {
    if (error instanceof Problem && error.code === "tenant_not_found") return undefined;
    throw error;
  }
  const at = report.to;
  const [balance, costs] = await Promise.all([page.get("/v1/trial-balance", { at }), page.get("/v1/reports/costs", { at })]);
  return { report, balance, costs };
}

function reportView(page, answer) {
  if (answer === undefined) return emptiness("The tenant was not there yet when the period ended. Choose a later last day.");
  const { report, balance, costs } = answer;
  const { from, to } = report;
  const trouble = h("div");
  const csv = (text, name, path, query) => button(text, () => settle(trouble, async () => {
    save(`${page.tenant.slug}-${name}.csv`, await page.api.text(path, query, "text/csv"), "text/csv");
    fill(trouble);
  }));
  return [
    trouble,
    panel("Liability, rolled forward", {
      note: `${from === 0 ? "From the first record" : `From seq ${whole(from)}`} to seq ${whole(to)}.`,
      actions: csv("Save the roll-forward as CSV", `liability-${from}-${to}`, "/v1/reports/liability", { from, to }),
    }, rollForward(page, report)),
    panel("Whether it ties", { note: "Reckoned here from the lines above and the accounts below." }, checksTable(page, report, balance)),
    panel("Accounts", { note: "What was booked in the period, and what stands in the end. All but those of customers are the house's." },
      accountsTable(page, report, balance)),
    panel("Costs by rule", {
      note: `From the first record to seq ${whole(to)}. Kinds overlap: what a partner's promos cost is told of both.`,
      actions: csv("Save the costs as CSV", `costs-${to}`, "/v1/reports/costs", { at: to }),
    }, costsTable(page, costs)),
  ];
}

/** One line for each step of the roll-forward, and a column for each unit. */
function rollForward(page, { data }) {
  const lines = ["opening", ...CAME, ...WENT, "closing"];
  const sign = (name) => (CAME.includes(name) ? "+ " : WENT.includes(name) ? "− " : "");
  const strong = (name, text) => (name === "opening" || name === "closing" ? h("strong", {}, text) : text);
  const cellOf = (own) => (name) => strong(name, page.amount(own[name], own.unit));
  return table({
    caption: "Liability by unit",
    columns: [
      { title: "Line", tight: true, value: (name) => strong(name, `${sign(name)}${words(name)}`) },
      { title: "What it is", value: (name) => SAID[name] },
      ...data.map((own) => ({ title: unitName(own.unit), numeric: true, value: cellOf(own) })),
    ],
    rows: data.length === 0 ? [] : lines,
    empty: "Nothing was owed to anybody until then. Purchases that earn something appear here.",
  });
}

/** For each unit: does the roll-forward come to the closing balance, is that what customers' accounts hold, and do the books balance? */
function checksTable(page, { data }, { accounts }) {
  const rows = data.map((own) => {
    const ofUnit = accounts.filter(({ unit }) => unit === own.unit);
    return {
      unit: own.unit,
      reckoned: big(own.opening) + sum(CAME, (name) => own[name]) - sum(WENT, (name) => own[name]),
      closing: big(own.closing),
      held: sum(ofUnit.filter(isOwed), ({ credit }) => credit) - sum(ofUnit.filter(isOwed), ({ debit }) => debit),
      difference: sum(ofUnit, ({ debit }) => debit) - sum(ofUnit, ({ credit }) => credit),
    };
  });
  const number = (title, name) => ({ title, numeric: true, value: (row) => page.amount(row[name], row.unit) });
  return table({
    caption: "Whether the report ties",
    columns: [
      { title: "Unit", tight: true, value: ({ unit }) => unitName(unit) },
      number("Opening + came − went", "reckoned"),
      number("Closing", "closing"),
      number("Trial balance", "held"),
      number("Debits less credits", "difference"),
      { title: "Check", tight: true, value: (row) => (ties(row) ? badge("Ties", "good") : badge("Does not tie", "bad")) },
    ],
    rows,
    empty: "There is nothing to tie.",
  });
}

function ties({ reckoned, closing, held, difference }) {
  return reckoned === closing && closing === held && difference === 0n;
}

function isOwed({ account }) {
  return OWED.includes(account);
}

/** Every account at the end of the period; the turnover of the house's is what it gave to customers, and got from them. */
function accountsTable(page, { data }, { accounts }) {
  const turnovers = new Map(data.flatMap((own) => own.accounts.map((turnover) => [`${own.unit} ${turnover.account}`, turnover])));
  const turnoverOf = ({ unit, account }) => turnovers.get(`${unit} ${account}`);
  const number = (title, valueOf) => ({ title, numeric: true, value: (own) => amountUnlessZero(page, own.unit, valueOf(own)) });
  return table({
    caption: "Accounts at the end of the period",
    columns: [
      { title: "Account", value: accountName },
      { title: "Unit", tight: true, value: ({ unit }) => unitName(unit) },
      number("Debited in the period", (own) => turnoverOf(own)?.debit),
      number("Credited in the period", (own) => turnoverOf(own)?.credit),
      number("Debit balance", ({ debit }) => debit),
      number("Credit balance", ({ credit }) => credit),
    ],
    rows: accounts,
    empty: "Nothing was booked until then.",
  });
}

/** "promo_expense/grocer" is "Promo expense of grocer"; those of customers say so. */
function accountName({ account }) {
  if (isOwed({ account })) return `${words(account)}, owed to customers`;
  const [name, partner] = account.split("/");
  return partner === undefined ? words(name) : `${words(name)} of ${partner}`;
}

function costsTable(page, { data }) {
  const strong = ({ of }, text) => (of === "total" ? h("strong", {}, text) : text);
  return table({
    caption: "What each rule has cost",
    columns: [
      { title: "Of", tight: true, value: (cost) => strong(cost, words(cost.of)) },
      { title: "Name", value: nameOfCost },
      { title: "Granted", numeric: true, value: ({ grants }) => whole(grants) },
      { title: "Unit", tight: true, value: ({ unit }) => unit && unitName(unit) },
      { title: "Cost", numeric: true, value: (cost) => strong(cost, page.amount(cost.cost, cost.unit)) },
    ],
    rows: data,
    empty: "No rule has cost anything until then.",
  });
}

function nameOfCost({ id, name }) {
  return name ?? (id === null ? undefined : `number ${id}, not among the present rules`);
}

function amountUnlessZero(page, unit, value) {
  return value === undefined || big(value) === 0n ? undefined : page.amount(value, unit);
}

function sum(items, valueOf) {
  return items.reduce((all, item) => all + big(valueOf(item)), 0n);
}
