// Tiers: how many customers stand on each level, who moved and who is about to, and changes of the numbers that are looked at first.

import { fill, h } from "./dom.js";
import { big, counted, date, duration, whole, wholeTyped } from "./format.js";
import { addressOf, link } from "./page.js";
import { badge, button, columns, emptiness, figure, figures, loading, meter, panel, plainList, table, toast } from "./ui.js";
import { changeDialog, field, mistyped } from "./forms.js";
import { remarkText } from "./effects.js";
import { eventList } from "./events.js";
import { customerLink, nameOf } from "./links.js";
import { changeView } from "./rules.js";

/** So many customers are looked at, in order of their ids, to tell who is about to move; so many of them are asked about one by one. */
const CUSTOMERS_MAX = 2_000;
const ASKED_MAX = 400;
const PAGE_LIMIT = 200;
const AT_ONCE = 4;
const NEAREST_SHOWN = 20;
const DAY_MS = 86_400_000;

/** What a step of a Journey programme was, by its remark, in the order in which they are shown. */
const STEPS = [
  ["upgrade", "One level up", "the level was full"],
  ["first_transaction", "First purchase", "onto the lowest level"],
  ["downgrade", "One level down", "too many days without a purchase"],
  ["reset", "Down to the lowest", "still more days without one"],
  ["maximum", "At the maximum", "counted on a full highest level"],
  ["restart", "Started again", "on a full highest level"],
  ["none", "Within a level", "one purchase further"],
];

export const tiers = { name: "tiers", title: "Tiers", open };

async function open(page) {
  if (page.path === "") await showAll(page);
  else await showOne(page, page.path);
}

async function showAll(page) {
  const programs = h("div");
  page.show({ intro: "Where customers stand, and who moves." }, programs, movements(page));
  const bars = new Bars(page);
  const show = () => page.load(programs, () => page.get("/v1/tier-programs"), ({ data }) => {
    if (data.length === 0) return emptiness("No tier programme yet. The rules name them: kembali apply rules.toml.");
    return data.map((program) => panel(program.name, { actions: link("tiers", program.name, "Rules, and who is about to move") },
      levelTable(page, program, bars)));
  });
  page.on(["catalogue.applied"], show);
  await show();
}

async function showOne(page, name) {
  const body = h("div");
  page.show({ title: `Tiers of ${name}`, intro: h("a", { href: addressOf("tiers") }, "All programmes") }, body, movements(page, name));
  const bars = new Bars(page);
  const show = () => page.load(body, () => page.get("/v1/catalogue"), ({ catalogue }) => {
    const program = catalogue.tier_programs.find((own) => own.name === name);
    if (program === undefined) return emptiness("No programme has this name. It may have been written differently: names are exact.");
    const edit = page.session.isAdmin && button("Change the numbers", () => changeNumbers(page, name));
    return [
      panel("Levels", { actions: edit }, levelTable(page, program, bars)),
      panel("Rules", {}, h("ul", {}, rulesOf(program, catalogue.refunds).map((rule) => h("li", {}, rule)))),
      aboutToMove(page, program),
    ];
  });
  page.on(["catalogue.applied"], show);
  await show();
}

/** The bars of customers by level, and who stands on none. They follow the sums. */
class Bars {
  #meters = new Map();
  #waiting = new Map();

  constructor(page) {
    this.live = page.live;
    page.onGauge(() => this.#draw());
  }

  /** The bar of a level, in the place of the one that was there before. */
  of(program, level) {
    const bar = meter(`Customers on ${level} of ${program}`);
    this.#meters.set(`${program}/${level}`, bar);
    this.#draw();
    return bar;
  }

  /** Says who stands on no level since theirs was removed, as long as there is somebody. */
  waiting(program) {
    const node = h("div");
    this.#waiting.set(program, node);
    this.#draw();
    return node;
  }

  #draw() {
    for (const { program, levels, to_be_placed: left } of this.live.gauge?.programs ?? []) {
      const total = levels.reduce((all, { customers }) => all + big(customers), 0n);
      for (const { level, customers } of levels) this.#meters.get(`${program}/${level}`)?.set({ used: customers, total });
      const node = this.#waiting.get(program);
      const text = `Customers of a level that was removed, who are still being placed: ${whole(left)}`;
      if (node) fill(node, left !== undefined && badge(text, "warn"));
    }
  }
}

