// The frame: log-in, the list of screens, the state of the connection, and which screen is open.

import { Api } from "./api.js";
import { fill, h } from "./dom.js";
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

const app = document.getElementById("app");
const session = new Session(() => frame?.end());
let frame;

class Frame {
  constructor() {
    this.api = new Api(session);
    this.live = new Live(this.api, { withGauges: session.isOperator });
    this.screens = session.isOperator ? OPERATORS_SCREENS : CUSTOMERS_SCREENS;
    this.rules = undefined;
    this.page = undefined;
    this.main = h("main", { id: "main", tabindex: "-1" });
    this.links = new Map(this.screens.map((screen) => [screen.name, h("a", { href: addressOf(screen.name) }, screen.title)]));
  }

  async start() {
    const { tenant, username, role } = session.account;
    const state = h("p", { class: "state", role: "status" });
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
        state, menu),
      h("div", { class: "frame" }, side, this.main),
      h("div", { id: "toasts", role: "status", "aria-live": "polite" }));

    const said = () => fill(state, stateOf(this.live));
    for (const name of ["state", "position", "skipped"]) this.live.addEventListener(name, said);
    said();
    this.live.run();
    this.onAddress = () => this.open();
    addEventListener("hashchange", this.onAddress);
    fill(this.main, loading());
    await this.readRules();
    this.open();
  }

  /** Reads the tenant's rules, which screens name amounts and levels by, and again whenever they change. */
  async readRules() {
    if (!session.isOperator) return;
    const ended = new AbortController();
    this.rulesEnded = ended;
    const read = async () => {
      this.rules = await this.api.get("/v1/catalogue");
      if (this.page) this.page.rules = this.rules;
    };
    this.live.on(["catalogue.applied"], () => read().catch((error) => console.warn("the rules could not be read", error)), ended.signal);
    try {
      await read();
    } catch (error) {
      await new Promise((resolve) => fill(this.main, problemBox(error, async () => resolve(await this.readRules()))));
    }
  }

  /** Opens the screen that the address names; the first one where it names none. */
  async open() {
    const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
    const [name, ...rest] = path.split("/").map(decodeURIComponent);
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
      if (!page.signal.aborted) fill(main, problemBox(error, () => this.open()));
    }
  }

  end() {
    this.live.stop();
    this.page?.end();
    this.rulesEnded?.abort();
    removeEventListener("hashchange", this.onAddress);
    for (const dialog of document.querySelectorAll("dialog")) dialog.remove();
    frame = undefined;
    showLogIn();
  }
}

function stateOf(live) {
  const position = live.position === undefined ? "" : ` at seq ${whole(live.position)}`;
  const skipped = live.left.skipped > 0 ? [" ", badge(`${whole(live.left.skipped)} positions left out: this page was too slow`, "warn")] : [];
  if (live.state === "live") return [badge(`Live${position}`, "good"), ...skipped];
  if (live.state === "connecting") return badge("Connecting…");
  return badge(`Connection lost${position}; trying again`, "bad");
}

function showLogIn() {
  document.title = "Log in · Kembali";
  const said = h("div");
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
