// SPDX-License-Identifier: Apache-2.0
// The watch page: the loop in numbers, the last frames with their boxes, what holds things up.
import { $, api, brief, decimal, el, lang, listen, nameOf, number, percent, pictogram, t, toast } from './base.js';

const STRIP = 6; // small pictures kept
const SIGNS = 8; // lines in the list of signs
const NEWS = 8;
const RATES = 90; // samples in the line of frames per second
const SHOW_MS = 200; // a picture is shown at least so long
const SETTLE_MS = 40; // a burst of events counts as one

const view = $('#view');
const rates = [];
let taxonomyName = 'de';
let paused = false;
let waiting = null; // the newest frame that came while another was being loaded
let loading = false;
let settle = 0;
let shown = null; // {image, frame}
const listed = []; // hashes of the last frames in strip and list: one's own comes by two ways

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const widthOf = (frame, image) => frame.width ?? frame.w ?? image.naturalWidth ?? image.width;

/** Words above a box, or as far above as no other words stand. */
function tag(ctx, text, x, y, size, colour, taken) {
  ctx.font = `600 ${size}px system-ui, sans-serif`;
  const w = ctx.measureText(text).width + size * 0.8;
  const h = size * 1.45;
  const left = Math.max(0, Math.min(x, ctx.canvas.width - w));
  const meets = (top) => taken.some((o) => left < o.left + o.w && o.left < left + w && top < o.top + h && o.top < top + h);
  let top = y - h;
  while (top > 0 && meets(top)) top -= h / 2;
  if (top < 0) top = 0;
  taken.push({ left, top, w });
  ctx.fillStyle = colour;
  ctx.fillRect(left, top, w, h);
  ctx.fillStyle = '#fff';
  ctx.textBaseline = 'middle';
  ctx.fillText(text, left + size * 0.4, top + size * 0.76);
}

/** Draws picture and boxes; words only when there is room for them. */
function draw(canvas, image, frame, words) {
  const cssWidth = canvas.clientWidth || 320;
  const ratio = window.devicePixelRatio || 1;
  const w = image.naturalWidth || image.width;
  const h = image.naturalHeight || image.height;
  canvas.width = Math.round(cssWidth * ratio);
  canvas.height = Math.round((cssWidth * ratio * h) / w);
  const ctx = canvas.getContext('2d');
  ctx.imageSmoothingQuality = 'high';
  ctx.drawImage(image, 0, 0, canvas.width, canvas.height);
  const k = canvas.width / widthOf(frame, image);
  const taken = [];
  const size = Math.max(11, Math.min(15, cssWidth / 50)) * ratio;
  for (const s of frame.signs ?? []) {
    const [x, y, bw, bh] = s.box.map((v) => v * k);
    const colour = css(s.status === 'accepted' ? '--box-ok' : '--box-ask');
    const pad = 2 * ratio;
    ctx.lineWidth = (words ? 2.5 : 2) * ratio;
    ctx.strokeStyle = colour;
    ctx.strokeRect(x - pad, y - pad, bw + 2 * pad, bh + 2 * pad);
    if (words) tag(ctx, `${nameOf(s.class)} ${percent(s.confidence)}`, x - pad, y - pad, size, colour, taken);
  }
}

function describe(frame) {
  const n = frame.signs?.length ?? 0;
  if (!n) return t('view.nosign');
  return t('view.some', { n, names: frame.signs.map((s) => nameOf(s.class)).join(', ') });
}

const sender = (frame) => (frame.own ? t('view.own') : frame.device || '');

function caption(frame) {
  const ms = frame.timing_ms?.total;
  const parts = [sender(frame), t('view.count', { n: frame.signs?.length ?? 0 })];
  if (Number.isFinite(ms)) parts.push(`${decimal(ms, 0)} ms`);
  if (frame.bundle) parts.push(brief(frame.bundle));
  return parts.filter(Boolean).join(' · ');
}

