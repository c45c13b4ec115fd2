// SPDX-License-Identifier: MIT
// The page of a trace: reads the file that is in it (vmm/trace/format.h), finds the console and the phases of the kernel in its
// exits, and draws all of it on one canvas. Texts reach the page as text only, never as HTML.
"use strict";

const byId = (name) => document.getElementById(name);
const KINDS = ["port-write", "port-read", "mmio-write", "mmio-read", "other"];
const KIND_WORDS = ["port write", "port read", "MMIO write", "MMIO read", "other exits"];
const UART = ["THR", "IER", "FCR", "LCR", "MCR", "LSR", "MSR", "SCR"], UART_READ = ["RBR", "IER", "IIR"];
const ENDS = ["it did not end", "power-off", "reboot", "exit code", "panic", "triple fault", "internal error", "stopped", "halt"];

// ---- the file

function decode(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new DataView(bytes.buffer);
}

function readTrace(view) {
  const u32 = (at) => view.getUint32(at, true), big = (at) => view.getBigUint64(at, true);
  const text = (at, size) => {
    let words = "";
    for (let i = 0; i < size && view.getUint8(at + i); i++) words += String.fromCharCode(view.getUint8(at + i));
    return words;
  };
  const began = big(40), since = (at) => Number(big(at) - began);
  const trace = {
    view, arm64: u32(12) === 183, vcpus: [], devices: [], marks: [], reason: u32(28), status: view.getInt32(32, true),
    date: new Date(Number(big(48) / 1000000n)), version: text(56, 16), kernel: text(72, 128),
  };
  let at = 200;
  for (let i = 0; i < u32(20); i++, at += 40)
    trace.devices.push({name: text(at, 16), base: big(at + 16), size: big(at + 24), port: u32(at + 32) === 1});
  for (let i = 0; i < u32(24); i++, at += 64)
    trace.marks.push({at: since(at), took: Number(big(at + 8)), value: Number(view.getBigInt64(at + 16, true)), name: text(at + 24, 40)});
  const heads = at, count = (view.byteLength - at - 16 * u32(16)) / 48;
  at += 16 * u32(16);
  trace.records = at;
  for (let i = 0, first = 0; i < u32(16); i++) {
    const kept = Number(big(heads + 16 * i));
    trace.vcpus.push({first, end: first + kept, lost: Number(big(heads + 16 * i + 8))});
    first += kept;
  }
  trace.count = count;
  for (const name of ["entered", "left", "done"]) trace[name] = new Float64Array(count);
  // Half a number is read at a time: a BigInt for each of a million would take seconds.
  const low = Number(began & 0xffffffffn), high = Number(began >> 32n);
  for (let i = 0; i < count; i++, at += 48) {
    trace.entered[i] = (u32(at + 4) - high) * 4294967296 + u32(at) - low;
    trace.left[i] = (u32(at + 12) - high) * 4294967296 + u32(at + 8) - low;
    trace.done[i] = (u32(at + 20) - high) * 4294967296 + u32(at + 16) - low;
  }
  trace.end = Math.max(1, ...trace.marks.map((mark) => mark.at), ...trace.vcpus.map((vcpu) => vcpu.end > vcpu.first ? trace.done[vcpu.end - 1] : 0));
  return trace;
}

const NAMES = JSON.parse(byId("names").textContent);
const T = readTrace(decode(byId("trace").textContent.trim()));

const field = {
  address: (i) => T.view.getBigUint64(T.records + 48 * i + 24, true),
  value: (i) => T.view.getBigUint64(T.records + 48 * i + 32, true),
  byte: (i) => T.view.getUint8(T.records + 48 * i + 32),
  reason: (i) => T.view.getUint32(T.records + 48 * i + 40, true),
  size: (i) => T.view.getUint8(T.records + 48 * i + 44),
  write: (i) => T.view.getUint8(T.records + 48 * i + 45),
  more: (i) => T.view.getUint8(T.records + 48 * i + 46),
};

function vcpuOf(i) {
  return T.vcpus.findIndex((vcpu) => i < vcpu.end);
}

// ---- kinds of exits: those with the same reason, direction and address

const keys = [];
const keyOf = new Int32Array(T.count);

function makeKey(i) {
  const reason = NAMES[field.reason(i)] || "(other)", size = field.size(i), write = field.write(i), address = field.address(i);
  const port = reason === "IO";
  const device = size ? T.devices.find((d) => d.port === port && address >= d.base && address - d.base < d.size) : undefined;
  const offset = device ? Number(address - device.base) : 0;
  const what = reason + (size ? write ? " write" : " read" : "");
  const kind = size === 0 ? 4 : (port ? 0 : 2) + (write ? 0 : 1);
  let register = "";
  if (device && device.name === "serial0" && offset < 8) register = (!write && UART_READ[offset]) || UART[offset];
  const where = !size ? "" : device ? device.name + (register ? " " + register : offset ? " + 0x" + offset.toString(16) : "") : "nothing there";
  return {what, kind, device, offset, where, address, accesses: size > 0,
          label: `${what} 0x${address.toString(16)} ${where}`.toLowerCase(), count: 0, guest: 0, monitor: 0};
}

