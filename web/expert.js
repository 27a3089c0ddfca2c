// SPDX-License-Identifier: Apache-2.0
// The expert's page: versions of the dataset, training jobs, models and what was live when, ties.
import { $, api, brief, decimal, el, listen, nameOf, number, percent, pictogram, span, t, taxonomy, toast, when } from './base.js';
import { bars, plot } from './plot.js';

const RUNNING = ['waiting', 'running'];
const curves = new Map(); // job id -> {loss: [[step, v]], right: [[step, v]]}
let tax = { name: 'de', classes: [] };
let openJob = null;
let openVersion = null;

const who = () => localStorage.getItem('signloop.voter') || 'expert';

/** Runs fn with its button off; says what went wrong. */
async function act(button, fn) {
  if (button) button.disabled = true;
  try {
    await fn();
  } catch (e) {
    toast(e.message, 'bad');
  }
  if (button) button.disabled = false;
}

const button = (text, fn, cls = '') => el('button', { type: 'button', className: cls, textContent: text, on: { click: (e) => act(e.currentTarget, fn) } });
const none = (columns, text) => el('tr', {}, el('td', { colSpan: columns, className: 'dim', textContent: text }));

// Datasets

async function listVersions() {
  const { datasets } = await api('GET', '/v1/datasets');
  const newest = [...datasets].sort((a, b) => (b.time ?? 0) - (a.time ?? 0));
  $('#versions').replaceChildren(
    ...(newest.length ? newest.map((v) =>
      el('tr', { className: v.version === openVersion ? 'on' : '' }, el('td', {}, el('b', { textContent: v.version }), el('small', { textContent: v.note ?? '' })), el('td', { className: 'num', textContent: number(v.rows) }), el('td', { textContent: when(v.time) }),
        el('td', { className: 'acts' }, button(t('show'), () => showVersion(v.version))))) : [none(4, t('data.none'))]));
  const select = $('#dataset');
  const before = select.value;
  select.replaceChildren(el('option', { value: 'new', textContent: t('job.newdata') }), ...newest.map((v) => el('option', { value: v.version, textContent: `${v.version} (${number(v.rows)})` })));
  if ([...select.options].some((o) => o.value === before)) select.value = before;
}

/** Rows of a class or a source: a number, or numbers by part beside the class's index. */
const countOf = (v) => (typeof v === 'number' ? v : Object.entries(v ?? {}).reduce((sum, [name, n]) => (name !== 'index' && typeof n === 'number' ? sum + n : sum), 0));

async function showVersion(version) {
  const v = await api('GET', `/v1/datasets/${encodeURIComponent(version)}`);
  openVersion = v.version;
  const rows = Object.entries(v.classes ?? {}).map(([code, c]) => {
    const cls = tax.classes.find((x) => x.code === code) ?? tax.classes[c?.index ?? code];
    return { code: cls?.code ?? code, name: cls ? nameOf(cls) : code, value: countOf(c) };
  }).sort((a, b) => b.value - a.value);
  const facts = [
    t('data.sha', { sha: brief(v.sha256) }),
    ...Object.entries(v.parts ?? {}).map(([name, n]) => `${t(`part.${name}`)} ${number(n)}`),
    ...Object.entries(v.sources ?? {}).map(([name, n]) => `${t(`source.${name}`)} ${number(countOf(n))}`),
  ];
  const box = $('#version');
  box.hidden = false;
  box.replaceChildren(el('div', { className: 'row' }, el('h3', { textContent: v.version }), el('span', { className: 'grow' }), button(t('close'), async () => {
    box.hidden = true;
    openVersion = null;
    await listVersions();
  })), el('p', { className: 'dim small', textContent: facts.join(' · ') }), bars(rows, tax.name));
  await listVersions();
}

// Jobs