function listSigns(frame) {
  const list = $('#signs');
  if (!frame.signs?.length) return;
  list.querySelector('.dim')?.remove();
  for (const s of frame.signs) {
    list.prepend(
      el('li', {},
        pictogram(taxonomyName, s.class.code, 34),
        el('span', { className: 'name' }, nameOf(s.class), el('small', { textContent: sender(frame) })),
        el('span', { className: `pill ${s.status === 'accepted' ? 'ok' : 'ask'}`, textContent: percent(s.confidence), title: t(s.status === 'accepted' ? 'sign.accepted' : 'sign.review') })),
    );
  }
  while (list.children.length > SIGNS) list.lastChild.remove();
}

/** Into the strip of pictures and the list of signs, once a frame. */
function keep(image, frame) {
  const hash = frame.hash ?? frame.frame;
  if (listed.includes(hash)) return;
  listed.push(hash);
  if (listed.length > 32) listed.shift();
  addToStrip(image, frame);
  listSigns(frame);
}

function addToStrip(image, frame) {
  const canvas = el('canvas', { width: 240, height: 141, aria: { hidden: 'true' } });
  const button = el('button', { type: 'button', title: caption(frame), on: { click: () => pin(image, frame) } }, canvas);
  button.setAttribute('aria-label', describe(frame));
  const strip = $('#strip');
  strip.prepend(button);
  while (strip.children.length > STRIP) strip.lastChild.remove();
  draw(canvas, image, frame, false);
}

function show(image, frame) {
  shown = { image, frame };
  $('#empty').hidden = true;
  draw(view, image, frame, true);
  view.setAttribute('aria-label', describe(frame));
  view.dataset.frame = frame.frame;
  view.dataset.boxes = frame.signs?.length ?? 0;
  $('#caption').textContent = caption(frame);
}

function setPaused(on) {
  paused = on;
  $('#pause').setAttribute('aria-pressed', String(on));
  $('#pause').textContent = t(on ? 'view.go' : 'view.pause');
}

function pin(image, frame) {
  setPaused(true);
  show(image, frame);
}

async function load(src) {
  const image = new Image();
  image.src = src;
  await image.decode();
  return image;
}

/** Shows the newest frame; those that come meanwhile are only counted. */
async function pump() {
  if (loading) return;
  loading = true;
  while (waiting) {
    const frame = waiting;
    waiting = null;
    try {
      const image = await load(`/v1/frames/${encodeURIComponent(frame.frame)}/image`);
      if (!paused) show(image, frame);
      keep(image, frame);
    } catch {
      continue; // let go of by the server already: a newer one follows
    }
    await new Promise((done) => setTimeout(done, SHOW_MS));
  }
  loading = false;
}

/** A page that opens gets the last minutes at once: only the newest picture is still kept. */
function onFrame(frame) {
  waiting = frame;
  if (loading || settle) return;
  settle = setTimeout(() => {
    settle = 0;
    pump();
  }, SETTLE_MS);
}

function spark() {
  const canvas = $('#spark');
  const ratio = window.devicePixelRatio || 1;
  const w = (canvas.width = canvas.clientWidth * ratio);
  const h = (canvas.height = canvas.clientHeight * ratio);
  const ctx = canvas.getContext('2d');
  const most = Math.max(1, ...rates);
  ctx.strokeStyle = css('--accent');
  ctx.lineWidth = 1.5 * ratio;
  ctx.lineJoin = 'round';
  ctx.beginPath();
  rates.forEach((v, i) => ctx.lineTo((w * (i + RATES - rates.length)) / (RATES - 1), h - 2 - (h - 4) * (v / most)));
  ctx.stroke();
}

function bar(name, share, text, hot) {
  const meter = el('i', { className: hot ? 'hot' : '' });
  meter.style.width = `${Math.min(100, Math.max(0, share * 100))}%`;
  return el('tr', {}, el('th', { scope: 'row', textContent: name }), el('td', { className: 'meter' }, el('span', {}, meter)), el('td', { className: 'value', textContent: text }));
}

function stages(status) {
  const sum = status.stages.reduce((a, s) => a + s.ms, 0) || 1;
  $('#stages tbody').replaceChildren(
    ...status.stages.map((s) => bar(t(`stage.${s.name}`), s.ms / sum, `${decimal(s.ms)} ms`, s.name === status.bottleneck?.stage)));
  $('#queues tbody').replaceChildren(
    ...status.queues.map((q) => bar(t(`queue.${q.name}`), q.capacity ? q.length / q.capacity : 0, `${number(q.length)} / ${number(q.capacity)}`, q.length > q.capacity * 0.8)));
}

