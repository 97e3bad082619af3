// What-if: a run is given up, a run is compared side by side, the rules are looked at before they hold, and a slip is shown with its place.
import assert from "node:assert/strict";

export async function whatIf({ page, call, buy, open, look, visit }) {
  for (const amount of [200_000, 300_000]) {
    await buy({ ref: "what-if", amount, promo_code: "JOURNEY2017", occurred_at: "2017-06-01T12:00:00+07:00" });
  }
  const { version } = await call("GET", "/v1/catalogue");
  const promo = (await call("GET", "/v1/reports/summary")).promos.find(({ code }) => code === "JOURNEY2017");
  await open("#/what-if");
  // A run that does not come back can be given up.
  await page.route("**/v1/what-if*", () => undefined);
  await page.getByRole("button", { name: "Run" }).click();
  await page.getByText("Waiting for the server").waitFor();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("The run was cancelled.").waitFor();
  await page.unroute("**/v1/what-if*");
  // With a quota of 1 the promo would have paid once.
  await page.getByLabel("Purchases that it may pay for").fill("1");
  await page.getByRole("button", { name: "Run" }).click();
  const promos = page.getByRole("table", { name: "Promos, side by side" });
  const paid = promos.getByRole("row").filter({ hasText: "JOURNEY2017: purchases paid for" });
  await paid.waitFor();
  const cells = (await paid.getByRole("cell").allInnerTexts()).map((text) => text.replaceAll(",", ""));
  assert.deepEqual(cells.slice(1), [String(promo.used), "1", `−${promo.used - 1}`]);
  await page.getByRole("region", { name: "Customers, IDR" }).getByRole("heading", { name: /^Less: \d/ }).waitFor();
  assert.equal((await call("GET", "/v1/catalogue")).version, version);
  await look("what-if");
  // What the rules would do is looked at before they hold.
  await page.getByRole("button", { name: "Make these the rules" }).click();
  const dialog = page.getByRole("dialog", { name: "Make these the rules" });
  await dialog.getByRole("button", { name: "Preview" }).click();
  await dialog.getByText(`quota ${promo.quota} -> 1`).waitFor();
  await dialog.getByText("Promo JOURNEY2017 pays nothing more").waitFor();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  // A slip of the pen is shown with its place, and there is a way to it.
  const rules = page.getByLabel("The rules to try");
  await rules.fill((await rules.inputValue()).replace('"quota"', '"quotaa"'));
  await page.getByRole("button", { name: "Run" }).click();
  await page.getByRole("alert").getByText("unknown field `quotaa`").waitFor();
  await page.getByRole("button", { name: /^Go to line/ }).click();
  assert.ok(await rules.evaluate((text) => text.value.slice(0, text.selectionEnd).endsWith('"quotaa"')));
  await page.getByRole("button", { name: "Take the present rules" }).click();
  await page.waitForFunction(() => !document.querySelector("textarea").value.includes("quotaa"));
  visit.isQuiet("what-if", ["422", "400"]);
}