{
  const known = new Map();
  for (let i = 0, at = T.records; i < T.count; i++, at += 48) {
    const reason = T.view.getUint32(at + 40, true), way = T.view.getUint8(at + 44) ? 1 + T.view.getUint8(at + 45) : 0;
    let own = known.get(reason * 3 + way);
    if (!own) known.set(reason * 3 + way, own = new Map());
    const address = T.view.getUint32(at + 24, true) + T.view.getUint32(at + 28, true) * 4294967296;
    let id = own.get(address);
    if (id === undefined) {
      own.set(address, id = keys.length);
      keys.push(makeKey(i));
    }
    keyOf[i] = id;
    keys[id].count++;
    keys[id].guest += T.left[i] - T.entered[i];
    keys[id].monitor += T.done[i] - T.left[i];
  }
}

// The monitor's times of groups of records, sorted: [group][rank].
function sortedTimes(groupOf, groups) {
  const starts = new Uint32Array(groups + 1);
  for (let i = 0; i < T.count; i++) starts[groupOf(i) + 1]++;
  for (let g = 0; g < groups; g++) starts[g + 1] += starts[g];
  const times = new Float64Array(T.count), at = starts.slice();
  for (let i = 0; i < T.count; i++) times[at[groupOf(i)]++] = T.done[i] - T.left[i];
  return Array.from({length: groups}, (_, g) => times.subarray(starts[g], starts[g + 1]).sort());
}

const rank = (times, share) => times[Math.ceil(times.length * share) - 1];

// ---- words

function duration(ns) {
  const units = ["ns", "µs", "ms", "s"];
  let unit = 0;
  for (; Math.abs(ns) >= 999.5 && unit < 3; unit++) ns /= 1000;
  return (unit === 0 ? String(Math.round(ns)) : ns.toPrecision(3).replace(/e.*/, "")) + " " + units[unit];
}

const number = (value) => value.toLocaleString("en", {maximumFractionDigits: 3});

