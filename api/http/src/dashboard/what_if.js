// What-if: recorded purchases decided again under other rules, beside what really happened; and making such rules the present ones.

import { fill, h, setText } from "./dom.js";
import { NOTHING, big, counted, dateTime, duration, isPoints, micros, percent, unitName, whole, wholeTyped, words } from "./format.js";
import { link } from "./page.js";
import { Problem } from "./session.js";
import { badge, button, columns, emptiness, figure, figures, panel, problemBox, table, toast } from "./ui.js";
import { changeDialog, field, lineForm } from "./forms.js";
import { bandText, changeView } from "./rules.js";

const LARGEST_DEFAULT = 10;
/** How often it is said how long a run takes. */
const TICK_MS = 500;

export const whatIf = { name: "what-if", title: "What-if", open };

async function open(page) {
  const body = h("div");
  page.show({ intro: "What recorded purchases would have come to under other rules. Asking changes nothing." }, body);
  await page.load(body, () => page.get("/v1/catalogue"), (rules) => desk(page, rules));
}

/** The rules to try, what to decide again, and what came of it. */
function desk(page, { catalogue, version }) {
  const editor = new Editor(page, { catalogue, version });
  const result = h("div");
  const form = lineForm({
    label: "What to decide again",
    fields: [
      field({ name: "from", label: "From, included", placeholder: "the first one" }),
      field({ name: "to", label: "To, included", placeholder: "the last one" }),
      field({ name: "top", label: "Largest differences to list", value: String(LARGEST_DEFAULT), inputmode: "numeric" }),
    ],
    submit: "Run",
    onsubmit: async (query) => {
      try {
        const report = await run(page, editor.text, query, result);
        fill(result, reportView(page, report));
      } catch (error) {
        fill(result, error.name === "AbortError"
          ? h("p", { role: "status" }, "The run was cancelled.")
          : [problemBox(error, () => form.requestSubmit()), editor.wayTo(error)]);
      }
    },
  });
  const note = "From and to are positions, or when the ledger received something, as 2017-03-01T00:00:00+07:00.";
  return [editor.node, panel("Purchases to decide again", { note }, form), result];
}

