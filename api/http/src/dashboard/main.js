// The frame: log-in, the list of screens, the state of the connection, and which screen is open.

import { Api } from "./api.js";
import { fill, h, setText } from "./dom.js";
import { whole } from "./format.js";
import { Live } from "./live.js";
import { Page, addressOf } from "./page.js";
import { Session } from "./session.js";
import { badge, button, loading, problemBox } from "./ui.js";
import { field, valuesOf } from "./forms.js";
import { account } from "./account.js";
import { campaigns } from "./campaigns.js";
import { customers } from "./customers.js";
import { finance } from "./finance.js";
import { home } from "./home.js";
import { integrations } from "./integrations.js";
import { payments } from "./payments.js";
import { promos } from "./promos.js";
import { risk } from "./risk.js";
import { system } from "./system.js";
import { tiers } from "./tiers.js";
import { whatIf } from "./what_if.js";

/** A screen is `{ name, title, open(page) }`: `name` stands in the address. */
const OPERATORS_SCREENS = [home, promos, customers, tiers, campaigns, payments, risk, finance, integrations, whatIf, system];
const CUSTOMERS_SCREENS = [account];

/** How long a screen waits for the stream to begin. */
const BEGINS_MS = 3_000;
const RULES_AGAIN_MS = 2_000;

const app = document.getElementById("app");
const session = new Session((problem) => frame?.end(problem));
let frame;

class Frame {
  constructor() {
    this.api = new Api(session);
    this.live = new Live(this.api, { withGauges: session.isOperator });
    this.screens = session.isOperator ? OPERATORS_SCREENS : CUSTOMERS_SCREENS;
    this.rules = undefined;
    this.page = undefined;
    this.ended = new AbortController();
    this.main = h("main", { id: "main", tabindex: "-1" });
    this.links = new Map(this.screens.map((screen) => [screen.name, h("a", { href: addressOf(screen.name) }, screen.title)]));
  }

  async start() {
    const { tenant, username, role } = session.account;
    const [state, position] = [h("span", { role: "status" }), h("span")];
    const nav = h("nav", { "aria-label": "Screens" }, h("ul", {}, [...this.links.values()].map((link) => h("li", {}, link))));
    const menu = h("button", { type: "button", class: "menu", "aria-expanded": "false", "aria-controls": "side" }, "Menu");
    const side = h("div", { class: "side", id: "side" }, nav, h("section", { class: "who", "aria-label": "Who is logged in" },
      h("p", {}, h("strong", {}, username), h("span", { class: "quiet" }, ` ${role} of ${tenant}`)),
      button("Log out", () => session.logOut())));
    menu.addEventListener("click", () => menu.setAttribute("aria-expanded", String(side.classList.toggle("open"))));
    nav.addEventListener("click", () => {
      side.classList.remove("open");
      menu.setAttribute("aria-expanded", "false");
    });
    fill(app,
      h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); this.main.focus(); } }, "Skip to what is shown"),
      h("header", { class: "top" },
        h("a", { class: "brand", href: addressOf(this.screens[0].name) }, h("img", { src: "/dashboard/logo.svg", alt: "", width: "28", height: "28" }), "Kembali"),
        h("p", { class: "state" }, state, position), menu),
      h("div", { class: "frame" }, side, this.main),
      h("div", { id: "toasts", role: "status", "aria-live": "polite" }));

    // Whoever hears the page is told of the state, and not of each record.
    const told = () => fill(state, stateOf(this.live));
    this.live.addEventListener("state", told);
    this.live.addEventListener("position", () => setText(position, ` at seq ${whole(this.live.position)}`));
    told();
    this.live.run();
    this.onAddress = () => this.open();
    addEventListener("hashchange", this.onAddress);
    fill(this.main, loading());
    // What a screen reads is of then or later: nothing that happens is between the two.
    await Promise.all([this.live.began(BEGINS_MS), this.readRules()]);
    if (frame === this) this.open();
  }

  /** Reads the tenant's rules, which screens name amounts and levels by, and again whenever they change. */
  async readRules() {
    if (!session.isOperator) return;
    const { signal } = this.ended;
    const read = async () => {
      this.rules = await this.api.get("/v1/catalogue", {}, signal);
      if (this.page) this.page.rules = this.rules;
    };
    // Tries again until it is read: names and amounts of before would be shown else.
    const again = () => read().catch(() => {
      if (!signal.aborted) setTimeout(again, RULES_AGAIN_MS);
    });
    for (let isRead = false; !isRead && !signal.aborted;) {
      try {
        await read();
        isRead = true;
      } catch (error) {
        if (!signal.aborted) await new Promise((resolve) => fill(this.main, problemBox(error, resolve)));
      }
    }
    this.live.on(["catalogue.applied"], again, signal);
  }

  /** Opens the screen that the address names; the first one where it names none. */
  async open() {
    const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
    const [name, ...rest] = path.split("/").map(decoded);
    const screen = this.screens.find((own) => own.name === name) ?? this.screens[0];
    for (const [own, link] of this.links) {
      if (own === screen.name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.page?.end();
    const { main, api, live, rules } = this;
    const page = new Page({ main, screen, path: rest.join("/"), query: new URLSearchParams(search), session, api, live, rules });
    this.page = page;
    fill(main, loading());
    scrollTo(0, 0);
    try {
      await screen.open(page);
    } catch (error) {
      if (!page.signal.aborted) page.show({}, problemBox(error, () => this.open()));
    }
  }

  end(problem) {
    this.ended.abort();
    this.live.stop();
    this.page?.end();
    removeEventListener("hashchange", this.onAddress);
    frame = undefined;
    showLogIn(problem);
  }
}

/** A part of an address; one that is none stands for itself, and names nothing. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function stateOf({ state, problem, skipped }) {
  const left = skipped > 0 && [" ", badge(`${whole(skipped)} positions left out: this page was too slow`, "warn")];
  if (state === "live") return [badge("Live", "good"), left];
  if (state === "connecting") return badge("Connecting…");
  if (state === "resting") return badge("Resting while nobody looks");
  return badge(`Connection lost; trying again${problem ? `: ${problem.title}` : ""}`, "bad");
}

/** `problem` is why somebody was logged out. */
function showLogIn(problem) {
  document.title = "Log in · Kembali";
  const said = h("div", {}, problem && problemBox(problem));
  const send = h("button", { type: "submit", class: "main" }, "Log in");
  const tenant = field({ name: "tenant", label: "Tenant", autocomplete: "organization", required: true, autocapitalize: "none" });
  const form = h("form", { class: "log-in" },
    h("img", { src: "/dashboard/logo.svg", alt: "", width: "48", height: "48" }),
    h("h1", {}, "Kembali"),
    tenant,
    field({ name: "username", label: "Username", autocomplete: "username", required: true, autocapitalize: "none" }),
    field({ name: "password", label: "Password", type: "password", autocomplete: "current-password", required: true }),
    send, said);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    fill(said);
    try {
      const { tenant: slug, username, password } = valuesOf(form);
      await session.logIn(slug, username, password);
      await showFrame();
    } catch (error) {
      fill(said, problemBox(error));
    } finally {
      send.disabled = false;
    }
  });
  fill(app, h("main", { class: "alone" }, form));
  tenant.control.focus();
}

async function showFrame() {
  frame = new Frame();
  await frame.start();
}

async function begin() {
  fill(app, h("main", { class: "alone" }, loading()));
  try {
    if (await session.resume()) await showFrame();
    else showLogIn();
  } catch (error) {
    fill(app, h("main", { class: "alone" }, problemBox(error, begin)));
  }
}

begin();
