// Campaigns: what campaigns, cashback rules, rewards and offers ask for and give, how often they did, what it cost, and who completed one.

import { fill, h } from "./dom.js";
import { big, dateTime, isPoints, ordinal, percent, pointsText, rateText, unitName, whole, words } from "./format.js";
import { addressOf, link } from "./page.js";
import { badge, figure, figures, loading, meter, panel, plainList, table } from "./ui.js";
import { givenText } from "./effects.js";
import { eventList } from "./events.js";
import { runsView } from "./rules.js";

/** How often what the stream does not tell is read. */
const READ_SECONDS = 10;

export const campaigns = { name: "campaigns", title: "Campaigns", open };

async function open(page) {
  const top = sumsOf(page);
  const rules = h("div");
  const trouble = h("div");
  const [offers, costs] = [h("div", {}, loading()), h("div", {}, loading())];
  const other = h("a", { href: addressOf("what-if") }, "Try other rules");
  page.show({ intro: "What is asked for, what is given, and what it costs.", actions: other },
    top, rules,
    panel("Offers", { note: "What points may be spent on." }, offers),
    panel("Costs", { note: "All that was granted so far. What partners pay is what their promos cost, told once more." }, trouble, costs),
    panel("What happened", {}, eventList(page, {
      past: true,
      topics: ["campaign.completed", "reward.granted"],
      said: ({ type, data }) => (type === "reward.granted"
        ? `Reward ${data.reward} of ${data.campaign}: ${gainOf(page, data)}`
        : `${data.campaign} completed, for the customer's ${ordinal(data.completions)} time`),
      empty: "No campaign was completed lately. Once a purchase completes one, it appears here.",
    })));

  const sums = new Followers(page);
  const show = () => page.load(rules, () => page.get("/v1/catalogue"), ({ catalogue }) => {
    sums.clear();
    return rulesView(page, catalogue, sums);
  });
  page.on(["catalogue.applied"], show);
  page.every(READ_SECONDS, trouble, async () => {
    const [{ data: sold }, { data: spent }] = await Promise.all([page.get("/v1/offers"), page.get("/v1/reports/costs")]);
    fill(offers, offerTable(page, sold));
    fill(costs, costTable(page, spent));
  });
  await show();
}

/** Nodes that show one of the tenant's sums each, and another whenever it changes. */
class Followers {
  #draws = [];

