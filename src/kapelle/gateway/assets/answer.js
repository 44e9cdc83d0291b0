// An answer as it comes in: its status at once, then JSON, text, events one by one, or bytes to save.

import { el, inline } from "./dom.js";
import { laidOut } from "./json.js";

const MOST_EVENTS = 1000;

export async function exchange(place, form, signal) {
  const began = performance.now();
  const since = () => `${(performance.now() - began).toFixed(performance.now() - began < 10 ? 1 : 0)} ms`;
  const facts = el("p", { class: "facts", role: "status" }, el("span", { class: "status" }, "Sending …"));
  place.replaceChildren(facts);
  try {
    const response = await fetch(form.url(), { ...form.fetchOptions(), signal });
    const type = response.headers.get("content-type") ?? "";
    const level = response.ok ? "good" : response.status < 500 ? "refused" : "failed";
    const took = el("span", {}, since());
    const id = response.headers.get("x-request-id");
    const retry = response.headers.get("retry-after");
    facts.replaceChildren(el("span", { class: `status ${level}` }, `${response.status} ${response.statusText}`), took,
      retry ? `try again in ${retry} s` : "",
      id ? el("span", { title: "The request's id, by which the logs know it" }, "id ", el("code", {}, id)) : "");
    const show = type.includes("event-stream") ? showEvents : type.includes("octet-stream") ? showBytes : showText;
    await show(place, response, type, since);
    took.textContent = since();
  } catch (error) {
    const stopped = error.name === "AbortError";
    place.append(el("p", { class: "note" }, stopped ? "Stopped." : `No answer: ${error.message}`));
    if (!stopped || facts.textContent.startsWith("Sending")) facts.firstChild.textContent = stopped ? "Stopped" : "Failed";
  }
}

async function showText(place, response, type) {
  const text = await response.text();
  if (type.includes("problem+json")) place.append(problemOf(JSON.parse(text)));
  else place.append(box(type.includes("json") ? laidOut(text, columnsOf(place)) : el("code", {}, text || "(empty)")));
}

async function showBytes(place, response) {
  const blob = await response.blob();
  const link = el("a", { href: URL.createObjectURL(blob), download: "answer.bin" }, "Save");
  place.append(el("p", { class: "note" }, `${blob.size.toLocaleString("en")} bytes. `, link));
}

async function showEvents(place, response, type, since) {
  const list = el("ol", { class: "events", "aria-label": "Events", tabindex: "0" });
  const total = el("p", { class: "note" }, "No event yet.");
  place.append(list, total);
  let count = 0;
  for await (const { name, data } of eventsOf(response)) {
    count += 1;
    const shown = name === "error" ? problemOf(JSON.parse(data)) : laidOut(data, Infinity);
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
    list.append(el("li", {}, el("time", {}, since()), shown));
    if (list.children.length > MOST_EVENTS) list.firstChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
    total.textContent = `${count} ${count === 1 ? "event" : "events"} so far`;
  }
  total.textContent = `${count} ${count === 1 ? "event" : "events"}, complete`;
}

async function* eventsOf(response) {
  const chunks = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let { value, done } = await chunks.read(); !done; { value, done } = await chunks.read()) {
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n").map((line) => line.split(/: ?(.*)/s));
      const data = lines.filter(([field]) => field === "data").map(([, value]) => value);
      yield { name: lines.find(([field]) => field === "event")?.[1] ?? "message", data: data.join("\n") };
    }
  }
}

function problemOf(problem) {
  const errors = problem.errors ?? [];
  const told = errors.some(({ detail }) => detail === problem.detail);
  return el("div", { class: "problem" },
    !told && el("p", {}, inline(problem.detail ?? problem.title)),
    errors.map(({ path, detail }) => el("p", {}, el("code", { class: "name" }, path), " ", inline(detail))),
    el("details", {}, el("summary", {}, "As sent"), box(laidOut(JSON.stringify(problem)))));
}

// How many characters of code fit beside each other.
function columnsOf(place) {
  return Math.floor((place.clientWidth - 36) / 8.5);
}

function box(code) {
  return el("pre", { tabindex: "0" }, code);
}
