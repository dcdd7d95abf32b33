"use strict";

// Elements and their text. Untrusted text only ever becomes text nodes and attribute values.

const $ = (id) => document.getElementById(id);

function withContent(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children); // strings become text nodes
  return node;
}

const element = (name, attributes = {}, ...children) => withContent(document.createElement(name), attributes, children);
const svg = (name, attributes = {}) => withContent(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, []);

// A screen reader announces every write to a live region, so unchanged text is not written again.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Copies the text of a node and reports the result on the button. */
async function copyText(node, button) {
  getSelection().selectAllChildren(node);
  // The clipboard interface exists in secure contexts only.
  const isCopied = await navigator.clipboard?.writeText(node.textContent).then(() => true, () => false) || document.execCommand("copy");
  setText(button, isCopied ? "Copied" : "Selected");
  setTimeout(() => setText(button, "Copy"), 1_500);
}