function onStatus(s) {
  const put = (id, text) => ($(id).textContent = text);
  rates.push(s.frames.per_s);
  if (rates.length > RATES) rates.shift();
  put('#n-frames', decimal(s.frames.per_s));
  put('#s-frames', t('loop.frames.more', { total: number(s.frames.total), p50: decimal(s.frames.p50_ms, 0), p99: decimal(s.frames.p99_ms, 0) }));
  put('#n-signs', number(s.frames.accepted + s.frames.review));
  put('#s-signs', t('loop.signs.more', { sure: number(s.frames.accepted), asked: number(s.frames.review) }));
  put('#n-open', number(s.reviews.open));
  put('#s-open', t('loop.open.more', { tie: number(s.reviews.tie), decided: number(s.reviews.decided) }));
  put('#n-votes', number(s.reviews.votes));
  put('#s-votes', t('loop.votes.more', { rate: decimal(s.reviews.votes_per_s) }));
  put('#n-rows', number(s.dataset.rows));
  put('#s-rows', t('loop.rows.more', { labels: number(s.labels.total), lag: number(s.lag?.curate ?? 0) }));
  put('#n-bundle', s.bundle ? s.bundle.name || brief(s.bundle.digest) : '–');
  put('#s-bundle', s.bundle ? t('loop.bundle.more', { digest: brief(s.bundle.digest), classes: s.bundle.classes }) : t('loop.bundle.none'));
  put('#why', (lang === 'ko' ? s.bottleneck?.why_ko : s.bottleneck?.why_en) ?? '');
  stages(s);
  spark();
}

function news(text, kind = '') {
  const list = $('#news');
  const time = new Date().toLocaleTimeString(lang, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  list.prepend(el('li', { className: kind }, el('time', { textContent: time }), el('span', { textContent: text })));
  while (list.children.length > NEWS) list.lastChild.remove();
}

async function sendOwn(file) {
  let answer;
  const url = URL.createObjectURL(file);
  try {
    const image = await load(url);
    answer = await api('POST', '/v1/frames', file);
    answer.own = true;
    pin(image, answer);
    keep(image, answer);
    toast(describe(answer));
  } catch (e) {
    toast(e.status === undefined ? t('view.notimage') : t('view.failed', { why: e.message }), 'bad');
  } finally {
    URL.revokeObjectURL(url);
  }
}

$('#pause').addEventListener('click', () => {
  setPaused(!paused);
  pump();
});
$('#file').addEventListener('change', (e) => {
  if (e.target.files[0]) sendOwn(e.target.files[0]);
  e.target.value = '';
});
const stage = $('#stage');
stage.addEventListener('dragover', (e) => {
  e.preventDefault();
  stage.classList.add('over');
});
stage.addEventListener('dragleave', () => stage.classList.remove('over'));
stage.addEventListener('drop', (e) => {
  e.preventDefault();
  stage.classList.remove('over');
  if (e.dataTransfer.files[0]) sendOwn(e.dataTransfer.files[0]);
});
new ResizeObserver(() => shown && draw(view, shown.image, shown.frame, true)).observe(stage);

listen({
  frame: onFrame,
  status: onStatus,
  vote: (v) => news(t('news.vote', { voter: v.voter ?? '' })),
  label: (l) => news(t('news.label', { source: t(`source.${l.source ?? 'votes'}`) })),
  version: (v) => news(t('news.version', { version: v.version ?? '', rows: number(v.rows) }), 'big'),
  bundle: (b) => news(t('news.bundle', { name: b.name ?? brief(b.digest) }), 'big'),
  job: (j) => j.state && j.state !== 'running' && news(t('news.job', { id: j.id ?? '', state: j.state }), 'big'),
});
api('GET', '/v1/taxonomy').then((x) => (taxonomyName = x.name ?? taxonomyName)).catch(() => {});
