// Integrations: a webhook whose delivery fails is followed through its replay, and an API key is given and revoked.
import assert from "node:assert/strict";
import { createServer } from "node:http";

export async function integrations({ page, call, buy, open, look }) {
  let status = 500;
  const got = [];
  const receiver = createServer((request, response) => {
    got.push(request.headers["webhook-id"]);
    request.resume().on("end", () => response.writeHead(status).end());
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const dialog = page.getByRole("dialog");
  const press = (name) => dialog.getByRole("button", { name, exact: true }).click();
  try {
    await open("#/integrations");
    await page.getByRole("button", { name: "New webhook" }).click();
    await dialog.getByLabel("URL").fill(`http://127.0.0.1:${receiver.address().port}/hook`);
    await dialog.getByLabel("Topics").fill("purchase.accepted");
    await dialog.getByLabel("Description").fill("Browser test");
    await press("Create the webhook");
    assert.match(await dialog.getByLabel("Secret", { exact: true }).inputValue(), /^whsec_/);
    await press("Done");
    await page.getByRole("heading", { level: 1, name: "Browser test" }).waitFor();
    const id = new URL(page.url()).hash.split("/").at(-1);
    const { seq } = await buy({ ref: "household-72", amount: 50_000 });
    await page.locator(".figure", { hasText: "Due" }).getByText("1", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Read again" }).click();
    const row = page.locator("tr", { has: page.getByRole("button", { name: `Replay seq ${seq}`, exact: true }) });
    await row.getByText("the receiver answered 500").waitFor();
    await look("webhook");
    status = 204;
    await row.getByRole("button").click();
    await page.getByText("Replayed 1: 1 made.").waitFor();
    await row.getByText("taken").waitFor();
    assert.ok(got.length >= 2 && got.every((own) => own === `msg_${id}_${seq}`), got.join());
    assert.equal((await call("GET", `/v1/webhooks/${id}/deliveries`)).data[0].state, "made");
    await page.getByRole("button", { name: "Delete" }).click();
    await press("Delete");
    await page.getByRole("heading", { level: 1, name: "Integrations" }).waitFor();
    const { slug, name } = (await call("GET", "/v1/partners")).data[0];
    await page.getByRole("link", { name, exact: true }).click();
    await page.getByRole("button", { name: "New API key" }).click();
    for (const step of ["Preview", "Give the key"]) await press(step);
    const key = (await dialog.getByRole("heading", { name: /^API key [0-9a-f]{32}$/ }).innerText()).slice(-32);
    await press("Done");
    await look("partner");
    await page.getByRole("button", { name: `Revoke ${key}` }).click();
    await press("Revoke");
    await page.locator("tr", { hasText: key }).getByText("revoked").waitFor();
    assert.ok((await call("GET", `/v1/partners/${slug}/api-keys`)).data.find((own) => own.id === key).revoked);
    await open("#/integrations");
    await page.getByText(`API key of ${slug} revoked: ${key}`).waitFor();
    await look("integrations");
  } finally {
    receiver.close();
  }
}
