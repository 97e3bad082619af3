// Wallets & payments: invoices, money that is set aside, transfers that are under way or came back, payments that fit nothing, and all
// payments. The API lists no invoices, holds or transfers of a tenant: they are read off the events of the newest part of the ledger.

import { fill, h } from "./dom.js";
import { big, dateTime, whole, words } from "./format.js";
import { addressOf } from "./page.js";
import { badge, button, figure, figures, pagedTable, panel, rowActions, rowButton, settle, table } from "./ui.js";
import { amountField, field, lineForm, mistyped, typedWhole } from "./forms.js";
import { customerLink, invoiceLink, problemLink, shortId, whoAsked } from "./links.js";
import { operate } from "./operate.js";

/** How many of the newest records are looked at for invoices, holds and transfers at first. */
const RECORDS_SEEN = 40_000;
/** What tells of them. */
const TOPICS = ["invoice.*", "hold.*", "transfer.*", "operation.reversed"];
/** What moves a payment on. */
const PAYMENT_TOPICS = ["invoice.*", "hold.*", "transfer.*", "operation.*", "review.*"];
const LINES = 20;
/** Invoices end without an event. */
const LOOK_MS = 20_000;

const INVOICE_KINDS = { open: "plain", paid: "good", cancelled: "plain", expired: "warn", reversed: "bad" };
const PAYMENT_KINDS = {
  settled: "good", funds_held: "plain", in_review: "warn", rejected: "bad", failed: "bad", voided: "plain", expired: "warn",
  reversed: "warn",
};
/** Why a payment fits nothing that is there, by problem code. */
const UNMATCHED = {
  invoice_not_found: "No such invoice",
  invoice_amount_differs: "The invoice is for another amount",
  invoice_currency_differs: "The invoice is in another currency",
  invoice_paid: "The invoice is paid already",
  invoice_cancelled: "The invoice was cancelled",
  invoice_reversed: "The payment of the invoice was taken back",
  invoice_expired: "The invoice was over",
  wallet_not_found: "No such wallet",
  transfer_target_not_found: "No such customer to send money to",
};

export const payments = { name: "payments", title: "Wallets & payments", open };

async function open(page) {
  if (page.path === "") await showAll(page);
  else await showInvoice(page, page.path);
}

async function showAll(page) {
  const seen = new Seen(page);
  const top = h("div");
  const invoices = invoicesList(page, seen);
  const holds = holdsList(page, seen);
  const transfers = transfersList(page, seen);
  const unmatched = unmatchedList(page);
  const all = paymentsList(page);
  page.show({ intro: "Invoices, money that is set aside, transfers, and every payment." },
    top,
    panel("Invoices", { note: "A customer pays to the number, in full and once." }, invoices.form, invoices.list),
    panel("Open holds", { note: "Money that is set aside for a partner: still in the wallet, and not to be spent." }, holds),
    panel("Transfers that are under way or came back", {}, transfers),
    panel("Unmatched payments", {
      note: "They named an invoice, a wallet or a customer that is not there, or an invoice that could not take them. No money moved.",
    }, unmatched),
    panel("All payments", { note: "One line for each step that moved a payment on, the newest first." }, all.form, all.list));

  const draw = async () => {
    await seen.ready;
    await seen.look();
    fill(top, figuresOf(page, seen), reachOf(seen, readFrom));
    for (const list of [invoices.list, holds, transfers]) list.refresh();
  };
  const readFrom = (records) => settle(top, async () => {
    await seen.read(records);
    await draw();
  });
  const drawSoon = page.soon(() => settle(top, draw, { keep: true }));
  page.on(TOPICS, (event) => {
    seen.take(event);
    drawSoon();
  });
  page.on(PAYMENT_TOPICS, page.soon(() => all.list.refresh()));
  const unmatchedSoon = page.soon(() => unmatched.refresh());
  page.on(["operation.rejected"], ({ data }) => data.code in UNMATCHED && unmatchedSoon());
  page.tick(LOOK_MS, drawSoon);
  // What the stream left out was not told: it is read.
  for (const name of ["skipped", "reset"]) page.live.addEventListener(name, () => readFrom(RECORDS_SEEN), { signal: page.signal });
  await readFrom(RECORDS_SEEN);
}

/** What the events of the newest part of the ledger say of invoices, open holds and transfers. */
class Seen {
  #page;
  #told = [];
  #isReading = false;
  #begun;

