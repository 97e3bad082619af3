// Finance: the roll-forward says what the API says at the position of the screen, ties to the trial balance, and is saved as it is shown.
import assert from "node:assert/strict";

export async function finance({ page, call, buy, open, look }) {
  await buy({ ref: "saver" });
  await open("#/finance");
  const checks = page.getByRole("table", { name: "Whether the report ties" });
  await checks.getByText("Ties").first().waitFor();
  const cellsOf = async (row) => (await row.getByRole("cell").allTextContents()).map((text) => text.replaceAll(/[^\d−-]/g, ""));

  // Each number is the API's at the position that the screen is of.
  const at = Number((await page.getByRole("note").textContent()).replaceAll(/\D/g, ""));
  const report = await call("GET", `/v1/reports/liability?to=${at}`);
  const books = await call("GET", `/v1/trial-balance?at=${at}`);
  assert.ok(report.data.length > 0);
  assert.equal(await checks.getByText(/Ties$/).count(), report.data.length);
  assert.ok(books.totals.every(({ total }) => total === 0));
  const lines = page.getByRole("table", { name: "Liability by unit" }).getByRole("row");
  for (const [name, line] of [["Opening", "opening"], ["+ Earned", "earned"], ["− Spent", "spent"], ["Closing", "closing"]]) {
    const cells = await cellsOf(lines.filter({ hasText: name }));
    assert.deepEqual(cells.slice(2), report.data.map((own) => String(own[line])), name);
  }
  for (const own of report.data) {
    const unit = own.unit.startsWith("points/") ? `${own.unit.slice(7)} points` : own.unit;
    const row = checks.getByRole("row").filter({ has: page.getByRole("cell", { name: unit, exact: true }) });
    const [, reckoned, closing, held, difference] = await cellsOf(row);
    assert.deepEqual([reckoned, closing, held, difference], [own.closing, own.closing, own.closing, 0].map(String), unit);
  }
  await look("finance");

  // The file has the same numbers.
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save the roll-forward as CSV" }).click()]);
  const text = Buffer.concat(await (await download.createReadStream()).toArray()).toString();
  assert.equal(download.suggestedFilename(), `journey-liability-0-${at}.csv`);
  const rows = text.trim().split("\r\n").slice(1).map((row) => row.split(","));
  assert.deepEqual(rows.map((row) => [row[0], row.at(-1)]), report.data.map((own) => [own.unit, String(own.closing)]));

  await page.getByRole("button", { name: "Today" }).click();
  assert.match(await page.getByLabel("From").inputValue(), /^\d{4}-\d\d-\d\d$/);
  await checks.getByText("Ties").first().waitFor();
  await page.getByLabel("To").fill("2001-01-01");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("The period ends before it begins.").waitFor();
}
