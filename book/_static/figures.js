/* Figures that tell their values: each brings its lines as JSON (".told") beside its drawings, in which
   the very same lines are elements with data-cv="line-3". Without this script the drawings stand still. */
(() => {
  "use strict";

  const REACH = 30; // pixels within which a point is found

  const format = (value) => value.toFixed(2).replace("-", "\u2212");

  function words(line, point) {
    const interval = point.low === undefined ? "" : ` [${format(point.low)}, ${format(point.high)}]`;
    const seed = line.seed === undefined ? "" : `, seed ${line.seed}`;
    return `${line.name}${seed}: ${format(point.y)}${interval}`;
  }

  function points(line) {
    return line.x.map((x, i) => ({
      x,
      y: line.y?.[i] ?? null,
      low: line.low?.[i] ?? undefined,
      high: line.high?.[i] ?? undefined,
    }));
  }

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  class Drawn {
    constructor(root, told) {
      this.root = root;
      this.told = told;
      this.chosen = { families: new Set(Object.keys(told.names)), seed: "", from: 0, to: 1 };
      this.note = element("div", { class: "value-note", hidden: "" });
      root.append(this.note);
      for (const drawing of root.querySelectorAll(":scope > [role=img]")) {
        drawing.addEventListener("pointermove", (event) => this.point(drawing, event));
        drawing.addEventListener("pointerdown", (event) => this.point(drawing, event));
        drawing.addEventListener("pointerleave", () => (this.note.hidden = true));
      }
      if (told.lines.some((line) => line.seed !== undefined)) this.offer();
      this.list();
    }

    /* Lines that are seen with what is chosen. */
    isSeen(line) {
      if (line.baseline) return true;
      const ofFamily = !line.family || !(line.family in this.told.names) || this.chosen.families.has(line.family);
      const seed = line.seed === undefined ? "" : String(line.seed);
      return ofFamily && seed === this.chosen.seed;
    }

    isWithin(panel, x) {
      const [low, high] = this.reach;
      const share = (x - low) / (high - low || 1);
      return share >= this.chosen.from - 1e-9 && share <= this.chosen.to + 1e-9;
    }

    get reach() {
      const all = this.told.lines.flatMap((line) => line.x);
      return [Math.min(...all), Math.max(...all)];
    }

    point(drawing, event) {
      let best = null;
      this.told.lines.forEach((line, number) => {
        if (!this.isSeen(line)) return;
        const known = points(line).filter((point) => point.y !== null);
        const corners = this.corners(drawing, number);
        if (corners.length !== known.length) return;
        corners.forEach(({ x, y }, i) => {
          if (!this.isWithin(line.panel, known[i].x)) return;
          const distance = Math.hypot(x - event.clientX, y - event.clientY);
          if (distance < REACH && (!best || distance < best.distance)) best = { line, point: known[i], x, y, distance };
        });
      });
      this.note.hidden = !best;
      if (!best) return;
      const { x, text } = { x: best.point.x, text: words(best.line, best.point) };
      this.note.textContent = `${text} at ${format(x)}`;
      const box = this.root.getBoundingClientRect();
      const left = Math.min(Math.max(0, best.x - box.x - 60), Math.max(0, box.width - this.note.offsetWidth));
      this.note.style.left = `${left}px`;
      this.note.style.top = `${best.y - box.y - this.note.offsetHeight - 10}px`;
    }

    /* Where the points of a line lie on the screen: the corners of its path. */
    corners(drawing, number) {
      const path = drawing.querySelector(`[data-cv="line-${number}"] > path`);
      const matrix = path?.getScreenCTM();
      if (!matrix) return [];
      const numbers = path.getAttribute("d").match(/-?[\d.]+(e-?\d+)?/g).map(Number);
      return Array.from({ length: numbers.length / 2 }, (_, i) => {
        const [x, y] = [numbers[2 * i], numbers[2 * i + 1]];
        return { x: matrix.a * x + matrix.c * y + matrix.e, y: matrix.b * x + matrix.d * y + matrix.f };
      });
    }

    /* What can be chosen: families, the mean over seeds or one of them, and a range of depths. */
    offer() {
      const form = element("form", { class: "choices" });
      form.addEventListener("submit", (event) => event.preventDefault());
      const families = element("fieldset", {}, element("legend", {}, "Families"));
      for (const [name, label] of Object.entries(this.told.names)) {
        const box = element("input", { type: "checkbox", checked: "" });
        box.addEventListener("change", () => {
          this.chosen.families[box.checked ? "add" : "delete"](name);
          this.show();
        });
        families.append(element("label", {}, box, ` ${label}`));
      }
      const seeds = [...new Set(this.told.lines.map((line) => line.seed).filter((seed) => seed !== undefined))];
      const select = element("select", {}, element("option", { value: "" }, "mean over seeds"));
      for (const seed of seeds.sort((a, b) => a - b)) {
        select.append(element("option", { value: seed }, `seed ${seed}`));
      }
      select.addEventListener("change", () => {
        this.chosen.seed = select.value;
        this.show();
      });
      form.append(families, element("label", {}, "Seeds ", select));
      for (const [end, said] of [["from", "Depth from "], ["to", "to "]]) {
        const range = element("input", { type: "range", min: 0, max: 1, step: 0.05, value: end === "from" ? 0 : 1 });
        const value = element("output", {}, range.value);
        range.addEventListener("input", () => {
          this.chosen[end] = Number(range.value);
          value.textContent = range.value;
          this.show();
        });
        form.append(element("label", {}, said, range, " ", value));
      }
      this.root.before(form);
    }

    show() {
      const { lines, panels } = this.told;
      lines.forEach((line, number) => {
        const display = this.isSeen(line) ? "" : "none";
        for (const part of this.root.querySelectorAll(`[data-cv="line-${number}"], [data-cv="band-${number}"]`)) {
          part.style.display = display;
        }
      });
      for (const drawing of this.root.querySelectorAll("svg")) {
        panels.forEach((panel, number) => {
          const patch = drawing.querySelector(`[data-cv="panel-${number}"]`);
          if (!patch) return;
          const hasFamily = panel.row in this.told.names;
          const axes = patch.parentNode;
          axes.style.opacity = hasFamily && !this.chosen.families.has(panel.row) ? "0.15" : "";
          this.shade(axes, patch, panel);
        });
      }
      this.list();
    }

    /* Depths that are not chosen lie under a veil. */
    shade(axes, patch, panel) {
      axes.querySelectorAll(".veil").forEach((veil) => veil.remove());
      const box = patch.getBBox();
      const [low, high] = this.reach;
      const at = (share) => {
        const x = low + share * (high - low);
        return box.x + ((x - panel.x[0]) / (panel.x[1] - panel.x[0])) * box.width;
      };
      const half = (0.4 * box.width) / 26; // points at an end stay whole
      const veils = [[box.x, at(this.chosen.from) - half], [at(this.chosen.to) + half, box.x + box.width]];
      veils.forEach(([from, to], side) => {
        if ((side === 0 && this.chosen.from === 0) || (side === 1 && this.chosen.to === 1) || to <= from) return;
        const veil = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        for (const [name, value] of Object.entries({ x: from, y: box.y, width: to - from, height: box.height })) {
          veil.setAttribute(name, value);
        }
        veil.setAttribute("class", "veil");
        axes.append(veil);
      });
    }

    /* The same values as a table under a fold, for who cannot point at them. */
    list() {
      let fold = this.root.querySelector(":scope > details.values");
      if (!fold) {
        fold = element("details", { class: "values" }, element("summary", {}, "The values of this figure"));
        fold.addEventListener("toggle", () => fold.open && this.fill(fold));
        this.root.append(fold);
      }
      if (fold.open) this.fill(fold);
    }

    fill(fold) {
      fold.querySelector(".scrolls")?.remove();
      const body = element("tbody");
      for (const line of this.told.lines.filter((each) => this.isSeen(each))) {
        for (const point of points(line)) {
          if (point.y === null || !this.isWithin(line.panel, point.x)) continue;
          const interval = point.low === undefined ? "" : `${format(point.low)} to ${format(point.high)}`;
          const cells = [line.measure, line.name, format(point.x), format(point.y), interval];
          body.append(element("tr", {}, ...cells.map((cell) => element("td", {}, cell))));
        }
      }
      const heads = ["measure", "model", this.told.x, "value", "band"];
      const head = element("thead", {}, element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name))));
      const attributes = { class: "scrolls", tabindex: "0", role: "region", "aria-label": "The values of this figure" };
      fold.append(element("div", attributes, element("table", {}, head, body)));
    }
  }

  function begin() {
    for (const root of document.querySelectorAll(".drawn")) {
      const told = root.querySelector(":scope > script.told");
      if (told) new Drawn(root, JSON.parse(told.textContent));
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