function element(name, words, attributes = {}) {
  const made = document.createElement(name);
  if (words !== undefined) made.textContent = words;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// ---- the console: what the guest wrote to the transmitter of its serial port (16550A, TL16C550D 8.1)

const characterOf = new Map(); // record -> position in the text
const C = readConsole();

function readConsole() {
  const serial = keys.map((key) => key.device && key.device.name === "serial0" && key.kind % 2 === 0 ? key.offset : -1);
  const writes = [];
  for (let i = 0; i < T.count; i++) if (serial[keyOf[i]] >= 0) writes.push(i);
  if (T.vcpus.length > 1) writes.sort((a, b) => T.left[a] - T.left[b]);
  const parts = [], records = [];
  let lcr = 0, mcr = 0, pending = [], missing = 0;
  const put = (text, record) => { parts.push(text); records.push(record); };
  const flush = () => {
    if (!pending.length) return;
    const text = new TextDecoder().decode(new Uint8Array(pending.map((i) => field.byte(i))));
    for (const i of pending) characterOf.set(i, records.length);
    for (const unit of text) for (const half of unit.split("")) put(half, pending[0]);
    pending = [];
    missing = 0;
  };
  for (const i of writes) {
    const offset = serial[keyOf[i]], byte = field.byte(i);
    if (offset === 3) lcr = byte;
    if (offset === 4) mcr = byte;
    if (offset !== 0 || lcr & 0x80 || mcr & 0x10) continue; // the divisor's; looped back
    if (pending.length && (byte & 0xc0) !== 0x80) flush();
    if (byte >= 0xc2 && byte < 0xf5) {
      pending = [i];
      missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    } else if (pending.length) {
      pending.push(i);
      if (--missing === 0) flush();
    } else {
      characterOf.set(i, records.length);
      // What is no character to see has a picture (Unicode's Control Pictures), but for line ends and tabs.
      if (byte === 10 || byte === 9) put(String.fromCharCode(byte), i);
      else if (byte < 32) { if (byte !== 13) put(String.fromCharCode(0x2400 + byte), i); }
      else put(byte < 127 ? String.fromCharCode(byte) : byte === 127 ? "\u2421" : "\ufffd", i);
    }
  }
  flush();
  return {text: parts.join(""), records, times: Float64Array.from(records, (i) => T.left[i]), lines: []};
}

// Lines, each with the time of its first character, and with the kernel's own time where it has one.
for (let start = 0; start < C.text.length;) {
  let end = C.text.indexOf("\n", start);
  if (end < 0) end = C.text.length;
  const text = C.text.slice(start, end), stamp = /^\[ *(\d+\.\d+)\](?:\[ *[CT]\d+\])? ?/.exec(text);
  if (text) C.lines.push({start, end, at: C.times[start], text, clock: stamp ? Number(stamp[1]) * 1e9 : null, words: stamp ? text.slice(stamp[0].length) : text});
  start = end + 1;
}

// ---- phases

// The first line that begins so begins the phase.
const KERNEL_PHASES = [
  [/^Linux version |^Booting Linux on /, "early set-up"],
  [/^Memory: /, "core of the kernel"],
  [/^smp: Bringing up|^smpboot: CPU0/, "CPUs"],
  [/^devtmpfs: initialized/, "initcalls"],
  [/^Freeing unused kernel|^Run \S+ as init/, "init"],
  [/^Kernel panic/, "panic"],
  [/^reboot: /, "end of the kernel"],
];

// When the kernel has said a line.  The one that tells of the console, and those after it, are written at once.  Those before it
// came in one heap just before, and are placed by the kernel's own clock.
function kernelClock() {
  const enabled = C.lines.find((line) => line.clock !== null && /console \[\w+\] enabled/.test(line.words));
  if (!enabled) return (line) => line.at;
  return (line) => line.clock === null || line.start >= enabled.start ? line.at : Math.min(C.lines[0].at, enabled.at - enabled.clock + line.clock);
}

function findPhases() {
  const mark = (name) => T.marks.find((m) => m.name === name);
  const starts = T.vcpus.filter((v) => v.end > v.first).map((v) => T.entered[v.first]);
  const first = mark("first KVM_RUN") ? mark("first KVM_RUN").at : Math.min(T.end, ...starts);
  const bounds = [[0, "minivmm starts"], [first, "guest"]];
  const timeOf = kernelClock();
  let found = 0;
  for (const [words, name] of KERNEL_PHASES) {
    const line = C.lines.find((l) => words.test(l.words));
    const at = line ? Math.max(first, timeOf(line)) : -1;
    if (at < bounds[bounds.length - 1][0]) continue;
    bounds.push([at, name]);
    found++;
  }
  if (found) {
    bounds[1][1] = "entry";
  } else {
    for (const m of T.marks) if (m.name === "guest mark" && m.at >= first) bounds.push([m.at, `after mark ${m.value}`]);
  }
  const end = mark("end");
  if (end && end.at >= bounds[bounds.length - 1][0]) bounds.push([end.at, "minivmm ends"]);
  return bounds.map(([from, name], i) => ({from, to: i + 1 < bounds.length ? bounds[i + 1][0] : T.end, name})).filter((p) => p.to > p.from);
}

const phases = findPhases();

// ---- the timeline

const canvas = byId("timeline"), pen = canvas.getContext("2d");
const GUTTER = 74, AXIS = 24, BAND = 24, OVERVIEW = 16, SHORTEST = 40;
const rowHeight = Math.max(14, Math.min(64, 640 / T.vcpus.length));
const rows = {phases: AXIS, marks: AXIS + BAND + 4, console: AXIS + 2 * BAND + 8, vcpus: AXIS + 3 * BAND + 14};
rows.overview = rows.vcpus + T.vcpus.length * (rowHeight + 4) + 6;
const HEIGHT = rows.overview + OVERVIEW + 4;
let view = {from: 0, to: T.end}, selected = -1, matched = null, width = 0, colours = {}, waiting = false;

const plotWidth = () => width - GUTTER - 8;
const xOf = (ns) => GUTTER + (ns - view.from) / (view.to - view.from) * plotWidth();
const timeAt = (x) => view.from + (x - GUTTER) / plotWidth() * (view.to - view.from);

// The first in [first, end) for which times[i] >= ns.
function lowerBound(times, ns, first, end) {
  while (first < end) {
    const middle = (first + end) >> 1;
    if (times[middle] < ns) first = middle + 1; else end = middle;
  }
  return first;
}

function show(from, to) {
  const length = Math.max(SHORTEST, Math.min(T.end, to - from));
  from = Math.max(0, Math.min(T.end - length, from));
  view = {from, to: from + length};
  redraw();
}

function zoom(factor, around = (view.from + view.to) / 2) {
  const from = around - (around - view.from) * factor;
  show(from, from + Math.min(T.end, (view.to - view.from) * factor));
}

const pan = (share) => show(view.from + share * (view.to - view.from), view.to + share * (view.to - view.from));

function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

function takeColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "panel", "ink", "muted", "line", "guest", "select", "match", "phase-0", "phase-1", "phase-2", ...KINDS, ...KINDS.map((k) => "on-" + k)])
    colours[name] = style.getPropertyValue("--" + name).trim();
}

function clip(text, room) {
  if (room < 16) return "";
  if (pen.measureText(text).width <= room) return text;
  let length = Math.floor(text.length * room / pen.measureText(text).width);
  while (length > 1 && pen.measureText(text.slice(0, length) + "…").width > room) length--;
  return length > 1 ? text.slice(0, length) + "…" : "";
}

