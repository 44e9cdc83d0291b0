// Elements from plain calls. Text is only ever set as text: nothing that a server sends becomes markup.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(2).filter((child) => child != null && child !== false));
  return node;
}

// Paragraphs, lists and `code` of a docstring; the rest of Markdown stays as it was written.
export function prose(text) {
  return (text ?? "").split(/\n\s*\n/).filter(Boolean).map((paragraph) => {
    const items = paragraph.split(/^[-*] +/m);
    if (items.length === 1) return el("p", {}, inline(paragraph));
    const list = el("ul", {}, items.slice(1).map((item) => el("li", {}, inline(item))));
    return items[0].trim() ? [el("p", {}, inline(items[0])), list] : list;
  });
}

export function inline(text) {
  return text.split(/``?([^`]+)``?/).map((part, index) => (index % 2 ? el("code", {}, part) : part));
}