  constructor(page) {
    this.live = page.live;
    page.onGauge((gauge) => this.#draws.forEach((draw) => draw(gauge)));
  }

  /** Forgets the nodes that are not shown any more. */
  clear() {
    this.#draws = [];
  }

  /** Calls `draw(node, sum)` with what `find(gauge)` gives, now and later, and returns the node. */
  add(node, find, draw) {
    const own = (gauge) => {
      const sum = find(gauge);
      if (sum !== undefined) draw(node, sum);
    };
    this.#draws.push(own);
    if (this.live.gauge !== undefined) own(this.live.gauge);
    return node;
  }
}

function sumsOf(page) {
  const completed = figure("Campaigns completed");
  const who = figure("Customers with a reward");
  const points = figure("Points of rewards");
  const money = figure("Money of rewards");
  page.onGauge((gauge) => {
    completed.set(whole(gauge.campaigns.reduce((all, own) => all + big(own.completions), 0n)));
    who.set(whole(gauge.rewards.customers), `of ${whole(gauge.customers)} (${percent(gauge.rewards.customers, gauge.customers)})`);
    points.set(whole(gauge.rewards.points), "of every kind");
    money.set(page.money(gauge.rewards.wallet_credit), "into wallets");
  });
  return figures(completed, who, points, money);
}

function rulesView(page, catalogue, sums) {
  const { campaigns: rows = [], fulfillments = [], rewards = [], cashback_rules: cashback = [] } = catalogue;
  const asked = new Map(fulfillments.map((own) => [own.name, own]));
  const given = new Map(rewards.map((own) => [own.name, own]));
  const zone = `Times are in ${catalogue.tenant.timezone}.`;
  const completes = `Once all that it asks for is met, in one purchase or over several, its rewards are paid and it starts again. ${zone}`;
  const pays = `Each pays its share of what is bought of its products. They stack. ${zone}`;
  return [
    panel("Campaigns", { note: completes }, campaignTable(page, { rows, asked, given, sums })),
    panel("Cashback rules", { note: pays }, cashbackTable(page, cashback, sums)),
    panel("Rewards", {}, rewardTable(page, rewards, rows, sums)),
  ];
}

function campaignTable(page, { rows, asked, given, sums }) {
  const completed = ({ name, budget }) => {
    const find = (gauge) => gauge.campaigns.find((own) => own.name === name);
    if (budget === undefined) return sums.add(h("span"), find, (node, sum) => fill(node, `${whole(sum.completions)}, without a budget`));
    const [bar, end] = [meter(`Budget of ${name}`), h("span")];
    return sums.add(h("div", {}, bar, end), find, (node, sum) => {
      bar.set({ used: sum.completions, total: sum.budget ?? budget });
      fill(end, big(sum.budget ?? budget) <= big(sum.completions) && badge("used up", "warn"));
    });
  };
  return table({
    caption: "All campaigns",
    columns: [
      { title: "Campaign", value: (own) => own.name },
      { title: "Asks for", value: (own) => plainList(own.fulfillments.map((name) => askedOf(page, asked.get(name)))) },
      { title: "Gives", value: (own) => plainList(own.rewards.map((name) => gainOf(page, given.get(name)))) },
      { title: "Completed", value: completed },
      { title: "Per customer", value: (own) => (own.completions_max === undefined ? "without a limit" : times(own.completions_max)) },
      { title: "Runs", value: (own) => runsView(page, own) },
    ],
    rows,
    empty: "No campaign yet. The rules name them: kembali apply rules.toml.",
  });
}

function cashbackTable(page, rows, sums) {
  const sum = (own, draw) => sums.add(h("span"), (gauge) => gauge.cashback_rules.find(({ name }) => name === own.name), draw);
  return table({
    caption: "All cashback rules",
    columns: [
      { title: "Rule", value: (own) => h("div", {}, own.name, own.description && h("div", { class: "quiet" }, own.description)) },
      { title: "Pays", value: (own) => `${rateText(own.rate)} in ${own.pays} points${lifeOf(own)}` },
      { title: "For", value: (own) => `${own.products?.join(", ") ?? "every product"}${own.partner ? `, bought at ${own.partner}` : ""}` },
      { title: "Runs", value: (own) => runsView(page, own) },
      { title: "Paid", numeric: true, value: (own) => sum(own, (node, { grants }) => fill(node, times(grants))) },
      { title: "Points", numeric: true, value: (own) => sum(own, (node, { sum: points }) => fill(node, whole(points))) },
    ],
    rows,
    empty: "No cashback rule yet. The rules name them: kembali apply rules.toml.",
  });
}

function rewardTable(page, rows, paying, sums) {
  const sum = (own, draw) => sums.add(h("span"), (gauge) => gauge.rewards.by_reward.find(({ name }) => name === own.name), draw);
  const payers = (own) => paying.filter(({ rewards }) => rewards.includes(own.name)).map(({ name }) => name).join(", ");
  return table({
    caption: "All rewards",
    columns: [
      { title: "Reward", value: (own) => own.name },
      { title: "Gives", value: (own) => gainOf(page, own) },
      { title: "Paid by", value: (own) => payers(own) || "no campaign" },
      { title: "Granted", numeric: true, value: (own) => sum(own, (node, { grants }) => fill(node, times(grants))) },
      {
        title: "In all",
        numeric: true,
        value: (own) => sum(own, (node, { sum: all, kind }) => fill(node, kind === undefined ? page.money(all) : pointsText(all, kind))),
      },
    ],
    rows,
    empty: "No reward yet. The rules name them, and campaigns pay them.",
  });
}

function offerTable(page, rows) {
  const gives = ({ wallet_credit: credit }) => (credit === null ? "a thing, handed out apart" : `${page.money(credit)} into the wallet`);
  const redeemed = (own) => {
    if (own.stock === null) return `${whole(own.redeemed)}, without a limit`;
    const bar = meter(`Stock of ${own.name}`);
    bar.set({ used: own.redeemed, total: own.stock });
    return bar;
  };
  return table({
    caption: "All offers",
    columns: [
      { title: "Offer", value: (own) => own.name },
      { title: "Costs", value: (own) => pointsText(own.points, own.kind) },
      { title: "Gives", value: gives },
      { title: "Redeemed", value: redeemed },
      { title: "Runs", value: (own) => runsView(page, own, dateTime) },
    ],
    rows,
    empty: "No offer yet: points can be earned and not spent. The rules name offers: kembali apply rules.toml.",
  });
}

function costTable(page, rows) {
  const nameOf = ({ of, name, id }) => {
    if (of === "promo" && name !== null) return link("promos", name, name);
    return name ?? (id === null ? undefined : `number ${whole(id)}, which the rules do not have any more`);
  };
  const cost = ({ cost: sum, unit }) => {
    if (sum === null) return "told by its rewards";
    const amount = page.amount(sum, unit);
    // Of a rule that is gone nobody knows the unit.
    return unit !== null && isPoints(unit) ? `${amount} ${unitName(unit)}` : amount;
  };
  return table({
    caption: "Costs by rule",
    columns: [
      { title: "Of", tight: true, value: ({ of }) => (of === "total" ? h("strong", {}, "Total") : words(of)) },
      { title: "Name", value: nameOf },
      { title: "Granted", numeric: true, value: ({ grants }) => (grants === null ? undefined : times(grants)) },
      { title: "Cost", numeric: true, value: (own) => (own.of === "total" ? h("strong", {}, cost(own)) : cost(own)) },
    ],
    rows,
    empty: "Nothing was granted so far.",
  });
}

/** What a fulfillment asks for, in words. */
function askedOf(page, { buy, tag }) {
  if (tag !== undefined) return `Purchases or activities tagged ${tag.tag}: ${whole(tag.count)}`;
  const what = `Buy ${buy.product ?? "anything"}`;
  if (buy.amount_min === 0) return what;
  return `${what} for ${page.money(buy.amount_min)} or more, ${buy.cumulative ? "all purchases together" : "in one purchase"}`;
}

/** What a reward gives, as the rules say it or as one was granted. */
function gainOf(page, own) {
  const { wallet_credit: credit } = own;
  return credit === undefined ? `${givenText(own, page.money)}${lifeOf(own)}` : `${page.money(credit)} into the wallet`;
}

function lifeOf({ life_days: life, pending_days: pending }) {
  return [
    pending !== undefined && `, spendable after ${whole(pending)} days`,
    life !== undefined && `, gone after ${whole(life)} days`,
  ].filter(Boolean).join("");
}

function times(count) {
  return Number(count) === 1 ? "once" : `${whole(count)} times`;
}