function label(text, y, height) {
  pen.fillStyle = colours.muted;
  pen.textAlign = "left";
  pen.fillText(clip(text, GUTTER - 10), 8, y + height / 2);
}

function drawAxis() {
  const length = view.to - view.from, most = Math.max(2, plotWidth() / 110);
  const power = 10 ** Math.floor(Math.log10(length / most));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => length / n <= most);
  // All ticks in the unit of the last, with the digits that tell them apart.
  const unit = view.to >= 1e9 ? 3 : view.to >= 1e6 ? 2 : view.to >= 1e3 ? 1 : 0, scale = 1000 ** unit;
  const digits = Math.max(0, -Math.floor(Math.log10(step / scale) + 1e-9));
  pen.textAlign = "center";
  for (let n = Math.ceil(view.from / step); n * step <= view.to; n++) {
    const x = xOf(n * step);
    pen.fillStyle = colours.line;
    pen.fillRect(x, AXIS - 5, 1, HEIGHT - AXIS - OVERVIEW - 4);
    pen.fillStyle = colours.muted;
    if (x > GUTTER + 20 && x < width - 30) pen.fillText(`${(n * step / scale).toFixed(digits)} ${["ns", "µs", "ms", "s"][unit]}`, x, AXIS / 2 - 1);
  }
}

// A part of a row, cut to the window: [x, width], or null if it is outside.
function part(from, to) {
  if (to < view.from || from > view.to) return null;
  const left = xOf(Math.max(from, view.from)), right = xOf(Math.min(to, view.to));
  return [left, right - left];
}

function drawBand(from, to, y, height, fill, ink, text) {
  const at = part(from, to);
  if (!at) return;
  pen.fillStyle = fill;
  pen.fillRect(at[0], y, Math.max(1, at[1] - 1), height);
  pen.fillStyle = ink;
  pen.textAlign = "left";
  if (at[1] > 20) pen.fillText(clip(text, at[1] - 8), at[0] + 4, y + height / 2);
}

function drawMarks() {
  const y = rows.marks, starts = T.marks.map((mark) => mark.at - mark.took);
  T.marks.forEach((mark, n) => {
    const name = mark.name === "guest mark" ? `mark ${mark.value}` : mark.name;
    if (mark.took) {
      drawBand(starts[n], mark.at, y + 3, BAND - 6, colours["phase-2"], colours.ink, name);
      return;
    }
    const at = part(mark.at, mark.at);
    if (!at) return;
    pen.fillStyle = mark.name === "guest mark" ? colours.match : colours.muted;
    pen.fillRect(at[0], y, 2, BAND);
    // Up to the next one, so that no text is over another.
    const next = Math.min(T.end, ...starts.filter((ns, other) => other !== n && ns >= mark.at));
    const words = clip(name, Math.min(width - 8, xOf(next)) - at[0] - 9);
    pen.textAlign = "left";
    if (words.length > 3) pen.fillText(words, at[0] + 5, y + BAND / 2);
  });
}

function drawConsole() {
  const times = C.lines, y = rows.console;
  let free = -Infinity, last = -Infinity, n = 0;
  while (n < times.length && times[n].at < view.from) n++;
  for (; n < times.length && times[n].at <= view.to; n++) {
    const x = xOf(times[n].at), next = n + 1 < times.length ? xOf(times[n + 1].at) : Infinity;
    if (x - last >= 1) {
      pen.fillStyle = colours.muted;
      pen.fillRect(x, y + 3, 1, BAND - 6);
      last = x;
    }
    if (x < free || next - x < 46) continue;
    const words = clip(times[n].words, Math.min(next, width - 8) - x - 8);
    pen.fillStyle = colours.ink;
    pen.textAlign = "left";
    pen.fillText(words, x + 4, y + BAND / 2);
    free = x + 46;
  }
}

// The share of each pixel's time that the guest had, and each kind of exit; and where matches are.
function measure(vcpu) {
  const columns = Math.max(1, Math.ceil(plotWidth())), scale = plotWidth() / (view.to - view.from);
  const shares = Array.from({length: KINDS.length + 1}, () => new Float32Array(columns + 1)), hits = new Uint8Array(columns + 1);
  const add = (share, from, to) => {
    const a = (Math.max(from, view.from) - view.from) * scale, b = (Math.min(to, view.to) - view.from) * scale;
    if (b <= a) return;
    const first = Math.floor(a), last = Math.min(columns, Math.floor(b));
    if (first === last) { share[first] += b - a; return; }
    share[first] += first + 1 - a;
    for (let x = first + 1; x < last; x++) share[x] = 1;
    share[last] += b - last;
  };
  const first = lowerBound(T.done, view.from, vcpu.first, vcpu.end);
  let i = first;
  for (; i < vcpu.end && T.entered[i] <= view.to; i++) {
    const kind = keys[keyOf[i]].kind;
    add(shares[KINDS.length], T.entered[i], T.left[i]);
    add(shares[kind], T.left[i], T.done[i]);
    if (matched && matched[i]) hits[Math.max(0, Math.min(columns, Math.floor((T.left[i] - view.from) * scale)))] = 1;
  }
  return {columns, shares, hits, first, end: i};
}

