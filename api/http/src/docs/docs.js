// Shows /openapi.json. Text from the description is only ever set as text, so nothing in it can run.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const CODES = "x-problem-codes";

/** Makes an element: attributes first, then children, which are nodes or text. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Makes nodes of text with `code` and **weight**; the description uses no other marks. */
function marked(text) {
  const parts = (text ?? "").split(/(`[^`]+`|\*\*[^*]+\*\*)/);
  return parts.map((part) => {
    if (part.startsWith("`")) return make("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return make("strong", {}, part.slice(2, -2));
    return part;
  });
}

function paragraphs(text) {
  return (text ?? "").split(/\n{2,}/).map((part) => make("p", {}, marked(part.replaceAll("\n", " "))));
}

const schemaName = (reference) => reference.split("/").pop();

/** Says what a value must be, with links to what is described elsewhere. */
function typeOf(schema) {
  if (!schema || Object.keys(schema).length === 0) return ["anything"];
  if (schema.$ref) {
    const name = schemaName(schema.$ref);
    return [make("a", { href: `#schema-${name}` }, name)];
  }
  for (const [key, word] of [["oneOf", " or "], ["anyOf", " or "], ["allOf", " with "]]) {
    if (schema[key]) return joined(schema[key].map(typeOf), word);
  }
  if (schema.enum) return joined(schema.enum.map((value) => [make("code", {}, JSON.stringify(value))]), " or ");
  const types = [schema.type].flat();
  return joined(types.map((type) => typeWords(type, schema)), " or ");
}

function typeWords(type, schema) {
  if (type === "array") return ["list of ", ...typeOf(schema.items)];
  if (type === "object" && typeof schema.additionalProperties === "object") {
    return ["map to ", ...typeOf(schema.additionalProperties)];
  }
  if (type === "object" && schema.properties) return ["object {", Object.keys(schema.properties).join(", "), "}"];
  const format = type === "string" && schema.format ? ` (${schema.format})` : "";
  return [`${type}${format}${type === "null" ? "" : limits(type, schema)}`];
}

function limits(type, schema) {
  const usual = schema.default === undefined ? "" : `, ${schema.default} if not given`;
  const between = (low, high, unit) => {
    if (low !== undefined && high !== undefined) return `, ${low} to ${high}${unit}`;
    if (low !== undefined && low > 0) return `, at least ${low}${unit}`;
    return high === undefined ? "" : `, at most ${high}${unit}`;
  };
  if (type === "string") return between(schema.minLength, schema.maxLength, " characters");
  return between(schema.minimum, schema.maximum, "") + usual;
}

const joined = (lists, word) => lists.flatMap((list, index) => (index === 0 ? list : [word, ...list]));

function table(heads, rows) {
  const head = make("tr", {}, heads.map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map((cells) => make("tr", {}, cells.map((cell) => make("td", {}, cell))));
  return make("div", { class: "wide" }, make("table", {}, make("thead", {}, head), make("tbody", {}, body)));
}

function fieldTable(schema) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([name, field]) => [
    make("code", {}, name),
    typeOf(field),
    required.has(name) ? "yes" : "",
    marked(field.description),
  ]);
  return table(["Field", "Type", "Required", "Meaning"], rows);
}

/** Shows what a schema holds, part by part. */
function schemaBody(schema) {
  if (schema.properties) return [fieldTable(schema)];
  const parts = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (!parts) return [make("p", {}, typeOf(schema))];
  const word = schema.allOf ? "And" : "Or";
  return parts.flatMap((part, index) => [
    make("p", {}, index === 0 ? "" : make("strong", {}, `${word}: `), marked(part.description), part.properties ? "" : typeOf(part)),
    part.properties ? fieldTable(part) : null,
  ]);
}

/** Says who may call. */
function callers(operation) {
  const words = { ApiKey: "a partner, with `X-Api-Key`", Bearer: "an operator, with `Authorization: Bearer`" };
  const named = (operation.security ?? []).flatMap((either) => Object.keys(either)).map((name) => words[name] ?? name);
  return marked(`For ${named.length === 0 ? "anybody" : named.join(", or ")}.`);
}

/** Makes a line for a terminal. */
function sample(path, method, operation) {
  const needed = (operation.parameters ?? []).filter((parameter) => parameter.in === "query" && parameter.required);
  const query = needed.map((parameter) => `${parameter.name}=…`).join("&");
  const words = ["curl -s"];
  if (method !== "get") words.push(`-X ${method.toUpperCase()}`);
  words.push(`'${location.origin}${path}${query ? `?${query}` : ""}'`);
  const names = (operation.security ?? []).flatMap((either) => Object.keys(either));
  if (names.includes("ApiKey")) words.push("-H 'X-Api-Key: …'");
  else if (names.includes("Bearer")) words.push("-H 'Authorization: Bearer …'");
  if (operation.requestBody) words.push("-H 'Content-Type: application/json' -d '…'");
  return words.join(" ");
}

function contents(content) {
  return Object.entries(content ?? {}).map(([media, { schema }]) => make("div", {}, make("code", {}, media), ": ", typeOf(schema)));
}

/** Lists the codes of a problem answer, or nothing. */
function codesOf(response) {
  const parts = response.content?.["application/problem+json"]?.schema?.allOf ?? [];
  return parts.flatMap((part) => part.properties?.code?.enum ?? []);
}

