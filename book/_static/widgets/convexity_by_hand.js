/* A concept by hand: points that can be dragged, their graph of nearest neighbours, its shortest
   paths and the scores of graph convexity, by the same rules as convexlib.graph_convexity_score.

   What is shown can be read from attributes as well: data-k, data-pair, data-path, data-score,
   data-space and data-classes of .live, and data-x and data-y of each .point. */
(() => {
  "use strict";

  // ---- The measure ---------------------------------------------------------------------------

  const TIE = 1e-12; // distances that differ by less than this share of themselves are equal
  const LENGTH_BITS = 36; // of the median edge, in units of length
  const NOISE = 2 ** -42; // share by which a multiple may be exceeded and is not rounded up

  /** Length of the edge between every two points; Infinity where there is none. */
  function neighborGraph(points, k) {
    const distances = points.map(([x, y]) =>
      points.map(([u, v]) => Math.sqrt((x - u) ** 2 + (y - v) ** 2))
    );
    const reach = distances.map((row, i) => {
      const others = row.filter((_, j) => j !== i).sort((a, b) => a - b);
      return others[k - 1] * (1 + TIE); // all at the distance of the last neighbour are neighbours
    });
    return distances.map((row, i) =>
      row.map((d, j) => (i !== j && (d <= reach[i] || d <= reach[j]) ? d : Infinity))
    );
  }

  /** For each point the number of the connected part that it lies in. */
  function parts(graph) {
    const part = graph.map(() => -1);
    let n = 0;
    for (let start = 0; start < graph.length; start += 1) {
      if (part[start] >= 0) continue;
      const waiting = [start];
      part[start] = n;
      while (waiting.length) {
        const i = waiting.pop();
        graph[i].forEach((d, j) => {
          if (d < Infinity && part[j] < 0) {
            part[j] = n;
            waiting.push(j);
          }
        });
      }
      n += 1;
    }
    return part;
  }

  /** Edges as whole multiples of a small unit, each rounded up, so that sums and ties are exact. */
  function inUnits(graph) {
    const part = parts(graph);
    const units = [...new Set(part)].map((number) => {
      const lengths = graph
        .filter((_, i) => part[i] === number)
        .flatMap((row) => row.filter((d) => d > 0 && d < Infinity)) // each from both its ends
        .sort((a, b) => a - b);
      if (!lengths.length) return 1;
      const half = (lengths.length - 1) / 2;
      const median = (lengths[Math.floor(half)] + lengths[Math.ceil(half)]) / 2;
      let exponent = 0;
      while (2 ** exponent <= median / lengths[0]) exponent += 1;
      return lengths[0] * 2 ** (exponent - LENGTH_BITS);
    });
    return graph.map((row, i) => row.map((d) => Math.ceil((d / units[part[i]]) * (1 - NOISE))));
  }

  const isLess = (a, b) => {
    const at = a.findIndex((value, place) => value !== b[place]);
    return at >= 0 && a[at] < b[at];
  };

  /** The way from one point to all: shortest, then of fewest steps, then through fewest outside. */
  function waysFrom(source, lengths, isMember) {
    const rank = lengths.map((_, i) => (i === source ? [0, 0, 0] : [Infinity, 0, 0]));
    const before = lengths.map(() => -1);
    const waiting = new Set(lengths.keys());
    while (waiting.size) {
      const nearest = [...waiting].reduce((a, b) => (isLess(rank[b], rank[a]) ? b : a));
      waiting.delete(nearest);
      if (rank[nearest][0] === Infinity) break;
      const [length, steps, outside] = rank[nearest];
      for (const other of waiting) {
        const step = lengths[nearest][other];
        const reached = [length + step, steps + 1, outside + (isMember[other] ? 0 : 1)];
        if (step < Infinity && isLess(reached, rank[other])) {
          rank[other] = reached;
          before[other] = nearest;
        }
      }
    }
    return (target) => {
      if (rank[target][0] === Infinity) return [];
      const way = [target];
      while (way[0] !== source) way.unshift(before[way[0]]);
      return way;
    };
  }

  /** All pairs of each class with their path and score, and the means. */
  function judge(points, labels, k) {
    const graph = neighborGraph(points, k);
    const lengths = inUnits(graph);
    const classes = [...new Set(labels)].map((name) => {
      const members = [...labels.keys()].filter((i) => labels[i] === name);
      const isMember = labels.map((label) => label === name);
      const pairs = members.flatMap((a, place) => {
        const to = waysFrom(a, lengths, isMember);
        return members.slice(place + 1).map((b) => scored(name, [a, b], to(b), isMember));
      });
      return { name, pairs, score: mean(pairs.map((pair) => pair.score)) };
    });
    return { graph, classes, space: mean(classes.map((each) => each.score)) };
  }

  function scored(name, ends, path, isMember) {
    const between = path.slice(1, -1);
    const inside = between.filter((i) => isMember[i]).length;
    const score = path.length === 0 ? 0 : between.length === 0 ? 1 : inside / between.length;
    return { name, ends, path, between, inside, score };
  }

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  // ---- Words ---------------------------------------------------------------------------------

  const shown = (score) => (Number.isInteger(score) ? String(score) : score.toFixed(2));

  function said({ name, path, between, inside, score }) {
    if (!path.length) return "no path: 0";
    if (!between.length) return "joined by an edge: 1";
    const points = between.length === 1 ? "point" : "points";
    const are = inside === 1 || between.length === 1 ? "is" : "are";
    return `${inside} of ${between.length} ${points} between ${are} ${name}: ${shown(score)}`;
  }

  function counted(pairs) {
    const inside = pairs.filter((pair) => pair.score === 1).length;
    const broken = pairs.filter((pair) => !pair.path.length).length;
    const leave = pairs.length - inside - broken;
    return [
      inside === 1 ? "1 pair stays" : `${inside} pairs stay`,
      leave && (leave === 1 ? "1 leaves" : `${leave} leave`),
      broken && (broken === 1 ? "1 has no path" : `${broken} have no path`),
    ]
      .filter(Boolean)
      .join(", ");
  }

  // ---- The page ------------------------------------------------------------------------------

  const SVG = "http://www.w3.org/2000/svg";
  const DRAWN = new Set(["svg", "g", "line", "path", "circle", "rect", "text"]);

  function make(tag, attributes = {}, ...children) {
    const element = DRAWN.has(tag)
      ? document.createElementNS(SVG, tag)
      : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const HIT = 24; // as far from a point as a finger may be, in units of the plane
  const EDGE = 16; // no point comes nearer to the edge of the plane
  const DRAG = 4; // pixels beyond which a tap is a drag
  const GLIDE = 450; // milliseconds from one arrangement to the next
  const TOUCH = "Drag a point. Tap two of one colour to see the path between them.";
  const KEYS =
    "Arrow keys move the point, Shift and arrow a little. Enter chooses it, Tab goes on.";

  function start(mount) {
    const content = JSON.parse(mount.querySelector('script[type="application/json"]').textContent);
    const { letters, labels, width, height, arrangements } = content;
    const state = { points: [], k: 1, pair: [], pending: null, arrangement: arrangements[0] };
    let judged = null;
    let frame = 0; // of the animation that runs
    let timer = 0; // until what changed is said aloud

    // What stands there, from top to bottom.
    const choices = arrangements.map((each) =>
      make("button", { type: "button", "data-arrangement": each.name }, each.name)
    );
    const again = make("button", { type: "button", class: "again" }, "Start again");
    const lesson = make("p", { class: "lesson" });

    const edges = make("g", { class: "edges", "aria-hidden": "true" });
    const way = make("g", { class: "way", "aria-hidden": "true" });
    const dots = letters.map((letter, i) => drawPoint(letter, labels[i] === labels[0]));
    const plane = make(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        class: "plane",
        role: "application",
        "aria-label": `${letters.length} points in a plane and their graph. ${KEYS}`,
      },
      edges,
      way,
      ...dots
    );
    const hint = make("p", { class: "hint" }, TOUCH);

    const chips = make("p", { class: "chips" });
    const formula = make("p", { class: "formula" });

    const fewer = make("button", { type: "button", "aria-label": "k: one less" }, "−");
    const more = make("button", { type: "button", "aria-label": "k: one more" }, "+");
    const range = make("input", {
      type: "range",
      min: 1,
      max: letters.length - 1,
      step: 1,
      "aria-label": "k, the number of nearest neighbours",
    });
    const neighbors = make("p");

    const space = make("strong");
    const rows = [...new Set(labels)].map((name) => drawClass(name));

    const heard = make("p", { class: "unseen", "aria-live": "polite" });
    const live = make(
      "div",
      { class: "live by-hand" },
      make(
        "div",
        { class: "arrangements", role: "group", "aria-label": "Arrangements" },
        ...choices
      ),
      lesson,
      make(
        "div",
        { class: "bench" },
        make(
          "div",
          { class: "left" },
          plane,
          make("div", { class: "pair" }, chips, formula),
          make("div", { class: "below" }, hint, again)
        ),
        make(
          "div",
          { class: "right" },
          make("div", { class: "k" }, neighbors, fewer, range, more),
          ...rows.map((row) => row.element),
          make("p", { class: "space" }, "the space (mean) ", space)
        )
      ),
      heard
    );

    function drawPoint(letter, isFirst) {
      const shape = isFirst
        ? make("circle", { class: "shape", r: 11 })
        : make("rect", { class: "shape", x: -10, y: -10, width: 20, height: 20, rx: 2 });
      return make(
        "g",
        {
          class: `point ${isFirst ? "first" : "second"}`,
          tabindex: 0,
          role: "button",
          "data-point": letter,
        },
        make("circle", { class: "hit", r: HIT }),
        make("circle", { class: "ring", r: 16 }),
        shape,
        make("text", { "text-anchor": "middle", dy: "0.36em" }, letter),
        make(
          "g",
          { class: "badge", transform: "translate(11 -11)" },
          make("circle", { r: 7 }),
          make("path", { class: "in", d: "M-3.2 0.2 L-1 2.6 L3.4 -2.6" }),
          make("path", { class: "out", d: "M-2.8 -2.8 L2.8 2.8 M2.8 -2.8 L-2.8 2.8" })
        )
      );
    }

    /** Score of a class, and its pairs as columns that a finger or the arrow keys run through. */
    function drawClass(name) {
      const score = make("strong");
      const bars = make("div", { class: "bars", "aria-hidden": "true" });
      const slider = make("input", {
        type: "range",
        min: 0,
        step: 1,
        "aria-label": `Pairs of ${name}, lowest first`,
      });
      const count = make("p", { class: "count" });
      const which = name === labels[0] ? "first" : "second";
      const element = make(
        "div",
        { class: `class ${which}` },
        make("p", { class: "title" }, make("span", { class: "sign" }), `${name} `, score),
        make("div", { class: "pairs" }, bars, slider),
        count
      );
      const row = { name, element, score, bars, slider, count, sorted: [] };
      const pick = () => choosePair(row.sorted[Number(slider.value)].ends);
      slider.addEventListener("input", pick);
      slider.addEventListener("click", pick); // where it stood already
      slider.addEventListener("keydown", (event) => {
        if (event.key === "Enter") pick();
      });
      return row;
    }

    // ---- From the state to the page

    function draw() {
      judged = judge(state.points, labels, state.k);
      const pair = judged.classes.flatMap((each) => each.pairs).find(isChosen);

      drawGraph(pair);
      drawPoints(pair);
      drawPair(pair);
      rows.forEach((row, number) => drawScores(row, judged.classes[number]));
      space.textContent = judged.space.toFixed(2);
      const italic = make("i", {}, "k");
      neighbors.replaceChildren(italic, ` = ${state.k} nearest neighbour${state.k > 1 ? "s" : ""}`);
      range.value = state.k;
      // Not disabled, which would take the focus away.
      fewer.setAttribute("aria-disabled", String(state.k <= 1));
      more.setAttribute("aria-disabled", String(state.k >= letters.length - 1));
      lesson.textContent = state.arrangement.says;
      choices.forEach((button, i) =>
        button.setAttribute("aria-pressed", String(arrangements[i] === state.arrangement))
      );

      live.dataset.k = state.k;
      live.dataset.arrangement = state.arrangement.name;
      live.dataset.pair = pair ? names(pair.ends) : "";
      live.dataset.path = pair ? names(pair.path) : "";
      live.dataset.score = pair ? pair.score : "";
      live.dataset.space = judged.space;
      live.dataset.classes = JSON.stringify(
        Object.fromEntries(judged.classes.map((each) => [each.name, each.score]))
      );

      const scores = judged.classes.map((each) => `${each.name} ${each.score.toFixed(2)}`);
      const words = pair ? `${names(pair.ends, " to ")}: ${said(pair)}. ` : "";
      say(`${words}${scores.join(", ")}, space ${judged.space.toFixed(2)}; k is ${state.k}.`);
    }

    const isChosen = ({ ends }) =>
      state.pending === null && ends.every((end, place) => end === state.pair[place]);

    const names = (points, between = " ") => points.map((i) => letters[i]).join(between);

    function drawGraph(pair) {
      const line = (i, j, look) => {
        const [[x1, y1], [x2, y2]] = [state.points[i], state.points[j]];
        return make("line", { x1, y1, x2, y2, class: look });
      };
      // Where there is no path, all that the first of the two reaches is drawn stronger.
      const part = pair && !pair.path.length ? parts(judged.graph) : null;
      edges.replaceChildren(
        ...judged.graph.flatMap((row, i) =>
          [...row.keys()]
            .filter((j) => j > i && row[j] < Infinity)
            .map((j) => line(i, j, part && part[i] === part[pair.ends[0]] ? "reached" : "plain"))
        )
      );
      const steps = pair ? pair.path.slice(1).map((j, n) => line(pair.path[n], j, "step")) : [];
      way.replaceChildren(...(part ? [line(...pair.ends, "missing")] : steps));
    }

    function drawPoints(pair) {
      dots.forEach((dot, i) => {
        const [x, y] = state.points[i];
        const isEnd = state.pending === i || Boolean(pair && pair.ends.includes(i));
        const between = Boolean(pair && pair.between.includes(i));
        dot.setAttribute("transform", `translate(${x} ${y})`);
        dot.dataset.x = x;
        dot.dataset.y = y;
        dot.classList.toggle("end", isEnd);
        dot.classList.toggle("inside", between && labels[i] === pair.name);
        dot.classList.toggle("outside", between && labels[i] !== pair.name);
        dot.setAttribute("aria-pressed", String(isEnd));
        const near = [...judged.graph[i].keys()].filter((j) => judged.graph[i][j] < Infinity);
        const joined = `joined to ${names(near, ", ")}`;
        dot.setAttribute("aria-label", `${letters[i]}, ${labels[i]}, ${joined}`);
      });
    }

    function drawPair(pair) {
      const chip = (i) => {
        const look = labels[i] === labels[0] ? "first" : "second";
        return make("span", { class: `chip ${look}` }, letters[i]);
      };
      if (!pair) {
        chips.replaceChildren(chip(state.pending), " – ?");
        formula.textContent = `Now choose another ${labels[state.pending]} point.`;
        return;
      }
      const path = pair.path.length ? pair.path : pair.ends;
      const between = pair.path.length ? " – " : " ··· ";
      chips.replaceChildren(...path.flatMap((i, n) => (n ? [between, chip(i)] : [chip(i)])));
      formula.textContent = said(pair);
    }

    function drawScores(row, { name, pairs, score }) {
      row.sorted = [...pairs].sort((p, q) => p.score - q.score || p.path.length - q.path.length);
      const chosen = row.sorted.findIndex(isChosen);
      row.score.textContent = score.toFixed(2);
      row.count.textContent = counted(pairs);
      row.slider.max = pairs.length - 1;
      if (chosen >= 0) row.slider.value = chosen;
      row.slider.setAttribute(
        "aria-valuetext",
        chosen < 0
          ? `no pair of ${name} is chosen`
          : `${names(row.sorted[chosen].ends, " to ")}: ${said(row.sorted[chosen])}`
      );
      row.bars.replaceChildren(
        ...row.sorted.map((pair, n) => {
          const bar = make("span", { class: pair.path.length ? "bar" : "bar broken" });
          bar.style.setProperty("--share", `${100 * pair.score}%`);
          bar.classList.toggle("chosen", n === chosen);
          return bar;
        })
      );
    }

    /** Said aloud once it rests, not at every step of a drag. */
    function say(words) {
      if (!mount.classList.contains("alive")) return;
      clearTimeout(timer);
      timer = setTimeout(() => {
        heard.textContent = words;
      }, 500);
    }

    // ---- From the hand to the state

    function arrange(arrangement) {
      cancelAnimationFrame(frame);
      const { points, k, pair } = arrangement;
      const from = state.points.length ? state.points : points;
      Object.assign(state, { arrangement, k, pair, pending: null });
      const still = from === points || matchMedia("(prefers-reduced-motion: reduce)").matches;
      const begun = performance.now();
      const step = (now) => {
        const share = still ? 1 : Math.min(1, Math.max(0, (now - begun) / GLIDE));
        const eased = share * share * (3 - 2 * share);
        state.points = points.map((to, i) =>
          to.map((end, axis) => Math.round(from[i][axis] + (end - from[i][axis]) * eased))
        );
        live.toggleAttribute("data-moving", share < 1);
        draw();
        if (share < 1) frame = requestAnimationFrame(step);
      };
      step(begun);
    }

    /** Where a hand moves a point while others still glide, these are there at once. */
    function settle() {
      if (!live.hasAttribute("data-moving")) return;
      cancelAnimationFrame(frame);
      live.removeAttribute("data-moving");
      state.points = state.arrangement.points.map((place) => [...place]);
    }

    function movePoint(i, x, y) {
      settle();
      const within = (value, end) => Math.round(Math.min(end - EDGE, Math.max(EDGE, value)));
      state.points[i] = [within(x, width), within(y, height)];
      draw();
    }

    function choosePair([a, b]) {
      Object.assign(state, { pair: [Math.min(a, b), Math.max(a, b)], pending: null });
      draw();
    }

    function choosePoint(i) {
      const { pending } = state;
      if (pending !== null && pending !== i && labels[pending] === labels[i]) {
        choosePair([pending, i]);
        return;
      }
      state.pending = pending === i ? null : i;
      draw();
    }

    function setK(k) {
      state.k = Math.min(letters.length - 1, Math.max(1, k));
      draw();
    }

    const inPlane = (event) => {
      const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(
        plane.getScreenCTM().inverse()
      );
      return [x, y];
    };

    let held = null; // the point under the pointer that is down
    plane.addEventListener("pointerdown", (event) => {
      if (held || event.button > 0) return;
      settle();
      // Of points that lie close together the nearest is meant.
      const [x, y] = inPlane(event);
      const far = state.points.map(([u, v]) => Math.hypot(u - x, v - y));
      const i = far.indexOf(Math.min(...far));
      if (far[i] > HIT) return;
      const [u, v] = state.points[i];
      const at = [event.clientX, event.clientY];
      held = { i, id: event.pointerId, at, by: [u - x, v - y], isDrag: false };
      plane.setPointerCapture(event.pointerId);
    });
    plane.addEventListener("pointermove", (event) => {
      if (!held || event.pointerId !== held.id) return;
      const [x, y] = held.at;
      held.isDrag ||= Math.hypot(event.clientX - x, event.clientY - y) > DRAG;
      if (!held.isDrag) return;
      const [u, v] = inPlane(event);
      plane.classList.add("dragging");
      movePoint(held.i, u + held.by[0], v + held.by[1]);
    });
    const release = (event) => {
      if (!held || event.pointerId !== held.id) return;
      const { i, isDrag } = held;
      held = null;
      plane.classList.remove("dragging");
      if (!isDrag && event.type === "pointerup") choosePoint(i);
    };
    plane.addEventListener("pointerup", release);
    plane.addEventListener("pointercancel", release);
    // A drag does not scroll the page where parts of a drawing have no touch-action, either.
    plane.addEventListener(
      "touchmove",
      (event) => {
        if (held && event.cancelable) event.preventDefault();
      },
      { passive: false }
    );

    const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    dots.forEach((dot, i) => {
      dot.addEventListener("keydown", (event) => {
        const arrow = ARROWS[event.key];
        if (arrow) {
          settle();
          const size = event.shiftKey ? 1 : 6;
          movePoint(i, state.points[i][0] + size * arrow[0], state.points[i][1] + size * arrow[1]);
        } else if (event.key === "Enter" || event.key === " ") {
          choosePoint(i);
        } else if (event.key === "Escape" && state.pending !== null) {
          choosePoint(state.pending);
        } else {
          return;
        }
        event.preventDefault();
      });
      dot.addEventListener("focus", () => {
        if (dot.matches(":focus-visible")) hint.textContent = KEYS;
      });
      dot.addEventListener("blur", () => {
        hint.textContent = TOUCH;
      });
      dot.addEventListener("click", (event) => {
        if (event.detail === 0) choosePoint(i); // a screen reader presses it
      });
    });
    choices.forEach((button, i) =>
      button.addEventListener("click", () => arrange(arrangements[i]))
    );
    again.addEventListener("click", () => arrange(state.arrangement));
    fewer.addEventListener("click", () => setK(state.k - 1));
    more.addEventListener("click", () => setK(state.k + 1));
    range.addEventListener("input", () => setK(Number(range.value)));

    arrange(arrangements[0]);
    mount.append(live);
    mount.classList.add("alive");
  }

  document.querySelectorAll('[data-widget="convexity_by_hand"]:not(.alive)').forEach(start);
})();