  constructor(page) {
    this.#page = page;
    /** Kept once it was read for the first time. */
    this.ready = new Promise((resolve) => {
      this.#begun = resolve;
    });
    this.#forget();
  }

  #forget() {
    /** The position behind which it begins, and up to which it was read. */
    [this.from, this.to] = [0, 0];
    this.invoices = new Map();
    this.holds = new Map();
    /** Those that have arrived are over, and not kept. */
    this.transfers = new Map();
    /** Invoices that end here or earlier are over. */
    this.over = 0;
  }

  /** Reads the newest records, so many of them; what was known before is forgotten. */
  async read(records) {
    this.#isReading = true;
    try {
      const { as_of: head } = await this.#page.get("/v1/payments", { limit: 1 });
      this.#forget();
      this.from = Math.max(0, head - records);
      let query = { after: this.from };
      while (query !== undefined) {
        const answer = await this.#page.get("/v1/events", { ...query, topics: TOPICS.join(), limit: 200 });
        answer.data.forEach((event) => this.#note(event));
        this.to = answer.as_of;
        query = answer.next_cursor === null ? undefined : { cursor: answer.next_cursor };
      }
    } finally {
      this.#isReading = false;
    }
    this.#noteTold();
    this.#begun();
  }

  /** Takes an event of the stream: at its turn, where what came before it is still being read. */
  take(event) {
    this.#told.push(event);
    if (!this.#isReading) this.#noteTold();
  }

  #noteTold() {
    for (const event of this.#told) if (this.to < Number(event.sequence)) this.#note(event);
    this.#told = [];
  }

  #note({ type, time, data, sequence }) {
    const at = { time, seq: Number(sequence) };
    const [about, what] = type.split(".");
    if (about === "invoice") this.#noteInvoice(data, { ...data, ...at, state: what === "opened" ? "open" : what });
    else if (about === "hold") this.#noteHold(data, at);
    else if (about === "transfer") this.#noteTransfer(data, at);
    else if (data.paid?.va_number !== undefined) this.#noteInvoice(data.paid, { ...at, state: "reversed" });
  }

  #noteInvoice({ va_number: number, partner }, more) {
    this.invoices.set(number, { va_number: number, partner, ...this.invoices.get(number), ...more });
  }

  #noteHold(data, at) {
    const key = `${data.customer}/${data.hold}`;
    if (data.end === undefined) this.holds.set(key, { ...data, ...at });
    else this.holds.delete(key);
  }

  #noteTransfer(data, at) {
    if (data.state === "settled") this.transfers.delete(data.transfer);
    else if (data.state === "sent") this.transfers.set(data.transfer, { ...data, ...at });
    else if (data.state === "returned") this.transfers.set(data.transfer, { ...this.transfers.get(data.transfer), ...data, ...at });
  }

  /**
   * Asks which invoices are over: nothing is written about that, and what time it is the ledger alone knows. Whatever ends before one that
   * is over is over too, so a few are asked for.
   */
  async look() {
    const open = [...this.invoices.values()].filter(({ state }) => state === "open");
    const ends = open.toSorted((one, other) => Date.parse(one.expires_at) - Date.parse(other.expires_at));
    let [first, end] = [0, ends.length];
    while (first < end) {
      const middle = (first + end) >> 1;
      const { state } = await this.#page.get(invoicePath(ends[middle].va_number));
      [first, end] = state === "expired" ? [middle + 1, end] : [first, middle];
    }
    this.over = first === 0 ? 0 : Date.parse(ends[first - 1].expires_at);
  }

  /** The invoices of a state, or all of them; the newest first. */
  invoicesOf(state) {
    const all = [...this.invoices.values()].map((invoice) => ({ ...invoice, state: this.#stateOf(invoice) })).reverse();
    return state ? all.filter((invoice) => invoice.state === state) : all;
  }

  #stateOf({ state, expires_at: end }) {
    return state === "open" && Date.parse(end) <= this.over ? "expired" : state;
  }
}

function figuresOf(page, seen) {
  const count = (label, rows, note = "") => figure(label, whole(rows.length), sumOf(page, rows) + note);
  const transfers = [...seen.transfers.values()];
  const returned = transfers.filter(({ state }) => state === "returned");
  return figures(
    count("Open invoices", seen.invoicesOf("open")),
    count("Expired invoices", seen.invoicesOf("expired")),
    count("Paid invoices", seen.invoicesOf("paid")),
    count("Cancelled invoices", seen.invoicesOf("cancelled")),
    count("Open holds", [...seen.holds.values()]),
    count("Transfers under way", transfers.filter(({ state }) => state === "sent"), `; ${whole(returned.length)} came back`));
}

function sumOf(page, rows) {
  return page.money(rows.reduce((sum, { amount }) => sum + big(amount), 0n));
}

/** Which part of the ledger the figures are of, and a way to see more of it. */
function reachOf(seen, readFrom) {
  if (seen.from === 0) return undefined;
  const further = button("Look further back", () => readFrom(2 * (seen.to - seen.from)));
  return h("p", { class: "quiet" }, `These are the invoices, holds and transfers that moved since seq ${whole(seen.from + 1)}. `, further);
}

function invoicesList(page, seen) {
  const states = [["", "All"], ...Object.keys(INVOICE_KINDS).map((state) => [state, words(state)])];
  const state = field({ name: "state", label: "State", type: "select", options: states });
  const number = field({ name: "number", label: "Invoice number", placeholder: "VA-1000000000", autocapitalize: "characters" });
  const form = lineForm({
    label: "Which invoices",
    fields: [state, number],
    submit: "Find the invoice",
    onsubmit: async (values) => {
      const wanted = numberTyped(values);
      await page.get(invoicePath(wanted));
      location.hash = addressOf("payments", wanted);
    },
  });
  const list = pagedTable({
    load: (cursor) => linesOf(seen, () => seen.invoicesOf(state.control.value), cursor),
    caption: "Invoices by state",
    columns: [
      { title: "Invoice", tight: true, value: (invoice) => invoiceLink(invoice.va_number) },
      { title: "Partner", value: (invoice) => invoice.partner },
      { title: "Amount", numeric: true, value: (invoice) => page.money(invoice.amount) },
      { title: "State", tight: true, value: (invoice) => invoiceBadge(invoice.state) },
      { title: "Since", value: (invoice) => dateTime(invoice.time) },
      { title: "To be paid by", value: (invoice) => dateTime(invoice.expires_at) },
      { title: "Customer", tight: true, value: (invoice) => customerLink(invoice.customer) },
      { title: "Change", tight: true, value: (invoice) => isCancellable(invoice) && cancelButton(page, invoice) },
    ],
    empty: "No invoice of this state among the records that were looked at. Partners open them by POST /v1/invoices.",
  });
  state.control.addEventListener("change", () => list.reload());
  return { form, list };
}

function cancelButton(page, invoice) {
  return rowActions(rowButton("Cancel", `Cancel ${invoice.va_number}`, () => cancelDialog(page, invoice)));
}

function numberTyped({ number = "" }) {
  if (number.trim() === "") throw mistyped("Type the number of an invoice.");
  return number.trim();
}

function holdsList(page, seen) {
  return pagedTable({
    load: (cursor) => linesOf(seen, () => [...seen.holds.values()], cursor),
    caption: "Holds that are open",
    columns: [
      { title: "Customer", tight: true, value: (hold) => customerLink(hold.customer) },
      { title: "Hold", value: (hold) => `${hold.hold}, wallet ${hold.wallet}` },
      { title: "Partner", value: (hold) => hold.partner },
      { title: "Amount", numeric: true, value: (hold) => page.money(hold.amount) },
      { title: "Placed", value: (hold) => dateTime(hold.time) },
      { title: "Over at", value: (hold) => dateTime(hold.expires_at) },
      {
        title: "Change",
        tight: true,
        value: (hold) => rowActions(
          rowButton("Settle", `Settle ${holdName(hold)}`, () => settleDialog(page, hold)),
          rowButton("Void", `Void ${holdName(hold)}`, () => voidDialog(page, hold))),
      },
    ],
    empty: "Nothing is set aside, as far as the records were looked at. Partners place holds, and a hold ends by itself.",
  });
}

function transfersList(page, seen) {
  return pagedTable({
    load: (cursor) => linesOf(seen, () => [...seen.transfers.values()].reverse(), cursor),
    caption: "Transfers that have not arrived",
    columns: [
      { title: "Transfer", numeric: true, value: (transfer) => whole(transfer.transfer) },
      { title: "State", tight: true, value: (transfer) => (transfer.state === "sent" ? badge("Under way") : badge("Returned", "bad")) },
      { title: "Amount", numeric: true, value: (transfer) => page.money(transfer.amount) },
      { title: "From", value: ({ customer, wallet }) => placeOf(customer, wallet) },
      { title: "To", value: ({ other, other_wallet: wallet }) => placeOf(other, wallet) },
      { title: "Why it came back", value: (transfer) => transfer.reason && problemLink(transfer.reason) },
      { title: "Since", value: (transfer) => dateTime(transfer.time) },
    ],
    empty: "None: each transfer has arrived, as far as the records were looked at. One is under way for moments alone.",
  });
}

function placeOf(customer, wallet) {
  return h("span", {}, customerLink(customer), wallet !== undefined && `, wallet ${wallet}`);
}

function unmatchedList(page) {
  return pagedTable({
    load: async (cursor) => {
      const answer = await page.get("/v1/payments", { state: "rejected", limit: LINES, cursor });
      return { ...answer, data: answer.data.filter(({ reason }) => reason in UNMATCHED) };
    },
    caption: "Payments that fit nothing",
    columns: [
      { title: "Seq", numeric: true, value: (payment) => whole(payment.seq) },
      { title: "When", value: (payment) => dateTime(payment.received_at) },
      { title: "Customer", tight: true, value: (payment) => customerLink(payment.customer) },
      { title: "Payment", value: (payment) => words(payment.kind) },
      { title: "Amount", numeric: true, value: (payment) => page.money(payment.amount) },
      { title: "Named", value: namedOf },
      { title: "Why it fits nothing", value: (payment) => UNMATCHED[payment.reason] },
    ],
    empty: "None: whatever was paid fitted what it named.",
  });
}

function paymentsList(page) {
  const states = [["", "All"], ...Object.keys(PAYMENT_KINDS).map((state) => [state, words(state)])];
  const asked = { state: page.query.get("state") ?? "", customer: page.query.get("customer") ?? "" };
  const state = field({ name: "state", label: "Came to", type: "select", options: states, value: asked.state });
  const customer = field({ name: "customer", label: "Customer id", value: asked.customer, autocapitalize: "none" });
  const list = pagedTable({
    load: (cursor) => page.get("/v1/payments", { ...asked, limit: LINES, cursor }),
    caption: "Payments, step by step",
    columns: [
      { title: "Seq", numeric: true, value: (payment) => whole(payment.seq) },
      { title: "When", value: (payment) => dateTime(payment.received_at) },
      { title: "Customer", tight: true, value: (payment) => customerLink(payment.customer) },
      { title: "Payment", value: (payment) => words(payment.kind) },
      { title: "Amount", numeric: true, value: (payment) => page.money(payment.amount) },
      { title: "Wallet", value: (payment) => payment.wallet !== undefined && `${payment.wallet}${wayOf(payment)}` },
      { title: "Came to", tight: true, value: (payment) => badge(words(payment.state), PAYMENT_KINDS[payment.state]) },
      { title: "Of", value: namedOf },
      { title: "Why", value: (payment) => payment.reason && problemLink(payment.reason) },
    ],
    empty: "No such payment. Deposits, holds, payments of invoices and transfers appear here as they happen.",
  });
  const show = (values) => {
    Object.assign(asked, { state: "", customer: "", ...values });
    return list.reload();
  };
  const form = lineForm({ label: "Which payments", fields: [state, customer], submit: "Show", onsubmit: show });
  state.control.addEventListener("change", () => form.requestSubmit());
  return { form, list };
}

function wayOf({ direction }) {
  return { debit: ", out", credit: ", in" }[direction] ?? "";
}

/** What a payment is a payment of. */
function namedOf({ va_number: number, hold, transfer, reverses, review, reason }) {
  if (reason === "invoice_not_found") return h("code", {}, number);
  if (number !== undefined) return invoiceLink(number);
  if (hold !== undefined) return `hold ${hold}`;
  if (transfer !== undefined) return `transfer ${whole(transfer)}`;
  if (reverses !== undefined) return `operation ${whole(reverses)}`;
  return review === undefined ? undefined : `review ${whole(review)}`;
}

async function showInvoice(page, number) {
  const body = h("div");
  const show = () => page.load(body, async () => {
    const invoice = await page.get(invoicePath(number));
    return { invoice, steps: await stepsOf(page, invoice) };
  }, (answer) => invoiceView(page, answer));
  page.show({ title: `Invoice ${number}`, intro: h("a", { href: addressOf("payments") }, "All invoices and payments") }, body);
  page.on(["invoice.*", "operation.reversed"], ({ data }) => (data.va_number ?? data.paid?.va_number) === number && show());
  await show();
}

/** What was done to an invoice, each with the operation that did it. */
async function stepsOf(page, { state, opened_seq: opened, closed_seq: closed }) {
  const operation = (seq) => page.get(`/v1/operations/${seq}`);
  const steps = [{ what: "Opened", done: await operation(opened) }];
  if (closed === undefined) return steps;
  const last = { what: words(state), done: await operation(closed) };
  if (state === "reversed") steps.push({ what: "Paid", done: await operation(last.done.operation.operation) });
  return [...steps, last];
}

function invoiceView(page, { invoice, steps }) {
  return [
    figures(
      figure("Amount", page.money(invoice.amount), `to ${invoice.partner}`),
      figure("State", words(invoice.state), saidOfState(invoice.state)),
      figure("To be paid by", dateTime(invoice.expires_at), "on the tenant's clock")),
    panel("What happened", { actions: isCancellable(invoice) && button("Cancel this invoice", () => cancelDialog(page, invoice)) },
      table({
        caption: "What happened to the invoice",
        columns: [
          { title: "Seq", numeric: true, value: ({ done }) => whole(done.seq) },
          { title: "When", value: ({ done }) => dateTime(done.received_at) },
          { title: "What", value: ({ what }) => what },
          { title: "By", value: ({ done }) => whoAsked(page, done.by) },
          { title: "Customer", tight: true, value: ({ done }) => customerLink(done.customer) },
          { title: "Said with it", value: ({ done }) => done.operation.reference ?? done.operation.reason },
        ],
        rows: steps,
      })),
  ];
}

function saidOfState(state) {
  return {
    open: "can be paid", paid: "once, and not again", cancelled: "cannot be paid any more", expired: "nobody paid it in time",
    reversed: "it was paid, and the payment was taken back",
  }[state];
}

/** One that is over can be cancelled, too. */
function isCancellable({ state }) {
  return state === "open" || state === "expired";
}

function cancelDialog(page, { va_number: number }) {
  return operate(page, {
    path: `${invoicePath(number)}/cancel`,
    title: `Cancel invoice ${number}`,
    intro: "Nobody can pay it from then on. Its partner has to open another one.",
    body: () => ({}),
    submit: "Cancel the invoice",
    said: `Invoice ${number} is cancelled`,
    danger: true,
  });
}

function settleDialog(page, hold) {
  return operate(page, {
    path: `${holdPath(hold)}/settle`,
    title: `Settle ${holdName(hold)}`,
    intro: `${hold.partner} is paid at most ${page.money(hold.amount)}. The rest is free again, and the hold is closed.`,
    fields: amountField(page, { label: "Amount to pay, in", value: String(hold.amount) }),
    body: ({ amount }) => ({ amount: typedWhole(amount, "The amount", "150000") }),
    submit: "Settle the hold",
    said: `${words(holdName(hold))} is settled`,
  });
}

function voidDialog(page, hold) {
  return operate(page, {
    path: `${holdPath(hold)}/void`,
    title: `Void ${holdName(hold)}`,
    intro: `${hold.partner} is paid nothing. All ${page.money(hold.amount)} are free again, and the hold is closed.`,
    body: () => ({}),
    submit: "Void the hold",
    said: `${words(holdName(hold))} is voided`,
    danger: true,
  });
}

function holdPath({ customer, hold }) {
  return `/v1/customers/${customer}/holds/${hold}`;
}

function holdName({ hold, customer }) {
  return `hold ${hold} of ${shortId(customer)}`;
}

function invoicePath(number) {
  return `/v1/invoices/${encodeURIComponent(number)}`;
}

function invoiceBadge(state) {
  return badge(words(state), INVOICE_KINDS[state]);
}

/** A page of lines of what is seen, as a list of the API comes. */
async function linesOf(seen, rowsNow, cursor = 0) {
  await seen.ready;
  const [rows, end] = [rowsNow(), cursor + LINES];
  return { data: rows.slice(cursor, end), next_cursor: end < rows.length ? end : null };
}
