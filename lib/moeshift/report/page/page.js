// Charts, sorting, layers, colours of a report page. Everything it shows stands in the page as JSON or tables.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const $ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const make = (tag, properties, parent) => {
    const element = Object.assign(document.createElement(tag), properties);
    if (parent) parent.append(element);
    return element;
  };

  // Numbers with the tables' units; zeros at the end are for columns and left out here.
  const compact = (value, digits) => new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: digits })
    .format(value).replace(/[KMBT]?$/, (prefix) => ` ${{ K: "k", B: "G" }[prefix] ?? prefix}`);
  const inTime = (value, digits) => {
    const rounded = Number(value.toPrecision(digits));  // 999.7 us are 1 ms
    if (Math.abs(rounded) >= 1000) return `${Math.round(value)} s`;
    const thousands = rounded ? Math.min(0, Math.max(-3, Math.floor(Math.log10(Math.abs(rounded)) / 3))) : 0;
    return `${Number((rounded / 1000 ** thousands).toPrecision(digits))} ${["s", "ms", "us", "ns"][-thousands]}`;
  };
  const unsigned = (text) => (/^-[0.,]*$/.test(text) ? text.slice(1) : text);  // what rounds to zero has no sign
  const measured = (value, unit, digits) => (unit === "s" ? inTime(value, digits) : compact(value, digits) + unit);
  const shown = (value, { unit, digits = 0 }) => {
    if (typeof value !== "number" || Number.isNaN(value)) return String(value || "-");
    if (["s", "B", "B/s"].includes(unit)) return measured(value, unit, 3);
    if (unit === "%") return `${unsigned((value * 100).toFixed(digits))} %`;
    const places = unit === "count" || Math.abs(value) >= 1e4 ? 0 : digits;
    return unsigned(value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places }));
  };
  const tick = (value, { unit }) => {
    if (["s", "B", "B/s"].includes(unit)) return measured(value, unit, 4);
    if (unit === "%") return `${Number((value * 100).toPrecision(4))} %`;
    return Math.abs(value) >= 1e4 ? compact(value, 4).trim() : String(Number(value.toPrecision(5)));
  };
  // What a cell of the view stands for: null, a text, a number, or [shown, raw, is a number].
  const raw = (cell) => (Array.isArray(cell) ? (cell[2] && cell[1] !== "" ? Number(cell[1]) : cell[1]) : cell);
  const name = (cell) => (Array.isArray(cell) ? cell[0] : String(cell ?? "-"));
  const parsed = (row) => Object.assign(row.map(raw), { name: name(row[0]) });

  let colours;
  const readColours = () => {
    const probe = make("i", {}, document.body);
    const of = (key) => { probe.style.color = `var(--${key})`; return getComputedStyle(probe).color; };
    colours = Object.fromEntries(["ink", "soft", "grid", "card", "line", "bad"].map((key) => [key, of(key)]));
    colours.series = [0, 1, 2, 3, 4, 5].map((i) => of(`c${i}`));
    probe.remove();
  };

  // The parts that charts are put together from.
  const onPhone = () => innerWidth < 600;
  const axis = (type, title, more) => ({
    type, name: title, nameLocation: "middle", nameGap: 28, axisTick: { show: false },
    nameTextStyle: { color: colours.soft, fontWeight: 600, fontSize: onPhone() && title.length > 28 ? 10 : 12 }, ...more });
  const values = (title, column, more) => axis("value", title, {
    minInterval: column.unit === "count" ? 1 : undefined, axisLine: { show: false }, splitLine: { lineStyle: { color: colours.grid } },
    axisLabel: { color: colours.soft, hideOverlap: true, formatter: (v) => tick(v, column) }, ...more });
  const names = (title, list, more) => axis("category", title, {
    data: list, axisLine: { lineStyle: { color: colours.soft } },
    axisLabel: { color: colours.ink, hideOverlap: true, alignMaxLabel: list.some((n) => n.length > 5) ? "right" : undefined, ...more } });
  // Names of rows, from the top; on a phone long ones leave the bars some room.
  const downwards = (list, title = "", more = {}) => ({
    ...names(title, list, { alignMaxLabel: undefined, ...more,
                            ...(onPhone() && list.some((n) => n.length > 14) ? { width: 105, overflow: "break", lineHeight: 13 } : {}) }),
    inverse: true, nameGap: 40 });
  const bars = (columns, rows, more) => columns.slice(1).map((column, i) => (
    { type: "bar", name: column.name, data: rows.map((r) => r[i + 1]), barMaxWidth: 26, ...more }));
  // Text of a tooltip: pairs of what and how much, the first is its heading.
  const tip = (head, ...pairs) => make("div", { textContent: head, style: "font-weight:600" }).outerHTML + pairs.map(([what, text, marker = ""]) =>
    `<div>${marker}${make("span", { textContent: `${what}: ` }).outerHTML}${make("b", { textContent: text }).outerHTML}</div>`).join("");
  const tipOfAxis = (columns, title) => ({
    trigger: "axis", axisPointer: { type: "shadow" },
    formatter: (items) => tip(`${title} ${items[0].name || items[0].axisValueLabel}`, ...items.map((i) => (
      [i.seriesName, shown([i.value].flat().at(-1), columns[i.seriesIndex + 1]), i.marker]))) });
  const zooms = (which, rows) => which.flatMap((along) => {
    const zoom = { [`${along}AxisIndex`]: 0, filterMode: "none" };
    const slider = along === "x" ? { height: 18, bottom: 4 } : { width: 14, right: 2 };
    return [{ ...zoom, type: "inside", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false },
            ...(rows ? [{ ...zoom, type: "slider", brushSelect: false, textStyle: { color: colours.soft }, ...slider }] : [])];
  });
  const option = ({ x, y, series, tooltip, legend = series.length > 1, zoom = [], sliders = true, room, ...more }) => ({
    color: colours.series, animation: false, aria: { enabled: true }, textStyle: { fontFamily: "system-ui, sans-serif" },
    legend: { show: legend, type: "scroll", top: 0, textStyle: { color: colours.ink }, pageIconColor: colours.ink,
              pageTextStyle: { color: colours.soft } },
    grid: { left: 4, right: zoom.includes("y") && sliders ? 26 : 14, top: legend ? 34 : 12, bottom: zoom.includes("x") && sliders ? 34 : 6,
            outerBoundsMode: "same", outerBoundsContain: "all", ...room },
    tooltip: { confine: true, backgroundColor: colours.card, borderColor: colours.line,
               textStyle: { color: colours.ink, fontSize: 13 }, ...tooltip },
    xAxis: x, yAxis: y, series, dataZoom: zooms(zoom, sliders), ...more });

  // Points so close that their names would lie on each other share one label.
  const nameTogether = (points) => {
    const span = (i) => Math.max(...points.map((p) => p.value[i])) - Math.min(...points.map((p) => p.value[i])) || 1;
    const [wide, high] = [(span(0) * 90) / Math.min(innerWidth, 1000), span(1) * 0.06];
    const heads = [];
    for (const point of points) {
      const head = heads.find(({ value: [x, y] }) => Math.abs(x - point.value[0]) < wide && Math.abs(y - point.value[1]) < high);
      if (head) head.names.push(point.name);
      else heads.push(Object.assign(point, { names: [point.name] }));
    }
    for (const head of heads) head.said = head.names.slice(0, 3).join(", ") + (head.names.length > 3 ? ` and ${head.names.length - 3} more` : "");
  };

  // One way to draw each: how high it is with so many rows, known before it is drawn so that the page never jumps, and the
  // parts of its option.
  const ways = {
    bars: {
      height: () => 300,
      parts({ x, y, base = 0, most }, columns, rows) {
        // Bars that would begin and end on the base, as those of a lower bound of 1, show nothing.
        const flat = columns.slice(1).some((_, i) => rows.length && rows.every((r) => r[i + 1] < base * 1.02));
        return { x: names(x, rows.map((r) => r.name)), y: values(y, columns[1], { min: flat || !base ? undefined : base, max: most, nameGap: 52 }),
                 series: bars(columns, rows, { barGap: "8%" }), zoom: rows.length > 40 ? ["x"] : [], tooltip: tipOfAxis(columns, x) };
      },
    },
    stacked: {
      height: (rows) => 90 + Math.min(rows.length, 40) * 26,
      parts: ({ x }, columns, rows) => ({
        x: values(x, columns[1]), y: downwards(rows.map((r) => r.name)), series: bars(columns, rows, { stack: "all" }), legend: true,
        zoom: rows.length > 40 ? ["y"] : [], tooltip: tipOfAxis(columns, "") }),
    },
    lines: {
      height: () => 320,
      parts({ x, y, most, marks = [] }, columns, rows) {
        const series = columns.slice(1).map((column, i) => ({
          type: "line", name: column.name, data: rows.map((r) => [r[0], r[i + 1]]), showSymbol: rows.length <= 60, symbolSize: 6,
          sampling: "minmax", lineStyle: { width: 2, type: i < colours.series.length ? "solid" : "dashed" } }));
        if (marks.length) {
          series[0].markLine = {
            symbol: "none", lineStyle: { color: colours.soft, type: "dashed" }, data: marks.map((m) => ({ xAxis: m.x, name: m.label })),
            label: { show: marks.length <= 12, color: colours.soft, formatter: (m) => m.name } };
        }
        return { x: values(x, columns[0], { min: "dataMin", max: "dataMax", minInterval: 1, splitLine: { show: false } }),
                 y: values(y, columns[1], { max: most, scale: true, nameGap: 58 }), series, room: { top: series.length > 1 ? 40 : 24 },
                 zoom: rows.length > 60 ? ["x"] : [], tooltip: { ...tipOfAxis(columns, x), axisPointer: { type: "line" } } };
      },
    },
    scatter: {
      height: () => 360,
      parts({ x, y, most }, columns, rows) {
        const points = rows.map((r) => ({ name: r.name, value: [r[1], r[2]], front: r[3] === "*" }));
        const front = points.filter((p) => p.front).sort((a, b) => a.value[0] - b.value[0]);
        const leftmost = Math.min(...points.map((p) => p.value[0]));
        const first = colours.series[0];
        nameTogether(rows.length <= 12 ? points : front);
        points.forEach((p) => Object.assign(p, {
          label: { show: "said" in p, position: p.value[0] === leftmost ? "right" : "top" },
          itemStyle: p.front ? { color: first } : { color: colours.card, borderColor: first, borderWidth: 2 } }));
        return { x: values(x, columns[1], { scale: true }), y: values(y, columns[2], { scale: true, max: most, nameGap: 58 }), legend: false,
                 series: [{ type: "line", name: "", data: front.map((p) => p.value), symbol: "none", silent: true, tooltip: { show: false },
                            lineStyle: { type: "dashed", color: first } },
                          { type: "scatter", name: y, symbolSize: 11, data: points.sort((a, b) => a.front - b.front), labelLayout: { hideOverlap: true },
                            label: { color: colours.ink, backgroundColor: colours.card, padding: 2, formatter: (p) => p.data.said } }],
                 zoom: rows.length <= 12 ? [] : ["x", "y"], sliders: false,
                 tooltip: { formatter: ({ data }) => tip(data.name, [x, shown(data.value[0], columns[1])], [y, shown(data.value[1], columns[2])],
                                                         ...(data.front ? [["front", "nobody is better for less"]] : [])) } };
      },
    },
    intervals: {
      height: (rows) => 70 + rows.length * 28,
      parts({ x }, columns, rows) {
        const whiskers = rows.map((r, i) => [r[2], r[3], i]).filter(([low]) => typeof low === "number");
        return { x: values(x, columns[1], { scale: true, min: (v) => (v.min > 0 ? 0 : undefined), max: (v) => (v.max < 0 ? 0 : undefined) }),
                 y: downwards(rows.map((r) => r.name)), legend: false,
                 series: [{ type: "custom", name: "95 % interval", encode: { x: [0, 1], y: 2 }, data: whiskers, silent: true, renderItem: whisker },
                          { type: "scatter", name: x, symbolSize: 11, data: rows.map((r, i) => [r[1], i]), itemStyle: { color: colours.series[0] },
                            markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: colours.ink }, data: [{ xAxis: 0 }] } }],
                 tooltip: { formatter: ({ dataIndex }) => {
                   const [, value, low, high] = rows[dataIndex].map((v) => shown(v, columns[1]));
                   return tip(rows[dataIndex].name, [x, value], ...(typeof rows[dataIndex][2] === "number" ? [["95 % interval", `${low} to ${high}`]] : []));
                 } } };
      },
    },
    spans: {
      height: (rows) => 110 + Math.min(new Set(rows.map((r) => r[0])).size * 24, 620),
      parts({ x }, columns, rows) {
        const tracks = [...new Set(rows.map((r) => r.name))];
        const series = [...new Set(rows.map((r) => r[1]))].map((kind) => ({
          type: "custom", name: kind, encode: { x: [0, 1], y: 2 }, renderItem: span,
          data: rows.filter((r) => r[1] === kind).map((r) => [r[2], r[2] + r[3], tracks.indexOf(r.name)]) }));
        return { x: values(x, columns[2]), y: downwards(tracks), series, legend: true, zoom: ["x"],
                 tooltip: { formatter: ({ value: [from, to, track], seriesName, marker }) => tip(
                   tracks[track], [seriesName, shown(to - from, columns[3]), marker], ["from", shown(from, columns[2])]) } };
      },
    },
    waterfall: {
      height: (rows) => 70 + rows.length * 30,
      parts({ x }, columns, rows) {
        let level = 0;
        const steps = rows.map((r, i) => {
          const stands = i === 0 || i === rows.length - 1;
          const from = stands ? 0 : Math.min(level, level + r[1]);
          level = stands ? r[1] : level + r[1];
          return { from, value: Math.abs(r[1]), itemStyle: { color: stands ? colours.series[0] : r[1] > 0 ? colours.bad : colours.series[2] } };
        });
        return { x: values(x, columns[1]), y: downwards(rows.map((r) => r.name)), legend: false,
                 series: [{ type: "bar", name: "", stack: "all", silent: true, itemStyle: { color: "transparent" }, data: steps.map((s) => s.from) },
                          { type: "bar", name: x, stack: "all", barMaxWidth: 24, data: steps }],
                 tooltip: { formatter: ({ dataIndex }) => tip(rows[dataIndex].name, [x, shown(rows[dataIndex][1], columns[1])]) } };
      },
    },
    // Its rows are indices into the map's.
    heatmap: {
      height: (rows) => 150 + Math.max(140, Math.min(rows.length * 14, 620)),
      parts(map, _, rows) {
        const cells = rows.flatMap((r, y) => map.values[r].map((v, c) => [c, y, v]));
        const [least, most] = cells.reduce(([low, high], [, , v]) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
        return { x: names(map.columns, map.column_names),
                 y: downwards(rows.map((r) => map.row_names[r]), map.rows, { fontSize: 10 }),
                 series: [{ type: "heatmap", name: map.value, data: cells, progressive: 0 }], room: { bottom: 82, right: 26 },
                 visualMap: { min: Number.isFinite(least) ? least : 0, max: most > least ? most : least + 1, calculable: true, orient: "horizontal",
                              left: "center", bottom: 30, itemHeight: 180, itemWidth: 14, inRange: { color: [colours.card, colours.series[0]] },
                              textStyle: { color: colours.soft }, formatter: (v) => shown(v, { digits: 2, ...map }) },
                 zoom: rows.length > 24 ? ["x", "y"] : ["x"],
                 tooltip: { formatter: ({ value: [c, y, v] }) => tip(map.value, [map.rows, map.row_names[rows[y]]], [map.columns, map.column_names[c]],
                                                                     [map.value, shown(v, map)]) } };
      },
    },
  };
  const whisker = (_, api) => {
    const [[x1, y1], [x2, y2]] = [0, 1].map((k) => api.coord([api.value(k), api.value(2)]));
    return { type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: colours.series[0], lineWidth: 4, opacity: 0.45, lineCap: "round" } };
  };
  const span = (_, api) => {
    const [from, to] = [0, 1].map((k) => api.coord([api.value(k), api.value(2)]));
    const height = Math.max(4, Math.min(22, api.size([0, 1])[1] * 0.66));
    return { type: "rect", style: { fill: api.visual("color") },
             shape: { x: from[0], y: from[1] - height / 2, width: Math.max(1, to[0] - from[0]), height } };
  };

  // "0-7, 12" -> is this layer wanted?
  const chooser = (text) => {
    const ranges = [...text.matchAll(/(\d+)\s*(?:-\s*(\d+))?/g)].map(([, low, high]) => [Number(low), Number(high ?? low)]);
    return (label) => !ranges.length || ranges.some(([low, high]) => Number(label) >= low && Number(label) <= high);
  };
  const byLayer = (label) => /^layer/.test(label);

  const charts = $("figure.chart").map((figure) => {
    const block = JSON.parse(figure.querySelector("script").textContent);
    const way = block.kind === "heatmap" ? "heatmap" : block.draw;
    const rows = way === "heatmap" ? Object.keys(block.row_names) : block.data.rows.map(parsed);
    const label = (r) => (way === "heatmap" ? block.row_names[r] : r.name.replace(/^layer /, ""));
    const layered = byLayer(way === "heatmap" ? block.rows : block.data.columns[0].name);
    return { figure, plot: figure.querySelector(".plot"), block, way, layered, chosen: () => true,
             rows() { return layered ? rows.filter((r) => this.chosen(label(r))) : rows; } };
  });
  const reserve = (chart) => { chart.plot.style.height = `${ways[chart.way].height(chart.rows())}px`; };
  const show = (chart) => {
    const { block, plot, way } = chart;
    reserve(chart);
    if (!chart.drawing) {
      chart.drawing = echarts.init(plot, null, { renderer: way === "heatmap" ? "canvas" : "svg" });
      // Told at once, too, when nothing has changed: then nothing is drawn again.
      new ResizeObserver(() => {
        if (plot.clientWidth && plot.clientWidth !== chart.drawing.getWidth()) chart.drawing.resize();
      }).observe(plot);
      plot.addEventListener("keydown", (event) => step(chart, event));
    } else if (plot.clientHeight !== chart.drawing.getHeight()) {
      chart.drawing.resize();
    }
    const drawn = option(ways[way].parts(block, block.data?.columns, chart.rows()));
    chart.drawing.setOption(drawn, true);
    plot.dataset.points = drawn.series.reduce((sum, s) => sum + (s.name === "" ? 0 : s.data.length), 0);
  };
  // Arrow keys walk through the points of a chart that has the focus.
  const step = (chart, event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") chart.drawing.dispatchAction({ type: "hideTip" });
    if (!by) return;
    event.preventDefault();
    const series = chart.drawing.getOption().series;
    const seriesIndex = Math.max(0, series.findIndex((s) => s.name && !s.silent));
    const size = series[seriesIndex].data.length;
    chart.at = ((chart.at ?? (by > 0 ? -1 : size)) + by + size) % size;
    chart.drawing.dispatchAction({ type: "showTip", seriesIndex, dataIndex: chart.at });
  };
  const showAgain = () => { readColours(); charts.filter((c) => c.drawing).forEach(show); };
  const drawAll = () => charts.filter((c) => !c.drawing).forEach(show);

  // Light, dark, or as the system says.
  const modes = ["auto", "light", "dark"];
  const button = make("button", { type: "button", className: "mode" });
  document.querySelector("header").prepend(button);
  const paper = () => getComputedStyle(document.body).backgroundColor;
  const setMode = (mode) => {
    const was = colours && paper();
    root.dataset.mode = mode;
    button.textContent = { auto: "Colours: system", light: "Colours: light", dark: "Colours: dark" }[mode];
    // A large map is painted over several frames, which a printer would not wait for.
    if (paper() !== was) showAgain();
  };
  button.addEventListener("click", () => setMode(modes[(modes.indexOf(root.dataset.mode) + 1) % 3]));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showAgain);
  let before;
  addEventListener("beforeprint", () => {
    before = root.dataset.mode;
    setMode("light");
    drawAll();
    $("details:not(.data)").forEach((d) => { d.open = true; });
  });
  addEventListener("afterprint", () => setMode(before));
  addEventListener("drawall", drawAll);  // for whoever wants the whole page, such as a picture of it

  // Click or Enter on a heading sorts by its column.
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const number = Number(cell.dataset.v ?? cell.textContent.replace(/,/g, ""));
    return Number.isNaN(number) || cell.textContent === "" ? cell.textContent : number;
  };
  const order = (a, b) => (typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1);
  $("thead th").forEach((heading) => {
    const sort = make("button", { type: "button", textContent: heading.textContent });
    heading.replaceChildren(sort);
    sort.addEventListener("click", () => {
      const body = heading.closest("table").tBodies[0];
      const down = heading.getAttribute("aria-sort") === "ascending";
      $("th", heading.parentNode).forEach((th) => th.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) => order(valueOf(a, heading.cellIndex), valueOf(b, heading.cellIndex)));
      body.append(...(down ? rows.reverse() : rows));
    });
  });

  // One field per section that has anything by layer.
  $("section").forEach((section) => {
    const own = charts.filter((c) => c.layered && section.contains(c.figure));
    const tables = $("table", section).filter((t) => byLayer(t.tHead.textContent));
    if (!own.length && !tables.length) return;
    const label = make("label", { className: "layers", textContent: "Layers " });
    const field = make("input", { type: "text", placeholder: "all, or 0-7, 12" }, label);
    section.querySelector(".origin").after(label);
    field.addEventListener("input", () => {
      const chosen = chooser(field.value);
      own.forEach((c) => { c.chosen = chosen; (c.drawing ? show : reserve)(c); });
      tables.forEach((t) => [...t.tBodies[0].rows].forEach((row) => { row.hidden = !chosen(row.cells[0].textContent.replace(/\D+/g, "")); }));
    });
  });

  $("details.data").forEach((d) => { d.open = false; });
  setMode("auto");
  charts.forEach(reserve);
  // What is in view or within a screen of it is drawn, from the top, one chart at a time so that the page answers
  // meanwhile; the rest when somebody scrolls there.
  const wanted = new Set();
  let drawing = false;
  const next = () => {
    const chart = charts.find((c) => wanted.has(c));
    if (!chart) { drawing = false; root.dataset.ready = charts.filter((c) => c.drawing).length; return; }
    wanted.delete(chart);
    if (!chart.drawing) show(chart);
    setTimeout(next);
  };
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      wanted.add(charts.find((c) => c.plot === target));
    }
    if (drawing) return;
    drawing = true;
    next();
  }, { rootMargin: "100% 0px" });
  charts.forEach((c) => near.observe(c.plot));
  if (!charts.length) root.dataset.ready = 0;
})();
