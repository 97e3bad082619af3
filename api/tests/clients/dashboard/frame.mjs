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
  // A page that is loaded again goes on; what is entered by keyboard alone leads past the list of screens.
  await page.reload();
  await page.getByRole("heading", { level: 1, name: "Home" }).waitFor();
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
  await page.getByText("Live at seq").waitFor();
  const figure = (name) => page.locator(".figure", { has: page.getByText(name, { exact: true }) }).locator("dd").first();
  const seen = figure("Purchases since this page was opened");
  const all = figure("Purchases in all");
  const before = await number(all);
  let booked = 0;
  const stream = async (count) => {
    for (let index = 0; index < count; index += 1) {
      await server.buy({ ref: `home-${index % 7}`, amount: 120_000 });
      booked += 1;
    }
  };
  await stream(25);
  await has(seen, "25");
  await has(all, (before + 25).toLocaleString("en-US"));
  await visit.look("home");
  for (const round of [1, 2]) {
    await server.kill();
    await page.getByText("Connection lost").waitFor();
    await server.start();
    // Also what happens before the page is there again is told of.
    await stream(10);
    await page.getByText("Live at seq").waitFor();
    await has(seen, String(25 + 10 * round));
  }
  await has(all, (before + booked).toLocaleString("en-US"));
  await page.getByText(`Live at seq ${(await server.call("GET", "/v1/system")).as_of.toLocaleString("en-US")}`).waitFor();
  // What failed while nobody was there is not the page's fault.
  visit.isQuiet("home", ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE"]);

  async function has(place, text) {
    await page.waitForFunction(([node, wanted]) => node.textContent === wanted, [await place.elementHandle(), text]);
  }
  async function number(place) {
    await page.waitForFunction((node) => /\d/.test(node.textContent), await place.elementHandle());
    return Number((await place.textContent()).replaceAll(",", ""));
  }
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