function levelTable(page, program, bars) {
  const asks = program.policy === "threshold"
    ? [{ title: "Spent at least", numeric: true, value: (level) => page.money(level.spent_min) }]
    : [
      { title: "Filled by", numeric: true, value: (level) => `${whole(level.count_max)} purchases` },
      { title: "Pays", value: (level) => milestonesOf(page, level) },
      { title: "Up to", tight: true, value: (level) => (level.next === level.name ? "the highest" : level.next) },
      { title: "Down to", tight: true, value: (level) => (level.previous === level.name ? "the lowest" : level.previous) },
    ];
  return [
    table({
      caption: `Levels of ${program.name}`,
      columns: [
        { title: "Level", tight: true, value: (level) => level.name },
        { title: "Customers", value: (level) => bars.of(program.name, level.name) },
        ...asks,
      ],
      rows: program.levels,
    }),
    bars.waiting(program.name),
  ];
}

function milestonesOf(page, { milestones = [] }) {
  if (milestones.length === 0) return "nothing";
  return plainList(milestones.map(({ at_count: count, points }) => `${page.money(points)} at purchase ${whole(count)}`));
}

/** The rules of a programme as sentences. */
function rulesOf(program, refunds) {
  return program.policy === "threshold" ? thresholdRules(refunds) : journeyRules(program);
}

function journeyRules({ levels, downgrade_after_days: down, reset_after_days: reset, at_maximum: atMaximum }) {
  const lowest = levels[0].name;
  const highest = levels.filter(({ name, next }) => name === next).map(({ name }) => name).join(", ");
  return [
    `The first purchase of a customer leads to ${lowest} and pays no milestone.`,
    "Each further purchase counts within the level. Once the level is full, the next purchase is number 1 of the level above.",
    `After ${whole(down + 1)} whole days without a purchase, the next one leads one level down and is number 1 there.`,
    `After ${whole(reset + 1)} whole days without a purchase, the next one leads to ${lowest} and is number 1 there.`,
    atMaximum === "restart_cycle"
      ? `At the maximum, a full ${highest}, the count starts again at 1, and the milestones pay again.`
      : `At the maximum, a full ${highest}, purchases count on and pay no milestone again.`,
    "A refund changes neither level nor count: the purchase was made.",
  ];
}

function thresholdRules(refunds) {
  return [
    "All that a customer ever spent counts. The customer stands on the highest level that the sum reaches; one purchase may climb several.",
    "Neither buying nor time leads down.",
    refunds?.tier === "keep" ? "A refund changes no level." : "What is refunded counts as spent no longer, and may lead down.",
    "Where a bound was raised, its customers keep the level. They move once the sum crosses another bound that leads higher.",
  ];
}

/** Who moved: how often in all, and the newest. Of one programme where `name` is said. */
function movements(page, name) {
  const list = eventList(page, {
    past: true,
    topics: ["tier.changed"],
    fits: ({ data }) => name === undefined || data.program === name,
    said: ({ data }) => [
      `${data.program}: ${data.before === null ? "" : `${data.before.level} → `}${data.after.level}`,
      data.remark && ` (${remarkText(data.remark)})`,
    ],
    empty: "Nobody changed the level lately. Once a purchase moves a customer, it appears here.",
  });
  if (name !== undefined) return panel("Who moved", {}, list);
  return [stepsPanel(page), panel("Who moved", {}, list)];
}

