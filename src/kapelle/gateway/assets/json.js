// JSON laid out for reading, digit by digit as it was sent: what fits on a line stays on one line.

import { el } from "./dom.js";

const TOKEN = /"(?:\\.|[^"\\])*"|[[\]{},:]|[^\s[\]{},:"]+/g;
const LONGEST = 300_000;

export function laidOut(text, width = 72) {
  const code = el("code", { class: "json" });
  if (text.length > LONGEST) {
    code.append(text.slice(0, LONGEST), `\n… and ${text.length - LONGEST} characters more`);
    return code;
  }
  JSON.parse(text); // throws where it is none
  const tokens = text.match(TOKEN).values();
  print(read(tokens, tokens.next().value), 0, width, code);
  return code;
}

// The same on one line, without spaces.
export function compact(text) {
  JSON.parse(text);
  return text.match(TOKEN).join("");
}

// A value is its token, or a list of entries in brackets; `size` is its length on one line.
function read(tokens, token) {
  const close = { "[": "]", "{": "}" }[token];
  if (!close) return { token, size: token.length };
  const value = { open: token, close, entries: [], size: 2 };
  for (let next = tokens.next().value; next !== close; next = tokens.next().value) {
    if (next === ",") next = tokens.next().value;
    const entry = { key: "", value: null };
    if (token === "{") {
      entry.key = next;
      tokens.next(); // the colon
      next = tokens.next().value;
    }
    entry.value = read(tokens, next);
    value.entries.push(entry);
    value.size += entry.value.size + 2 + (entry.key ? entry.key.length + 2 : 0);
  }
  return value;
}

function print(value, indent, width, out) {
  if (value.token) {
    out.append(el("span", { class: kindOf(value.token) }, value.token));
    return;
  }
  const oneLine = indent + value.size <= width || !value.entries.length;
  const flat = value.entries.every((entry) => entry.value.token);
  const fill = !oneLine && value.open === "[" && flat; // long lists of numbers: as many on a line as fit
  out.append(value.open);
  let column = Infinity;
  value.entries.forEach((entry, index) => {
    if (index) out.append(",");
    if (oneLine) out.append(index ? " " : "");
    else if (fill && column + entry.value.size + 2 <= width) out.append(" ");
    else {
      out.append("\n" + " ".repeat(indent + 2));
      column = indent;
    }
    column += entry.value.size + 2;
    if (entry.key) out.append(el("span", { class: "key" }, entry.key), ": ");
    print(entry.value, indent + 2, width, out);
  });
  out.append((oneLine ? "" : "\n" + " ".repeat(indent)) + value.close);
}

function kindOf(token) {
  if (token[0] === '"') return "string";
  return /^[-\d]/.test(token) ? "number" : "word";
}
