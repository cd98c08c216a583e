// The reader finds the odd one of threes, and then sees with whom they agree. What is chosen is
// kept in memory alone: nothing is stored or sent. `#seed=7` in the address fixes the order.
(() => {
  "use strict";

  const ROUND = 12; // threes until the result
  const Z = 1.959963984540054; // of a 95 % interval
  const CHANCE = 1 / 3;
  const DASHES = ["5 3", "", "1.5 3", "8 3 2 3", "1 5"]; // by variant, as in the book's figures
  const PANEL = { height: 170, left: 24, right: 6, top: 8, bottom: 22 };

  // ---- Elements ----

  const built = (element, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") element.addEventListener("click", value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children.flat().filter((child) => child != null));
    return element;
  };
  const h = (tag, attributes = {}, ...children) =>
    built(document.createElement(tag), attributes, children);
  const s = (tag, attributes = {}, ...children) =>
    built(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  const button = (words, onclick, attributes = {}) =>
    h("button", { type: "button", onclick, ...attributes }, words);

  // ---- Chance ----

  const seeded = (seed) => () => {
    // mulberry32: good enough to shuffle by
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const shuffled = (n, random) => {
    const items = [...Array(n).keys()];
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [items[i], items[j]] = [items[j], items[i]];
    }
    return items;
  };

  // ---- Numbers ----

  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const mean = (values) => sum(values) / values.length;
  const overShares = (counts) => counts.map((count) => count / sum(counts));

  /** What a space says of three: how much of its choice each gets, from a digit; null for 0. */
  const sharesOf = (digit) => {
    const odd = [0, 1, 2].map((place) => (digit >> place) & 1);
    return sum(odd) ? overShares(odd) : null;
  };

  /** Wilson's interval of a share among n; for a mean of shares it is, if anything, too wide. */
  const wilson = (share, n) => {
    const middle = (share + (Z * Z) / (2 * n)) / (1 + (Z * Z) / n);
    const half =
      (Z / (1 + (Z * Z) / n)) * Math.sqrt((share * (1 - share)) / n + (Z * Z) / (4 * n * n));
    return [Math.max(0, middle - half), Math.min(1, middle + half)];
  };

  /** Whom answers agree with. They are [three, odd] each, where odd is a place in the three. */
  const judge = (data, answers) => {
    const people = answers.map(([three]) => overShares(data.people[three]));
    const counts = answers.map(([three]) => data.people[three]);
    const of = (shares) => mean(answers.map(([, odd], i) => shares[i][odd]));
    const agree = (shares, others) =>
      mean(shares.map((share, i) => sum(share.map((value, odd) => value * others[i][odd]))));

    const models = data.models.map((model) => ({
      ...model,
      layers: model.layers.map(({ depth, odd }) => {
        const seeds = odd
          .map((digits) => answers.map(([three]) => sharesOf(+digits[three])))
          .filter((shares) => shares.every(Boolean));
        if (!seeds.length) return { depth, you: null, people: null, shares: null };
        return {
          depth,
          you: mean(seeds.map(of)),
          people: mean(seeds.map((shares) => agree(shares, people))),
          shares: answers.map((_, i) => [0, 1, 2].map((odd) => mean(seeds.map((x) => x[i][odd])))),
        };
      }),
    }));
    const over = (key) => {
      const known = models
        .filter((model) => model.counted)
        .map((model) => model.layers.map((layer) => layer[key]).filter((value) => value !== null))
        .filter((values) => values.length);
      return known.length ? mean(known.map(mean)) : null;
    };
    const last = models
      .filter((model) => model.counted)
      .map((model) => model.layers[model.layers.length - 1].shares)
      .filter(Boolean);
    return {
      n: answers.length,
      you: of(people),
      frequent: answers.filter(([, odd], i) => counts[i][odd] === Math.max(...counts[i])).length,
      // Two people, drawn without replacement: the chance that they chose alike.
      two: mean(
        counts.map((each) => {
          const n = sum(each);
          return sum(each.map((count) => count * (count - 1))) / (n * (n - 1));
        })
      ),
      most: mean(people.map((shares) => Math.max(...shares))),
      models,
      modelsAndYou: over("you"),
      modelsAndPeople: over("people"),
      people,
      // Of each three, the mean over models at their last layer.
      last: last.length
        ? answers.map((_, i) => [0, 1, 2].map((odd) => mean(last.map((shares) => shares[i][odd]))))
        : null,
    };
  };

  // ---- Words ----

  const WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
  WORDS.push("ten", "eleven", "twelve");
  const inWords = (n) => WORDS[n] || String(n);
  const capital = (text) => text[0].toUpperCase() + text.slice(1);
  const number = (value) => {
    const text = value.toFixed(1);
    return text.endsWith(".0") ? text.slice(0, -2) : text;
  };
  const percent = (share) => `${Math.round(100 * share)}\u00a0%`;

  // ---- The widget ----

  const start = (mount) => {
    const data = JSON.parse(mount.querySelector('script[type="application/json"]').textContent);
    const given = /\bseed=(\d+)/.exec(location.hash);
    const random = given ? seeded(+given[1]) : Math.random;
    const nAll = data.threes.length;

    let order, places, answers, begun; // begun: answers that were there when the round began
    const until = () => Math.min(begun + ROUND, nAll);
    const shuffle = () => {
      order = shuffled(nAll, random);
      places = order.map(() => shuffled(3, random));
      answers = [];
      begun = 0;
    };

    const picture = (three, place) => {
      const row = data.threes[three][place];
      if (!data.pictures[row]) return h("span", { class: "word", lang: "en" }, data.names[row]);
      const image = h("img", {
        src: data.pictures[row],
        alt: data.names[row],
        draggable: "false",
        class: "dark-light", // whose colours the theme leaves as they are in the dark
      });
      const enlarge = () => {
        // Pictures of few pixels are enlarged by whole numbers, so that pixels stay squares.
        image.style.setProperty("--pixels", `${image.naturalWidth}px`);
        image.classList.toggle("coarse", image.naturalWidth <= 64);
      };
      image.addEventListener("load", enlarge);
      return image;
    };

    // -- Judging --

    const count = h("span", { class: "count" });
    const pips = h("span", { class: "pips", "aria-hidden": "true" });
    const status = h("p", { class: "unseen", role: "status", "aria-live": "polite" });
    const choose = (position) => {
      const at = answers.length;
      answers.push([order[at], places[at][position]]);
      if (answers.length === until()) showResult();
      else showThree();
    };
    const pick = (position) => (event) => {
      // A double click is one answer, not one to the next three, too.
      if (event.detail < 2) choose(position);
    };
    const choices = [0, 1, 2].map((position) =>
      button("", pick(position), { class: "choice", "aria-keyshortcuts": position + 1 })
    );
    const back = button("Back", () => {
      if (answers.length === begun) return;
      answers.pop();
      showThree();
    }, { class: "quiet" });
    const stage = h(
      "div",
      { class: "stage", role: "group", "aria-label": "Which one is the odd one out?" },
      h("div", { class: "asked" },
        h("p", { class: "question", "aria-hidden": "true" }, "Which one is the odd one out?")),
      h("div", { class: "choices" }, choices),
      h("div", { class: "progress" }, back, h("span", {}, pips, count),
        h("span", { class: "keys" }, "Keys: Tab, then 1, 2, 3")),
    );

    const showThree = () => {
      const at = answers.length;
      const three = order[at];
      stage.dataset.three = three;
      choices.forEach((choice, position) => {
        const place = places[at][position];
        choice.dataset.place = place;
        choice.replaceChildren(
          picture(three, place),
          h("span", { class: "key", "aria-hidden": "true" }, String(position + 1))
        );
      });
      const n = until() - begun;
      count.textContent = `${at - begun + 1} of ${n}`;
      pips.replaceChildren(...[...Array(n).keys()].map((i) =>
        h("i", { class: i < at - begun ? "done" : i === at - begun ? "now" : null })));
      back.setAttribute("aria-disabled", String(at === begun));
      const shown = places[at].map((place) => data.names[data.threes[three][place]]);
      status.textContent = `${count.textContent}: ${shown.join(", ")}`;
      stage.hidden = false;
      result.hidden = true;
    };

    // -- The result --

    const result = h("div", { class: "result" });
    let shown = "you"; // what the curves show: agreement with you, or with people

    const again = () => {
      begun = answers.length;
      showThree();
      choices[0].focus();
    };
    const afresh = () => {
      shuffle();
      showThree();
      choices[0].focus();
    };

    const showResult = () => {
      const found = judge(data, answers);
      const heading = h("h2", { class: "headline", tabindex: "-1" },
        `You agree with people on ${number(found.n * found.you)}\u00a0of\u00a0${found.n}`);
      const more = Math.min(ROUND, nAll - answers.length);
      result.replaceChildren(
        heading,
        explained(found),
        compared(found),
        unsure(found),
        h("div", { class: "actions" },
          more ? button(`Another ${inWords(more)}`, again, { class: "main" }) : null,
          button("Start over", afresh),
          more ? null : h("span", {}, `You have judged all ${nAll} threes of this page.`)),
        data.models.length ? layers(found) : "",
        reviewed(found),
      );
      stage.hidden = true;
      result.hidden = false;
      status.textContent = "";
      heading.focus();
    };

    const explained = (found) => {
      const words = [];
      if (data.repeated) {
        words.push("Someone drawn at random from those who judged each three chose as you did " +
          `that often. Your choice was the most frequent one on ${found.frequent}.`);
      }
      if (data.how) words.push(data.how);
      return words.length ? h("p", { class: "note" }, words.join(" ")) : null;
    };

    const unsure = (found) => {
      const [low, high] = wilson(found.you, found.n);
      const little = found.n <= ROUND
        ? `${capital(inWords(found.n))} answers say little`
        : `${found.n} answers say more, but not all`;
      const guess = low < CHANCE && CHANCE < high ? " Guessing cannot be ruled out." : "";
      return h("p", { class: "note unsure" },
        `${little}: over very many threes like these, you might agree with people on anything ` +
        `from ${percent(low)} to ${percent(high)} (95\u00a0% interval).${guess}`);
    };

    /** A row a pair of parties, on one scale from none to all. */
    const compared = (found) => {
      const rows = [["You and people", found.you, "you", wilson(found.you, found.n)]];
      if (data.repeated) {
        rows.push(["Two people", found.two, "people"]);
        rows.push(["The most anyone could", found.most, "most"]);
      }
      if (found.modelsAndYou !== null) {
        rows.push(["You and models", found.modelsAndYou, "you and-models"]);
        rows.push(["People and models", found.modelsAndPeople, "people and-models"]);
      }
      rows.push(["Chance", CHANCE, "chance"]);
      return h("ul", { class: "compared" }, rows.map(([name, value, kind, range]) =>
        h("li", { class: kind },
          h("span", { class: "name" }, name),
          h("span", { class: "track", "aria-hidden": "true" },
            range && h("span", { class: "range",
              style: `left:${100 * range[0]}%;width:${100 * (range[1] - range[0])}%` }),
            h("span", { class: "dot", style: `left:${100 * value}%` })),
          h("data", { class: "value", value }, `${number(found.n * value)} of ${found.n}`))));
    };

    // -- Layer by layer --

    const groups = () => {
      const found = new Map();
      for (const model of data.models) {
        if (!found.has(model.family)) found.set(model.family, data.families[model.family]);
      }
      return [...found];
    };
    const variants = Object.keys(data.variants);
    const sizes = [...new Set(data.models.map((model) => model.size))];
    const colorOf = (family) => data.families[family].color || "currentColor";
    const dashOf = (model) => DASHES[variants.indexOf(model.variant) % DASHES.length];

    const mark = (size, x, y, attributes) => {
      const kind = sizes.indexOf(size) % 3;
      if (kind === 0) return s("circle", { cx: x, cy: y, r: 2.6, ...attributes });
      const d = kind === 1
        ? `M${x - 2.5} ${y - 2.5}h5v5h-5z`
        : `M${x} ${y - 3.4}L${x + 3.2} ${y + 2.4}H${x - 3.2}Z`;
      return s("path", { d, ...attributes });
    };

    const layers = (found) => {
      const readout = h("p", { class: "readout" });
      const charts = h("div", { class: "charts" });
      const fold = h("div", { class: "scrolls", tabindex: "0", role: "region",
        "aria-label": "Agreement at every layer" });
      const toggles = [["you", "with you"], ["people", "with people"]].map(([key, words]) =>
        button(words, () => draw(key), { "data-key": key }));
      const panels = groups().map(([family, about]) => {
        const place = h("div", { class: "place" });
        const color = colorOf(family);
        charts.append(h("figure", { class: "panel" },
          h("figcaption", {}, h("i", { class: "swatch", style: `background:${color}` }), about.label),
          place));
        return [family, place];
      });
      const drawPanels = () => {
        for (const [family, place] of panels) {
          const width = Math.round(place.clientWidth);
          if (width) place.replaceChildren(panel(found, family, width, readout));
        }
      };
      const draw = (key) => {
        shown = key;
        for (const toggle of toggles) {
          toggle.setAttribute("aria-pressed", String(toggle.dataset.key === key));
        }
        readout.textContent = "Point at a line, or tap it, to read it.";
        drawPanels();
        fold.replaceChildren(numbers(found));
      };
      draw(shown);
      new ResizeObserver(drawPanels).observe(charts); // for the width that there is, once it is known
      return h("section", { class: "layers" },
        h("h3", {}, "Layer by layer"),
        h("div", { class: "toggle", role: "group", "aria-label": "On how many models agree" },
          h("span", { "aria-hidden": "true" }, `On how many of ${found.n} models agree`), toggles),
        charts,
        legend(),
        readout,
        h("details", {}, h("summary", {}, "Every number"), fold));
    };

    const panel = (found, family, width, readout) => {
      const { height, left, right, top, bottom } = PANEL;
      const x = (depth) => left + 6 + depth * (width - left - right - 12);
      const y = (share) => top + (1 - share) * (height - top - bottom);
      const models = found.models.filter((model) => model.family === family);
      const color = colorOf(family);
      const drawing = s("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
      const across = (kind, share) => s("line",
        { class: kind, x1: left, x2: width - right, y1: y(share), y2: y(share) });
      for (const third of [0, 1, 2, 3]) {
        drawing.append(
          across(third === 1 ? "chance" : "grid", third / 3),
          s("text", { class: "tick", x: left - 5, y: y(third / 3) + 4, "text-anchor": "end" },
            number((found.n * third) / 3)));
      }
      drawing.append(
        across("own", found.you),
        s("text", { class: "tick", x: x(0), y: height - 5 }, "first layer"),
        s("text", { class: "tick", x: x(1), y: height - 5, "text-anchor": "end" }, "last layer"));
      const points = [];
      for (const model of models) {
        const known = model.layers
          .map((layer, number) => ({ model, number, value: layer[shown], layer }))
          .filter((point) => point.value !== null);
        for (const point of known) {
          point.x = x(point.layer.depth);
          point.y = y(point.value);
        }
        const d = known.map((point, i) => `${i ? "L" : "M"}${point.x} ${point.y}`).join("");
        drawing.append(s("path", { class: "curve", d, stroke: color,
          "stroke-dasharray": dashOf(model) || null }));
        points.push(...known);
      }
      for (const point of points) {
        const hollow = dashOf(point.model) !== "";
        drawing.append(mark(point.model.size, point.x, point.y, { stroke: color,
          class: hollow ? "hollow" : null, fill: hollow ? null : color }));
      }
      const ring = s("circle", { class: "ring", r: 6, stroke: color, visibility: "hidden" });
      drawing.append(ring);
      const read = (event) => {
        const box = drawing.getBoundingClientRect();
        const scale = box.width / width;
        const [atX, atY] = [(event.clientX - box.left) / scale, (event.clientY - box.top) / scale];
        let nearest = null;
        for (const point of points) {
          point.away = Math.hypot(point.x - atX, point.y - atY);
          if (!nearest || point.away < nearest.away) nearest = point;
        }
        if (!nearest) return;
        ring.setAttribute("visibility", "visible");
        ring.setAttribute("cx", nearest.x);
        ring.setAttribute("cy", nearest.y);
        const { model, number: layer } = nearest;
        const values = model.layers[layer];
        readout.textContent =
          `${nameOf(model)}, layer ${layer} of ${model.layers.length - 1}: ` +
          `${number(found.n * values.you)} with you, ` +
          `${number(found.n * values.people)} with people, of ${found.n}`;
      };
      drawing.addEventListener("pointermove", read);
      drawing.addEventListener("pointerdown", read);
      drawing.addEventListener("pointerleave", () => ring.setAttribute("visibility", "hidden"));
      return drawing;
    };

    const nameOf = (model) =>
      model.called === model.name ? model.name : `${data.families[model.family].label} ${model.called}`;

    const legend = () => {
      const sample = (drawn, width = 28) =>
        s("svg", { viewBox: `0 0 ${width} 12`, width, height: 12, "aria-hidden": "true" }, drawn);
      const line = (kind, dash) => s("path",
        { class: kind, d: "M1 6H27", stroke: "currentColor", "stroke-dasharray": dash || null });
      const entries = [
        [sample(line("own")), "you and people"],
        [sample(s("line", { class: "chance", x1: 1, x2: 27, y1: 6, y2: 6 })), "chance"],
      ];
      if (variants.length > 1) {
        variants.forEach((name, i) =>
          entries.push([sample(line("curve", DASHES[i % DASHES.length])), data.variants[name]]));
      }
      if (sizes.length > 1) {
        sizes.forEach((name) => entries.push([
          sample(s("g", { transform: "translate(-3 -3) scale(1.5)" },
            mark(name, 6, 6, { fill: "currentColor" })), 12), name]));
      }
      return h("ul", { class: "legend" }, entries.map(([drawn, words]) => h("li", {}, drawn, words)));
    };

    const numbers = (found) => {
      const most = Math.max(...found.models.map((model) => model.layers.length));
      const header = [...Array(most).keys()].map((layer) => h("th", { scope: "col" }, String(layer)));
      return h("table", {},
        h("caption", {}, `Of ${found.n} answers, on how many each layer agrees ` +
          (shown === "you" ? "with you" : "with people")),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "model, layer"), header)),
        h("tbody", {}, found.models.map((model) =>
          h("tr", { "data-model": model.name },
            h("th", { scope: "row" }, nameOf(model)),
            model.layers.map((layer) => h("td", {}, layer[shown] === null ? "–"
              : h("data", { value: layer[shown] }, number(found.n * layer[shown]))))))));
    };

    // -- What was answered --

    const reviewed = (found) => {
      const bar = (kind, share, label) =>
        h("span", { class: `bar ${kind}`, style: `--share:${share}` }, label);
      const entries = answers.map(([three, odd], i) => {
        const said = [0, 1, 2].map((place) =>
          `${data.names[data.threes[three][place]]} ${percent(found.people[i][place])}`);
        return h("li", { "data-three": three },
          h("span", { class: "unseen" },
            `You: ${data.names[data.threes[three][odd]]}. People: ${said.join(", ")}.`),
          places[order.indexOf(three)].map((place) =>
            h("div", { class: place === odd ? "object chosen" : "object", "aria-hidden": "true" },
              h("span", { class: "bars" },
                bar("people", found.people[i][place],
                  data.repeated ? h("b", {}, String(Math.round(100 * found.people[i][place]))) : null),
                found.last && found.last[i][place] > 0
                  ? bar("models", found.last[i][place]) : null),
              picture(three, place),
              h("span", { class: "yours" }, place === odd ? "you" : ""))));
      });
      return h("section", { class: "review" },
        h("h3", {}, "Your answers, and theirs"),
        h("ul", { class: "legend" },
          h("li", {}, h("i", { class: "key people" }),
            data.repeated ? "percent of people who found it odd" : "what people found odd"),
          found.last
            ? h("li", {}, h("i", { class: "key models" }), "share of models, at their last layer")
            : null),
        h("ul", { class: data.pictures.some(Boolean) ? "answers" : "answers named" }, entries));
    };

    // -- Begin --

    const live = h("div", { class: "live odd-one-out" }, stage, result, status,
      h("p", { class: "privacy" }, "Nothing you do here leaves your browser."));
    live.addEventListener("keydown", (event) => {
      const own = ["1", "2", "3", "Enter", " "].includes(event.key);
      if (stage.hidden || !own || event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.repeat) event.preventDefault(); // a key that is held is one answer
      else if (event.key >= "1" && event.key <= "3") {
        event.preventDefault();
        choose(+event.key - 1);
      }
    });
    shuffle();
    showThree();
    status.textContent = ""; // nothing has changed yet
    mount.append(live);
    mount.classList.add("alive");
  };

  for (const mount of document.querySelectorAll('[data-widget="odd_one_out"]:not(.alive)')) {
    start(mount);
  }
})();