/** How often each step was made. Threshold programmes have none: what is spent is counted, and most of it moves nobody. */
function stepsPanel(page) {
  const journeys = page.rules.catalogue.tier_programs.filter(({ policy }) => policy === "journey");
  if (journeys.length === 0) return undefined;
  const restarts = journeys.some(({ at_maximum: atMaximum }) => atMaximum === "restart_cycle");
  const steps = STEPS.filter(([remark]) => remark !== "restart" || restarts)
    .map(([remark, title, note]) => ({ remark, note, node: figure(title) }));
  page.onGauge(({ remarks }) => steps.forEach(({ remark, note, node }) => node.set(whole(remarks[remark] ?? 0), note)));
  const note = "Each purchase is a step in each of them.";
  return panel("Steps of Journey programmes", { note }, figures(steps.map(({ node }) => node)));
}

/** Who is about to rise, and in a Journey programme who is about to drop, of the customers that are looked at. */
function aboutToMove(page, program) {
  const node = h("div");
  const again = () => page.load(node, () => readCustomers(page, node), (seen) => {
    const standing = seen.customers.flatMap((customer) => {
      const tier = customer.tiers.find((own) => own.program === program.name);
      return tier === undefined ? [] : [{ customer, tier }];
    });
    const parts = [risePanel(page, program, standing, seen, button("Look again", again))];
    if (program.policy === "journey") parts.push(dropPanel(page, program, standing));
    return columns(parts);
  });
  again();
  return node;
}

/** Reads the customers, page by page, and tells in `node` how far it is. */
async function readCustomers(page, node) {
  const customers = [];
  const said = loading("Looking at customers…");
  fill(node, said);
  let cursor;
  do {
    const { data, next_cursor } = await page.get("/v1/reports/customers", { limit: PAGE_LIMIT, cursor });
    customers.push(...data);
    cursor = next_cursor;
    said.textContent = `Looking at customers: ${whole(customers.length)} of ${whole(page.live.gauge?.customers)}…`;
  } while (cursor !== null && customers.length < CUSTOMERS_MAX);
  return { customers, isAll: cursor === null };
}

function seenText(page, { customers, isAll }) {
  if (isAll) return `All ${whole(customers.length)} customers were looked at.`;
  return `The first ${whole(customers.length)} of ${whole(page.live.gauge?.customers)} customers were looked at, in order of their ids.`;
}

function risePanel(page, program, standing, seen, again) {
  const isThreshold = program.policy === "threshold";
  const rises = standing
    .map(({ customer, tier }) => ({ customer, tier, ...(isThreshold ? thresholdRise : journeyRise)(program, tier) }))
    .filter(({ to }) => to !== undefined)
    // Of those who miss the same, whoever did something lately is the likelier one.
    .sort((one, other) => Number(one.missing - other.missing) || other.customer.last_seq - one.customer.last_seq);
  const unit = (value) => (isThreshold ? page.money(value) : counted(value, "purchase"));
  const note = [
    seenText(page, seen),
    shownOf(rises, "could rise", "nearest"),
    !isThreshold && `A purchase counts where not more than ${whole(program.downgrade_after_days)} whole days went by since the last one.`,
  ].filter(Boolean).join(" ");
  return panel("About to rise", { actions: again, note }, table({
    caption: "Customers about to rise",
    columns: [
      { title: "Customer", value: ({ customer }) => customerLink(customer.id, nameOf(customer)) },
      { title: "Move", tight: true, value: moveOf },
      isThreshold
        ? { title: "Spent", numeric: true, value: ({ tier }) => page.money(tier.spent) }
        : { title: "Count", numeric: true, value: ({ tier }) => whole(tier.count) },
      { title: "Missing", numeric: true, value: ({ missing }) => unit(missing) },
    ],
    rows: rises.slice(0, NEAREST_SHOWN),
    empty: "Nobody of those looked at can rise: either all stand on the highest level, or nobody has bought anything yet.",
  }));
}

