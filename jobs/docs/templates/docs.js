"use strict";
// Without this script the page shows everything, one table below the other. With it: one at a time, and the search.
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const pages = all("main > section");
const box = document.getElementById("search");
const list = document.getElementById("found");
document.documentElement.classList.add("js");

// One page at a time. Hidden "until-found", so that the browser's own search still looks into every page.
function open(page) {
  for (const one of pages) one === page ? one.removeAttribute("hidden") : one.setAttribute("hidden", "until-found");
  for (const link of all("nav a")) {
    const here = link.getAttribute("href") === `#${page.id}`;
    here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    if (here) link.scrollIntoView({ block: "nearest" });
  }
  document.title = page.dataset.table ? `${page.dataset.table} · Lakehouse` : "Lakehouse";
}

function follow() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const page = target?.closest("main > section") ?? pages[0];
  open(page);
  if (target && target !== page) target.scrollIntoView({ block: "center" });
  else scrollTo(0, 0);
}
addEventListener("hashchange", follow);
for (const page of pages) page.addEventListener("beforematch", () => open(page));
follow();

// What can be found: each table and each column, with the words of its name and of its sentence.
const words = (text) => text.toLowerCase().normalize("NFKD").replace(/[\u0300-\u036f]/g, "").match(/[\p{L}\p{N}]+/gu) ?? [];
const stem = (word) => (word.length > 3 ? word.replace(/s$/, "") : word);
const entry = (id, name, of, kind, sentence, rank) => ({
  id, name, of, kind, sentence, rank, named: words(name.split(".").pop()), within: words(of), said: words(sentence),
  defined: sentence.includes(":") ? words(sentence.split(":")[0]).map(stem).join(" ") : null,
});
const entries = pages.slice(1).flatMap((page) => {
  const table = page.dataset.table;
  const rank = ({ gold: 2, silver: 1 }[table.split(".")[0]] ?? 0) + Math.min(page.dataset.readers, 9) / 10;
  const columns = all("tr[data-column]", page).map((row) => {
    const unit = row.querySelector(".unit")?.textContent;
    const kind = (row.querySelector(".type")?.textContent ?? "column") + (unit ? `, ${unit}` : "");
    return entry(row.id, row.dataset.column, table, kind, row.querySelector(".meaning").textContent, rank);
  });
  const said = page.querySelector(".lead")?.textContent ?? "";
  const kind = { conf: "reference data", ops: "view" }[table.split(".")[0]] ?? "table";
  return [entry(page.id, table, table, kind, said, rank + 2), ...columns];
});

// A term must begin a word of it. Best: the very name, and the sentence that defines it ("Net revenue: ..."); of equals
// the shorter name, gold before silver before bronze, and what more tables read.
function score(one, terms) {
  let points = 0, held = 0;
  for (const term of terms) {
    const begins = (word) => word.startsWith(stem(term));
    const same = (word) => stem(word) === stem(term);
    const worth = (one.named.some(same) ? 8 : one.named.some(begins) ? 5 : one.within.some(begins) ? 2 : 0)
      + (one.said.some(same) ? 3 : one.said.some(begins) ? 2 : 0);
    points += worth;
    held += worth > 0;
  }
  const asked = terms.map(stem).join(" ");
  const name = one.named.map(stem).join(" "), said = one.said.map(stem).join(" ");
  if (name === asked) points += 16;
  else if (name.startsWith(`${asked} `)) points += 8;
  else if (name.endsWith(` ${asked}`)) points += 6;
  if (one.defined === asked) points += 14;
  else if (terms.length > 1 && ` ${said}`.includes(` ${asked}`)) points += 4;
  return { one, held, points: points + one.rank - 2 * one.named.length };
}

// All terms, where anything has them all, else as many as there are: a typing error or a word too many is no dead end.
const IDLE = new Set("a an are at be do does for how i in is it mean meaning means my of on our the to what where which why".split(" "));
function best(terms) {
  const found = entries.map((one) => score(one, terms));
  const most = Math.max(...found.map((each) => each.held));
  return most ? found.filter((each) => each.held === most).sort((one, other) => other.points - one.points) : [];
}

