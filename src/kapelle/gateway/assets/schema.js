// What a schema means, in words: the name of a type, its limits, and the fields of its objects.

import { el, inline } from "./dom.js";

export class Reader {
  constructor(document) {
    this.document = document;
  }

  // What a reference points to, with what is said beside the reference.
  resolve(schema) {
    if (!schema?.$ref) return schema ?? {};
    const target = schema.$ref.slice(2).split("/").reduce((part, key) => part[key], this.document);
    const { $ref, ...beside } = schema;
    return { ...this.resolve(target), ...beside };
  }

  typeOf(schema) {
    const named = this.resolve(schema);
    if (schema.$ref && !named.enum) return named.title ?? schema.$ref.split("/").pop();
    schema = named;
    if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
    if ("const" in schema) return JSON.stringify(schema.const);
    const options = schema.anyOf ?? schema.oneOf ?? schema.allOf;
    if (options) return [...new Set(options.map((option) => this.typeOf(option)))].join(" | ");
    if (schema.contentMediaType && schema.format === "binary") return "binary";
    if (schema.type === "array") return this.arrayOf(schema);
    if (schema.type === "object" && typeof schema.additionalProperties === "object")
      return `{string: ${this.typeOf(schema.additionalProperties)}}`;
    const kind = [schema.type ?? "any"].flat().join(" | ");
    const form = schema.format ?? schema.contentEncoding;
    return form ? `${kind} (${form})` : kind;
  }

  arrayOf(schema) {
    if (schema.prefixItems) return `[${schema.prefixItems.map((item) => this.typeOf(item)).join(", ")}]`;
    const item = this.typeOf(schema.items && typeof schema.items === "object" ? schema.items : {});
    return item.includes(" ") ? `(${item})[]` : `${item}[]`;
  }

  limits(schema) {
    const words = {
      minimum: "≥ ", maximum: "≤ ", exclusiveMinimum: "> ", exclusiveMaximum: "< ", multipleOf: "multiple of ",
      minLength: "length ≥ ", maxLength: "length ≤ ", minItems: "items ≥ ", maxItems: "items ≤ ", pattern: "like ",
    };
    return Object.keys(words).filter((name) => name in schema && !schema.prefixItems).map((name) => words[name] + schema[name]);
  }

  // The models that a type is made of, each with its reference so that none is shown within itself.
  models(schema, seen) {
    if (schema.$ref && seen.includes(schema.$ref)) return [];
    const whole = this.resolve(schema);
    const within = schema.$ref ? [...seen, schema.$ref] : seen;
    if (whole.properties) return [{ name: this.typeOf(schema), whole, seen: within }];
    const parts = [whole.items, whole.additionalProperties, whole.prefixItems, whole.anyOf, whole.oneOf, whole.allOf].flat();
    return parts.filter((part) => part && typeof part === "object").flatMap((part) => this.models(part, within));
  }

  // A type as a list of one row per field; what is not an object is one row.
  view(schema) {
    const whole = this.resolve(schema);
    if (whole.properties) return this.fields(whole, schema.$ref ? [schema.$ref] : []);
    return el("ul", { class: "fields" }, this.row("", schema, false, []));
  }

  fields(whole, seen) {
    const rows = Object.entries(whole.properties).map(([name, schema]) =>
      this.row(name, schema, whole.required?.includes(name), seen));
    return el("ul", { class: "fields" }, rows.length ? rows : el("li", {}, "no fields"));
  }

  row(name, schema, required, seen) {
    const whole = this.resolve(schema);
    const limits = schema.$ref && whole.anyOf ? [] : this.limits(whole);
    const description = schema.description ?? (whole.properties ? null : whole.description);
    return el("li", {},
      el("div", { class: "field" },
        name && el("code", { class: "name" }, name),
        el("span", { class: "type" }, this.typeOf(schema)),
        limits.map((limit) => el("span", { class: "limit" }, limit)),
        "default" in schema && schema.default !== null && el("span", { class: "limit default" }, "default ", el("code", {}, JSON.stringify(schema.default))),
        required && el("span", { class: "required" }, "required")),
      description && el("p", {}, inline(description)),
      this.models(schema, seen).map((model) =>
        el("details", {}, el("summary", {}, "fields of ", model.name), model.whole.description && el("p", {}, inline(model.whole.description)), this.fields(model.whole, model.seen))));
  }
}
