// Reads a server's description of its WebSockets with the parser of AsyncAPI's own makers, and says what it found.
//
// KEMBALI_URL is the server. Any diagnostic that is an error, or a warning, is printed and ends this with 1.

import { Parser } from "@asyncapi/parser";

const response = await fetch(`${process.env.KEMBALI_URL}/asyncapi.json`);
const { document, diagnostics } = await new Parser().parse(await response.text());
// 0 is an error, 1 a warning; further ones are advice.
const wrong = diagnostics.filter((own) => own.severity <= 1);
for (const own of wrong) {
  console.error(own.severity, own.path.join("/"), own.message);
}
if (wrong.length > 0 || document === undefined) {
  process.exit(1);
}
const said = document.channels().all().map((channel) => `${channel.address()} ${channel.messages().all().length}`);
console.log(said.join(", "));