function marked(text, terms) {
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])(?:${terms.map(stem).join("|")})[\\p{L}\\p{N}]*`, "giu");
  const parts = document.createDocumentFragment();
  let at = 0;
  for (const found of text.matchAll(pattern)) {
    parts.append(text.slice(at, found.index), element("mark", found[0]));
    at = found.index + found[0].length;
  }
  parts.append(text.slice(at));
  return parts;
}

function element(name, inside, look = "") {
  const made = document.createElement(name);
  made.append(...[inside].flat());
  if (look) made.className = look;
  return made;
}

const MOST = 40;
let chosen = 0;
function find() {
  const typed = words(box.value);
  const telling = typed.filter((word) => !IDLE.has(word));
  const terms = telling.length ? telling : typed;
  const found = terms.length ? best(terms).slice(0, MOST) : [];
  list.replaceChildren(...found.map(({ one }, place) => {
    const what = [element("code", marked(one.name, terms))];
    if (one.of !== one.name) what.push(element("span", one.of));
    what.push(element("span", one.kind, "kind"));
    const link = element("a", [element("span", what, "what"), element("span", marked(one.sentence, terms), "sentence")]);
    link.href = `#${one.id}`;
    link.id = `found-${place}`;
    link.setAttribute("role", "option");
    return link;
  }));
  if (terms.length && !found.length) list.append(element("p", "No table, column or meaning has these words.", "none"));
  list.scrollTop = 0;
  unfold(terms.length > 0);
  choose(0);
}

function unfold(wanted) {
  list.hidden = !wanted;
  box.setAttribute("aria-expanded", String(wanted));
}

function choose(place) {
  const links = all("a", list);
  chosen = Math.max(0, Math.min(place, links.length - 1));
  links.forEach((link, at) => link.setAttribute("aria-selected", String(at === chosen)));
  links.length ? box.setAttribute("aria-activedescendant", `found-${chosen}`) : box.removeAttribute("aria-activedescendant");
  if (place) links[chosen]?.scrollIntoView({ block: "nearest" });
}

box.addEventListener("input", find);
box.addEventListener("focus", () => box.value && find());
box.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) { event.preventDefault(); choose(chosen + step); }
  if (event.key === "Enter") all("a", list)[chosen]?.click();
  if (event.key === "Escape") { unfold(false); box.blur(); }
});
list.addEventListener("mousedown", (event) => event.preventDefault());
list.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  unfold(false);
  box.blur();
  if (link.hash === location.hash) follow();
});
box.addEventListener("blur", () => unfold(false));
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, [contenteditable]");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  box.focus();
  box.select();
});

// docs.html?q=net+revenue asks at once: for links, and for the browser's own address bar.
const asked = new URLSearchParams(location.search).get("q");
if (asked) {
  box.value = asked;
  box.focus();
  find();
}

// The picture of all tables: where the one that is pointed at comes from, and what it leads to.
const picture = document.querySelector(".whole .lineage");
const lines = all("path", picture);
function reach(table, from, to, found = new Set()) {
  for (const line of lines) {
    if (line.dataset[from] === table && !found.has(line)) {
      found.add(line);
      reach(line.dataset[to], from, to, found);
    }
  }
  return found;
}
function ask(table) {
  const found = table ? new Set([...reach(table, "from", "to"), ...reach(table, "to", "from")]) : new Set();
  const names = new Set([table, ...[...found].flatMap((line) => [line.dataset.from, line.dataset.to])]);
  picture.classList.toggle("asked", Boolean(table));
  for (const line of lines) line.classList.toggle("on", found.has(line));
  for (const node of all(".node", picture)) node.classList.toggle("on", names.has(node.dataset.table));
}
for (const node of all("a.node", picture)) {
  for (const begins of ["pointerenter", "focus"]) node.addEventListener(begins, () => ask(node.dataset.table));
  for (const ends of ["pointerleave", "blur"]) node.addEventListener(ends, () => ask(null));
}
