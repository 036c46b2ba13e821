// The document's elements, made and changed: strangers' input enters as text nodes only, and links lead to http(s) only.

import { dateFormat } from "./format.js";

const SHORT_ID = 12;

/**
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new TypeError(`the page has no ${type.name} #${id}`);
  return element;
}

/** @param {string} id */
export const at = (id) => byId(id, HTMLElement);

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {...(Node | string)} children
 */
export function el(tag, ...children) {
  const element = document.createElement(tag);
  element.append(...children);
  return element;
}

/** @template {Element} T @param {string} className @param {T} element */
export function classed(className, element) {
  element.className = className;
  return element;
}

/** @param {string} href one that this page made: a path or a fragment @param {...(Node | string)} children */
export function link(href, ...children) {
  const anchor = el("a", ...children);
  anchor.href = href;
  return anchor;
}

/** A link where `url` is an http or https URL; text where it is anything else. @param {string} url */
export function linkOut(url) {
  const protocol = URL.canParse(url) ? new URL(url).protocol : "";
  if (protocol !== "https:" && protocol !== "http:") return el("bdi", url);
  const anchor = link(url, url);
  anchor.rel = "noreferrer";
  return anchor;
}

/** @param {string} text @param {() => void} act */
export function button(text, act) {
  const element = el("button", text);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}

/** @param {string} iso */
export function timeElement(iso) {
  const time = el("time", dateFormat.format(new Date(iso)));
  time.dateTime = iso;
  time.title = iso;
  return time;
}

/** @param {string} text */
export const hashElement = (text) => classed("hash", el("span", text));

/** @param {string} id */
export function shortId(id) {
  const span = hashElement(`${id.slice(0, SHORT_ID)}…`);
  span.title = id;
  return span;
}

/** @param {[string, Node | string][]} facts */
export function factList(facts) {
  return classed("facts", el("dl", ...facts.flatMap(([term, value]) => [el("dt", term), el("dd", value)])));
}

/**
 * A table with a heading for each column, and rows of cells; the first cell of each is the row's heading. The roles
 * are said as well: a style that stacks the cells on narrow screens would take them away.
 * @param {string} caption @param {string[]} columns @param {HTMLElement[]} rows
 */
export function table(caption, columns, rows) {
  const headings = columns.map((column) => withRole("columnheader", el("th", column)));
  const head = withRole("rowgroup", el("thead", withRole("row", el("tr", ...headings))));
  const body = withRole("rowgroup", el("tbody", ...rows));
  return withRole("table", el("table", classed("unseen", el("caption", caption)), head, body));
}

/** @param {string[]} columns @param {(Node | string)[]} cells */
export function tableRow(columns, cells) {
  const elements = cells.map((cell, i) => {
    const element = withRole(i === 0 ? "rowheader" : "cell", el(i === 0 ? "th" : "td", cell));
    element.dataset.column = columns[i] ?? "";
    return element;
  });
  return withRole("row", el("tr", ...elements));
}

/** @template {Element} T @param {string} role @param {T} element */
function withRole(role, element) {
  element.role = role;
  return element;
}

/** Changes text only where it differs, so that a refresh touches nothing else. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {Element} element @param {string} text @param {boolean} [isTrouble] */
export function say(element, text, isTrouble = false) {
  element.classList.toggle("trouble", isTrouble);
  setText(element, text);
}

/**
 * Makes `list` show `items`; rows of items that did not change stay as they are, with their focus.
 * @template T
 * @param {string} listId @param {T[]} items @param {(item: T) => HTMLElement} makeRow
 */
export function syncRows(listId, items, makeRow) {
  const list = at(listId);
  const kept = new Map([...list.children].map((row) => [row.getAttribute("data-item"), row]));
  items.forEach((item, place) => {
    const key = JSON.stringify(item);
    const row = kept.get(key) ?? makeRow(item);
    row.setAttribute("data-item", key);
    const there = list.children[place] ?? null;
    if (there !== row) list.insertBefore(row, there);
  });
  while (list.children.length > items.length) list.lastElementChild?.remove();
}