function remember(job) {
  const p = job.progress;
  if (!job.id || !p || !Number.isFinite(p.step)) return;
  if (!curves.has(job.id)) curves.set(job.id, { loss: [], right: [] });
  const c = curves.get(job.id);
  const add = (list, v) => {
    if (Number.isFinite(v) && (!list.length || list[list.length - 1][0] < p.step)) list.push([p.step, v]);
  };
  add(c.loss, p.loss);
  add(c.right, p.score);
}

function progressOf(job) {
  const p = job.progress;
  if (!p?.steps || job.state !== 'running' || (job.stage && job.stage !== 'train')) return job.stage && job.state === 'running' ? t(`stage.job.${job.stage}`) : '';
  const left = p.left_s ?? p.eta_s;
  return `${percent(p.step / p.steps)}${Number.isFinite(left) ? ` · ${t('job.left', { time: span(left) })}` : ''}`;
}

function jobRow(job) {
  const what = t(`job.kind.${job.kind}`);
  const state = el('td', {}, el('span', { className: `pill ${job.state === 'done' ? (job.passed === false ? 'ask' : 'ok') : job.state === 'failed' ? 'bad' : ''}`, textContent: t(`state.${job.state}`) }), el('small', { textContent: progressOf(job) }));
  const acts = el('td', { className: 'acts' }, button(t('show'), () => showJob(job.id)));
  if (RUNNING.includes(job.state)) acts.append(button(t('job.stop'), async () => {
    await api('DELETE', `/v1/jobs/${encodeURIComponent(job.id)}`);
    await listJobs();
  }));
  else if (job.state !== 'done') acts.append(button(t('job.resume'), async () => {
    await api('POST', `/v1/jobs/${encodeURIComponent(job.id)}/resume`, {});
    await listJobs();
  }));
  return el('tr', { className: job.id === openJob ? 'on' : '' }, el('td', { textContent: job.id }), el('td', {}, what, el('small', { textContent: job.dataset ?? '' })), state, acts);
}

let jobs = [];
function drawJobs() {
  $('#jobs').replaceChildren(...(jobs.length ? jobs.slice(0, 8).map(jobRow) : [none(4, t('job.none'))]));
  const open = jobs.find((j) => j.id === openJob);
  if (open) drawJob(open);
}

async function listJobs() {
  jobs = (await api('GET', '/v1/jobs')).jobs;
  jobs.forEach(remember);
  openJob ??= jobs.find((j) => RUNNING.includes(j.state))?.id ?? null;
  drawJobs();
}

async function showJob(id) {
  openJob = id;
  const job = await api('GET', `/v1/jobs/${encodeURIComponent(id)}`);
  jobs = jobs.map((j) => (j.id === id ? job : j));
  remember(job);
  drawJobs();
}

function gateText(evaluation, verdict) {
  const g = evaluation?.gate;
  if (!g) return verdict ?? '';
  return t('gate.text', { candidate: percent(g.candidate_accuracy, 2), live: percent(g.live_accuracy, 2), rows: number(g.rows) });
}

function drawJob(job) {
  const box = $('#job');
  box.hidden = false;
  const c = curves.get(job.id) ?? { loss: [], right: [] };
  const parts = [el('div', { className: 'row' }, el('h3', { textContent: `${job.id} · ${t(`state.${job.state}`)}` }), el('span', { className: 'grow' }), button(t('close'), async () => {
    openJob = '';
    box.hidden = true;
    drawJobs();
  }))];
  if (job.state === 'running' && job.progress?.steps) {
    const meter = el('progress', { max: job.progress.steps, value: job.progress.step });
    meter.setAttribute('aria-label', t('job.progress'));
    parts.push(meter);
  }
  if (c.loss.length > 1) parts.push(plot([{ name: t('job.loss'), cls: 'a', points: c.loss, text: (v) => decimal(v, 3), min: 0 }, { name: t('job.right'), cls: 'b', points: c.right, text: (v) => percent(v, 1), max: 1 }], { label: t('job.curve') }));
  const facts = [];
  if (job.validation?.accuracy !== undefined) facts.push(t('job.validation', { accuracy: percent(job.validation.accuracy, 2) }));
  if (job.verdict) facts.push(gateText(job.evaluation, job.verdict));
  if (job.passed !== undefined) facts.push(t(job.passed ? 'gate.passed' : 'gate.refused'));
  if (job.published) facts.push(t('job.published'));
  if (job.bundle) facts.push(t('model.digest', { digest: brief(job.bundle) }));
  if (job.error) facts.push(job.error);
  for (const f of facts) parts.push(el('p', { className: 'small', textContent: f }));
  if (job.verdict && !job.passed) parts.push(el('p', { className: 'small dim', textContent: job.verdict }));
  if (job.bundle && job.state === 'done' && !job.published) parts.push(button(t('model.promote'), () => promote(job.bundle), 'main'));
  box.replaceChildren(...parts);
}

