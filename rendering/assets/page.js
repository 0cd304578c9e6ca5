// The galleries: search, sort, filter, and what the cards show. Works on the cards as they stand in the page.
"use strict";
document.documentElement.classList.add("js");

const toggle = (button, on) => button.setAttribute("aria-pressed", String(on));
const pressed = (button) => button.getAttribute("aria-pressed") === "true";

function showLayer(card, layer) {
  if (!layer || !card.querySelector(`.stage .${layer}`)) return;
  card.dataset.view = layer;
  for (const button of card.querySelectorAll("[data-show]")) toggle(button, button.dataset.show === layer);
}

function showPoints(card, kind, on) {
  card.toggleAttribute(`data-${kind}`, on);
  for (const button of card.querySelectorAll(`[data-points=${kind}]`)) toggle(button, on);
}

function startGallery(gallery) {
  const tools = gallery.querySelector(".tools");
  const list = gallery.querySelector(".cards");
  const cards = [...list.children];
  const field = (name) => tools.querySelector(`[data-filter=${name}]`);
  const order = tools.querySelector("[data-sort]");
  const descending = tools.querySelector("[data-descending]");

  const number = (card, key) => (key in card.dataset ? Number(card.dataset[key]) : NaN);
  const sortKeys = {
    name: (card) => card.dataset.name,
    turn: (card) => Math.abs(number(card, "yaw")),
  };

  function matches(card) {
    const text = field("text").value.trim().toLowerCase();
    if (text && !card.dataset.name.toLowerCase().includes(text)) return false;
    const status = field("status").value;
    if (status && status !== card.dataset.status) return false;
    if (field("yaw").value) {
      const [least, most] = field("yaw").value.split(" ").map(Number);
      const turn = sortKeys.turn(card);
      if (!(turn <= most && (turn > least || least === 0))) return false;
    }
    const least = field("least")?.value, most = field("most")?.value;
    if (least || most) {
      const error = number(card, `error${field("error").value}`);
      if (!(error >= Number(least || 0) && error <= Number(most || Infinity))) return false;
    }
    return true;
  }

  function sorted() {
    if (!order.value) return pressed(descending) ? [...cards].reverse() : cards;
    const key = sortKeys[order.value] ?? ((card) => number(card, order.value));
    const sign = pressed(descending) ? -1 : 1;
    const keyed = cards.map((card) => [key(card), card]);
    const unknown = ([value]) => Number.isNaN(value); // without a number: always last
    return keyed.sort((a, b) => unknown(a) - unknown(b) || sign * (typeof a[0] === "string"
      ? a[0].localeCompare(b[0], undefined, { numeric: true }) : a[0] - b[0])).map((pair) => pair[1]);
  }

  function update() {
    let shown = 0;
    for (const card of cards) {
      card.hidden = !matches(card);
      shown += !card.hidden;
    }
    list.append(...sorted());
    tools.querySelector(".count").value = `${shown} of ${cards.length} shown`;
    gallery.querySelector(".none").hidden = shown > 0;
  }

  gallery.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const targets = tools.contains(button) ? cards : [button.closest(".card")];
    if (button.dataset.show) {
      targets.forEach((card) => showLayer(card, button.dataset.show));
      if (targets === cards) for (const other of tools.querySelectorAll("[data-show]")) toggle(other, other === button);
    } else if (button.dataset.points) {
      const on = !pressed(button);
      toggle(button, on);
      targets.forEach((card) => showPoints(card, button.dataset.points, on));
    } else if (button === descending) {
      toggle(button, !pressed(button));
      update();
    } else if ("reset" in button.dataset) tools.reset();
    else if (button.matches(".open")) openViewer(button.closest(".card"));
  });
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", update);
  tools.addEventListener("reset", () => {
    toggle(descending, false);
    setTimeout(update); // the fields are emptied after this event
  });

  const counts = new Map();
  for (const { dataset: { status } } of cards) counts.set(status, (counts.get(status) ?? 0) + 1);
  for (const [status, count] of counts) field("status").add(new Option(`${status} (${count})`, status));
  field("status").parentElement.hidden = counts.size < 2;
  if (!list.querySelector(".truth")) tools.querySelector("[data-points=truth]").remove();
  for (const button of tools.querySelectorAll("[data-show]"))
    if (!list.querySelector(`.stage .${button.dataset.show}`)) button.remove();
  gallery.classList.toggle("few", cards.length < 5);
  tools.hidden = cards.length < 3;
  for (const card of cards) showLayer(card, card.dataset.view);
  if ("pointsShown" in gallery.dataset) for (const kind of ["found", "truth"]) {
    cards.forEach((card) => showPoints(card, kind, true));
    for (const button of tools.querySelectorAll(`[data-points=${kind}]`)) toggle(button, true);
  }
  for (const button of tools.querySelectorAll("[data-show]")) toggle(button, button.dataset.show === "mask");
  update();
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".gallery").forEach(startGallery));
