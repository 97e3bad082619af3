// What a screen is given: its place, what is asked for in the address, the API, the stream, and the tenant's currency. It ends when
// another screen is opened, and with it everything that was begun with its `signal`.

import { fill, h } from "./dom.js";
import { isPoints, money, whole } from "./format.js";
import { asOf, problemBox, settle } from "./ui.js";

/** What happens within this time is read at once. */
const SOON_MS = 500;

export class Page {
  #ended = new AbortController();
  #currency;

  /** `main` is the place, `path` what follows the screen's name in the address, `query` its parameters. */
  constructor({ main, screen, path, query, session, api, live, rules }) {
    this.main = main;
    this.screen = screen;
    this.path = path;
    this.query = query;
    this.session = session;
    this.api = api;
    this.live = live;
    /** The tenant's rules as `GET /v1/catalogue` shows them; undefined for customers, who may not see them. */
    this.rules = rules;
    this.asOf = asOf();
  }

  get signal() {
    return this.#ended.signal;
  }

  /** Ends what the screen has begun, and closes its dialogs. */
  end() {
    this.#ended.abort();
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  }

  /** The tenant as its rules say it: name, currency, time zone. */
  get tenant() {
    return this.rules.catalogue.tenant;
  }

  /** The tenant's currency, as `money` wants it. Customers, who may not see the rules, learn it from what they read. */
  get currency() {
    return this.#currency ?? { code: this.tenant.currency, exponent: this.tenant.currency_exponent };
  }

  set currency(currency) {
    this.#currency = currency;
  }

  /** Minor units as people read them. */
  money = (minor) => money(minor, this.currency);

  /** What amounts are typed in: whoever counts in cents is told so, and sees in previews what it comes to. */
  get typedUnit() {
    return this.currency.exponent === 0 ? this.currency.code : `units of ${this.money(1)}`;
  }

  /** So much of a unit, money or points; of one that nobody knows any more, the bare number. */
  amount(value, unit) {
    return unit === null || isPoints(unit) ? whole(value) : this.money(value);
  }

  /** Shows the screen: its heading, the position that it is of, and its parts. */
  show({ title = this.screen.title, intro, actions } = {}, ...children) {
    const heading = h("h1", { tabindex: "-1" }, title);
    fill(this.main,
      h("header", { class: "page-head" }, h("div", {}, heading, intro && h("p", { class: "quiet" }, intro)), h("div", { class: "page-side" }, this.asOf, actions)),
      children);
    document.title = `${title} · Kembali`;
    return heading;
  }

  /** Reads from the API until the screen ends. What it answers tells the position that it is of. */
  async get(path, query) {
    const answer = await this.api.get(path, query, this.signal);
    if (answer.as_of !== undefined) this.asOf.set(answer.as_of);
    return answer;
  }

  /** Reads, and shows what `render(answer)` makes of it in `node`; while it reads, and where it fails, that is shown there. */
  load(node, read, render) {
    return settle(node, async () => {
      const answer = await read();
      if (!this.signal.aborted) fill(node, render(answer));
    });
  }

  /** Calls `work` every `seconds`, and at once; a failure is shown in `node` until it works again. */
  every(seconds, node, work) {
    let shown;
    const again = async () => {
      try {
        await work();
        shown = undefined;
        fill(node);
      } catch (error) {
        if (this.signal.aborted) return;
        // Said once, and not at each try.
        if (error.message !== shown) fill(node, problemBox(error));
        shown = error.message;
      }
      if (!this.signal.aborted) timer = setTimeout(again, seconds * 1_000);
    };
    let timer = setTimeout(again, 0);
    this.signal.addEventListener("abort", () => clearTimeout(timer));
  }

  /** Calls `work` every so many milliseconds. It reads nothing: for what does, there is `every`. */
  tick(ms, work) {
    const timer = setInterval(work, ms);
    this.signal.addEventListener("abort", () => clearInterval(timer));
  }

  /**
   * Returns what asks for `work`: it is done soon, once for all that came until then, never twice at a time, and not behind a dialog that
   * is open. What goes wrong is shown in `trouble`; work that shows its own needs none.
   */
  soon(work, { trouble = h("div"), ms = SOON_MS } = {}) {
    let timer;
    let isBusy = false;
    const ask = () => {
      if (!this.signal.aborted) timer ??= setTimeout(run, ms);
    };
    const run = async () => {
      timer = undefined;
      if (isBusy || document.querySelector("dialog[open]") !== null) {
        ask();
        return;
      }
      isBusy = true;
      try {
        await work();
        fill(trouble);
      } catch (error) {
        if (!this.signal.aborted) fill(trouble, problemBox(error, ask));
      } finally {
        isBusy = false;
      }
    };
    this.signal.addEventListener("abort", () => clearTimeout(timer));
    return ask;
  }

  /** Calls `handler(event)` for the events of these topics. */
  on(topics, handler) {
    this.live.on(topics, handler, this.signal);
  }

  /** Calls `handler(sums)` with the tenant's sums whenever they change, and shows the position that they are of. */
  onGauge(handler) {
    this.live.onGauge((gauge) => {
      this.asOf.set(gauge.as_of);
      handler(gauge);
    }, this.signal);
  }
}

/** A link to a screen: `link("customers", customer, "household-72")`. */
export function link(screen, path, text) {
  return h("a", { href: addressOf(screen, path) }, text);
}

/** The address of a screen: `addressOf("customers", "018f…")`. */
export function addressOf(screen, path = "", query = {}) {
  const search = new URLSearchParams(query).toString();
  const parts = [screen, ...path.split("/")].filter(Boolean);
  return `#/${parts.map((part) => encodeURIComponent(part)).join("/")}${search && `?${search}`}`;
}
