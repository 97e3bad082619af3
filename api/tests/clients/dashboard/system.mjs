// System: how the server is doing, as the API says it, and the check of every byte.
import assert from "node:assert/strict";

export async function system({ page, call, buy, open, look }) {
  await open("#/system");
  await page.getByText("Takes everything").waitFor();
  await buy({ ref: "household-72", amount: 50_000 });
  const figure = (name) => page.locator(".figure", { hasText: name });
  const decisions = page.getByRole("region", { name: "Decisions", exact: true });
  await decisions.getByText(/^of [1-9][\d,]* in the last /).waitFor();
  const now = await call("GET", "/v1/system");
  assert.ok(now.decisions.count > 0);
  await figure("Shards").getByText(String(now.shards), { exact: true }).waitFor();
  await figure("Archived and in a snapshot").getByText(`up to seq ${now.archive.last_seq.toLocaleString("en-US")}`).waitFor();
  const { totals } = await call("GET", "/v1/trial-balance");
  for (const { unit } of totals) await page.getByText(`${unit}: 0`).waitFor();
  assert.equal(await page.getByText("Does not balance").count(), 0);
  await page.getByRole("button", { name: "Check every byte" }).click();
  await page.getByText(/Every byte of [\d,]+ segments/).waitFor();
  const { verification } = await call("GET", "/v1/system");
  assert.equal(verification.state, "passed");
  assert.equal(verification.segments_checked, verification.segments);
  await look("system");
}