// Models

async function promote(digest, force = false) {
  try {
    await api('POST', `/v1/models/${digest}/promote`, { by: who(), force });
    toast(t('model.done', { digest: brief(digest) }));
  } catch (e) {
    if (e.status === 409 && !force && confirm(t('model.force', { why: e.message }))) {
      await promote(digest, true);
      return;
    }
    throw e;
  }
  await listModels();
}

const names = new Map(); // digest -> name: a bundle never changes
async function nameModels(models) {
  for (const m of models.filter((x) => !x.name && !names.has(x.digest)).slice(0, 20)) {
    const whole = await api('GET', `/v1/models/${m.digest}`).catch(() => null);
    if (whole) names.set(m.digest, whole.name);
  }
}

async function compare(digest) {
  const job = await api('POST', '/v1/jobs', { kind: 'evaluate', bundle: digest, dataset: 'latest', by: who() });
  toast(t('job.started', { id: job.id }));
  openJob = job.id;
  await listJobs();
}

async function listModels() {
  const [list, log] = await Promise.all([api('GET', '/v1/models'), api('GET', '/v1/models/log')]);
  const gates = new Map(jobs.filter((j) => j.bundle).map((j) => [j.bundle, j]));
  const order = new Map(log.log.map((e, i) => [e.digest, i]));
  const models = [...list.models].sort((a, b) => (order.get(b.digest) ?? 1e9) - (order.get(a.digest) ?? 1e9));
  await nameModels(models);
  $('#models').replaceChildren(...(models.length ? models.map((m) => {
    const live = m.digest === list.live;
    const job = gates.get(m.digest);
    return el('tr', { className: live ? 'on' : '' },
      el('td', {}, el('b', { textContent: m.name || names.get(m.digest) || brief(m.digest) }), el('small', { textContent: brief(m.digest) }), live ? el('span', { className: 'pill ok', textContent: t('model.live') }) : m.digest === list.candidate ? el('span', { className: 'pill', textContent: t('model.candidate') }) : null),
      el('td', { className: 'small', textContent: job?.verdict ? `${t(job.passed ? 'gate.passed' : 'gate.refused')} ${gateText(job.evaluation, '')}` : '' }),
      el('td', { className: 'acts' }, ...(live ? [] : [button(t('model.compare'), () => compare(m.digest)), button(t('model.promote'), () => promote(m.digest))])));
  }) : [none(3, t('model.none'))]));
  $('#log').replaceChildren(...[...log.log].reverse().slice(0, 12).map((e) =>
    el('li', {}, el('time', { textContent: when(e.time) }), el('b', { textContent: t(`alias.${e.action ?? 'publish'}`) }), el('code', { textContent: brief(e.digest) }), el('span', { className: 'dim', textContent: [e.by, e.forced ? t('alias.forced') : '', e.note].filter(Boolean).join(' · ') }))));
}

// Ties

