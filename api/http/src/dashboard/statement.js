// What happened to a customer, record by record: purchases and movements of all accounts, on the screen and as a file.

import { fill, h } from "./dom.js";
import { counted, dateTime, pointsText, whole } from "./format.js";
import { button, plainList, problemBox, save } from "./ui.js";
import { balancesView, earnedView, operationName } from "./effects.js";
import { operationLink, purchaseLink } from "./links.js";

const ROWS = 25;
const CSV_ROWS = 200;

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
    return h("div", {}, purchaseLink(customer, result.id, `Purchase of ${money(result.amount)}`),
      h("div", { class: "quiet" }, `${counted(result.quantity, "piece")}, ${result.partner} `, h("code", {}, result.origin_id)));
  }
  const [{ operation, purchase }] = entries;
  const name = causeText(entries[0]);
  // The records of a transfer are no operations of their own.
  const isOperation = operation !== null && operation !== "transfer";
  return h("div", {}, isOperation ? operationLink(customer, seq, name) : name,
    purchase && h("div", { class: "quiet" }, "of ", purchaseLink(customer, purchase, "a purchase")));
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

/** A time, and the position of what happened then. */
export function whenCell(at, seq) {
  return h("div", {}, h("time", { datetime: at }, dateTime(at)), h("div", { class: "quiet" }, `seq ${whole(seq)}`));
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

/** Returns true where an event is about this customer. */
export function concerns({ subject, data }, customer) {
  return subject === customer || data.customer === customer;
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