/** The text of the rules, with fields for what is changed most often. */
class Editor {
  #field = field({
    name: "rules", label: "The rules to try, as JSON. API keys have no place in them.",
    type: "textarea", rows: "24", wrap: "off", spellcheck: "false",
  });
  #quick = h("div");
  #stale = h("div");
  #promo = 0;

  constructor(page, rules) {
    this.page = page;
    this.#take(rules);
    this.#field.control.addEventListener("input", () => this.#drawQuick());
    page.on(["catalogue.applied"], ({ data }) => this.#drawStale(data.version));
    const actions = [
      button("Take the present rules", () => this.#reload()),
      page.session.isAdmin && button("Make these the rules", () => this.#makeRules()),
    ];
    this.node = columns(
      panel("Rules", { actions }, this.#stale, this.#field),
      panel("Promo", { note: "What is typed here is written into the rules, once it is a number." }, this.#quick));
  }

  get text() {
    return this.#field.control.value;
  }

  /** A way to the place in the text that an error names by line and column; nothing where it names none. */
  wayTo(error) {
    const [, line, column] = /at line (\d+) column (\d+)/.exec(error.detail ?? "") ?? [];
    if (line === undefined) return undefined;
    return h("p", {}, button(`Go to line ${line}, column ${column}`, () => {
      const { control } = this.#field;
      const lines = this.text.split("\n");
      const place = lines.slice(0, line - 1).reduce((all, { length }) => all + length + 1, 0) + Number(column);
      control.focus();
      control.setSelectionRange(Math.max(0, place - 1), place);
      // The selection is not brought into view by itself.
      control.scrollTop = ((line - 1) / lines.length) * control.scrollHeight - control.clientHeight / 2;
    }));
  }

  /** Begins again with the present rules. */
  #reload() {
    return this.page.load(this.#stale, () => this.page.get("/v1/catalogue"), (present) => this.#take(present));
  }

  #take({ catalogue, version }) {
    this.version = version;
    this.#field.control.value = pretty(catalogue);
    this.#field.control.scrollTop = 0;
    this.#drawStale(version);
    this.#drawQuick();
  }

  /** Says that other rules hold than those which this text began with. */
  #drawStale(present) {
    const isStale = this.version < present;
    const text = `Version ${present} of the rules holds now; this text began with version ${this.version}`;
    fill(this.#stale, isStale && h("p", { role: "status" }, badge(text, "warn")));
  }

  #drawQuick() {
    try {
      const { promos = [] } = JSON.parse(this.text);
      this.#promo = Math.max(0, Math.min(this.#promo, promos.length - 1));
      const choices = promos.map(({ code }, index) => [String(index), code]);
      const none = emptiness("There is no promo in these rules.");
      fill(this.#quick, promos.length === 0 ? none : this.#promoFields(choices, promos[this.#promo]));
    } catch {
      // Whoever is typing has not finished: what is wrong, and where, is said once it is run.
      fill(this.#quick, emptiness("The text is no JSON of rules at the moment. Once it is, these fields come back."));
    }
  }

  #promoFields(choices, { quota, bands = [] }) {
    const choice = field({ name: "promo", label: "Promo", type: "select", options: choices, value: String(this.#promo) });
    choice.control.addEventListener("change", () => {
      this.#promo = Number(choice.control.value);
      this.#drawQuick();
    });
    const input = (name, label, value, put) => {
      const node = field({ name, label, value: String(value), inputmode: "decimal" });
      node.control.addEventListener("input", () => this.#write(node.control, put));
      return node;
    };
    return [
      choice,
      input("quota", "Purchases that it may pay for", quota, (promo, typed) => {
        const units = wholeTyped(typed);
        if (units !== undefined) promo.quota = Number(units);
        return units !== undefined;
      }),
      bands.map((band, index) => input(`band-${index}`, `Percent for ${bandText(this.page, band)}`, band.percent, (promo, typed) => {
        const isShare = /^\d+(\.\d+)?$/.test(typed);
        if (isShare) promo.bands[index].percent = typed;
        return isShare;
      })),
    ];
  }

  /** Writes what was typed into the text; `put` tells whether it can be. */
  #write(control, put) {
    const rules = JSON.parse(this.text);
    const isFit = put(rules.promos[this.#promo], control.value.trim());
    control.setAttribute("aria-invalid", String(!isFit));
    if (isFit) this.#field.control.value = pretty(rules);
  }

  async #makeRules() {
    const { page, text, version } = this;
    const put = (rules, query) => page.api.send("PUT", "/v1/catalogue", rules, {
      query: { tenant: page.tenant.slug, expected_version: version, ...query },
    });
    const done = await changeDialog({
      title: "Make these the rules",
      intro: "They hold from the next purchase on. What is booked stays as it is.",
      fields: [],
      preview: async () => {
        const { catalogue } = await page.get("/v1/catalogue", { version });
        const [now, dry] = await Promise.all([put(catalogue, { dry_run: "true" }), put(text, { dry_run: "true" })]);
        return changeView(page, dry, now.warnings);
      },
      commit: () => put(text),
      submit: "Make these the rules",
    });
    if (done === undefined) return;
    toast(done.changed ? `Rules version ${done.version} holds, seq ${whole(done.seq)}.` : "Nothing to change.");
    await this.#reload();
  }
}

function pretty(rules) {
  return JSON.stringify(rules, null, 2);
}

/** Has the purchases decided again, tells in `node` how far that is, and returns the report. */
async function run(page, rules, query, node) {
  const cancelled = new AbortController();
  const bar = h("progress", { "aria-label": "How far the run is" });
  const said = h("p");
  const started = performance.now();
  let progress;
  const draw = () => {
    const seconds = duration((performance.now() - started) / 1_000);
    if (progress === undefined) return setText(said, `Waiting for the server, ${seconds} so far.`);
    const { reached, to, purchases } = progress;
    bar.max = to;
    bar.value = reached;
    const place = `Seq ${whole(reached)} of ${whole(to)} (${percent(reached, to)})`;
    return setText(said, `${place}, ${counted(purchases, "purchase")} decided again, ${seconds} so far.`);
  };
  draw();
  fill(node, panel("Deciding again", { actions: button("Cancel", () => cancelled.abort()) }, bar, said));
  const timer = setInterval(draw, TICK_MS);
  try {
    const signal = AbortSignal.any([page.signal, cancelled.signal]);
    const answer = await page.api.fetch("POST", "/v1/what-if", { query, body: rules, signal });
    for await (const line of linesOf(answer)) {
      if (line.report !== undefined) return line.report;
      progress = line.progress;
      draw();
    }
    throw brokenOff();
  } finally {
    clearInterval(timer);
  }
}

/** The values of an answer that has one a line. */
async function* linesOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : brokenOff();
    });
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}

function brokenOff() {
  return new Problem(0, {
    code: "unreachable",
    title: "The run was broken off.",
    detail: "The connection ended before the report came. Nothing was changed; it is safe to run it again.",
  });
}

function reportView(page, report) {
  page.asOf.set(report.to);
  return [
    summary(page, report),
    refusals(report),
    comparison("Sums", sumRows(page, report.sums), { folds: false }),
    comparison("Promos", report.promos.flatMap((promo) => promoRows(page, promo))),
    comparison("Cashback rules", report.cashback_rules.flatMap((rule) => ruleRows(page, rule))),
    comparison("Campaigns", report.campaigns.map(({ name, completions }) => numbers(`${name}: completions`, completions))),
    comparison("Rewards", report.rewards.flatMap((rule) => ruleRows(page, rule))),
    report.programs.map((program) => comparison(`Tiers of ${program.program}`, programRows(program))),
    comparison("Costs", report.costs.map((cost) => costRow(page, cost))),
    report.people.map((people) => peopleView(page, people)),
  ];
}

function summary(page, report) {
  const { from, to, elapsed_us: took, purchases_per_second: speed, left_out: left, same, sums } = report;
  const decided = `${counted(report.purchases, "purchase")} and ${counted(report.operations, "operation")}`;
  const total = (label, { before, after, difference }, format) => (
    figure(label, format(after), `was ${format(before)} (${signed(difference, format)})`));
  const leftOut = [
    ["refused purchases (what was bought is not kept)", left.refused_purchases],
    ["refused operations", left.refused_operations],
    ["changes of the rules (these hold instead)", left.catalogue_changes],
    ["other records", left.other_records],
  ].filter(([, count]) => count > 0).map(([what, count]) => `${what} ${whole(count)}`);
  return panel("What would be", {},
    h("p", { role: "status" },
      same && [badge("Nothing differs", "good"), " "],
      `${decided} were decided again, from seq ${whole(from)} to ${whole(to)}, in ${micros(took)}`,
      ` (${whole(speed)} purchases a second).`),
    leftOut.length > 0 && h("p", { class: "quiet" }, `Left out: ${leftOut.join(", ")}.`),
    figures(
      total("Cashback in all", sums.point_total, page.money),
      report.costs.filter(({ unit }) => isPoints(unit)).map(({ unit, sum }) => total(words(unitName(unit)), sum, whole)),
      total("Purchases paid by promos", summed(report.promos.map(({ granted }) => granted)), whole)));
}

function summed(list) {
  const sum = (name) => list.reduce((all, own) => all + big(own[name]), 0n);
  return { before: sum("before"), after: sum("after"), difference: sum("difference") };
}

function refusals({ refused, refused_operations: operations }) {
  const rows = [
    ...Object.entries(refused).map(([code, count]) => ({ what: "Purchases", code, count })),
    ...Object.entries(operations).map(([code, count]) => ({ what: "Operations", code, count })),
  ];
  if (rows.length === 0) return undefined;
  return panel("Refused under these rules", {}, table({
    caption: "Refused under these rules",
    columns: [
      { title: "Reason", value: ({ code }) => words(code) },
      { title: "What", value: ({ what }) => what },
      { title: "How many", numeric: true, value: ({ count }) => whole(count) },
    ],
    rows,
  }));
}

/** Lines of what was and what would be; where it `folds`, those that stay the same are out of the way. */
function comparison(title, rows, { folds = true } = {}) {
  if (rows.length === 0) return undefined;
  const list = (caption, own) => table({
    caption,
    columns: [
      { title: "Number", value: ({ name }) => name },
      { title: "Was", numeric: true, value: ({ was }) => was },
      { title: "Would be", numeric: true, value: ({ would }) => would },
      { title: "Difference", numeric: true, value: ({ difference }) => difference },
    ],
    rows: own,
    empty: "Nothing differs.",
  });
  const same = rows.filter(({ isSame }) => folds && isSame);
  return panel(title, {},
    list(`${title}, side by side`, rows.filter((row) => !same.includes(row))),
    same.length > 0 && h("details", {},
      h("summary", {}, `${whole(same.length)} that stay the same`),
      list(`${title}, what stays the same`, same)));
}

/** A line of a comparison. */
function numbers(name, { before, after, difference }, format = whole) {
  return { name, was: format(before), would: format(after), difference: signed(difference, format), isSame: big(difference) === 0n };
}

function signed(difference, format) {
  const value = big(difference);
  if (value === 0n) return format(value);
  return value < 0n ? `−${format(-value)}` : `+${format(value)}`;
}

function sumRows(page, sums) {
  const { money } = page;
  return [
    numbers("Purchases booked", sums.accepted),
    numbers("Amount of them", sums.amount, money),
    numbers("Cashback by promos", sums.point_transaction, money),
    numbers("Cashback by milestones", sums.point_loyalty, money),
    numbers("Cashback in all", sums.point_total, money),
    numbers("Points of rewards", sums.reward_points),
    numbers("Money of rewards", sums.reward_credit, money),
    numbers("Customers who completed a campaign", sums.rewarded_customers),
    numbers("Customers", sums.customers),
  ];
}

function promoRows(page, { code, quota, granted, points, declined_exhausted: declined, ran_out: ranOut }) {
  const both = quota.before !== null && quota.after !== null;
  const place = (own) => (own === null ? "not used up" : `seq ${whole(own.seq)}, ${dateTime(own.at)}`);
  return [
    {
      name: `${code}: quota`,
      was: whole(quota.before),
      would: whole(quota.after),
      difference: both ? signed(big(quota.after) - big(quota.before), whole) : NOTHING,
      isSame: quota.before === quota.after,
    },
    numbers(`${code}: purchases paid for`, granted),
    numbers(`${code}: cashback`, points, page.money),
    numbers(`${code}: came too late`, declined),
    {
      name: `${code}: used up`,
      was: place(ranOut.before),
      would: place(ranOut.after),
      difference: NOTHING,
      isSame: ranOut.before?.seq === ranOut.after?.seq,
    },
  ];
}

function ruleRows(page, { name, kind, grants, sum }) {
  return [
    numbers(`${name}: times`, grants),
    numbers(`${name}: ${kind === undefined ? "money" : `${kind} points`}`, sum, kind === undefined ? page.money : whole),
  ];
}

function programRows({ levels, remarks }) {
  const step = (remark) => (remark === "none" ? "within a level" : words(remark).toLowerCase());
  return [
    ...levels.map(({ level, customers }) => numbers(`Customers on ${level}`, customers)),
    ...Object.entries(remarks).map(([remark, steps]) => numbers(`Steps: ${step(remark)}`, steps)),
  ];
}

function costRow(page, { account, unit, sum }) {
  const [name, ...whose] = account.split("/");
  return numbers(`${[words(name), ...whose].join(", ")} (${unitName(unit)})`, sum, (value) => page.amount(value, unit));
}

/** Who would have got more, and who less, of a unit. */
function peopleView(page, { unit, winners, losers }) {
  const format = (value) => page.amount(value, unit);
  const side = (title, { customers, sum, largest }, empty) => h("div", {},
    h("h3", {}, `${title}: ${counted(customers, "customer")}, ${signed(sum, format)}`),
    table({
      caption: `${title}, ${unitName(unit)}`,
      columns: [
        { title: "Customer", value: ({ customer }) => link("customers", customer, customer) },
        { title: "Difference", numeric: true, value: ({ difference }) => signed(difference, format) },
      ],
      rows: largest,
      empty,
    }));
  return panel(`Customers, ${unitName(unit)}`, { note: "By what was granted to them, the largest differences first." }, columns(
    side("More", winners, noneText(winners, "more")),
    side("Less", losers, noneText(losers, "less"))));
}

function noneText({ customers }, what) {
  return customers === 0 ? `Nobody would have got ${what}.` : "None of them is listed, as was asked.";
}