function tieCard(review) {
  const counts = new Map();
  for (const v of review.votes ?? []) counts.set(String(v.choice), (counts.get(String(v.choice)) ?? 0) + 1);
  for (const c of review.candidates ?? []) {
    const index = String(c.class?.index ?? c.class);
    if (!counts.has(index)) counts.set(index, 0);
  }
  const decide = async (choice) => {
    await api('POST', `/v1/reviews/${encodeURIComponent(review.key)}/votes`, { voter: who(), vote_id: `tie-${Date.now().toString(36)}`, choice, expert: true });
    toast(t('tie.done'));
    await listTies();
  };
  const choices = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 6).map(([choice, n]) => {
    const c = tax.classes[choice];
    const b = button('', () => decide(choice));
    b.append(...(c ? [pictogram(tax.name, c.code, 36), el('span', { textContent: nameOf(c) })] : [el('span', { textContent: t(`choice.${choice}`) })]), el('small', { textContent: n ? t('tie.votes', { n }) : t('tie.model') }));
    return b;
  });
  return el('article', { className: 'tie' }, el('img', { src: review.crop ?? `/v1/crops/${encodeURIComponent(review.key)}`, width: 128, height: 128, alt: t('vote.crop') }), el('div', { className: 'picks' }, ...choices));
}

async function listTies() {
  const answer = await api('GET', '/v1/reviews?state=tie');
  const list = (answer.reviews ?? []).slice(0, 12);
  const whole = await Promise.all(list.map((r) => {
    const key = typeof r === 'string' ? r : r.key;
    return Array.isArray(r.votes) ? r : api('GET', `/v1/reviews/${encodeURIComponent(key)}`).catch(() => null);
  }));
  const cards = whole.filter(Boolean).map(tieCard);
  $('#ties').replaceChildren(...(cards.length ? cards : [el('p', { className: 'dim', textContent: t('tie.none') })]));
}

// Forms

$('#snap').addEventListener('submit', (e) => {
  e.preventDefault();
  act(e.submitter, async () => {
    const v = await api('POST', '/v1/datasets', { note: $('#note').value });
    toast(v.new === false ? t('data.same', { version: v.version }) : t('data.done', { version: v.version, rows: number(v.rows) }));
    $('#note').value = '';
    await listVersions();
  });
});
$('#train').addEventListener('submit', (e) => {
  e.preventDefault();
  act(e.submitter, async () => {
    const job = await api('POST', '/v1/jobs', { kind: 'train', dataset: $('#dataset').value, publish: $('#publish').checked, by: who(), options: { epochs: Number($('#epochs').value) } });
    toast(t('job.started', { id: job.id }));
    openJob = job.id;
    await listJobs();
  });
});
$('#own').addEventListener('submit', (e) => {
  e.preventDefault();
  act(e.submitter, async () => {
    const file = $('#model-file').files[0];
    const form = new FormData();
    form.append($('#part').value, file);
    if ($('#part').value !== 'bundle') form.append('name', file.name.replace(/\.onnx$/, '').slice(0, 60));
    const stored = await api('POST', '/v1/models', form);
    toast(t('own.done', { digest: brief(stored.digest) }));
    e.target.reset();
    await listModels();
  });
});
$('#rollback').addEventListener('click', (e) => act(e.currentTarget, async () => {
  if (!confirm(t('model.sure'))) return;
  const entry = await api('POST', '/v1/models/rollback', { by: who() });
  toast(t('model.done', { digest: brief(entry.digest) }));
  await listModels();
}));

const quietly = (fn) => fn().catch((e) => toast(e.message, 'bad'));
tax = await taxonomy().catch(() => tax);
await Promise.all([quietly(listVersions), quietly(listJobs), quietly(listTies)]);
quietly(listModels);
listen({
  job: (event) => {
    const known = jobs.find((j) => j.id === event.id);
    if (!known || (event.state && event.state !== known.state)) {
      listJobs().then(listModels, () => {});
      return;
    }
    Object.assign(known, event);
    remember(known);
    drawJobs();
  },
  version: () => listVersions().catch(() => {}),
  bundle: () => listModels().catch(() => {}),
  vote: (v) => v.state === 'tie' && listTies().catch(() => {}),
});