// A few exits: each is a block with its name.
function drawBlocks(vcpu, y, seen) {
  for (let i = seen.first; i < seen.end; i++) {
    const key = keys[keyOf[i]], at = part(T.left[i], T.done[i]), kind = KINDS[key.kind];
    if (!at || at[1] < 40 || rowHeight < 14) continue;
    const more = characterOf.has(i) ? ` ${JSON.stringify(String.fromCharCode(field.byte(i)))}` : "";
    pen.fillStyle = colours["on-" + kind];
    pen.textAlign = "left";
    pen.fillText(clip(`${key.what}${more} ${key.where}`, at[1] - 8), at[0] + 4, y + rowHeight / 2);
  }
}

function drawVcpu(vcpu, y) {
  const seen = measure(vcpu), sparse = seen.end - seen.first < plotWidth() / 8;
  for (let x = 0; x < seen.columns; x++) {
    let monitor = 0;
    for (let k = 0; k < KINDS.length; k++) monitor += seen.shares[k][x];
    const all = Math.min(1, monitor + seen.shares[KINDS.length][x]);
    if (all <= 0) continue;
    pen.fillStyle = colours.guest;
    pen.fillRect(GUTTER + x, y, 1, rowHeight);
    if (monitor <= 0) continue;
    // The square root, so that the few per cent of a boot can be seen.
    const height = Math.max(2, rowHeight * Math.sqrt(Math.min(1, monitor)));
    for (let k = 0, up = y + rowHeight; k < KINDS.length; k++) {
      const own = height * seen.shares[k][x] / monitor;
      if (own <= 0) continue;
      pen.fillStyle = colours[KINDS[k]];
      pen.fillRect(GUTTER + x, up - own, 1, own);
      up -= own;
    }
  }
  if (sparse) drawBlocks(vcpu, y, seen);
  if (!matched) return;
  pen.fillStyle = colours.match;
  for (let x = 0; x < seen.columns; x++) if (seen.hits[x]) pen.fillRect(GUTTER + x - 0.5, y - 2, 2, 6);
}

function drawSelected() {
  if (selected < 0) return;
  const at = part(T.left[selected], T.done[selected]), y = rows.vcpus + vcpuOf(selected) * (rowHeight + 4);
  if (!at) return;
  pen.fillStyle = colours.select;
  pen.fillRect(at[0] + at[1] / 2 - 0.5, AXIS - 5, 1, y - AXIS + 5);
  pen.strokeStyle = colours.select;
  pen.lineWidth = 2;
  pen.strokeRect(at[0] - 1, y - 1, Math.max(3, at[1] + 2), rowHeight + 2);
}

function drawOverview() {
  const y = rows.overview, room = plotWidth();
  phases.forEach((phase, i) => {
    pen.fillStyle = colours[`phase-${i % 3}`];
    pen.fillRect(GUTTER + phase.from / T.end * room, y, Math.max(1, (phase.to - phase.from) / T.end * room), OVERVIEW - 4);
  });
  pen.strokeStyle = colours.ink;
  pen.lineWidth = 1.5;
  pen.strokeRect(GUTTER + view.from / T.end * room, y - 1, Math.max(3, (view.to - view.from) / T.end * room), OVERVIEW - 2);
  label("all", y, OVERVIEW - 4);
}

function draw() {
  const scale = devicePixelRatio || 1;
  width = canvas.clientWidth;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(HEIGHT * scale)) {
    canvas.style.height = HEIGHT + "px";
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(HEIGHT * scale);
  }
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.fillStyle = colours.paper;
  pen.fillRect(0, 0, width, HEIGHT);
  pen.font = "12px system-ui, \"DejaVu Sans\", sans-serif";
  pen.textBaseline = "middle";
  drawAxis();
  label("phase", rows.phases, BAND);
  phases.forEach((phase, i) => drawBand(phase.from, phase.to, rows.phases, BAND, colours[`phase-${i % 3}`], colours.ink, phase.name));
  label("marks", rows.marks, BAND);
  drawMarks();
  label("console", rows.console, BAND);
  drawConsole();
  T.vcpus.forEach((vcpu, i) => {
    const y = rows.vcpus + i * (rowHeight + 4);
    label(`vCPU ${i}`, y, rowHeight);
    drawVcpu(vcpu, y);
  });
  drawSelected();
  drawOverview();
}

// ---- an exit, and the console so far