function replies(operation) {
  const list = make("dl", { class: "replies" });
  for (const [status, response] of Object.entries(operation.responses)) {
    const codes = codesOf(response);
    const links = joined(codes.map((code) => [make("a", { href: `#code-${code}` }, code)]), ", ");
    const headers = Object.keys(response.headers ?? {});
    list.append(
      make("dt", {}, status),
      make(
        "dd",
        {},
        codes.length > 0 ? links : [marked(response.description), contents(response.content)],
        headers.length > 0 ? make("div", { class: "quiet" }, `Header: ${headers.join(", ")}`) : null,
      ),
    );
  }
  return list;
}

function operationView(path, method, operation) {
  const parameters = (operation.parameters ?? []).map((parameter) => [
    make("code", {}, parameter.name),
    parameter.in,
    typeOf(parameter.schema),
    parameter.required ? "yes" : "",
    marked(parameter.description),
  ]);
  const body = operation.requestBody;
  return make(
    "details",
    { id: operation.operationId },
    make(
      "summary",
      {},
      make("span", { class: `method ${method}` }, method.toUpperCase()),
      make("code", {}, path),
      make("span", { class: "quiet" }, operation.summary),
    ),
    make(
      "div",
      {},
      make("p", {}, callers(operation)),
      operation.description ? paragraphs(operation.description) : null,
      parameters.length > 0 ? [make("h3", {}, "Parameters"), table(["Name", "In", "Type", "Required", "Meaning"], parameters)] : null,
      body ? [make("h3", {}, "Body"), make("p", {}, marked(body.description)), contents(body.content)] : null,
      make("h3", {}, "Answers"),
      replies(operation),
      make("h3", {}, "With curl"),
      make("pre", { tabindex: "0" }, make("code", {}, sample(path, method, operation))),
    ),
  );
}

function schemaView(name, schema) {
  const body = schema[CODES] ? [make("p", {}, make("a", { href: "#codes" }, "Listed below."))] : schemaBody(schema);
  return make(
    "details",
    { id: `schema-${name}` },
    make("summary", {}, make("code", {}, name)),
    make("div", {}, paragraphs(schema.description), body),
  );
}

function codeTable(codes) {
  const rows = codes.map((code) => [
    make("code", { id: `code-${code.code}`, tabindex: "-1" }, code.code),
    String(code.status),
    marked(`${code.title}. ${code.remedy}`),
    code.retryable ? "yes" : "",
  ]);
  return table(["Code", "Status", "What happened, and what to do", "Retry"], rows);
}

/** Makes the entries of the index; each is hidden when the filter does not fit it. */
function indexGroup(title, links) {
  const items = links.map(([target, text, more]) => {
    const item = make("li", {}, make("a", { href: `#${target}` }, text));
    item.dataset.text = `${text} ${more}`.toLowerCase();
    return item;
  });
  return make("section", {}, make("h2", {}, title), make("ul", {}, items));
}

function show(description) {
  const main = document.getElementById("content");
  const index = document.getElementById("index");
  document.getElementById("version").textContent = description.info.version;
  document.getElementById("state").remove();
  main.append(make("h1", {}, `${description.info.title} API`), ...paragraphs(description.info.description));

  const operations = Object.entries(description.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => ({ path, method, operation: item[method] })),
  );
  for (const tag of description.tags) {
    const own = operations.filter(({ operation }) => operation.tags.includes(tag.name));
    main.append(make("h2", {}, tag.name), make("p", { class: "quiet" }, tag.description));
    main.append(...own.map(({ path, method, operation }) => operationView(path, method, operation)));
    const links = own.map(({ path, method, operation }) => [operation.operationId, operation.summary, `${method} ${path}`]);
    index.append(indexGroup(tag.name, links));
  }

  const schemas = Object.entries(description.components.schemas);
  const codes = schemas.flatMap(([, schema]) => schema[CODES] ?? []);
  main.append(make("h2", { id: "codes" }, "Problem codes"), codeTable(codes));
  main.append(make("h2", {}, "Schemas"), ...schemas.map(([name, schema]) => schemaView(name, schema)));
  index.append(indexGroup("Problems", [["codes", "Problem codes", codes.map(({ code }) => code).join(" ")]]));
  index.append(indexGroup("Schemas", schemas.map(([name]) => [`schema-${name}`, name, ""])));
}

/** Opens what the address names and goes there. */
function goToTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  if (target instanceof HTMLDetailsElement) {
    target.open = true;
    target.querySelector("summary").focus({ preventScroll: true });
  } else if (target.tabIndex === -1) {
    target.focus({ preventScroll: true });
  }
  target.scrollIntoView();
}

function filterIndex(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("#index section")) {
    const items = [...section.querySelectorAll("li")];
    for (const item of items) item.hidden = !words.every((word) => item.dataset.text.includes(word));
    section.hidden = items.every((item) => item.hidden);
  }
}

function listen() {
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => filterIndex(filter.value));
  filter.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      filter.value = "";
      filterIndex("");
    }
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey;
    if (event.key === "/" && !isTyping) {
      event.preventDefault();
      filter.focus();
    }
  });
  window.addEventListener("hashchange", goToTarget);
}

async function start() {
  try {
    const response = await fetch("/openapi.json");
    if (!response.ok) throw new Error(`status ${response.status}`);
    show(await response.json());
  } catch (error) {
    const state = document.getElementById("state") ?? document.getElementById("content");
    state.textContent = `The description cannot be shown: ${error.message}`;
    return;
  }
  listen();
  goToTarget();
}

start();
