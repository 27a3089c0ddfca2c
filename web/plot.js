// SPDX-License-Identifier: Apache-2.0
// Two small drawings in SVG: lines over steps, and bars with pictograms.
import { decimal, el, number, pictogram } from './base.js';

const NS = 'http://www.w3.org/2000/svg';

function svg(tag, attributes, ...children) {
  const e = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  e.append(...children);
  return e;
}

/** lines: [{name, cls, points: [[x, y], ...], text(y)}]; each line has its own scale from its own range. */
export function plot(lines, { width = 560, height = 180, label = '' } = {}) {
  const pad = { l: 8, r: 8, t: 22, b: 18 };
  const drawn = lines.filter((l) => l.points.length > 1);
  const root = svg('svg', { viewBox: `0 0 ${width} ${height}`, class: 'plot', role: 'img', 'aria-label': label });
  for (let i = 0; i <= 4; i++) {
    const y = pad.t + ((height - pad.t - pad.b) * i) / 4;
    root.append(svg('line', { x1: pad.l, x2: width - pad.r, y1: y, y2: y, class: 'grid' }));
  }
  const xs = drawn.flatMap((l) => l.points.map((p) => p[0]));
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  drawn.forEach((l, i) => {
    const ys = l.points.map((p) => p[1]);
    const lo = Math.min(...ys, l.min ?? Infinity);
    const hi = Math.max(...ys, l.max ?? -Infinity);
    const at = ([x, y]) =>
      `${(pad.l + ((x - x0) / (x1 - x0 || 1)) * (width - pad.l - pad.r)).toFixed(1)},${(height - pad.b - ((y - lo) / (hi - lo || 1)) * (height - pad.t - pad.b)).toFixed(1)}`;
    root.append(svg('polyline', { points: l.points.map(at).join(' '), class: `line ${l.cls}` }));
    root.append(svg('text', { x: pad.l + i * 190, y: 14, class: `name ${l.cls}` }, `${l.name} ${l.text(ys[ys.length - 1])}`));
  });
  if (drawn.length) {
    root.append(svg('text', { x: pad.l, y: height - 4, class: 'axis' }, number(x0)));
    root.append(svg('text', { x: width - pad.r, y: height - 4, class: 'axis end' }, number(x1)));
  }
  return root;
}

/** rows: [{code, name, value}] as a list with bars. */
export function bars(rows, taxonomyName) {
  const most = Math.max(1, ...rows.map((r) => r.value));
  return el('ul', { className: 'barlist' },
    ...rows.map((r) => {
      const fill = el('i', {});
      fill.style.width = `${(100 * r.value) / most}%`;
      return el('li', { title: `${r.name}: ${decimal(r.value, 0)}` }, pictogram(taxonomyName, r.code, 22), el('span', { className: 'name', textContent: r.name }), el('span', { className: 'meter' }, fill), el('b', { textContent: number(r.value) }));
    }));
}
