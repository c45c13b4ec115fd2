// SPDX-License-Identifier: MIT
// The page's moving parts: colours, the choice of a view, where explanations appear, the race.
"use strict";

const root = document.documentElement;
const byId = (name) => document.getElementById(name);
root.classList.add("script");

function setUpTheme() {
  const button = byId("theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const show = () => { button.textContent = dark() ? "Light colours" : "Dark colours"; };
  try {
    const kept = localStorage.getItem("theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch { /* a browser may refuse to keep anything for a file */ }
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* the same */ }
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}

function setUpViews() {
  for (const group of document.querySelectorAll(".views")) {
    const views = group.querySelectorAll(".view");
    const choose = (number) => views.forEach((view, index) => view.classList.toggle("chosen", index === number));
    for (const radio of group.querySelectorAll("input[type=radio]")) {
      radio.addEventListener("change", () => choose(Number(radio.value)));
      if (radio.checked) choose(Number(radio.value)); // a browser may remember another than the first
    }
  }
}

// Below the cell, or above it where there is no room. Without this, it is in the middle of the window.
function setUpExplanations() {
  for (const note of document.querySelectorAll("[popover]")) {
    note.addEventListener("toggle", (event) => {
      if (event.newState !== "open") return;
      const cell = note.parentElement.getBoundingClientRect();
      const own = note.getBoundingClientRect();
      const below = cell.bottom + 4, above = cell.top - own.height - 4;
      note.style.margin = "0";
      note.style.left = `${Math.max(8, Math.min(cell.left, root.clientWidth - own.width - 8))}px`;
      note.style.top = `${below + own.height < innerHeight ? below : Math.max(8, above)}px`;
    });
  }
}

function duration(ns) {
  const [one, unit] = ns >= 1e9 ? [1e9, "s"] : ns >= 1e6 ? [1e6, "ms"] : ns >= 1e3 ? [1e3, "µs"] : [1, "ns"];
  const number = ns / one;
  return `${number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number.toFixed(2)} ${unit}`;
}

function ordinal(number) {
  const teens = number % 100 > 10 && number % 100 < 14;
  return number + (teens ? "th" : { 1: "st", 2: "nd", 3: "rd" }[number % 10] ?? "th");
}

class Race {
  constructor(data) {
    this.data = data;
    this.lanes = [...byId("race-lanes").children].map((lane) => (
      { runner: lane.querySelector(".runner"), time: lane.querySelector(".lane-time") }));
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.button = byId("race-start");
    this.button.addEventListener("click", () => this.running ? this.pause() : this.run());
    byId("race-reset").addEventListener("click", () => this.reset());
    byId("race-which").addEventListener("change", () => this.reset());
    this.reset();
  }

  reset() {
    const which = byId("race-which").value;
    const pick = (row) => which === "median" ? row.median : which === "cold" ? row.cold :
      row.starts[Math.floor(Math.random() * row.starts.length)];
    this.times = this.data.map(pick);
    this.running = false;
    this.now = 0; // of the race, in ns
    this.finished = [];
    this.told = 0;
    this.button.textContent = "Start";
    byId("race-clock").textContent = "0 ms";
    byId("race-news").textContent = "";
    this.lanes.forEach((lane, index) => {
      lane.runner.style.transform = "scaleX(0)";
      lane.time.textContent = this.times[index] === null ? "not measured" : "";
    });
  }

  run() {
    if (this.finished.length === this.times.filter((time) => time !== null).length) this.reset();
    this.running = true;
    this.button.textContent = "Pause";
    this.last = performance.now();
    this.spoken = this.last;
    requestAnimationFrame((at) => this.step(at));
  }

  pause() {
    this.running = false;
    this.button.textContent = "Continue";
    byId("race-news").textContent = `Paused at ${duration(this.now)}; ${this.finished.length} have started.`;
  }

  step(at) {
    if (!this.running) return;
    const passed = Math.min(Math.max(at - this.last, 0), 250); // a window in the background stands still
    this.last = at;
    this.now += passed * 1e6 / Number(byId("race-speed").value);
    const left = this.times.filter((time) => time !== null && time > this.now);
    if (!left.length) this.now = Math.max(...this.times);
    byId("race-clock").textContent = duration(this.now);
    this.lanes.forEach((lane, index) => this.draw(lane, index));
    if (left.length) {
      if (at - this.spoken > 2000) this.tell(at);
      requestAnimationFrame((next) => this.step(next));
    } else {
      this.end();
    }
  }

  draw(lane, index) {
    const time = this.times[index];
    if (time === null || this.finished.includes(index)) return;
    const done = this.now < time ? this.now / time : 1;
    if (done === 1) {
      const ahead = this.times.filter((other) => other !== null && other < time).length;
      this.finished.push(index);
      lane.time.textContent = `${duration(time)}, ${ordinal(ahead + 1)}`;
    }
    if (done === 1 || !this.calm.matches) lane.runner.style.transform = `scaleX(${done})`;
  }

  // All that came in since the last time, in one sentence, so that who listens is not flooded.
  tell(at) {
    const arrived = this.finished.slice(this.told).sort((a, b) => this.times[a] - this.times[b]);
    this.spoken = at;
    if (!arrived.length) return;
    this.told = this.finished.length;
    byId("race-news").textContent = `Started: ${arrived.map((index) => this.data[index].title).join("; ")}.`;
  }

  end() {
    const order = [...this.finished].sort((a, b) => this.times[a] - this.times[b]);
    const name = (index) => `${this.data[index].title}, ${duration(this.times[index])}`;
    this.running = false;
    this.button.textContent = "Start again";
    byId("race-news").textContent = order.length === 0 ? "No row has such a start." :
      order.length === 1 ? `${name(order[0])}.` :
      `All ${order.length} have started. First: ${name(order[0])}. Last: ${name(order[order.length - 1])}.`;
  }
}

setUpTheme();
setUpViews();
setUpExplanations();
if (byId("race-data")) new Race(JSON.parse(byId("race-data").textContent));
