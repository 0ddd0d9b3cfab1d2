"use strict";
// Hovering, zoom, sorting, theme, copying. A page works without it; it shows no text but as text.
const page = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 1000;
  const root = document.documentElement;
  // Shared by all time charts: the part that is shown, the moment pointed at, in seconds.
  const state = { zoom: null, at: null, from: null, sorts: new Map() };
  const figures = () => document.querySelectorAll("figure.time");

  const digits = (value) => {
    const size = Math.abs(value);
    if (size >= 1000) return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u2009");
    return String(Number(value.toFixed(size < 10 ? 2 : size < 100 ? 1 : 0)));
  };
  const scaled = (value, steps) => {
    let [scale, unit] = steps[0];
    for (const step of steps) if (value >= step[0]) [scale, unit] = step;
    return digits(value / scale) + " " + unit;
  };
  const units = {
    us: (v) => scaled(v, [[1, "µs"], [1e3, "ms"], [1e6, "s"], [6e7, "min"]]),
    bytes: (v) => scaled(v, [[1, "B"], [1024, "KiB"], [1048576, "MiB"], [1073741824, "GiB"]]),
    rate: (v) => digits(v) + "/s",
    percent: (v) => digits(v) + " %",
    count: digits,
    plain: digits,
  };
  const clock = (second) => {
    const two = (n) => String(n).padStart(2, "0");
    const whole = Math.floor(second);
    const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    return h > 0 ? h + ":" + two(m) + ":" + two(s) : m + ":" + two(s);
  };

  const known = new WeakMap();
  const parsed = (script) => {
    if (!known.has(script)) known.set(script, JSON.parse(script.textContent));
    return known.get(script);
  };
  const data = (figure) => parsed(figure.querySelector(":scope > script"));
  const range = (figure) => state.zoom || [0, Number(figure.dataset.seconds)];

  // Where the pointer is, in seconds.
  const moment = (figure, event) => {
    const box = figure.querySelector(".area").getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const [from, to] = range(figure);
    return from + share * (to - from);
  };

  const shape = (figure, kind, name) => {
    const area = figure.querySelector(".area");
    const found = area.querySelector("." + kind);
    if (found) return found;
    const made = document.createElementNS(SVG, name);
    made.setAttribute("class", kind);
    area.append(made);
    return made;
  };

  const read = (series, column, unit) => {
    const value = series.values[column];
    const open = Boolean(series.bounds) && series.bounds.includes(column);
    if (value === null || value === undefined) return open ? "no response" : "–";
    const bound = open ? "≥ " : "";
    const thin = series.thin && series.thin.includes(column) ? "~" : "";
    return bound + thin + units[unit](value);
  };

  const happened = (at, within) => {
    const script = document.querySelector("script.marks");
    if (!script) return "";
    const near = parsed(script).filter((mark) => Math.abs(mark[0] - at) <= within);
    const first = near.slice(0, 2).map((mark) => mark[1]).join(" · ");
    return near.length > 2 ? first + " · " + (near.length - 2) + " more" : first;
  };

  const point = (figure, events) => {
    const seconds = Number(figure.dataset.seconds);
    const step = Number(figure.dataset.step);
    const outputs = figure.querySelectorAll(".legend output");
    const when = figure.querySelector(".when");
    const { unit, series } = data(figure);
    const cross = shape(figure, "cross", "line");
    if (state.at === null) {
      cross.setAttribute("visibility", "hidden");
      outputs.forEach((output) => { output.textContent = ""; });
      when.textContent = "";
      return;
    }
    const column = Math.min(Math.ceil(seconds / step) - 1, Math.floor(state.at / step));
    const x = (state.at / seconds) * WIDTH;
    for (const [name, value] of [["x1", x], ["x2", x], ["y1", 0], ["y2", 9999]]) {
      cross.setAttribute(name, value);
    }
    cross.setAttribute("visibility", "visible");
    outputs.forEach((output, at) => {
      output.textContent = series[at] ? read(series[at], column, unit) : "";
    });
    when.textContent = clock(column * step) + (events ? " · " + events : "");
  };

  const pointAll = (at, hovered) => {
    state.at = at;
    figures().forEach((figure) => {
      const [from, to] = range(figure);
      point(figure, at !== null && figure === hovered ? happened(at, (to - from) / 150) : "");
    });
  };

  const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200];
  const across = (figure) => {
    const [from, to] = range(figure);
    const wide = figure.querySelector(".area").getBoundingClientRect().width;
    const most = Math.max(2, Math.min(7, Math.floor(wide / 70)));
    const day = 86400;
    const step = STEPS.find((s) => (to - from) / s <= most) || Math.ceil((to - from) / most / day) * day;
    const names = [];
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
      const share = (at - from) / (to - from);
      const name = document.createElementNS(SVG, "text");
      name.setAttribute("x", (share * 100).toFixed(1) + "%");
      name.setAttribute("y", "14");
      name.setAttribute("class", share < 0.02 ? "first" : share > 0.98 ? "last" : "mid");
      name.textContent = clock(at);
      names.push(name);
    }
    figure.querySelector(".x").replaceChildren(...names);
  };

  const show = (figure) => {
    const seconds = Number(figure.dataset.seconds);
    const area = figure.querySelector(".area");
    const [from, to] = range(figure);
    const height = area.getAttribute("height");
    const [x, width] = [(from / seconds) * WIDTH, ((to - from) / seconds) * WIDTH];
    area.setAttribute("viewBox", x + " 0 " + width + " " + height);
    across(figure);
  };

  const zoomTo = (zoom) => {
    state.zoom = zoom;
    figures().forEach(show);
    const reset = document.querySelector("button.reset");
    if (reset) reset.hidden = zoom === null;
  };

  const select = (figure, to) => {
    const seconds = Number(figure.dataset.seconds);
    const box = shape(figure, "choice", "rect");
    const [low, high] = [Math.min(state.from, to), Math.max(state.from, to)];
    box.setAttribute("x", (low / seconds) * WIDTH);
    box.setAttribute("width", ((high - low) / seconds) * WIDTH);
    box.setAttribute("height", "9999");
  };

  const release = (figure, to) => {
    const [from, end] = range(figure);
    const [low, high] = [Math.min(state.from, to), Math.max(state.from, to)];
    state.from = null;
    figure.querySelectorAll(".choice").forEach((box) => box.remove());
    const least = 3 * Number(figure.dataset.step);
    if ((high - low) / (end - from) > 0.01 && high - low >= least) zoomTo([low, high]);
  };

  const keys = (figure, event) => {
    const seconds = Number(figure.dataset.seconds);
    const step = Number(figure.dataset.step);
    const [from, to] = range(figure);
    const at = state.at === null ? from : state.at;
    const length = to - from;
    const moves = { ArrowLeft: -step, ArrowRight: step, PageUp: -10 * step, PageDown: 10 * step };
    if (event.key in moves) {
      pointAll(Math.min(to, Math.max(from, at + moves[event.key])), figure);
    } else if (event.key === "+") {
      const half = Math.max(length / 4, 2 * step);
      zoomTo([Math.max(0, at - half), Math.min(seconds, at + half)]);
    } else if (event.key === "-" || event.key === "0" || event.key === "Escape") {
      zoomTo(null);
    } else {
      return;
    }
    event.preventDefault();
  };

  const chart = (figure) => {
    const area = figure.querySelector(".area");
    area.setAttribute("tabindex", "0");
    area.addEventListener("pointermove", (event) => {
      const at = moment(figure, event);
      pointAll(at, figure);
      if (state.from !== null) select(figure, at);
    });
    area.addEventListener("pointerleave", () => { if (state.from === null) pointAll(null, null); });
    area.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      state.from = moment(figure, event);
      if (event.isTrusted) area.setPointerCapture(event.pointerId);
    });
    area.addEventListener("pointerup", (event) => {
      if (state.from !== null) release(figure, moment(figure, event));
    });
    area.addEventListener("pointercancel", () => {
      state.from = null;
      figure.querySelectorAll(".choice").forEach((box) => box.remove());
    });
    area.addEventListener("dblclick", () => zoomTo(null));
    area.addEventListener("keydown", (event) => keys(figure, event));
    show(figure);
    if (state.at !== null) point(figure, "");
  };

  const weigh = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    return cell.classList.contains("n") ? null : cell.textContent.trim();
  };
  const order = (table, column, direction) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [weigh(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const less = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
      return direction * less;
    });
    body.replaceChildren(...rows.map(([, row]) => row));
    [...table.tHead.rows[0].cells].forEach((head, at) => {
      if (at !== column) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    });
  };
  const sortable = (table) => {
    const key = table.dataset.key;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.textContent) return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => {
        const before = state.sorts.get(key);
        const first = head.classList.contains("n") ? -1 : 1;
        const direction = before && before[0] === column ? -before[1] : first;
        state.sorts.set(key, [column, direction]);
        order(table, column, direction);
      });
      head.replaceChildren(button);
    });
    const before = state.sorts.get(key);
    if (before) order(table, before[0], before[1]);
  };

  const copy = (button) => {
    const code = button.parentElement.querySelector("code");
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
    });
  };

  // Makes what is below an element answer to its reader.
  const enliven = (below) => {
    below.querySelectorAll("figure.time").forEach(chart);
    below.querySelectorAll("table.sortable").forEach(sortable);
    below.querySelectorAll("button.copy").forEach(copy);
  };

  const dark = () => {
    const chosen = root.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const theme = document.querySelector("button.theme");
  const label = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
  label();
  const reset = document.createElement("button");
  reset.type = "button";
  reset.className = "reset";
  reset.textContent = "Reset zoom";
  reset.hidden = true;
  reset.addEventListener("click", () => zoomTo(null));
  theme.before(reset);
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => { opened.forEach((one) => { one.open = false; }); });
  addEventListener("resize", () => figures().forEach(across));
  enliven(document);
  return { enliven, busy: () => state.from !== null };
})();
