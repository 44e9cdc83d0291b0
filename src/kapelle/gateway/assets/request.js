// The form of one endpoint: from its inputs to a request, and to the same request as a line for curl.

import { el } from "./dom.js";
import { compact, laidOut } from "./json.js";

let fields = 0;

export class RequestForm {
  constructor(path, method, operation, reader) {
    Object.assign(this, { path, method, operation, reader });
    this.parameters = (operation.parameters ?? []).map((parameter) => ({
      ...parameter,
      control: this.control(parameter.name, reader.resolve(parameter.schema), parameter.required, parameter.example),
    }));
    const [kind, media] = Object.entries(operation.requestBody?.content ?? {})[0] ?? ["", {}];
    this.kind = kind;
    this.parts = [];
    this.bodyNodes = [];
    if (kind === "application/json") this.editor = this.jsonEditor(media.example);
    else if (kind === "multipart/form-data") this.parts = this.partControls(reader.resolve(media.schema), media.encoding ?? {});
    else if (kind) this.rawControls();
  }

  // --- controls --------------------------------------------------------------------------------------------------

  control(name, schema, required, example) {
    const id = `field-${++fields}`;
    const options = schema.enum ?? (schema.type === "boolean" ? [true, false] : null);
    const item = schema.type === "array" ? this.reader.resolve(schema.items) : schema;
    let input;
    if (item.format === "binary") input = el("input", { id, type: "file", multiple: schema.type === "array" });
    else if (options) {
      input = el("select", { id }, !required && el("option", { value: "" }, absent(schema)),
        options.map((value) => el("option", { value: String(value), selected: value === example }, String(value))));
    } else if (schema.type === "json") input = el("textarea", { id, rows: 3, placeholder: "JSON" });
    else if (schema.type === "array") input = el("textarea", { id, rows: 2, placeholder: "one value per line" });
    else {
      const numeric = { integer: "numeric", number: "decimal" }[schema.type];
      input = el("input", { id, type: "text", inputmode: numeric, autocomplete: "off", placeholder: required ? "" : absent(schema) });
    }
    if (example !== undefined && input.type !== "file") input.value = [example].flat().join("\n");
    const label = el("label", { for: id }, el("code", {}, name), required && el("span", { class: "required" }, "required"));
    return { input, several: schema.type === "array", node: el("div", { class: "control" }, label, input) };
  }

  jsonEditor(example) {
    const id = `field-${++fields}`;
    this.sample = example === undefined ? "{}" : laidOut(JSON.stringify(example), 48).textContent;
    const trouble = el("p", { class: "trouble", id: `${id}-trouble`, role: "status" });
    const editor = el("textarea", { id, class: "editor", spellcheck: "false", autocapitalize: "off", "aria-describedby": trouble.id });
    const check = () => {
      const reason = notJson(editor.value);
      trouble.textContent = reason;
      editor.toggleAttribute("aria-invalid", Boolean(reason));
      editor.rows = Math.min(24, editor.value.split("\n").length); // for browsers that know no field-sizing
    };
    const restore = el("button", { type: "button", class: "quiet", click: () => this.restore() }, "Reset");
    editor.addEventListener("input", check);
    editor.value = this.sample;
    check();
    const bar = el("div", { class: "bar" }, el("label", { for: id }, "Body", el("span", { class: "hint" }, "JSON")), restore);
    this.bodyNodes = [el("div", { class: "control" }, bar, editor, trouble)];
    return editor;
  }

  restore() {
    this.editor.value = this.sample;
    this.editor.dispatchEvent(new Event("input", { bubbles: true }));
  }

  partControls(schema, encoding) {
    return Object.entries(schema.properties).map(([name, part]) => {
      const whole = encoding[name] ? { type: "json" } : this.reader.resolve(part);
      const required = schema.required?.includes(name);
      return { name, required, control: this.control(name, whole, required) };
    });
  }

  rawControls() {
    const file = this.control("file", { format: "binary" }, false);
    const text = this.control("or text", { type: "array", items: {} }, false);
    text.input.placeholder = "";
    this.file = file.input;
    this.text = text.input;
    this.bodyNodes = [file.node, text.node];
  }

  get nodes() {
    return [...this.parameters, ...this.parts].map(({ control }) => control.node).concat(this.bodyNodes);
  }

  // --- the request -----------------------------------------------------------------------------------------------

  url() {
    let path = this.path;
    const query = new URLSearchParams();
    for (const { name, in: place, control } of this.parameters) {
      for (const value of valuesOf(control)) {
        if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
        else query.append(name, value);
      }
    }
    const url = new URL("." + path, document.baseURI);
    url.search = query;
    return url;
  }

  missing() {
    return [...this.parameters, ...this.parts].find(({ in: place, control }) => place === "path" && !valuesOf(control).length)?.control.input;
  }

  fetchOptions() {
    const options = { method: this.method, headers: {} };
    if (this.editor) {
      options.headers["Content-Type"] = "application/json";
      options.body = this.editor.value;
    } else if (this.parts.length) {
      options.body = new FormData();
      for (const { name, control } of this.parts) for (const value of valuesOf(control)) options.body.append(name, value);
    } else if (this.kind) {
      options.headers["Content-Type"] = this.kind;
      options.body = this.file.files[0] ?? this.text.value;
    }
    return options;
  }

  curl() {
    const words = ["curl"];
    if (this.editor) words.push("-d", quoted(oneLine(this.editor.value)));
    else if (this.parts.length) {
      for (const { name, required, control } of this.parts) {
        if (required && control.input.type === "file" && !control.input.files.length) words.push(`-F ${name}=@FILE`);
        for (const value of valuesOf(control))
          words.push(value instanceof File ? `-F ${quoted(`${name}=@${value.name}`)}` : `--form-string ${quoted(`${name}=${value}`)}`);
      }
    } else if (this.kind)
      words.push(`-H 'Content-Type: ${this.kind}'`, "--data-binary", this.file.files[0] ? quoted(`@${this.file.files[0].name}`) : quoted(this.text.value));
    if (words.length === 1 && this.method === "POST") words.push("-X POST");
    if (this.operation.responses?.["200"]?.content?.["text/event-stream"]) words.push("-N"); // events as they come
    words.push(quoted(this.url().href));
    return words.join(" ");
  }
}

function absent(schema) {
  return schema.default === undefined || schema.default === null ? "not given" : `${JSON.stringify(schema.default)} by default`;
}

function valuesOf({ input, several }) {
  if (input.type === "file") return [...input.files];
  return (several ? input.value.split("\n") : [input.value]).filter((value) => value !== "");
}

function notJson(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `Not JSON: ${error.message}`;
  }
}

function oneLine(text) {
  try {
    return compact(text);
  } catch {
    return text;
  }
}

function quoted(text) {
  return /^[\w.:/=@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
