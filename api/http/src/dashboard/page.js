// What a screen is given: its place, what is asked for in the address, the API, the stream, and the tenant's currency. It ends when
// another screen is opened, and with it everything that was begun with its `signal`.

import { fill, h } from "./dom.js";
import { money } from "./format.js";
import { asOf, problemBox, settle } from "./ui.js";

export class Page {
  #ended = new AbortController();

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

  /** Ends what the screen has begun. */
  end() {
    this.#ended.abort();
  }

  /** The tenant as its rules say it: name, currency, time zone. */
  get tenant() {
    return this.rules.catalogue.tenant;
  }

  /** The tenant's currency, as `money` wants it. */
  get currency() {
    return { code: this.tenant.currency, exponent: this.tenant.currency_exponent };
  }

  /** Minor units as people read them. */
  money(minor) {
    return money(minor, this.currency);
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
    const again = async () => {
      try {
        await work();
        fill(node);
      } catch (error) {
        if (this.signal.aborted) return;
        fill(node, problemBox(error));
      }
      if (!this.signal.aborted) timer = setTimeout(again, seconds * 1_000);
    };
    let timer = setTimeout(again, 0);
    this.signal.addEventListener("abort", () => clearTimeout(timer));
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
  return `#/${[screen, path].filter(Boolean).map((part) => encodeURIComponent(part)).join("/")}${search && `?${search}`}`;
}
