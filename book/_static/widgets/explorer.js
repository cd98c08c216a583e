/* See a concept form: a map of all images that follows the layers of a model, and the shortest path
   between two images of a class, found here just as convexlib.graph_path finds it. */
(() => {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const GLIDE = 700; // milliseconds from one layer to the next
  const PAUSE = 1300; // between layers while it plays
  const PATIENCE = 1500; // milliseconds of looking for a path that leaves
  const INSET = 11; // from the end of the slider to the middle of its thumb
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  /* Files: scripts that call a function, since a page on disk may load nothing else. */

  const waiting = new Map(); // by name: who gets the data
  const loaded = new Map(); // by address: a promise of the data
  window.convexlibExplorer = (name, data) => waiting.get(name)?.(data);

  function load(folder, name) {
    const address = `${folder}/${encodeURIComponent(name)}.js`;
    if (!loaded.has(address)) {
      loaded.set(address, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        waiting.set(name, resolve);
        script.onerror = () => {
          loaded.delete(address); // so that it is tried again
          reject(new Error(`${name}.js could not be loaded`));
        };
        script.src = address;
        document.head.append(script);
      }));
    }
    return loaded.get(address);
  }

  function unpacked(kind, text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new kind(bytes.buffer);
  }

  /* The graph, and the shortest paths in it. */

  function graphOf(data) {
    const counts = unpacked(Uint16Array, data.counts);
    const others = unpacked(Uint16Array, data.others);
    const lengths = unpacked(Float64Array, data.lengths);
    const n = counts.length;
    const start = new Uint32Array(n + 1);
    for (let row = 0, edge = 0; row < n; row++) {
      start[row + 1] += counts[row];
      for (let k = 0; k < counts[row]; k++) start[others[edge++] + 1]++;
    }
    for (let row = 0; row < n; row++) start[row + 1] += start[row];
    const free = start.slice(0, n);
    const to = new Uint16Array(start[n]);
    const length = new Float64Array(start[n]);
    const put = (from, other, value) => {
      to[free[from]] = other;
      length[free[from]++] = value;
    };
    for (let row = 0, edge = 0; row < n; row++) {
      for (let k = 0; k < counts[row]; k++, edge++) {
        put(row, others[edge], lengths[edge]);
        put(others[edge], row, lengths[edge]);
      }
    }
    return { n, start, to, length };
  }

  /* From one image to all: by length, then fewest steps, then most members. The last two are one
     number: so many steps, each worth more than all members, less the members on the way. */
  function treeFrom(graph, source, inside) {
    const { n, start, to, length } = graph;
    const step = n + 1;
    const far = new Float64Array(n).fill(Infinity);
    const less = new Float64Array(n).fill(Infinity);
    const before = new Int32Array(n).fill(-1);
    const heap = [];
    const isLess = (a, b) => a.far < b.far || (a.far === b.far && a.less < b.less);
    const push = (entry) => {
      let place = heap.length;
      while (place > 0) {
        const parent = (place - 1) >> 1;
        if (!isLess(entry, heap[parent])) break;
        heap[place] = heap[parent];
        place = parent;
      }
      heap[place] = entry;
    };
    const pop = () => {
      const first = heap[0];
      const last = heap.pop();
      if (heap.length) {
        let place = 0;
        for (;;) {
          let child = 2 * place + 1;
          if (child >= heap.length) break;
          if (child + 1 < heap.length && isLess(heap[child + 1], heap[child])) child++;
          if (!isLess(heap[child], last)) break;
          heap[place] = heap[child];
          place = child;
        }
        heap[place] = last;
      }
      return first;
    };
    far[source] = less[source] = 0;
    push({ far: 0, less: 0, row: source });
    while (heap.length) {
      const { far: atFar, less: atLess, row } = pop();
      if (atFar !== far[row] || atLess !== less[row]) continue; // a shorter way was found since
      const nextLess = atLess + step - inside[row];
      for (let edge = start[row]; edge < start[row + 1]; edge++) {
        const other = to[edge];
        const nextFar = atFar + length[edge];
        if (nextFar < far[other] || (nextFar === far[other] && nextLess < less[other])) {
          far[other] = nextFar;
          less[other] = nextLess;
          before[other] = row;
          push({ far: nextFar, less: nextLess, row: other });
        }
      }
    }
    return { source, before, far };
  }

  function pathTo(tree, target) {
    if (tree.far[target] === Infinity) return [];
    const way = [target];
    while (way[0] !== tree.source) way.unshift(tree.before[way[0]]);
    return way;
  }

  function scoreOf(path, inside) {
    const between = path.slice(1, -1);
    if (!path.length) return { score: null, inside: 0, n: 0 };
    const count = between.filter((row) => inside[row]).length;
    return { score: between.length ? count / between.length : 1, inside: count, n: between.length };
  }

  /* Words and elements. */

  const number = (value) =>
    value === 0 || value === 1 ? String(value) : (Math.round(100 * value) / 100).toFixed(2);

  const percent = (share) => // two dimensions are never all of many
    share > 0.995 && share < 1 ? "more than 99 %" : `${Math.round(100 * share)} %`;

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  function drawn(tag, attributes, text) {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  let made = 0; // names that no other element of the page has
  const unique = () => `explorer-${++made}`;

  function labelled(text, control) {
    control.id = unique();
    return element("div", { class: "field" },
      element("label", { for: control.id }, text), control);
  }

  function pick(list) {
    return list[Math.floor(Math.random() * list.length)];
  }

  function shuffled(list) {
    const mixed = [...list];
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
    }
    return mixed;
  }

  /* What is known of the images: their names, and who is a member of which class. */
  function imagesOf(content) {
    const codes = unpacked(Uint16Array, content.images);
    const counts = new Uint32Array(content.names.length);
    codes.forEach((code) => counts[code]++);
    const seen = new Uint32Array(content.names.length);
    const names = Array.from(codes, (code) => {
      seen[code]++;
      return content.names[code] + (counts[code] > 1 ? `, ${seen[code]}` : "");
    });
    const kinds = content.kinds.map((kind) => {
      const members = kind.classes.map(() => new Uint8Array(content.n));
      if (kind.codes) {
        unpacked(Uint16Array, kind.codes).forEach((code, row) => { members[code][row] = 1; });
      } else {
        const bits = unpacked(Uint8Array, kind.bits);
        const isSet = (bit) => (bits[bit >> 3] >> (bit & 7)) & 1;
        for (let row = 0; row < content.n; row++) {
          members.forEach((of, c) => { of[row] = isSet(row * members.length + c); });
        }
      }
      const rows = members.map((of) => [...of.keys()].filter((row) => of[row]));
      return { ...kind, members, rows };
    });
    return { names, kinds };
  }

  function begin(mount) {
    const content = JSON.parse(mount.querySelector("script").textContent);
    const { names, kinds } = imagesOf(content);
    const state = {
      model: content.start.model,
      layer: 0,
      kind: 0,
      class: content.start.class,
      source: content.start.source,
      target: content.start.target,
    };
    let about = null; // what is known of the model
    let graphs = []; // of its layers, as far as they are loaded
    let path = [];
    const scores = new Map(); // of pairs at layers of this model
    let asked = 0; // how often something was chosen, so that late answers are told from new ones
    let sheet = null; // all images in one

    const kind = () => kinds[state.kind];
    const className = () => kind().classes[state.class];
    const inside = () => kind().members[state.class];
    const members = () => kind().rows[state.class];
    const nLayers = () => about.graphs.length;
    const classesOf = (row) =>
      kind().classes.filter((_, c) => kind().members[c][row]).join(", ") || `no ${kind().one}`;

    /* The page. */

    const model = element("select");
    const modelsOf = content.models.map(({ label }, i) => element("option", { value: i }, label));
    model.append(...modelsOf);
    const switchOf = element("fieldset", { class: "switch" },
      element("legend", {}, "Classes"));
    const group = unique();
    kinds.forEach(({ many }, i) => {
      const radio = element("input", { type: "radio", name: group, value: i, checked: i === 0 });
      radio.addEventListener("change", () => choose({ kind: i, class: bestClass(i) }));
      switchOf.append(element("label", {}, radio, element("span", {}, many)));
    });
    switchOf.hidden = kinds.length < 2;
    const classOf = element("select");
    const classLabel = labelled("Class", classOf);
    const canvas = element("canvas", { role: "img" });
    const tip = element("div", { class: "tip", "aria-hidden": "true", hidden: true });
    const frame = element("div", { class: "frame" }, canvas, tip);
    const plane = element("p", { class: "note" });
    const slider = element("input", { type: "range", min: 0, step: 1 });
    const sliderName = element("span", { class: "at" });
    const play = element("button", { type: "button", class: "play" });
    const curve = drawn("svg", { class: "curve", role: "img", height: 118 });
    const key = element("ul", { class: "key" });
    const source = element("select");
    const target = element("select");
    const anyPair = element("button", { type: "button" }, "Random pair");
    const leaving = element("button", { type: "button" }, "A pair whose path leaves");
    const said = element("p", { class: "said", "aria-live": "polite" });
    const steps = element("ol", { class: "steps" });
    const live = element("div", { class: "live" },
      element("div", { class: "choose" }, labelled("Model", model), switchOf, classLabel),
      element("div", { class: "map" }, frame, plane),
      element("div", { class: "layers" },
        element("div", { class: "head" }, sliderName, play), curve, slider, key),
      element("div", { class: "ends" },
        labelled("From", source), labelled("To", target), anyPair, leaving),
      element("div", { class: "way" }, said, steps));
    slider.setAttribute("aria-label", "Layer");

    /* A class of this kind that has the chosen image, or the first that has a pair. */
    function bestClass(ofKind) {
      const { rows, members: of } = kinds[ofKind];
      const own = of.findIndex((member) => state.source !== null && member[state.source]);
      const some = rows.findIndex((list) => list.length > 1);
      return own >= 0 && rows[own].length > 1 ? own : some;
    }

    function fillClasses() {
      classLabel.firstChild.textContent =
        kind().one.charAt(0).toUpperCase() + kind().one.slice(1);
      classOf.replaceChildren(...kind().classes.map((name, i) =>
        element("option", { value: i, disabled: kind().rows[i].length < 2 }, name)));
      classOf.value = state.class;
    }

    function fillPair() {
      for (const [select, chosen] of [[source, state.source], [target, state.target]]) {
        const options = members().map((row) => element("option", { value: row }, names[row]));
        if (chosen === null) options.unshift(element("option", { value: "" }, "choose one"));
        select.replaceChildren(...options);
        select.value = chosen ?? "";
      }
    }

    /* Choices change the state here alone; what needs a file waits for it. */
    async function choose(change) {
      const mine = ++asked;
      const before = { ...state };
      Object.assign(state, change);
      if (state.kind !== before.kind || state.class !== before.class) {
        const own = inside();
        if (!own[state.source] || !own[state.target]) {
          [state.source, state.target] = shuffled(members());
        }
      }
      try {
        const found = await load(content.folder, content.models[state.model].id);
        if (mine !== asked) return;
        if (found !== about) {
          about = found;
          graphs = about.graphs.map(() => null);
          scores.clear();
          about.planes ??= about.positions.map((text) => text && unpacked(Int16Array, text));
        }
        state.layer = Math.min(state.layer, nLayers() - 1);
        if (about.graphs[state.layer] && !graphs[state.layer]) {
          const [own, layer] = [graphs, state.layer];
          const late = setTimeout(() => { // the images move, and the path comes later
            if (mine !== asked) return;
            path = [];
            show();
          }, 150);
          const data = await load(content.folder, `${content.models[state.model].id}-${layer}`)
            .finally(() => clearTimeout(late));
          own[layer] ??= graphOf(data);
          if (mine !== asked) return;
        }
      } catch (error) {
        if (mine === asked) tell(`${error.message}. Is the page whole?`);
        return;
      }
      find();
      show();
      if (!mount.classList.contains("alive")) awake();
      mount.dataset.ready = asked; // for tests: all that was asked for is shown
    }

    function between(graph) {
      if (!graph || state.source === null || state.target === null) return [];
      return pathTo(treeFrom(graph, state.source, inside()), state.target);
    }

    function find() {
      path = between(graphs[state.layer]);
    }

    /* What is said. */

    function tell(text, score) {
      said.replaceChildren(text);
      if (score !== undefined) said.append(": ", element("strong", {}, score));
    }

    function words() {
      if (!about.graphs[state.layer]) {
        return ["This layer tells no two images apart, so that there is no graph."];
      }
      if (!graphs[state.layer]) return ["Looking for the path …"];
      if (state.source === null || state.target === null) {
        return [`Now choose a second image of ${className()}.`];
      }
      const { score, inside: count, n } = scoreOf(path, inside());
      if (score === null) return ["no path", content.pairs === "all" ? "0" : "not counted"];
      if (n === 0) return ["neighbours", "1"];
      const images = n === 1 ? "image" : "images";
      const verb = count === 1 ? "is" : "are";
      return [`${count} of ${n} ${images} between ${verb} ${className()}`, number(score)];
    }

    function picture(row, size) {
      if (!sheet) return element("span", { class: "dot" });
      const made = element("span", { class: "picture" });
      const { columns } = content.sprite;
      made.style.width = made.style.height = `${size}px`;
      made.style.backgroundImage = `url("${sheet.src}")`;
      made.style.backgroundSize = `${size * columns}px auto`;
      const [x, y] = [row % columns, Math.floor(row / columns)];
      made.style.backgroundPosition = `${-x * size}px ${-y * size}px`;
      return made;
    }

    function showSteps() {
      const own = inside();
      const shown = path.length ? path : [state.source, state.target].filter((row) => row !== null);
      steps.classList.toggle("broken", !path.length);
      steps.setAttribute("aria-label", path.length
        ? `The shortest path, of ${path.length - 1} ${path.length === 2 ? "step" : "steps"}`
        : "The two images");
      steps.replaceChildren(...shown.map((row, i) => {
        const isEnd = i === 0 || i === shown.length - 1;
        const mark = isEnd ? (i === 0 ? "from" : "to")
          : `${own[row] ? "✓" : "✗"} ${classesOf(row)}`;
        const looks = isEnd ? "end" : own[row] ? "in" : "out";
        return element("li", { class: looks, "data-row": row },
          picture(row, 44),
          element("span", { class: "sign" }, mark),
          element("span", { class: "unseen" },
            isEnd ? "" : own[row] ? " (inside)" : " (outside)"),
          element("span", { class: "name" }, names[row]));
      }));
    }

    /* The score of the class at all layers, above the slider, so that a layer is a place. */

    function scoresOf() {
      const all = about.scores[kind().key] ?? { mean: [], classes: {} };
      return { mean: all.mean, own: all.classes[className()] ?? [] };
    }

    function scoreAt(graph, layer) {
      if (!graph) return undefined;
      const pair = [layer, state.kind, state.class, state.source, state.target].join();
      if (!scores.has(pair)) scores.set(pair, scoreOf(between(graph), inside()).score);
      return scores.get(pair);
    }

    function showCurve() {
      const width = Math.max(120, curve.clientWidth || 280);
      const height = 118;
      const [top, bottom] = [8, height - 6];
      const { color } = content.models[state.model];
      const last = nLayers() - 1;
      const x = (layer) => last ? INSET + (width - 2 * INSET) * layer / last : width / 2;
      const y = (value) => bottom - (bottom - top) * value;
      const { mean, own } = scoresOf();
      curve.setAttribute("viewBox", `0 0 ${width} ${height}`);
      curve.replaceChildren();
      for (const value of [0, 0.5, 1]) {
        curve.append(drawn("line", { x1: 0, x2: width, y1: y(value), y2: y(value), class: "grid" }));
      }
      const here = { x1: x(state.layer), x2: x(state.layer), y1: top, y2: bottom, class: "here" };
      curve.append(drawn("line", here));
      for (const value of [0, 1]) {
        const place = { x: width, y: value ? y(value) + 12 : y(value) - 4, class: "tick" };
        curve.append(drawn("text", place, value));
      }
      for (const [values, look] of [[mean, "mean"], [own, "own"]]) {
        const points = values.map((value, layer) => [layer, value]).filter(([, v]) => v !== null);
        const line = points.map(([layer, value]) => `${x(layer)},${y(value)}`).join(" ");
        curve.append(drawn("polyline", { points: line, class: look,
          style: look === "own" ? `stroke:${color}` : "" }));
        if (!last) {
          points.forEach(([layer, value]) => curve.append(drawn("circle", {
            cx: x(layer) + (look === "own" ? -12 : 12), cy: y(value), r: 4, class: look,
            style: `fill:${look === "own" ? color : "#8a8a8a"}` })));
        }
      }
      const ofPair = graphs.map(scoreAt);
      ofPair.forEach((score, layer) => {
        if (score === undefined || (score === null && content.pairs !== "all")) return;
        if (state.source === null || state.target === null) return;
        const isHere = layer === state.layer;
        curve.append(drawn("circle", { cx: x(layer), cy: y(score ?? 0), r: isHere ? 5.5 : 3.5,
          class: isHere ? "pair now" : "pair" }));
      });
      const value = (v) => v === null || v === undefined ? "–" : v.toFixed(2);
      const pairNow = ofPair[state.layer];
      const ofKey = [
        ["pair", "this pair", pairNow === undefined || state.target === null ? "…"
          : pairNow === null ? (content.pairs === "all" ? "0" : "–") : number(pairNow)],
        ["own", `all pairs of ${className()}`, value(own[state.layer])],
        ["mean", `mean of all ${kind().many}`, value(mean[state.layer])],
      ];
      key.replaceChildren(...ofKey.map(([look, text, v]) => {
        const sign = element("i", { class: look });
        if (look === "own") sign.style.background = color;
        return element("li", {}, sign, element("span", {}, text), element("b", {}, v));
      }));
      curve.setAttribute("aria-label", `Graph convexity of ${className()} at each layer, from `
        + `${value(own[0])} at layer 0 to ${value(own[last])} at layer ${last}`);
    }

    function show() {
      const last = nLayers() - 1;
      slider.max = last;
      slider.value = state.layer;
      slider.disabled = !last;
      const place = last ? `Layer ${state.layer} of ${last}` : "The only layer";
      slider.setAttribute("aria-valuetext", place);
      sliderName.textContent = place;
      play.hidden = slider.hidden = !last;
      model.value = state.model;
      fillClasses();
      fillPair();
      const shares = about.variance[state.layer];
      plane.textContent = shares
        ? `Two dimensions of many, with ${percent(shares[0] + shares[1])} of the variance. Paths are `
          + "found in all dimensions."
        : "This layer has values that are no numbers, and no map.";
      tell(...words());
      showSteps();
      showCurve();
      canvas.setAttribute("aria-label", `Map of all ${content.n} images at layer ${state.layer}. `
        + `The ${members().length} of ${className()} are large. Choose images here, or by From `
        + "and To.");
      glide();
    }

    /* The map. */

    let places = null; // in pixels, where images are drawn, maybe between two layers
    let moving = 0; // the number of the frame that is asked for

    /* Of any shape the frame is, a layer fills it, with both axes to the same scale. */
    function fitted() {
      const at = about.planes[state.layer];
      const size = sizes();
      const found = new Float64Array(2 * content.n);
      if (!at) return found.fill(-100);
      const reach = [0, 0];
      at.forEach((value, i) => { reach[i % 2] = Math.max(reach[i % 2], Math.abs(value), 1); });
      const room = [size.width / 2 - size.margin, size.height / 2 - size.margin - 8];
      const scale = Math.min(room[0] / reach[0], room[1] / reach[1]);
      const middle = [size.width / 2, size.height / 2 + 8]; // a label may stand above an image
      at.forEach((value, i) => { found[i] = middle[i % 2] + (i % 2 ? -scale : scale) * value; });
      return found;
    }

    function glide() {
      const goal = fitted();
      cancelAnimationFrame(moving);
      const from = places?.slice();
      if (!from || still.matches || from.every((value, i) => value === goal[i])) {
        places = goal;
        draw();
        return;
      }
      const begun = performance.now();
      const frameOf = (now) => {
        const share = Math.min(1, Math.max(0, (now - begun) / GLIDE));
        const eased = share * share * (3 - 2 * share);
        places = goal.map((value, i) => from[i] + eased * (value - from[i]));
        draw();
        if (share < 1) moving = requestAnimationFrame(frameOf);
      };
      moving = requestAnimationFrame(frameOf);
    }

    function sizes() {
      const [width, height] = [frame.clientWidth, frame.clientHeight];
      const large = width > 400;
      const many = members().length > 150;
      return {
        width,
        height,
        margin: large ? 20 : 16,
        member: (large ? 18 : 14) - (many ? 3 : 0),
        other: (large ? 8 : 6) - (content.n > 1500 ? 2 : 0),
        step: large ? 28 : 25,
      };
    }

    const spot = (row) => [places[2 * row], places[2 * row + 1]];

    function draw() {
      const size = sizes();
      const scale = window.devicePixelRatio || 1;
      if (!size.width || !places) return;
      const pixels = [Math.round(size.width * scale), Math.round(size.height * scale)];
      if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) {
        [canvas.width, canvas.height] = pixels;
      }
      const pen = canvas.getContext("2d");
      const ink = getComputedStyle(live).color;
      const paper = getComputedStyle(frame).backgroundColor;
      const looks = getComputedStyle(mount);
      const colors = ["--inside", "--outside"].map((name) => looks.getPropertyValue(name).trim());
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.clearRect(0, 0, size.width, size.height);
      const own = inside();
      const onPath = new Set(path.length ? path : [state.source, state.target]);
      for (let row = 0; row < content.n; row++) {
        if (!own[row] && !onPath.has(row)) stamp(pen, row, size.other, "#9a9a9a");
      }
      for (const row of members()) if (!onPath.has(row)) stamp(pen, row, size.member, colors[0]);
      if (path.length) {
        for (const [color, width] of [[paper, 6], [ink, 2.2]]) {
          pen.beginPath();
          path.forEach((row) => pen.lineTo(...spot(row)));
          pen.strokeStyle = color;
          pen.lineWidth = width;
          pen.lineJoin = "round";
          pen.stroke();
        }
      }
      const ends = [[state.source, "from"], [state.target, "to"]].filter(([row]) => row !== null);
      const steps = path.slice(1, -1).map((row) => [row, own[row] ? "" : "✗"]);
      for (const [row, sign] of steps) framed(pen, row, colors[sign ? 1 : 0], sign, size, paper);
      for (const [row, sign] of ends) framed(pen, row, ink, sign, size, paper);
      for (const [row, sign] of steps) signed(pen, row, colors[1], sign, size, paper);
      for (const [row, sign] of ends) signed(pen, row, ink, sign, size, paper);
    }

    function stamp(pen, row, width, color) {
      const [x, y] = spot(row);
      if (sheet?.complete && sheet.naturalWidth) {
        const { columns } = content.sprite;
        const side = sheet.naturalWidth / columns;
        const [column, line] = [row % columns, Math.floor(row / columns)];
        pen.drawImage(sheet, column * side, line * side, side, side,
          x - width / 2, y - width / 2, width, width);
        return;
      }
      pen.beginPath();
      pen.arc(x, y, 0.32 * width, 0, 2 * Math.PI);
      pen.fillStyle = color;
      pen.fill();
    }

    /* An image on the path: in a frame, which is dashed where it is outside. */
    function framed(pen, row, color, sign, { step }, paper) {
      const [x, y] = spot(row);
      const half = step / 2;
      pen.fillStyle = paper;
      pen.fillRect(x - half - 3, y - half - 3, step + 6, step + 6);
      stamp(pen, row, step, color);
      pen.strokeStyle = color;
      pen.lineWidth = 3;
      pen.setLineDash(sign === "✗" ? [5, 3] : []);
      pen.strokeRect(x - half - 1.5, y - half - 1.5, step + 3, step + 3);
      pen.setLineDash([]);
    }

    /* What stands at its corner, or above it where it is an end; no other image hides it. */
    function signed(pen, row, color, sign, { step }, paper) {
      if (!sign) return;
      const [x, y] = spot(row);
      const half = step / 2;
      const isOut = sign === "✗";
      pen.font = `700 ${isOut ? 10 : 12}px system-ui, sans-serif`;
      const wide = isOut ? 13 : pen.measureText(sign).width + 8;
      const left = isOut ? x + half - 8 : x - wide / 2;
      const up = isOut ? y - half - 5 : y - half - 18;
      pen.fillStyle = color;
      pen.fillRect(left, up, wide, isOut ? 13 : 15);
      pen.fillStyle = paper;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(sign, left + wide / 2, up + (isOut ? 7 : 8));
    }

    function nearest(event, rows, reach) {
      const box = canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      let best = null;
      let least = reach ** 2;
      for (const row of rows) {
        const [left, down] = spot(row);
        const away = (left - x) ** 2 + (down - y) ** 2;
        if (away <= least) [best, least] = [row, away];
      }
      return best;
    }

    canvas.addEventListener("click", (event) => {
      if (!places) return;
      const reach = event.pointerType === "touch" ? 24 : 14;
      const row = nearest(event, members(), reach);
      if (row === null) {
        const other = nearest(event, names.keys(), reach);
        if (other !== null) tell(`${names[other]} is outside ${className()}: choose a large one.`);
        return;
      }
      stop();
      if (state.source === null || state.target !== null) choose({ source: row, target: null });
      else if (row !== state.source) choose({ target: row });
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType !== "mouse" || !places) return;
      const row = nearest(event, path, 17) ?? nearest(event, members(), 12)
        ?? nearest(event, names.keys(), 8);
      tip.hidden = row === null;
      canvas.style.cursor = row !== null && inside()[row] ? "pointer" : "default";
      if (row === null) return;
      const size = sizes();
      const [x, y] = spot(row);
      tip.replaceChildren(...(sheet ? [picture(row, 64)] : []), element("span", {}, names[row]),
        element("span", {}, classesOf(row)));
      tip.style.left = `${Math.min(Math.max(x, 60), size.width - 60)}px`;
      tip.style.top = `${y}px`;
      tip.classList.toggle("below", y < 150);
    });
    canvas.addEventListener("pointerleave", () => { tip.hidden = true; });

    /* Controls. */

    let timer = 0;

    function stop() {
      clearTimeout(timer);
      timer = 0;
      play.replaceChildren(element("span", { "aria-hidden": "true" }, "▶"), " Play");
    }

    function tick() {
      if (state.layer >= nLayers() - 1) {
        stop();
        return;
      }
      choose({ layer: state.layer + 1 }).then(() => {
        if (timer) timer = setTimeout(tick, PAUSE);
      });
    }

    play.addEventListener("click", () => {
      if (timer) {
        stop();
        return;
      }
      play.replaceChildren(element("span", { "aria-hidden": "true" }, "❚❚"), " Pause");
      const wait = state.layer >= nLayers() - 1 ? choose({ layer: 0 }) : Promise.resolve();
      timer = setTimeout(() => wait.then(tick), state.layer ? 0 : PAUSE / 3);
    });
    slider.addEventListener("input", () => {
      stop();
      choose({ layer: Number(slider.value) });
    });
    model.addEventListener("change", () => {
      stop();
      const last = nLayers() - 1; // the same depth, of another number of layers
      const depth = last ? state.layer / last : 1;
      const id = Number(model.value);
      const mine = ++asked;
      load(content.folder, content.models[id].id).then(
        (found) => {
          if (mine !== asked) return;
          choose({ model: id, layer: Math.round(depth * (found.graphs.length - 1)) });
        },
        (error) => { if (mine === asked) tell(`${error.message}. Is the page whole?`); },
      );
    });
    classOf.addEventListener("change", () => choose({ class: Number(classOf.value) }));
    for (const [select, end, other] of [[source, "source", "target"], [target, "target", "source"]]) {
      select.addEventListener("change", () => {
        if (select.value === "") return;
        const row = Number(select.value);
        const same = row === state[other]; // the two change places
        choose(same ? { [end]: row, [other]: state[end] } : { [end]: row });
      });
    }
    anyPair.addEventListener("click", () => {
      const [one, two] = shuffled(members());
      choose({ source: one, target: two });
    });
    leaving.addEventListener("click", () => {
      const graph = graphs[state.layer];
      if (!graph) return;
      const own = inside();
      const begun = performance.now();
      let looked = 0;
      for (const from of shuffled(members())) {
        const tree = treeFrom(graph, from, own);
        looked++;
        const found = members().filter((row) => {
          const { score } = row === from ? { score: null } : scoreOf(pathTo(tree, row), own);
          return score !== null && score < 1;
        });
        if (found.length) {
          choose({ source: from, target: pick(found) });
          return;
        }
        if (performance.now() - begun > PATIENCE) break;
      }
      tell(looked === members().length
        ? `At this layer no path between two images of ${className()} leaves it.`
        : `Of the paths from ${looked} images of ${className()}, none leaves it at this layer.`);
    });

    function awake() {
      stop();
      mount.append(live);
      mount.classList.add("alive");
      new ResizeObserver(() => {
        cancelAnimationFrame(moving);
        places = fitted();
        draw();
        showCurve();
      }).observe(frame);
      new MutationObserver(draw).observe(document.documentElement,
        { attributes: true, attributeFilter: ["data-theme", "data-mode"] });
      show();
    }

    if (content.sprite) {
      sheet = new Image();
      sheet.onload = () => draw();
      sheet.src = `${content.folder}/${content.sprite.file}`;
    }
    choose({});
  }

  document.querySelectorAll('[data-widget="explorer"]').forEach(begin);
})();