function showConsole() {
  const pre = byId("console");
  if (!C.text) {
    pre.textContent = T.count ? "The guest has written nothing." : "";
    return;
  }
  let at = C.text.length, own = false;
  if (selected >= 0) {
    own = characterOf.has(selected);
    at = own ? characterOf.get(selected) : lowerBound(C.times, T.left[selected], 0, C.times.length);
  }
  pre.replaceChildren(C.text.slice(0, at));
  if (selected < 0) return;
  const shown = own ? C.text.slice(at, at + 1) : "";
  // A line end has no shape, and a carriage return is not in the text at all.
  const mark = element("mark", shown === "\n" || (own && field.byte(selected) === 13) ? "\u21b5" : shown || "\u258f");
  const after = element("span", C.text.slice(own && field.byte(selected) !== 13 ? at + (shown !== "\n") : at), {class: "later"});
  pre.append(mark, after);
  pre.scrollTop = mark.offsetTop - pre.clientHeight / 2;
}

function describe(i) {
  const key = keys[keyOf[i]], v = vcpuOf(i), vcpu = T.vcpus[v], size = field.size(i);
  const rows_ = [["Exit", `${number(vcpu.lost + i - vcpu.first + 1)} of ${number(vcpu.lost + vcpu.end - vcpu.first)} of vCPU ${v}`], ["Reason", key.what]];
  if (size) {
    rows_.push(["Address", `0x${key.address.toString(16)}`], ["Device", key.where], ["Size", size === 1 ? "1 byte" : `${size} bytes`]);
    rows_.push(["Value", `0x${field.value(i).toString(16)} (${field.value(i)})`]);
  }
  if (characterOf.has(i)) rows_.push(["Character", JSON.stringify(String.fromCharCode(field.byte(i)))]);
  if (field.more(i)) rows_.push(["Access", "one more of the exit before: a string instruction"]);
  const phase = phases.find((p) => T.left[i] < p.to);
  rows_.push(["At", `${number(T.left[i] / 1e6)} ms`], ["Guest before", duration(T.left[i] - T.entered[i])], ["Monitor", duration(T.done[i] - T.left[i])]);
  if (phase) rows_.push(["Phase", phase.name]);
  return rows_;
}

function select(i, follow = false) {
  selected = i;
  const list = element("dl");
  if (i >= 0) for (const [name, words] of describe(i)) list.append(element("dt", name), element("dd", words));
  byId("details").replaceChildren(i >= 0 ? list : element("p", T.count ? "Click the timeline, or a character of the console." : "There is no exit in this trace."));
  byId("before").disabled = i < 0 || i === T.vcpus[vcpuOf(i)].first;
  byId("after").disabled = i < 0 || i + 1 === T.vcpus[vcpuOf(i)].end;
  byId("closer").disabled = i < 0;
  if (i >= 0 && follow && (T.left[i] < view.from || T.done[i] > view.to)) {
    const half = (view.to - view.from) / 2;
    show(T.left[i] - half, T.left[i] + half);
  }
  showConsole();
  redraw();
}

function step(by) {
  if (selected < 0) {
    if (T.count) select(lowerBound(T.left, (view.from + view.to) / 2, T.vcpus[0].first, T.vcpus[0].end - 1), true);
    return;
  }
  const vcpu = T.vcpus[vcpuOf(selected)];
  if (selected + by >= vcpu.first && selected + by < vcpu.end) select(selected + by, true);
}

function closer() {
  if (selected < 0) return;
  const length = Math.max(SHORTEST, (T.done[selected] - T.left[selected]) * 6);
  show(T.left[selected] - length / 3, T.left[selected] + length * 2 / 3);
}

// The exit of the row at y that is nearest to x, within some pixels.
function exitAt(x, y) {
  const v = Math.floor((y - rows.vcpus) / (rowHeight + 4)), vcpu = T.vcpus[v];
  if (x < GUTTER || !vcpu || vcpu.end === vcpu.first) return -1;
  const ns = timeAt(x), next = lowerBound(T.done, ns, vcpu.first, vcpu.end - 1);
  // In it, or in the guest's time before it; or the one before, if that is nearer.
  return next > vcpu.first && T.left[next] > ns && ns - T.done[next - 1] < T.left[next] - ns ? next - 1 : next;
}

function lineAt(x) {
  const ns = timeAt(x);
  let best = null;
  for (const line of C.lines) if (!best || Math.abs(line.at - ns) < Math.abs(best.at - ns)) best = line;
  return best;
}

function click(x, y) {
  if (y >= rows.overview - 4) return;
  if (y >= rows.vcpus) return select(exitAt(x, y));
  if (y >= rows.console && C.lines.length) return select(C.records[lineAt(x).start]);
  const phase = phases.find((p) => timeAt(x) >= p.from && timeAt(x) < p.to);
  if (y >= rows.phases && y < rows.phases + BAND && phase) show(phase.from, phase.to);
}

