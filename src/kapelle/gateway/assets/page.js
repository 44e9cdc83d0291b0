// The page: reads openapi.json, shows a card for each endpoint, and follows whether the system is ready.

import { exchange } from "./answer.js";
import { el, inline, prose } from "./dom.js";
import { RequestForm } from "./request.js";
import { Reader } from "./schema.js";

const ASK_AGAIN = 5000; // ms between two looks at readyz
const main = document.getElementById("endpoints");

async function start() {
  follow(document.getElementById("readiness"));
  try {
    const response = await fetch("openapi.json");
    if (!response.ok) throw new Error(`openapi.json is answered with ${response.status}`);
    show(await response.json());
  } catch (error) {
    main.replaceChildren(el("p", { class: "note" }, `The description could not be read: ${error.message}`));
  }
}

function show(description) {
  const { info, paths } = description;
  document.getElementById("version").textContent = info.version;
  document.getElementById("summary").replaceChildren(...inline(info.summary ?? ""));
  const reader = new Reader(description);
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })));
  main.replaceChildren(el("div", { class: "about" }, prose(info.description)),
    ...operations.map((each) => card(each, reader)));
  document.getElementById("contents").replaceChildren(el("ul", {}, operations.map(({ path, method, operation }) =>
    el("li", {}, el("a", { href: `#endpoint-${operation.operationId}` }, badge(method), el("span", {}, path.split(/(?=\/)/).map((part) => [part, el("wbr")])))))));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

function card({ path, method, operation }, reader) {
  const heading = `heading-${operation.operationId}`;
  return el("article", { class: "card", id: `endpoint-${operation.operationId}`, "aria-labelledby": heading },
    el("header", {},
      el("h2", { id: heading }, badge(method), el("code", {}, path)),
      operation.summary && el("p", { class: "summary" }, inline(operation.summary))),
    el("div", { class: "columns" },
      el("div", { class: "facts-of" }, explanation(operation, reader)),
      trial(path, method, operation, reader)));
}

function badge(method) {
  return el("span", { class: `method ${method.toLowerCase()}` }, method);
}

function explanation(operation, reader) {
  const { parameters, requestBody, responses } = operation;
  const sections = [...prose(operation.description)];
  if (parameters) {
    sections.push(el("h3", {}, "Parameters"), el("ul", { class: "fields" }, parameters.map((one) =>
      reader.row(one.name, { ...one.schema, description: one.description ?? one.schema.description }, one.required, []))));
  }
  const [kind, media] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  if (kind) {
    sections.push(el("h3", {}, "Body ", el("span", { class: "hint" }, kind)), prose(requestBody.description),
      reader.view(media.schema));
  }
  const { 200: answer, ...refusals } = responses;
  sections.push(el("h3", {}, "Answer"), prose(answer.description === "The answer." ? "" : answer.description));
  for (const [kind, media] of Object.entries(answer.content)) {
    const form = reader.view(media.schema ?? media["x-item-schema"] ?? {});
    form.classList.add("given"); // an answer has its fields: "required" says nothing there
    sections.push(el("p", { class: "hint" }, kind), form);
  }
  sections.push(el("details", { class: "refusals" },
    el("summary", {}, "Errors ", el("span", { class: "hint" }, Object.keys(refusals).join(" "))),
    el("dl", {}, Object.entries(refusals).map(([status, refusal]) =>
      [el("dt", {}, status), el("dd", {}, inline(reader.resolve(refusal).description))]))));
  return sections;
}

function trial(path, method, operation, reader) {
  const form = new RequestForm(path, method, operation, reader);
  const answer = el("div", { class: "answer" });
  const send = el("button", { type: "submit", class: "send" }, "Send");
  const stop = el("button", { type: "button", hidden: true, click: () => running?.abort() }, "Stop");
  const curl = el("code");
  const copy = el("button", { type: "button", class: "quiet", click: () => copied(curl.textContent, copy) }, "Copy");
  let running = null;

  const submit = async (event) => {
    event.preventDefault();
    const gap = form.missing();
    if (gap) {
      gap.focus();
      return;
    }
    running?.abort();
    const mine = (running = new AbortController());
    stop.hidden = false;
    await exchange(answer, form, mine.signal);
    if (running === mine) stop.hidden = true;
  };
  const hurry = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  };
  const refresh = () => { curl.textContent = form.curl(); };
  const node = el("form", { class: "trial", "aria-label": `Try ${method} ${path}`, submit, keydown: hurry, input: refresh, change: refresh },
    form.nodes,
    el("div", { class: "bar actions" }, el("div", {}, send, stop), el("span", { class: "hint keys" }, "Ctrl + Enter")),
    el("div", { class: "curl" }, el("pre", { tabindex: "0", "aria-label": "The same request with curl" }, curl), copy),
    answer);
  refresh();
  return node;
}

async function copied(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy"; // browsers give the clipboard to https and localhost only
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

// --- readiness -------------------------------------------------------------------------------------------------------

function follow(link) {
  const words = link.querySelector("[role=status]");
  const look = async () => {
    let state = "lost";
    let text = "no connection";
    try {
      const response = await fetch("readyz", { cache: "no-store" });
      state = response.ok ? "ready" : "waiting";
      text = response.ok ? "ready" : (await response.text()).trim();
    } catch { /* the gateway is gone: that is what the dot says */ }
    link.dataset.state = state;
    if (words.textContent !== text) words.textContent = text;
  };
  look();
  for (const occasion of ["online", "offline", "focus"]) addEventListener(occasion, look);
  setInterval(() => document.hidden || look(), ASK_AGAIN);
}

start();