function shownOf(rows, could, which) {
  const rest = rows.length > NEAREST_SHOWN ? `, the ${whole(NEAREST_SHOWN)} ${which} are shown` : "";
  return `${whole(rows.length)} ${could}${rest}.`;
}

/** The next bound that leads higher than where the customer stands, who may stand higher than the sum says, or lower. */
function thresholdRise({ levels }, { level, spent }) {
  const own = levels.findIndex(({ name }) => name === level);
  const next = levels.slice(own + 1).find(({ spent_min: min }) => big(spent) < big(min));
  return next === undefined ? {} : { to: next.name, missing: big(next.spent_min) - big(spent) };
}

/** The purchase after the last one that the level holds leads up. */
function journeyRise({ levels }, { level, count }) {
  const own = levels.find(({ name }) => name === level);
  return own === undefined || own.next === own.name ? {} : { to: own.next, missing: big(Math.max(0, own.count_max - count) + 1) };
}

/** Whoever has not bought for long. The list of customers does not tell when they last did, so they are asked about one by one. */
function dropPanel(page, program, standing) {
  const lowest = program.levels[0].name;
  const above = standing.filter(({ tier }) => tier.level !== lowest).sort((one, other) => one.customer.last_seq - other.customer.last_seq);
  const asked = above.slice(0, ASKED_MAX);
  const node = h("div");
  const find = () => page.load(node, () => readDrops(page, program, asked, node), (drops) => dropsView(page, drops, above));
  if (above.length === 0) fill(node, emptiness(`Nobody of those looked at stands above ${lowest}.`));
  else fill(node,
    h("p", {}, `${whole(above.length)} customers stand above ${lowest}. When each of them last bought is asked one by one`,
      asked.length < above.length ? `, for the ${whole(asked.length)} of whom nothing was heard for longest.` : "."),
    button("Find who is about to drop", find));
  return panel("About to drop", {}, node);
}

async function readDrops(page, program, asked, node) {
  const drops = [];
  const said = loading("Asking when they last bought…");
  fill(node, said);
  for (let start = 0; start < asked.length; start += AT_ONCE) {
    const some = asked.slice(start, start + AT_ONCE);
    const states = await Promise.all(some.map(({ customer }) => page.get(`/v1/customers/${customer.id}/tiers`, { limit: 1 })));
    states.forEach((state, index) => {
      const tier = state.tiers.find((own) => own.program === program.name);
      if (tier !== undefined) drops.push({ customer: some[index].customer, tier, ...dropOf(program, tier) });
    });
    said.textContent = `Asking when they last bought: ${whole(start + some.length)} of ${whole(asked.length)}…`;
  }
  return { asked: asked.length, drops };
}

/** Where the days without a purchase lead next, and when; or where they have led already. */
function dropOf({ levels, downgrade_after_days: down, reset_after_days: reset }, { level, effective_level: effective, last_at: last }) {
  const own = levels.find(({ name }) => name === level);
  if (effective !== level || own === undefined) return { isOver: true, to: effective };
  const [days, to] = own.previous === level ? [reset, levels[0].name] : [down, own.previous];
  return { isOver: false, to, at: Date.parse(last) + (days + 1) * DAY_MS };
}