function hover(x, y) {
  let words = "\u00a0";
  if (x >= GUTTER && x < width) {
    words = duration(timeAt(x));
    const i = y >= rows.vcpus && y < rows.overview - 4 ? exitAt(x, y) : -1;
    if (i >= 0) words += `  ·  ${keys[keyOf[i]].what} ${keys[keyOf[i]].where}  ·  guest ${duration(T.left[i] - T.entered[i])}, monitor ${duration(T.done[i] - T.left[i])}`;
    else if (y >= rows.console && y < rows.vcpus && C.lines.length) words += `  ·  ${lineAt(x).text}`;
  }
  byId("hover").textContent = words;
}

// ---- search

let order = [], current = -1;

function search(words) {
  words = words.trim().toLowerCase();
  matched = null;
  order = [];
  current = -1;
  if (words) {
    matched = new Uint8Array(T.count);
    const good = keys.map((key) => key.label.includes(words));
    const text = C.text.toLowerCase();
    // Where lower case has another length, positions would be wrong.
    for (let at = text.length === C.text.length ? text.indexOf(words) : -1; at >= 0; at = text.indexOf(words, at + words.length)) matched[C.records[at]] = 1;
    for (let i = 0; i < T.count; i++) if (good[keyOf[i]]) matched[i] = 1;
    for (let i = 0; i < T.count; i++) if (matched[i]) order.push(i);
    if (T.vcpus.length > 1) order.sort((a, b) => T.left[a] - T.left[b]);
  }
  byId("found").textContent = !words ? "" : order.length === 1 ? "1 match" : `${number(order.length)} matches`;
  byId("back").disabled = byId("next").disabled = !order.length;
  redraw();
}

function go(by) {
  if (!order.length) return;
  // Before the first: to what is next of the window, or of the selected exit.
  if (current < 0) {
    const from = selected >= 0 ? T.left[selected] : view.from;
    const times = Float64Array.from(order, (i) => T.left[i]);
    current = lowerBound(times, from, 0, order.length) - (by > 0 ? 1 : 0);
  }
  current = (current + by + order.length) % order.length;
  byId("found").textContent = `${number(current + 1)} of ${number(order.length)}`;
  select(order[current], true);
}

// ---- what a person does

function setUpPointer() {
  let drag = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left - canvas.clientLeft, event.clientY - box.top - canvas.clientTop];
  };
  const overview = (x) => {
    const middle = (x - GUTTER) / plotWidth() * T.end, half = (view.to - view.from) / 2;
    show(middle - half, middle + half);
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(event.deltaX / 1000);
    else zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), timeAt(Math.max(GUTTER, place(event)[0])));
  }, {passive: false});
  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = place(event);
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    drag = {x, y, from: view.from, moved: false, overview: y >= rows.overview - 4};
    if (drag.overview) overview(x);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    hover(x, y);
    if (!drag) return;
    if (drag.overview) return overview(x);
    if (!drag.moved && Math.abs(x - drag.x) < 4) return;
    drag.moved = true;
    const from = drag.from - (x - drag.x) / plotWidth() * (view.to - view.from);
    show(from, from + view.to - view.from);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved && !drag.overview) click(...place(event));
    drag = null;
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { byId("hover").textContent = "\u00a0"; });
}

function setUpKeys() {
  const acts = {
    "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": () => show(0, T.end), ArrowLeft: () => pan(-0.2),
    ArrowRight: () => pan(0.2), ArrowUp: () => zoom(0.5), ArrowDown: () => zoom(2), ",": () => step(-1), ".": () => step(1), Enter: closer,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target === byId("query");
    if (event.key === "Escape") {
      select(-1);
      if (typing) canvas.focus();
    } else if (event.key === "/" && !typing) {
      event.preventDefault();
      byId("query").select();
    } else if (typing && event.key === "Enter") {
      event.preventDefault();
      go(event.shiftKey ? -1 : 1);
    } else if (acts[event.key] && (event.target === canvas || event.target === document.body)) {
      event.preventDefault();
      acts[event.key]();
    }
  });
}

function setUpButtons() {
  const on = (name, act) => byId(name).addEventListener("click", act);
  on("in", () => zoom(0.5));
  on("out", () => zoom(2));
  on("all", () => show(0, T.end));
  on("before", () => step(-1));
  on("after", () => step(1));
  on("closer", closer);
  on("back", () => go(-1));
  byId("search").addEventListener("submit", (event) => { event.preventDefault(); go(1); });
  byId("query").addEventListener("input", (event) => search(event.target.value));
  // A character of the console: its exit.
  on("console", (event) => {
    const caret = document.caretRangeFromPoint ? document.caretRangeFromPoint(event.clientX, event.clientY) : null;
    const place = caret ? [caret.startContainer, caret.startOffset] : document.caretPositionFromPoint &&
      (({offsetNode, offset}) => [offsetNode, offset])(document.caretPositionFromPoint(event.clientX, event.clientY));
    if (!place || !C.text || String(getSelection())) return;
    const range = document.createRange();
    range.setStart(byId("console"), 0);
    range.setEnd(...place);
    const before = byId("console").querySelector("mark"), text = range.toString();
    // The mark may stand for what is not in the text.
    const extra = before && /[\u21b5\u258f]/.test(before.textContent) && text.length > before.previousSibling?.textContent.length ? 1 : 0;
    const at = Math.min(text.length - extra, C.records.length - 1);
    select(C.records[at], true);
  });
}

