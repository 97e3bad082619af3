// A browser on the dashboard: logs in, goes from screen to screen, and looks for what no screen may have: an error on the console, and a
// serious fault for whoever uses it with a keyboard, a screen reader or little contrast.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { extname } from "node:path";
import { chromium } from "playwright-core";
import { PASSWORD, TENANT } from "./server.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html" };
/** What a test waits for longer than this does not come. */
const PATIENCE_MS = 20_000;

export async function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ARGUMENTS });
}

export class Visit {
  constructor(page, url, screens) {
    this.page = page;
    this.url = url;
    this.screens = screens;
    /** What the console said that nothing has accounted for. */
    this.faults = [];
  }

  static async open(browser, url, { screens, ...context } = {}) {
    const own = await browser.newContext({ viewport: { width: 1360, height: 900 }, ...context });
    const page = await own.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const visit = new Visit(page, url, screens);
    page.on("console", (message) => {
      if (message.type() === "error") visit.faults.push(`${message.text()} ${message.location().url}`);
    });
    page.on("pageerror", (error) => visit.faults.push(error.stack));
    if (process.env.FILES !== undefined) await visit.#takeFilesOf(process.env.FILES);
    await page.goto(url);
    return visit;
  }

  /** Shows the files of a folder instead of those in the program, so that whoever works on them need not build it. */
  async #takeFilesOf(folder) {
    await this.page.route(/\/dashboard\/|\/$/, async (route) => {
      const answer = await route.fetch();
      const name = new URL(route.request().url()).pathname.replace(/^\/$/, "index.html").replace("/dashboard/", "");
      const path = [`${folder}/${name}`, `${folder}/vendor/${name}`].find(existsSync);
      if (path === undefined) await route.fulfill({ response: answer });
      else await route.fulfill({ status: 200, headers: { ...answer.headers(), "content-type": TYPES[extname(path)] }, body: readFileSync(path) });
    });
  }

  async logIn(username, password = PASSWORD) {
    const { page } = this;
    await page.getByLabel("Tenant").fill(TENANT);
    await page.getByLabel("Username").fill(username);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Log in" }).click();
  }

  /** Goes to a screen, as `#/promos`, and waits until it is there. */
  async go(hash) {
    await this.page.evaluate((wanted) => {
      // The same address again opens nothing: away, and back.
      history.replaceState(null, "", "#/");
      location.hash = wanted;
    }, hash);
    await this.page.getByRole("heading", { level: 1 }).waitFor();
    await this.settled();
  }

  /** Waits until nothing is loading any more. */
  async settled() {
    await this.page.waitForFunction(() => document.querySelector(".loading, [aria-busy=true]") === null);
  }

  /** Looks for faults of the screen that is shown, and takes its picture where pictures are wanted. */
  async look(name) {
    await this.settled();
    const { page } = this;
    await page.evaluate(AXE);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    const serious = found.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    const said = serious.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(" ")}`);
    assert.deepEqual(said, [], `${name} has faults for some who use it`);
    this.isQuiet(name);
    if (this.screens === undefined) return;
    await page.evaluate(() => {
      document.getElementById("toasts")?.replaceChildren();
      if (document.querySelector("dialog") === null) scrollTo(0, 0);
    });
    await page.screenshot({ path: `${this.screens}/${name}.png` });
  }

  /** The console said nothing, but what is expected: texts that each fault must hold one of. */
  isQuiet(name, expected = []) {
    const faults = this.faults.splice(0).filter((fault) => !expected.some((own) => fault.includes(own)));
    assert.deepEqual(faults, [], `the console said something at ${name}`);
  }
}
