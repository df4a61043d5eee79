/* The bureau's charts, each drawn from the table below it, which stays for whoever cannot see one. Needs echarts. */

"use strict";

(() => {
  if (!globalThis.echarts) return;
  const language = document.documentElement.lang;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const tokens = getComputedStyle(document.documentElement);
  const colour = (name) => tokens.getPropertyValue(`--${name}`).trim();
  const family = getComputedStyle(document.body).fontFamily;
  const shown = (value) => new Intl.NumberFormat(language, { maximumFractionDigits: 2 }).format(value);

  /* What a cell says as a number; null where it says that it does not tell. */
  const number = (cell) => {
    const text = cell?.textContent.trim().replace(/,/g, "").replace("\u2212", "-") ?? "";
    return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : null;
  };

  const read = (table, columns) => {
    const rows = [...table.tBodies[0].rows];
    return {
      labels: rows.map((row) => row.cells[0].textContent.trim()),
      series: columns.map((column) => ({
        name: table.tHead.rows[0].cells[column].textContent.trim(),
        values: rows.map((row) => number(row.cells[column])),
      })),
    };
  };

  /* The second part of a bar is hatched: it is told from the first without its colour. */
  const looks = (at) => at === 0
    ? { color: colour("leaf") }
    : { color: colour("surface"), borderColor: colour("leaf"), borderWidth: 1.5,
        decal: { color: colour("leaf"), dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: Math.PI / 4 } };

  const option = (plot, { labels, series }) => {
    const form = plot.dataset.plot, lying = form === "rows", unit = plot.dataset.unit;
    const text = { color: colour("quiet"), fontFamily: family, fontSize: 15 };
    const names = { type: "category", data: labels, inverse: lying, axisLabel: { ...text, hideOverlap: !lying }, axisTick: { show: false },
      axisLine: { lineStyle: { color: colour("edge") } } };
    const amounts = { type: "value", name: unit, nameTextStyle: { ...text, align: lying ? "right" : "left" }, nameLocation: "end", minInterval: form === "line" ? 1 : 0,
      axisLabel: { ...text, formatter: shown, hideOverlap: true }, splitNumber: 4, splitLine: { lineStyle: { color: colour("line") } } };
    return {
      animation: false,
      textStyle: { fontFamily: family, color: colour("ink") },
      grid: { left: 8, right: lying ? 24 : 8, top: series.length > 1 ? 64 : 40, bottom: lying ? 32 : 8 },
      legend: { show: series.length > 1, top: 0, left: 0, icon: "roundRect", itemWidth: 22, textStyle: { ...text, color: colour("ink") }, selectedMode: false },
      tooltip: { trigger: "axis", renderMode: "richText", confine: true, axisPointer: { type: form === "line" ? "line" : "shadow" },
        backgroundColor: colour("surface"), borderColor: colour("edge"), textStyle: { ...text, color: colour("ink") },
        valueFormatter: (value) => (value === null || value === undefined ? plot.dataset.untold : `${shown(value)} ${unit}`) },
      xAxis: lying ? { ...amounts, nameLocation: "middle", nameGap: 28, nameTextStyle: text } : names,
      yAxis: lying ? names : amounts,
      series: series.map((one, at) => form === "line"
        ? { type: "line", name: one.name, data: one.values, symbolSize: 7, lineStyle: { color: colour("leaf"), width: 2.5 }, itemStyle: { color: colour("leaf") } }
        : { type: "bar", name: one.name, data: one.values, stack: "all", barMaxWidth: 30, itemStyle: looks(at) }),
    };
  };

  const charts = [];
  for (const group of document.querySelectorAll("[data-charts]")) {
    const table = group.querySelector("table");
    for (const plot of group.querySelectorAll("[data-plot]")) {
      const found = read(table, plot.dataset.columns.split(" ").map(Number));
      if (!found.series.some((one) => one.values.some((value) => value))) continue;
      plot.dataset.untold = group.dataset.charts;
      plot.parentElement.hidden = false;
      const height = plot.dataset.plot === "rows" ? 104 + 44 * found.labels.length : plot.dataset.plot === "line" ? 220 : 320;
      const chart = echarts.init(plot, null, { height });
      const draw = () => chart.setOption(option(plot, found), true);
      draw();
      charts.push({ chart, draw, height });
      new ResizeObserver(() => chart.resize({ height })).observe(plot);
      group.querySelector("details").open = false;
    }
  }
  dark.addEventListener("change", () => { for (const one of charts) one.draw(); });

  /* On paper the tables stand below their charts. */
  addEventListener("beforeprint", () => { for (const table of document.querySelectorAll("[data-charts] details")) table.open = true; });
})();