// ---- the rest of the page

function fill(table, heads, lines) {
  const row = element("tr"), body = element("tbody");
  heads.forEach((head) => row.append(element("th", head, {scope: "col", ...(head === "device" ? {class: "words"} : {})})));
  for (const line of lines) {
    const tr = element("tr");
    line.forEach((cell, i) => {
      const td = element("td", undefined, heads[i] === "device" ? {class: "words"} : {});
      td.append(cell);
      tr.append(td);
    });
    body.append(tr);
  }
  const head = element("thead");
  head.append(row);
  table.append(head, body);
}

function act(words, fn) {
  const button = element("button", words, {type: "button"});
  button.addEventListener("click", fn);
  return button;
}

function find(words) {
  byId("query").value = words;
  search(words);
  canvas.scrollIntoView({block: "nearest"});
}

const numbers = (sum, times) => [number(sum.count), duration(sum.guest), duration(sum.monitor), duration(rank(times, 0.5)), duration(rank(times, 0.99))];

function fillTables() {
  const reasons = [], reasonOf = keys.map((key) => {
    let at = reasons.findIndex((reason) => reason.what === key.what);
    if (at < 0) at = reasons.push({what: key.what, count: 0, guest: 0, monitor: 0}) - 1;
    for (const name of ["count", "guest", "monitor"]) reasons[at][name] += key[name];
    return at;
  });
  const ofReason = sortedTimes((i) => reasonOf[keyOf[i]], reasons.length), ofKey = sortedTimes((i) => keyOf[i], keys.length);
  const heads = ["count", "guest", "monitor", "p50", "p99"], most = (a, b) => b[0].monitor - a[0].monitor;
  fill(byId("reasons"), ["reason", ...heads], reasons.map((reason, i) => [reason, ofReason[i]]).sort(most)
    .map(([reason, times]) => [act(reason.what, () => find(reason.what)), ...numbers(reason, times)]));
  fill(byId("addresses"), ["address", ...heads, "device"], keys.map((key, i) => [key, ofKey[i]]).filter(([key]) => key.accesses).sort(most).slice(0, 30)
    .map(([key, times]) => [act(`${key.what} 0x${key.address.toString(16)}`, () => find(`${key.what} 0x${key.address.toString(16)} `)), ...numbers(key, times), key.where]));
  fill(byId("phases"), ["phase", "from", "length"], phases.map((phase) =>
    [act(phase.name, () => { show(phase.from, phase.to); canvas.scrollIntoView({block: "nearest"}); }), duration(phase.from), duration(phase.to - phase.from)]));
}

function fillHead() {
  const sum = (name) => keys.reduce((all, key) => all + key[name], 0), lost = T.vcpus.reduce((all, vcpu) => all + vcpu.lost, 0);
  const cpus = T.vcpus.length === 1 ? "1 vCPU" : `${T.vcpus.length} vCPUs`;
  document.title = `${T.kernel}: a trace by minivmm`;
  byId("title").textContent = `${T.kernel}, ${T.arm64 ? "arm64" : "x86-64"}, ${cpus}`;
  byId("facts").textContent = `${T.date.toISOString().replace("T", " ").slice(0, 19)} UTC, minivmm ${T.version}. ${number(T.count)} exits in ` +
    `${duration(T.end)}: ${duration(sum("guest"))} in the guest, ${duration(sum("monitor"))} in the monitor. Ended: ${ENDS[T.reason]}, status ${T.status}.` +
    (lost ? ` ${number(lost)} exits before these were lost.` : "");
  const entry = (colour, words) => {
    const span = element("span"), box = element("i");
    box.style.background = `var(--${colour})`;
    span.append(box, words);
    return span;
  };
  const used = new Set(keys.map((key) => key.kind));
  byId("legend").append(entry("guest", "guest, or waiting in KVM"), ...KINDS.map((kind, k) => [kind, k]).filter(([, k]) => used.has(k)).map(([kind, k]) => entry(kind, KIND_WORDS[k])),
    element("span", "The height is the square root of the monitor's share of the time."));
}

takeColours();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { takeColours(); redraw(); });
new ResizeObserver(redraw).observe(canvas);
fillHead();
fillTables();
setUpPointer();
setUpKeys();
setUpButtons();
search("");
select(-1);
draw();
