// Risk queue: operations that a rule set aside, to be released or rejected; what the risk rules said of every one; and what each rule does.

import { fill, h, setText } from "./dom.js";
import { big, counted, dateTime, duration, whole, words } from "./format.js";
import { badge, figure, figures, pagedTable, panel, rowActions, rowButton, settle, table } from "./ui.js";
import { field, lineForm, reasonField, typedReason } from "./forms.js";
import { customerLink, invoiceLink, whoAsked } from "./links.js";
import { operate } from "./operate.js";

/** How often it is said anew how long something has waited. */
const WAIT_MS = 5_000;
const LINES = 20;
/** How many of those that wait are counted and summed: the API tells of no count. */
const COUNTED = 200;

const VERDICTS = { suspicious: "Flagged", blocked: "Blocked", in_review: "Set aside", safe: "Safe" };
const VERDICT_KINDS = { suspicious: "warn", blocked: "bad", in_review: "warn", safe: "good" };
const ACTIONS = { flag: "Flags it, and lets it be", block: "Refuses it", review: "Sets it aside for an operator" };
/** What a rule looks at that names nothing. */
const ALL_BUT_PURCHASES = ["deposit", "hold", "transfer", "payment"];
const OR = new Intl.ListFormat("en-GB", { type: "disjunction" });

export const risk = { name: "risk", title: "Risk queue", open };

async function open(page) {
  const top = h("div");
  const rules = h("div");
  const changed = () => Promise.all([count(), reviews.refresh(), checks.list.refresh()]);
  const reviews = reviewsList(page, changed);
  const checks = checksList(page, changed);
  page.show({ intro: "What a risk rule set aside waits here until an operator releases or rejects it." },
    top,
    panel("Set aside", { note: "The one that waits longest first. Nothing has moved; what is released is done as if asked now." }, reviews),
    panel("Checks", { note: "What the rules said, the newest first. What is archived stays in the log." }, checks.form, checks.list),
    panel("What each rule does", { note: "Of those that strike, the first that refuses decides, else the first that sets aside." }, rules));

  const count = (how) => settle(top, async () => {
    fill(top, figuresOf(page, await page.get("/v1/reviews", { limit: COUNTED })));
  }, how);
  fill(rules, rulesTable(page, page.rules));
  page.on(["review.*"], page.soon(() => Promise.all([count({ keep: true }), reviews.refresh()])));
  const checksSoon = page.soon(() => checks.list.refresh());
  page.on(["risk.checked", "review.opened", "operation.*", "purchase.rejected"], (event) => checks.isAbout(event) && checksSoon());
  page.on(["catalogue.applied"], page.soon(() => page.load(rules, () => page.get("/v1/catalogue"), (now) => rulesTable(page, now))));
  page.tick(WAIT_MS, () => sayWaits(page));
  await count();
}

function figuresOf(page, { data, next_cursor: more }) {
  const atLeast = more === null ? "" : " or more";
  const amount = data.reduce((sum, { operation }) => sum + big(operation.amount), 0n);
  const [oldest] = data;
  return figures(
    figure("Set aside", `${whole(data.length)}${atLeast}`, oldest ? "wait to be released or rejected" : "nothing waits for you"),
    figure("Amount that waits", `${page.money(amount)}${atLeast}`),
    figure("Waiting longest", oldest && waitOf(oldest), oldest && `since ${dateTime(oldest.received_at)}`));
}

/** How long something has waited, which goes on being said. */
function waitOf({ received_at: since }) {
  return h("time", { datetime: since, title: dateTime(since), "data-since": since }, waited(since));
}

function waited(since) {
  return duration(Math.max(0, (Date.now() - Date.parse(since)) / 1_000));
}

function sayWaits(page) {
  for (const node of page.main.querySelectorAll("[data-since]")) setText(node, waited(node.dataset.since));
}

function reviewsList(page, changed) {
  return pagedTable({
    load: (cursor) => page.get("/v1/reviews", { limit: LINES, cursor }),
    caption: "Operations that are set aside",
    columns: [
      { title: "Seq", numeric: true, value: (review) => whole(review.review) },
      { title: "Waiting", tight: true, value: waitOf },
      { title: "Customer", tight: true, value: (review) => customerLink(review.customer) },
      { title: "What was asked", value: (review) => askedOf(page, review.operation) },
      { title: "By", tight: true, value: (review) => whoAsked(page, review.by) },
      { title: "Caught by", value: (review) => caughtBy(page, review.rule) },
      {
        title: "Decide",
        tight: true,
        value: (review) => rowActions(
          rowButton("Release", `Release review ${review.review}`, () => releaseDialog(page, review, changed)),
          rowButton("Reject", `Reject review ${review.review}`, () => rejectDialog(page, review, changed))),
      },
    ],
    empty: "Nothing waits. What a rule sets aside appears here at once.",
  });
}

/** What was asked, in words: only what moves money is ever set aside. */
function askedOf(page, operation) {
  const { type, wallet, reference } = operation;
  const amount = page.money(operation.amount);
  const said = {
    deposit: () => `Deposit of ${amount} into wallet ${wallet}`,
    place_hold: () => `Hold of ${amount} on wallet ${wallet}`,
    transfer: () => [`Transfer of ${amount} from wallet ${wallet} to `, customerLink(operation.to), `, wallet ${operation.to_wallet}`],
    pay_invoice: () => [`Payment of ${amount} out of wallet ${wallet} for `, invoiceLink(operation.va_number)],
  }[type]?.() ?? `${words(type)} of ${amount}`;
  return h("span", {}, said, reference && h("span", { class: "quiet" }, `, ${reference}`));
}