function dropsView(page, { asked, drops }, above) {
  const soon = drops.filter(({ isOver }) => !isOver).sort((one, other) => one.at - other.at);
  const over = drops.filter(({ isOver }) => isOver).sort((one, other) => Date.parse(other.tier.last_at) - Date.parse(one.tier.last_at));
  // Where purchases bring their own time, how far off something is on the wall says nothing.
  const isWall = page.tenant.clock === "received";
  const list = (caption, rows, more) => table({
    caption,
    columns: [
      { title: "Customer", value: ({ customer }) => customerLink(customer.id, nameOf(customer)) },
      { title: "Move", tight: true, value: moveOf },
      { title: "Last purchase", tight: true, value: ({ tier }) => date(tier.last_at) },
      ...more,
    ],
    rows: rows.slice(0, NEAREST_SHOWN),
    empty: "Nobody: those who were asked about have dropped already.",
  });
  return [
    h("p", { class: "quiet" },
      `${whole(asked)} of ${whole(above.length)} customers were asked about. ${shownOf(soon, "will drop if they do not buy", "soonest")}`,
      !isWall && " The rules see when purchases occurred: now is the latest of these."),
    list("Customers about to drop", soon, [{
      title: "Drops",
      tight: true,
      value: ({ at }) => `${date(at)}${isWall ? ` (in ${duration((at - Date.now()) / 1_000)})` : ""}`,
    }]),
    over.length > 0 && h("details", {},
      h("summary", {}, `Dropped already, which the next purchase writes down: ${whole(over.length)}`),
      list("Customers who have dropped", over, [])),
  ];
}

function moveOf({ tier, to }) {
  return `${tier.level} → ${to}`;
}

async function changeNumbers(page, name) {
  const { catalogue, version } = await page.get("/v1/catalogue");
  const program = catalogue.tier_programs.find((own) => own.name === name);
  const path = `/v1/tier-programs/${encodeURIComponent(name)}`;
  const numbers = numbersOf(page, program);
  const put = (body, query) => page.api.send("PUT", path, body, { query: { expected_version: version, ...query } });
  const tried = { tenant: page.tenant.slug, expected_version: version, dry_run: "true" };
  const done = await changeDialog({
    title: `Numbers of ${name}`,
    intro: "Milestones, names and the order of levels are changed in the text of the rules, on the screen What-if.",
    fields: numbers.map((own) => own.field),
    preview: async (values) => {
      const wanted = changed(program, numbers, values);
      const everything = { ...catalogue, tier_programs: catalogue.tier_programs.map((own) => (own === program ? wanted : own)) };
      // A programme's own dry run says what changes; that of all rules says who moves by it.
      const [now, dry, { outcome }] = await Promise.all([
        put(program, { dry_run: "true" }),
        put(wanted, { dry_run: "true" }),
        page.api.send("PUT", "/v1/catalogue", everything, { query: tried }),
      ]);
      return changeView(page, { ...dry, outcome }, now.warnings);
    },
    commit: (values) => put(changed(program, numbers, values)),
    submit: "Change the numbers",
  });
  if (done === undefined) return;
  toast(done.changed ? `Numbers changed; rules version ${done.version}, seq ${whole(done.seq)}.` : "Nothing to change.");
}

/** The numbers of a programme: each a field of the form, and where it goes. */
function numbersOf(page, program) {
  const number = (name, label, value, put) => ({
    name, label, put, field: field({ name, label, value: String(value), inputmode: "numeric" }),
  });
  if (program.policy === "threshold") {
    const label = ({ name }) => `${name}: spent at least, in ${page.typedUnit}`;
    return program.levels.map((level, index) => number(`level-${index}`, label(level), level.spent_min,
      (own, value) => { own.levels[index].spent_min = value; }));
  }
  return [
    ...program.levels.map((level, index) => number(`level-${index}`, `${level.name}: filled by so many purchases`, level.count_max,
      (own, value) => { own.levels[index].count_max = value; })),
    number("down", "One level down after more whole days without a purchase than", program.downgrade_after_days,
      (own, value) => { own.downgrade_after_days = value; }),
    number("reset", "Down to the lowest after more whole days without a purchase than", program.reset_after_days,
      (own, value) => { own.reset_after_days = value; }),
  ];
}

/** The programme with the numbers that were typed. */
function changed(program, numbers, values) {
  const wanted = structuredClone(program);
  for (const { name, label, put } of numbers) {
    const typed = wholeTyped(values[name] ?? "");
    if (typed === undefined) throw mistyped("A number is missing.", `${label}: type digits, as 5000000.`);
    put(wanted, Number(typed));
  }
  return wanted;
}
