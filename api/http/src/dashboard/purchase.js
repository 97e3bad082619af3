// One purchase of a customer: what it earned, its refunds, and why it earned that. And one operation, as the timeline names them.

import { h, newKey } from "./dom.js";
import { big, counted, dateTime, whole, wholeTyped, words } from "./format.js";
import { button, columns, figure, figures, panel, plainList, renew, table } from "./ui.js";
import { amountField, field, mistyped, reasonField, typedWhole } from "./forms.js";
import { backText, balancesView, earnedView, operationName, operationView } from "./effects.js";
import { explanationView } from "./explanation.js";
import { placeText } from "./holdings.js";
import { customerLink, nameOf, operationLink, purchaseLink, whoAsked } from "./links.js";
import { operate } from "./operate.js";

export async function showPurchase(page, id) {
  const path = `/v1/purchases/${encodeURIComponent(id)}`;
  const purchase = await page.get(path);
  const customer = await page.get(`/v1/customers/${purchase.customer}`);
  const [trouble, actions, body, why] = [h("div"), h("div"), h("div"), h("div")];
  page.show({
    title: `Purchase ${purchase.origin_id}`,
    intro: ["Of customer ", customerLink(customer.id, nameOf(customer)), `, sent by ${purchase.partner}, `, h("code", {}, purchase.id)],
    actions,
  }, trouble, body, panel("Why this, and why not more", {
    note: `What each rule of version ${whole(purchase.catalogue_version)} said to the purchase, with the numbers that it saw then.`,
  }, why));
  const draw = (seen) => {
    const remaining = seen.refunds?.remaining ?? seen.amount;
    renew(actions, big(remaining) > 0n && button("Refund", () => refund(page, seen, remaining, again), { kind: "danger" }));
    renew(body, purchaseView(page, seen));
  };
  const again = page.soon(async () => draw(await page.get(path)), { trouble });
  draw(purchase);
  page.on(["purchase.refunded"], ({ data }) => {
    if (data.purchase === id) again();
  });
  await page.load(why, () => page.get(`${path}/explain`), (said) => explanationView(page, said));
}

function purchaseView(page, purchase) {
  const { money } = page;
  const { refunds } = purchase;
  const points = new Map();
  for (const { kind, points: own } of purchase.effects) if (kind !== undefined) points.set(kind, big(points.get(kind)) + big(own));
  const tiers = purchase.tiers.map(({ program, after }) => `${program}: ${placeText(page, after)}`);
  const [promos, milestones] = [money(purchase.point_transaction), money(purchase.point_loyalty)];
  return [
    figures(
      figure("Amount", money(purchase.amount), `${counted(purchase.quantity, "piece")}, ${dateTime(purchase.at)}`),
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
      ])),
  ];
}

async function refund(page, purchase, remaining, again) {
  const refundId = newKey();
  const { partner, origin_id } = purchase;
  const body = (what) => ({ partner, origin_id, refund_id: refundId, ...what });
  const part = h("div", { hidden: true });
  let lines = [];
  const choices = [["all", `All that remains: ${page.money(remaining)}`], ["part", "A part of it"]];
  const of = field({ name: "of", label: "What comes back", type: "select", options: choices });
  of.control.addEventListener("change", () => {
    part.hidden = of.control.value === "all";
  });
  // A purchase does not tell its lines; what a refund of all that remains would take back does.
  const lookAtAll = () => page.api.send("POST", "/v1/refunds", body({ amount: remaining }), { query: { dry_run: "true" } });
  page.load(part, lookAtAll, ({ effects }) => {
    lines = (effects.find(({ type }) => type === "refund")?.lines ?? []).filter(({ amount }) => big(amount) > 0n);
    return lines.length === 0 ? amountField(page) : linesFields(page, lines);
  });
  const wanted = ({ reason, ...values }) => {
    if (values.of === "all") return { amount: remaining, reason };
    if (lines.length === 0) return { amount: typedWhole(values.amount, "The amount"), reason };
    return { lines: typedLines(lines, values), reason };
  };
  const done = await operate(page, {
    path: "/v1/refunds",
    title: "Refund",
    intro: "What the purchase had earned is taken back, less what the rest of it earns. A refund is not undone.",
    fields: [of, part, reasonField()],
    body: (values) => body(wanted(values)),
    submit: "Refund",
    said: "Refunded",
    danger: true,
  });
  if (done) again();
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

export async function showOperation(page, seq) {
  const result = await page.get(`/v1/operations/${encodeURIComponent(seq)}`);
  const customer = await page.get(`/v1/customers/${result.customer}`);
  const { type, ...asked } = result.operation;
  const facts = [
    ...Object.entries(asked).map(([name, value]) => [words(name), askedView(page, customer.id, name, value)]),
    ["By", whoAsked(page, result.by)],
    ["Received", dateTime(result.received_at)],
    ["Rules", `version ${whole(result.catalogue_version)}`],
  ];
  page.show({
    title: `${operationName(type)}, seq ${whole(result.seq)}`,
    intro: ["Of customer ", customerLink(customer.id, nameOf(customer))],
  }, columns(panel("What was asked", {}, pairs(facts)), panel("What it did", {}, operationView(result, page.money))));
}

/** What was asked of an operation, field by field. */
function askedView(page, customer, name, value) {
  if (name === "amount") return page.money(value);
  if (name === "purchase") return purchaseLink(customer, value, value);
  if (name === "to") return customerLink(value, value);
  if (name === "lines") return plainList(value.map((line) => `${line.product}: ${whole(line.quantity)} for ${page.money(line.amount)}`));
  if (name === "operation") return operationLink(customer, value, whole(value));
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