/** The rule by its name, and what it strikes at. */
function caughtBy(page, name) {
  if (name === null) return undefined;
  const rule = page.rules.catalogue.risk_rules?.find((own) => own.name === name);
  return h("div", {}, name, h("div", { class: "quiet" }, rule === undefined ? "Not among the present rules" : strikesAt(page, rule)));
}

async function releaseDialog(page, review, changed) {
  const done = await operate(page, {
    path: `/v1/reviews/${review.review}/release`,
    title: `Release review ${whole(review.review)}`,
    intro: ["It is done as if it were asked now: ", askedOf(page, review.operation), "."],
    body: () => ({}),
    submit: "Release it",
    said: `Review ${whole(review.review)} is released`,
  });
  if (done) await changed();
}

async function rejectDialog(page, review, changed) {
  const done = await operate(page, {
    path: `/v1/reviews/${review.review}/reject`,
    title: `Reject review ${whole(review.review)}`,
    intro: ["Whoever asked is told that it is rejected: ", askedOf(page, review.operation), "."],
    fields: reasonField({ required: true }),
    body: (values) => ({ reason: typedReason(values) }),
    submit: "Reject it",
    said: `Review ${whole(review.review)} is rejected`,
    danger: true,
  });
  if (done) await changed();
}

function checksList(page, changed) {
  const asked = { verdict: page.query.get("verdict") ?? "suspicious" };
  const verdicts = [["", "All"], ...Object.entries(VERDICTS)];
  const verdict = field({ name: "verdict", label: "Verdict", type: "select", options: verdicts, value: asked.verdict });
  const archived = field({ name: "archived", label: "Archived", type: "select", options: [["", "Left out"], ["true", "Shown too"]] });
  const list = pagedTable({
    load: (cursor) => page.get("/v1/risk-checks", { ...asked, limit: LINES, cursor }),
    caption: "Checks of risk rules",
    columns: [
      { title: "Seq", numeric: true, value: (check) => whole(check.seq) },
      { title: "When", value: (check) => dateTime(check.received_at) },
      { title: "Customer", tight: true, value: (check) => customerLink(check.customer) },
      { title: "Looked at", tight: true, value: (check) => words(check.operation) },
      { title: "Amount", numeric: true, value: (check) => page.money(check.amount) },
      { title: "Verdict", tight: true, value: (check) => badge(VERDICTS[check.verdict], VERDICT_KINDS[check.verdict]) },
      { title: "Caught by", value: (check) => caughtBy(page, check.rule) },
      {
        title: "Archive",
        tight: true,
        value: (check) => (check.archived ? badge("Archived") : archiveButton(page, check, changed)),
      },
    ],
    empty: "No such check. Choose another verdict, or have those shown too that are archived.",
  });
  const show = (values) => {
    Object.assign(asked, { verdict: undefined, archived: undefined, ...values });
    return list.reload();
  };
  const form = lineForm({ label: "Which checks", fields: [verdict, archived], submit: "Show", onsubmit: show });
  for (const { control } of [verdict, archived]) control.addEventListener("change", () => form.requestSubmit());
  const isAbout = (event) => {
    const told = verdictToldBy(event);
    return told !== undefined && (!asked.verdict || told === "any" || told === asked.verdict);
  };
  return { form, list, isAbout };
}

function archiveButton(page, check, changed) {
  return rowActions(rowButton("Archive", `Archive check ${check.seq}`, () => archiveDialog(page, check, changed)));
}

async function archiveDialog(page, check, changed) {
  const done = await operate(page, {
    path: `/v1/risk-checks/${check.seq}/archive`,
    title: `Archive check ${whole(check.seq)}`,
    intro: `${words(check.operation)} of ${page.money(check.amount)}. Archive what nobody has to look at any more.`,
    body: () => ({}),
    submit: "Archive the check",
    said: `Check ${whole(check.seq)} is archived`,
  });
  if (done) await changed();
}

/** The verdict that an event tells of; undefined for one that tells of no check. */
function verdictToldBy({ type, data }) {
  if (type === "risk.checked") return data.verdict;
  if (type === "review.opened") return "in_review";
  if (type === "operation.accepted") return data.operation.type === "archive_risk_check" ? "any" : undefined;
  return data.code === "risk_blocked" ? "blocked" : undefined;
}

function rulesTable(page, { catalogue }) {
  return table({
    caption: "Risk rules",
    columns: [
      { title: "Rule", value: (rule) => rule.name },
      { title: "Looks at", value: (rule) => words(OR.format(looksAt(rule))) },
      { title: "Strikes at", value: (rule) => strikesAt(page, rule) },
      { title: "Then", value: (rule) => ACTIONS[rule.action] },
    ],
    rows: catalogue.risk_rules ?? [],
    empty: "No risk rule: nothing is looked at. They stand in the catalogue as [[risk_rules]]: kembali apply rules.toml.",
  });
}

function looksAt({ operations = [] }) {
  return operations.length === 0 ? ALL_BUT_PURCHASES : operations;
}

/** What makes a rule strike, in words. What is looked at counts. */
function strikesAt(page, rule) {
  const { amount_above: amount, sum_above: sum, count_above: count, within_seconds: seconds, per = "customer" } = rule;
  if (amount !== undefined) return `More than ${page.money(amount)}`;
  const kinds = OR.format(looksAt(rule).map((kind) => `${kind}s`));
  const much = count === undefined ? `${page.money(sum)} of ${kinds}` : `${whole(count)} ${kinds}`;
  return `More than ${much} within ${span(seconds)}, of one ${per}`;
}

/** Seconds as whoever wrote the rule meant them: "7 days", "1 hour". */
function span(seconds) {
  const [unit, size] = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]].find(([, size]) => seconds % size === 0);
  return counted(seconds / size, unit);
}
