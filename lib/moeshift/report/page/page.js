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
  const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

  // Numbers, as the tables write them.
  const scaled = (value, unit) => {
    let size = Math.abs(value), prefix = 0;
    while (size >= 999.5 && prefix < 5) { size /= 1000; ++prefix; }
    const digits = prefix === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
    return `${Math.sign(value) < 0 ? "-" : ""}${size.toFixed(digits)} ${["", "k", "M", "G", "T", "P"][prefix]}${unit}`;
  };
  const three = (value) => String(Number(value.toPrecision(3)));
  const inTime = (value) => {
    const size = Math.abs(value);
    if (size === 0) return "0 s";
    const [factor, unit] = size < 1e-6 ? [1e9, "ns"] : size < 1e-3 ? [1e6, "us"] : size < 1 ? [1e3, "ms"] : [1, "s"];
    return `${three(value * factor)} ${unit}`;
  };
  const shown = (value, { unit, digits }) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "-";
    if (typeof value !== "number") return String(value);
    if (unit === "s") return inTime(value);
    if (unit === "B" || unit === "B/s") return scaled(value, unit);
    if (unit === "%") return `${(value * 100).toFixed(digits ?? 1)} %`;
    if (unit === "count") return Math.round(value).toLocaleString("en-US");
    return Math.abs(value) >= 1e4 ? Math.round(value).toLocaleString("en-US") : value.toFixed(digits ?? 0);
  };
  const tick = (value, column) => {
    if (column.unit === "%") return `${three(value * 100)} %`;
    if (column.unit === "B" || column.unit === "B/s" || column.unit === "s") {
      return shown(value, column).replace(/(\.\d*?)0+(?= )/, "$1").replace(/\.(?= )/, "");
    }
    return Math.abs(value) >= 1e4 ? scaled(value, "").trim() : three(value).replace(/e\+?/, "e");
  };
  // What a cell of the view stands for: null, a text, a number, or [shown, raw, is a number].
  const raw = (cell) => (Array.isArray(cell) ? (cell[2] && cell[1] !== "" ? Number(cell[1]) : cell[1]) : cell);
  const name = (cell) => (Array.isArray(cell) ? cell[0] : cell === null ? "-" : String(cell));

  let colours;
  const readColours = () => {
    const style = getComputedStyle(root);
    const of = (key) => style.getPropertyValue(`--${key}`).trim();
    colours = { ink: of("ink"), soft: of("soft"), grid: of("grid"), card: of("card"), line: of("line"),
                series: [0, 1, 2, 3, 4, 5].map((i) => of(`c${i}`)), bad: of("bad"), heat: [of("card"), of("c0")] };
  };

  const valueAxis = (title, column, extra) => ({
    type: "value", name: title, nameLocation: "middle", nameGap: 28, nameTextStyle: { color: colours.soft, fontWeight: 600 },
    minInterval: column.unit === "count" ? 1 : undefined,
    axisLabel: { color: colours.soft, hideOverlap: true, formatter: (v) => tick(v, column) },
    axisLine: { show: false }, splitLine: { lineStyle: { color: colours.grid } }, ...extra,
  });
  const categoryAxis = (title, names, extra) => ({
    type: "category", name: title, nameLocation: "middle", nameGap: 28, data: names,
    nameTextStyle: { color: colours.soft, fontWeight: 600 }, axisTick: { show: false },
    axisLine: { lineStyle: { color: colours.soft } }, axisLabel: { color: colours.ink, hideOverlap: true }, ...extra,
  });
  const lineOf = (label, text, marker = "") => `<div>${marker}${escaped(label)}: <b>${escaped(text)}</b></div>`;
  const zoom = (axis, wanted) => (wanted
    ? [{ type: "inside", [axis]: 0, zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false, filterMode: "none" },
       { type: "slider", [axis]: 0, filterMode: "none", brushSelect: false, textStyle: { color: colours.soft },
         ...(axis === "xAxisIndex" ? { height: 18, bottom: 4 } : { width: 14, right: 2 }) }]
    : []);
  const base = (many, room) => ({
    color: colours.series, animation: false, aria: { enabled: true },
    textStyle: { fontFamily: "system-ui, sans-serif" },
    legend: { show: many, type: "scroll", top: 0, textStyle: { color: colours.ink }, pageIconColor: colours.ink,
              pageTextStyle: { color: colours.soft } },
    grid: { left: 4, right: 14, top: many ? 34 : 12, bottom: 4, outerBoundsMode: "same", outerBoundsContain: "all", ...room },
    tooltip: { confine: true, backgroundColor: colours.card, borderColor: colours.line,
               textStyle: { color: colours.ink, fontSize: 13 } },
  });
  const axisTip = (columns, title) => ({
    trigger: "axis", axisPointer: { type: "shadow" },
    formatter: (items) => lineOf(title, items[0].name || items[0].axisValueLabel)
      + items.filter((i) => i.seriesName).map((i) => lineOf(i.seriesName, shown(Array.isArray(i.value) ? i.value[1] : i.value,
                                             columns[i.seriesIndex + 1]), i.marker)).join(""),
  });

  // Points so close that their names would lie on each other share one label.
  const nameTogether = (points) => {
    const span = (i) => Math.max(...points.map((p) => p.value[i])) - Math.min(...points.map((p) => p.value[i])) || 1;
    const [wide, high] = [(span(0) * 90) / Math.min(innerWidth, 1000), span(1) * 0.06];
    const heads = [];
    for (const point of points) {
      const near = (head) => Math.abs(head.value[0] - point.value[0]) < wide && Math.abs(head.value[1] - point.value[1]) < high;
      const head = heads.find(near);
      if (head) head.names.push(point.name);
      else heads.push(Object.assign(point, { names: [point.name] }));
    }
    for (const head of heads) {
      const more = head.names.length - 3;
      head.said = head.names.slice(0, 3).join(", ") + (more > 0 ? ` and ${more} more` : "");
    }
  };

  // How high a chart with so many rows is: known before it is drawn, so that the page never jumps.
  const heights = {
    bars: () => 300,
    stacked: (rows) => 90 + Math.min(rows.length, 40) * 26,
    lines: () => 320,
    scatter: () => 360,
    intervals: (rows) => 70 + rows.length * 28,
    spans: (rows) => 110 + Math.min(new Set(rows.map((r) => name(r[0]))).size * 24, 620),
    waterfall: (rows) => 70 + rows.length * 30,
    heatmap: (rows) => 150 + Math.max(140, Math.min(rows.length * 14, 620)),
  };

  // One function per way to draw: (chart, its columns, its rows) -> ECharts option.
  const draw = {
    bars({ x, y, base: from, most }, columns, rows) {
      const option = base(columns.length > 2, { bottom: rows.length > 40 ? 34 : 6 });
      option.xAxis = categoryAxis(x, rows.map((r) => name(r[0])));
      // Bars that would begin and end on the base, as those of a lower bound of 1, show nothing.
      const flat = columns.slice(1).some((_, i) => rows.length && rows.every((r) => raw(r[i + 1]) < from * 1.02));
      option.yAxis = valueAxis(y, columns[1], { min: flat ? 0 : from, max: most, nameGap: 52 });
      option.series = columns.slice(1).map((column, i) => ({
        type: "bar", name: column.name, data: rows.map((r) => raw(r[i + 1])), barMaxWidth: 28, barGap: "8%" }));
      option.dataZoom = zoom("xAxisIndex", rows.length > 40);
      Object.assign(option.tooltip, axisTip(columns, x));
      return option;
    },
    stacked({ x }, columns, rows) {
      const option = base(true, { right: rows.length > 40 ? 26 : 14 });
      option.yAxis = categoryAxis("", rows.map((r) => name(r[0])), { inverse: true });
      option.xAxis = valueAxis(x, columns[1]);
      option.series = columns.slice(1).map((column, i) => ({
        type: "bar", stack: "all", name: column.name, data: rows.map((r) => raw(r[i + 1])), barMaxWidth: 24 }));
      option.dataZoom = zoom("yAxisIndex", rows.length > 40);
      Object.assign(option.tooltip, axisTip(columns, ""));
      return option;
    },
    lines({ x, y, most, marks = [] }, columns, rows) {
      const option = base(columns.length > 2, { bottom: rows.length > 60 ? 34 : 6, top: columns.length > 2 ? 40 : 24 });
      option.xAxis = valueAxis(x, columns[0], { min: "dataMin", max: "dataMax", minInterval: 1, splitLine: { show: false } });
      option.yAxis = valueAxis(y, columns[1], { max: most, scale: true, nameGap: 58 });
      option.series = columns.slice(1).map((column, i) => ({
        type: "line", name: column.name, data: rows.map((r) => [raw(r[0]), raw(r[i + 1])]),
        showSymbol: rows.length <= 60, symbolSize: 6, sampling: "minmax",
        lineStyle: { width: 2, type: i < colours.series.length ? "solid" : "dashed" } }));
      if (marks.length) {
        option.series[0].markLine = {
          symbol: "none", lineStyle: { color: colours.soft, type: "dashed" },
          label: { show: marks.length <= 12, color: colours.soft, formatter: (m) => m.name },
          data: marks.map((m) => ({ xAxis: m.x, name: m.label })) };
      }
      option.dataZoom = zoom("xAxisIndex", rows.length > 60);
      Object.assign(option.tooltip, axisTip(columns, x), { axisPointer: { type: "line" } });
      return option;
    },
    scatter({ x, y, most }, columns, rows) {
      const option = base(false);
      const point = (r) => ({ name: name(r[0]), value: [raw(r[1]), raw(r[2])], front: name(r[3] ?? "") === "*" });
      const points = rows.map(point);
      const leftmost = Math.min(...points.map((p) => p.value[0]));
      const front = points.filter((p) => p.front).sort((a, b) => a.value[0] - b.value[0]);
      nameTogether(rows.length <= 12 ? points : front);
      option.xAxis = valueAxis(x, columns[1], { scale: true });
      option.yAxis = valueAxis(y, columns[2], { scale: true, max: most, nameGap: 58 });
      option.series = [
        { type: "line", name: "", data: front.map((p) => p.value), symbol: "none", silent: true, tooltip: { show: false },
          lineStyle: { type: "dashed", color: colours.series[0] } },
        { type: "scatter", name: y, symbolSize: 11, data: points.map((p) => ({ ...p, label: { position: p.value[0] === leftmost ? "right" : "top" }, itemStyle: p.front
            ? { color: colours.series[0] } : { color: colours.card, borderColor: colours.series[0], borderWidth: 2 } })),
          label: { show: true, position: "top", color: colours.ink, minMargin: 4,
                   formatter: (p) => p.data.said ?? "" },
          labelLayout: { hideOverlap: true } }];
      option.tooltip.formatter = (p) => `<b>${escaped(p.name)}</b>${lineOf(x, shown(p.value[0], columns[1]))}`
        + lineOf(y, shown(p.value[1], columns[2])) + (p.data.front ? "nobody is better for less" : "");
      option.dataZoom = rows.length <= 12 ? [] : ["xAxisIndex", "yAxisIndex"].map((axis) => (
        { type: "inside", [axis]: 0, zoomOnMouseWheel: "ctrl", filterMode: "none" }));
      return option;
    },
    intervals({ x }, columns, rows) {
      const option = base(false);
      const at = (r, i) => raw(r[i] ?? null);
      option.yAxis = categoryAxis("", rows.map((r) => name(r[0])), { inverse: true });
      option.xAxis = valueAxis(x, columns[1], { scale: true, min: (v) => (v.min > 0 ? 0 : undefined), max: (v) => (v.max < 0 ? 0 : undefined) });
      const whiskers = rows.map((r, i) => [at(r, 2), at(r, 3), i]).filter((w) => typeof w[0] === "number");
      option.series = [
        { type: "custom", name: "95 % interval", encode: { x: [0, 1], y: 2 }, data: whiskers, silent: true,
          renderItem: (_, api) => {
            const [low, high] = [0, 1].map((k) => api.coord([api.value(k), api.value(2)]));
            return { type: "line", shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] },
                     style: { stroke: colours.series[0], lineWidth: 4, opacity: 0.45, lineCap: "round" } };
          } },
        { type: "scatter", name: x, symbolSize: 11, itemStyle: { color: colours.series[0] },
          data: rows.map((r, i) => [at(r, 1), i]),
          markLine: { silent: true, symbol: "none", label: { show: false }, lineStyle: { color: colours.ink },
                      data: [{ xAxis: 0 }] } }];
      option.tooltip.formatter = (p) => {
        const row = rows[p.dataIndex];
        const range = typeof at(row, 2) === "number" ? lineOf("95 % interval", `${shown(at(row, 2), columns[1])} to ${shown(at(row, 3), columns[1])}`) : "";
        return `<b>${escaped(name(row[0]))}</b>${lineOf(x, shown(at(row, 1), columns[1]))}${range}`;
      };
      return option;
    },
    spans({ x }, columns, rows) {
      const tracks = [...new Set(rows.map((r) => name(r[0])))];
      const kinds = [...new Set(rows.map((r) => name(r[1])))];
      const option = base(true, { bottom: 34 });
      option.yAxis = categoryAxis("", tracks, { inverse: true });
      option.xAxis = valueAxis(x, columns[2]);
      option.series = kinds.map((kind) => ({
        type: "custom", name: kind, encode: { x: [0, 1], y: 2 },
        data: rows.filter((r) => name(r[1]) === kind).map((r) => [raw(r[2]), raw(r[2]) + raw(r[3]), tracks.indexOf(name(r[0]))]),
        renderItem: (_, api) => {
          const [from, to] = [0, 1].map((k) => api.coord([api.value(k), api.value(2)]));
          const height = Math.max(4, Math.min(22, api.size([0, 1])[1] * 0.66));
          return { type: "rect", shape: { x: from[0], y: from[1] - height / 2, width: Math.max(1, to[0] - from[0]), height },
                   style: { fill: api.visual("color") } };
        } }));
      option.dataZoom = zoom("xAxisIndex", true);
      option.tooltip.formatter = (p) => `<b>${escaped(tracks[p.value[2]])}</b>${lineOf(p.seriesName, shown(p.value[1] - p.value[0], columns[3]), p.marker)}`
        + lineOf("from", shown(p.value[0], columns[2]));
      return option;
    },
    waterfall({ x }, columns, rows) {
      const option = base(false);
      let level = 0;
      const bars = rows.map((r, i) => {
        const value = raw(r[1]);
        const stands = i === 0 || i === rows.length - 1;
        const from = stands ? 0 : Math.min(level, level + value);
        level = stands ? value : level + value;
        return { from, size: Math.abs(value), value, stands };
      });
      option.yAxis = categoryAxis("", rows.map((r) => name(r[0])), { inverse: true });
      option.xAxis = valueAxis(x, columns[1]);
      option.series = [
        { type: "bar", name: "", stack: "all", silent: true, itemStyle: { color: "transparent" }, data: bars.map((b) => b.from) },
        { type: "bar", stack: "all", name: x, barMaxWidth: 24, data: bars.map((b) => ({ value: b.size, itemStyle: {
            color: b.stands ? colours.series[0] : b.value > 0 ? colours.bad : colours.series[2] } })) }];
      option.tooltip.formatter = (p) => lineOf(p.name, shown(bars[p.dataIndex].value, columns[1]));
      return option;
    },
    // Its rows are indices into the map's.
    heatmap(map, _, rows) {
      const cells = [];
      let most = -Infinity, least = Infinity;
      rows.forEach((r, y) => map.values[r].forEach((v, c) => {
        cells.push([c, y, v]);
        most = Math.max(most, v); least = Math.min(least, v);
      }));
      const option = base(false, { bottom: 82, right: 26 });
      option.xAxis = categoryAxis(map.columns, map.column_names);
      option.yAxis = categoryAxis(map.rows, rows.map((r) => map.row_names[r]), { inverse: true, nameGap: 40 });
      option.yAxis.axisLabel.fontSize = 10;
      option.visualMap = { min: Number.isFinite(least) ? least : 0, max: most > least ? most : least + 1, calculable: true,
                           orient: "horizontal", left: "center", bottom: 30, itemHeight: 180, itemWidth: 14,
                           inRange: { color: colours.heat }, textStyle: { color: colours.soft },
                           formatter: (v) => tick(v, map) };
      option.series = [{ type: "heatmap", name: map.value, data: cells, progressive: 0 }];
      option.dataZoom = [...zoom("xAxisIndex", true), ...(rows.length > 24 ? zoom("yAxisIndex", true) : [])];
      option.tooltip.formatter = (p) => lineOf(map.rows, map.row_names[rows[p.value[1]]])
        + lineOf(map.columns, map.column_names[p.value[0]]) + lineOf(map.value, shown(p.value[2], map));
      return option;
    },
  };

  // "0-7, 12" -> is this layer wanted?
  const chooser = (text) => {
    const ranges = text.split(",").map((part) => part.trim().match(/^(\d+)\s*(?:-\s*(\d+))?$/)).filter(Boolean)
      .map((m) => [Number(m[1]), Number(m[2] ?? m[1])]);
    return (label) => !ranges.length || ranges.some(([low, high]) => Number(label) >= low && Number(label) <= high);
  };
  const byLayer = (label) => /^layer/.test(label);

  const charts = $("figure.chart").map((figure) => {
    const block = JSON.parse(figure.querySelector("script").textContent);
    const way = block.kind === "heatmap" ? "heatmap" : block.draw;
    const what = way === "heatmap" ? block.rows : block.data.columns[0].name;
    return { figure, plot: figure.querySelector(".plot"), block, way, layered: byLayer(what), chosen: () => true };
  });
  // The rows that are wanted; of a heat map, their indices.
  const rowsOf = ({ block, way, layered, chosen }) => {
    if (way === "heatmap") return block.row_names.map((_, i) => i).filter((i) => !layered || chosen(block.row_names[i]));
    return block.data.rows.filter((r) => !layered || chosen(name(r[0]).replace(/^layer /, "")));
  };
  const reserve = (chart) => { chart.plot.style.height = `${heights[chart.way](rowsOf(chart))}px`; };
  const show = (chart) => {
    const { block, plot, way } = chart;
    const option = draw[way](block, block.data?.columns, rowsOf(chart));
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
    chart.drawing.setOption(option, true);
    plot.dataset.points = option.series.reduce((sum, s) => sum + (s.name === "" ? 0 : s.data.length), 0);
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
  const button = make("button", { type: "button", className: "mode" }, document.querySelector("header"));
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
