// Promos: a quota is changed after a look at what would happen, and the meter follows.
import assert from "node:assert/strict";

export async function promos({ visit, server }) {
  const { page } = visit;
  await visit.go("#/promos");
  await page.getByRole("row", { name: /JOURNEY2017/ }).getByText(/of 10,000/).waitFor();
  await visit.look("promos");
  await page.getByRole("link", { name: "JOURNEY2017" }).click();
  await page.getByRole("heading", { level: 1, name: "Promo JOURNEY2017" }).waitFor();
  // What was declined is counted, what is declined is counted too.
  const declined = page.getByRole("table", { name: "Declines by reason" }).getByRole("row", { name: /no band/ }).getByRole("cell").last();
  await declined.waitFor();
  const before = Number((await declined.textContent()).replaceAll(",", ""));
  await server.buy({ ref: "bandless", amount: 100_000, quantity: 2, promo_code: "JOURNEY2017", occurred_at: "2017-06-01T12:00:00+07:00" });
  await declined.getByText((before + 1).toLocaleString("en-US"), { exact: true }).waitFor();
  await page.getByRole("button", { name: "Change the quota" }).click();
  const dialog = page.getByRole("dialog");
  const quota = dialog.getByLabel("Purchases that the promo may pay for");
  await quota.fill("12,5");
  await dialog.getByRole("button", { name: "Preview" }).click();
  await dialog.getByRole("alert").getByText("The quota is a whole number.").waitFor();
  await quota.fill("12,000");
  await dialog.getByRole("button", { name: "Preview" }).click();
  await dialog.getByText("promo JOURNEY2017: quota 10000 -> 12000").waitFor();
  await visit.look("promo-quota");
  assert.equal((await server.call("GET", "/v1/promos/JOURNEY2017")).quota, 10_000, "a preview changes nothing");
  // While it is made, the dialog stays: gone, it would say that nothing was.
  let letThrough;
  const held = new Promise((resolve) => { letThrough = resolve; });
  const hold = async (route) => {
    if (route.request().method() === "PATCH") await held;
    await route.continue();
  };
  await page.route("**/v1/promos/JOURNEY2017", hold);
  const asked = page.waitForRequest((request) => request.method() === "PATCH");
  await dialog.getByRole("button", { name: "Change the quota" }).click();
  await asked;
  await page.keyboard.press("Escape");
  assert.ok(await dialog.isVisible());
  letThrough();
  await dialog.waitFor({ state: "detached" });
  await page.unroute("**/v1/promos/JOURNEY2017", hold);
  await page.getByText(/^Quota changed; rules version 2/).waitFor();
  assert.equal((await server.call("GET", "/v1/promos/JOURNEY2017")).quota, 12_000);
  await page.getByText(/of 12,000/).first().waitFor();
  await visit.settled();
}
