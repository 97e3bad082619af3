// The frame of the dashboard: who is let in and sees what, and that the stream goes on where it was when the server is killed.
import assert from "node:assert/strict";

/** Nobody gets in with a wrong password; the page says so in the server's words. */
export async function logsIn({ visit }) {
  const { page } = visit;
  await visit.look("log-in");
  await visit.logIn("boss", "a wrong password");
  await page.getByRole("alert").getByText("login_failed").waitFor();
  visit.isQuiet("the wrong password", ["401"]);
  await visit.logIn("boss");
  await page.getByRole("navigation", { name: "Screens" }).waitFor();
  // A page that is loaded again goes on, also where the answer is lost that it went on with.
  await page.route("**/v1/auth/refresh", async (route) => {
    await route.fetch();
    await route.abort();
  });
  await page.reload();
  await page.getByText("The server cannot be reached.").waitFor();
  await page.unroute("**/v1/auth/refresh");
  visit.isQuiet("an answer that is lost", ["ERR_FAILED"]);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByRole("heading", { level: 1, name: "Home" }).waitFor();
  // What is entered by keyboard alone leads past the list of screens.
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
}

/** An operator changes no rules; a customer sees its own account and nothing else. */
export async function showsWhatARoleMayDo({ visitAs }) {
  const operator = await visitAs("ops");
  await operator.go("#/promos/JOURNEY2017");
  assert.equal(await operator.page.getByRole("button", { name: "Change the quota" }).count(), 0);
  await operator.page.context().close();
  const customer = await visitAs("ann@example.com");
  await customer.page.getByRole("heading", { level: 1, name: "My account" }).waitFor();
  assert.deepEqual(await customer.page.getByRole("navigation", { name: "Screens" }).getByRole("link").allTextContents(), ["My account"]);
  await customer.go("#/finance");
  await customer.page.getByRole("heading", { level: 1, name: "My account" }).waitFor();
  await customer.look("my-account-that-is-empty");
  await customer.page.context().close();
}

/** Numbers move while purchases stream; a kill loses nothing and repeats nothing. */
export async function goesOnAfterAKill({ visit, server }) {
  const { page } = visit;
  await visit.go("#/home");
  await page.locator(".state").getByText("Live").waitFor();
  const figure = (name) => page.locator(".figure", { has: page.getByText(name, { exact: true }) }).locator("dd").first();
  const seen = figure("Purchases since this page was opened");
  const all = figure("Purchases in all");
  const before = await number(all);
  let booked = 0;
  const stream = async (count) => {
    for (let index = 0; index < count; index += 1) {
      await server.buySurely({ ref: `home-${index % 7}`, amount: 120_000 });
      booked += 1;
    }
  };
  await stream(25);
  await has(seen, "25");
  await has(all, (before + 25).toLocaleString("en-US"));
  for (const round of [1, 2, 3]) {
    // In the middle of it, and also before the page is there again.
    const streaming = stream(40);
    await has(seen, String(25 + 40 * (round - 1) + 5), "<=");
    await server.kill();
    await page.getByText("Connection lost").waitFor();
    await server.start();
    await streaming;
    await page.locator(".state").getByText("Live").waitFor();
    await has(seen, String(25 + 40 * round));
  }
  // The last server has decided something, too.
  await stream(1);
  await has(all, (before + booked).toLocaleString("en-US"));
  await page.getByText(`Live at seq ${(await server.call("GET", "/v1/system")).as_of.toLocaleString("en-US")}`).waitFor();
  // What failed while nobody was there is not the page's fault.
  visit.isQuiet("home", ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE"]);
  await figure("Decision, p50 / p99").getByText(/[mµ]s \//).waitFor();
  await visit.look("home");

  /** Waits until a figure is so, or at least so much. */
  async function has(place, wanted, how = "=") {
    await page.waitForFunction(([node, text, relation]) => {
      return relation === "=" ? node.textContent === text : Number(text) <= Number(node.textContent);
    }, [await place.elementHandle(), wanted, how]);
  }
  async function number(place) {
    await page.waitForFunction((node) => /\d/.test(node.textContent), await place.elementHandle());
    return Number((await place.textContent()).replaceAll(",", ""));
  }
}

/** An address that names nothing leads to the first screen, a dialog does not outlive its screen, and a hidden page gives its connection up. */
export async function staysInOrder({ visit, page, server }) {
  await visit.go("#/promos/%E0%A4%A");
  await page.getByRole("heading", { level: 1 }).waitFor();
  visit.isQuiet("an address that is none", ["404"]);
  await visit.go("#/promos/JOURNEY2017");
  await page.getByRole("button", { name: "Change the quota" }).click();
  await page.getByRole("dialog").waitFor();
  await page.evaluate(() => { location.hash = "#/tiers"; });
  await page.getByRole("heading", { level: 1, name: "Tiers" }).waitFor();
  assert.equal(await page.getByRole("dialog").count(), 0);
  await page.clock.install();
  const hide = (hidden) => page.evaluate((wanted) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => wanted });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await hide(true);
  await page.clock.runFor(31_000);
  await page.getByText("Resting while nobody looks").waitFor();
  const { seq } = await server.buy({ ref: "behind the back" });
  await hide(false);
  await page.getByText(`at seq ${seq.toLocaleString("en-US")}`).waitFor();
  await page.clock.resume();
}

/** On a phone, and in the dark. */
export async function worksElsewhere({ visitAs }) {
  const phone = await visitAs("boss", { viewport: { width: 390, height: 800 }, colorScheme: "dark" });
  await phone.page.getByRole("button", { name: "Menu" }).click();
  await phone.page.getByRole("link", { name: "Promos" }).click();
  await phone.page.getByRole("heading", { level: 1, name: "Promos" }).waitFor();
  const wide = await phone.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `the page is ${wide} pixels wider than the phone`);
  await phone.look("promos-on-a-phone");
  await phone.page.context().close();
}
