// SPDX-License-Identifier: Apache-2.0
// The labeling page: one crop at a time, a vote by click or key, the next at once. Reviews are
// leased ahead; a vote is sent behind the labeler's back with an id of its own, so that a lost
// answer can be asked for again without voting twice.
import { $, ApiError, api, el, nameOf, number, percent, pictogram, t, taxonomy, toast } from './base.js';

const AHEAD = 3; // reviews leased ahead
const EMPTY_MS = 2000; // wait before asking again when there is nothing
const TRIES = 6; // of one vote, when the server is away or busy

const store = {
  get voter() {
    return localStorage.getItem('signloop.voter') ?? '';
  },
  set voter(v) {
    localStorage.setItem('signloop.voter', v);
  },
  get expert() {
    return localStorage.getItem('signloop.expert') === '1';
  },
  set expert(v) {
    localStorage.setItem('signloop.expert', v ? '1' : '0');
  },
};

let tax = { name: 'de', classes: [] };
let queue = []; // reviews leased and not yet shown
let current = null;
let last = null; // {review, sent}: what undo takes back
let votes = 0;
let asking = false;
let image = null;
let timer = 0;
const done = new Set(); // keys voted on in this page
const skipped = new Set(); // keys put off: they come again when nothing else is left
let sending = 0; // votes under way: their leases are still held

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((b) => b.toString(16).padStart(2, '0')).join('');
}

function firstName() {
  if (!store.voter) store.voter = `labeler-${newId().slice(0, 5)}`;
  return store.voter;
}

const classOf = (candidate) => {
  const index = candidate.class?.index ?? candidate.class;
  return tax.classes[index] ?? { index, code: candidate.code ?? String(index) };
};

function paint() {
  const canvas = $('#crop');
  const smooth = $('#smooth').getAttribute('aria-pressed') === 'true';
  const ctx = canvas.getContext('2d');
  ctx.clearRect(0, 0, canvas.width, canvas.height);
  if (!image) return;
  ctx.imageSmoothingEnabled = smooth;
  ctx.imageSmoothingQuality = 'high';
  ctx.drawImage(image, 0, 0, canvas.width, canvas.height);
}

async function loadCrop(review) {
  const one = new Image();
  one.src = review.crop ?? `/v1/crops/${encodeURIComponent(review.key)}`;
  await one.decode();
  return one;
}

/** Starts to fetch the picture as soon as the review is leased. */
function lookAhead(review) {
  review.picture = loadCrop(review).catch(() => null);
  return review;
}

function choiceButton(c, key, confidence) {
  const b = el('button', { type: 'button', data: { choice: String(c.index) }, title: `${nameOf(c)} (${c.code})` }, pictogram(tax.name, c.code, confidence === undefined ? 44 : 56), el('span', { className: 'name', textContent: nameOf(c) }));
  if (key) b.prepend(el('kbd', { textContent: key }));
  if (confidence !== undefined) b.append(el('span', { className: 'sure', textContent: percent(confidence) }));
  return b;
}

function showChoices(review) {
  const list = (review?.candidates ?? []).slice(0, 5);
  $('#candidates').replaceChildren(...list.map((c, i) => choiceButton(classOf(c), String(i + 1), c.confidence)));
}

function showNothing(on) {
  $('#none').hidden = !on;
  $('#crop').hidden = on;
  for (const b of document.querySelectorAll('[data-choice], #skip')) b.disabled = on;
}

async function showNext() {
  current = queue.shift() ?? null;
  $('#cropbox').setAttribute('aria-busy', String(!current));
  showChoices(current);
  showNothing(!current);
  fillQueue();
  if (!current) {
    image = null;
    paint();
    return;
  }
  const mine = current;
  const picture = await mine.picture;
  if (mine !== current) return;
  if (!picture) {
    toast(t('vote.nopicture'), 'bad');
    done.add(mine.key);
    showNext();
    return;
  }
  image = picture;
  $('#crop').dataset.key = mine.key;
  $('#about').textContent = [mine.device, mine.votes?.length ? t('vote.sofar', { n: mine.votes.length }) : ''].filter(Boolean).join(' · ') || ' ';
  paint();
  $('#cropbox').setAttribute('aria-busy', 'false');
}

async function fillQueue() {
  if (asking || queue.length >= AHEAD) return;
  asking = true;
  clearTimeout(timer);
  try {
    const voter = firstName();
    // The answer begins with what this voter holds already: ask for that and some more.
    const want = Math.min(50, AHEAD + queue.length + skipped.size + sending + (current ? 1 : 0));
    const { reviews } = await api('GET', `/v1/reviews/next?voter=${encodeURIComponent(voter)}&n=${want}`);
    if (voter === store.voter) {
      let fresh = reviews.filter((r) => !done.has(r.key) && r.key !== current?.key && !queue.some((q) => q.key === r.key));
      if (!current && !queue.length && fresh.every((r) => skipped.has(r.key))) skipped.clear();
      fresh = fresh.filter((r) => !skipped.has(r.key));
      queue.push(...fresh.map(lookAhead));
    }
  } catch (e) {
    if (e.status !== 503 && e.status !== 0) toast(e.message, 'bad');
  }
  asking = false;
  if (!current && queue.length) showNext();
  else if (queue.length === 0) timer = setTimeout(fillQueue, EMPTY_MS);
}

const pause = (ms) => new Promise((go) => setTimeout(go, ms));

/** Sends a vote until it is answered. Resolves to whether it counts. */
async function send(review, vote) {
  for (let n = 1; ; n++) {
    try {
      await api('POST', `/v1/reviews/${encodeURIComponent(review.key)}/votes`, vote);
      return true;
    } catch (e) {
      if (!(e instanceof ApiError)) throw e;
      if (e.status === 409) {
        toast(t('vote.late'));
        return false;
      }
      if ((e.status === 0 || e.status >= 500 || e.status === 429) && n < TRIES) {
        await pause(Math.min(250 * 2 ** n, 5000));
        continue;
      }
      toast(t('vote.lost', { why: e.message }), 'bad');
      return false;
    }
  }
}

async function refreshMine() {
  const voter = firstName();
  try {
    const mine = await api('GET', `/v1/voters/${encodeURIComponent(voter)}`);
    $('#m-all').textContent = number(mine.votes);
    $('#m-agree').textContent = mine.decided > 0 ? percent((mine.agreed ?? 0) / mine.decided) : '–';
    const stats = await api('GET', '/v1/reviews/stats');
    $('#m-left').textContent = number(stats.open);
  } catch {
    // Figures only: the next vote asks again.
  }
}

function flash(choice) {
  const b = document.querySelector(`.candidates [data-choice="${choice}"], .specials [data-choice="${choice}"], .classes [data-choice="${choice}"]`);
  b?.classList.add('hit');
  setTimeout(() => b?.classList.remove('hit'), 180);
}

function choose(choice) {
  if (!current || $('#cropbox').getAttribute('aria-busy') === 'true') return;
  const review = current;
  const vote = { voter: firstName(), vote_id: newId(), choice };
  if (store.expert) vote.expert = true;
  done.add(review.key);
  flash(choice);
  sending++;
  last = { review, voter: vote.voter, sent: send(review, vote).finally(() => sending--) };
  votes++;
  $('#m-now').textContent = number(votes);
  $('#undo').disabled = false;
  const mine = last;
  mine.sent.then((counts) => {
    if (!counts) {
      votes--;
      $('#m-now').textContent = number(votes);
      if (last === mine) {
        last = null;
        $('#undo').disabled = true;
      }
    }
    refreshMine();
  });
  showNext();
}

async function undo() {
  const mine = last;
  if (!mine) return;
  last = null;
  $('#undo').disabled = true;
  if (!(await mine.sent)) return;
  try {
    await api('DELETE', `/v1/reviews/${encodeURIComponent(mine.review.key)}/votes?voter=${encodeURIComponent(mine.voter)}`);
  } catch (e) {
    toast(t('vote.noundo', { why: e.message }), 'bad');
    return;
  }
  votes--;
  $('#m-now').textContent = number(votes);
  done.delete(mine.review.key);
  if (current) queue.unshift(current);
  queue.unshift(mine.review);
  showNext();
  refreshMine();
}

function skip() {
  if (!current) return;
  skipped.add(current.key);
  showNext();
}

function find(text) {
  const want = text.trim().toLowerCase();
  for (const b of $('#classes').children) {
    const c = tax.classes[b.dataset.choice];
    b.hidden = want !== '' && ![c.en, c.ko, c.code, String(c.index)].some((s) => s?.toLowerCase().includes(want));
  }
}

function onKey(e) {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const inField = e.target.matches('input');
  if (e.key === 'Escape' && inField) e.target.blur();
  if (e.key === 'Enter' && e.target.id === 'find') {
    const left = [...$('#classes').children].filter((b) => !b.hidden);
    if (left.length === 1) {
      choose(left[0].dataset.choice);
      e.target.value = '';
      find('');
    }
  }
  if (inField && e.target.type !== 'checkbox') return;
  const key = e.key.toLowerCase();
  if (/^[1-5]$/.test(key)) $('#candidates').children[Number(key) - 1]?.click();
  else if (key === 'n' || key === 'ㅜ') choose('not_a_sign');
  else if (key === 'u' || key === 'ㅕ') choose('unreadable');
  else if (key === 'o' || key === 'ㅐ') choose('other');
  else if (key === 's' || key === 'ㄴ') skip();
  else if (key === 'z' || key === 'ㅋ') undo();
  else if (key === '/') $('#find').focus();
  else return;
  e.preventDefault();
}

function rename() {
  const field = $('#voter');
  const name = field.value.trim();
  const fits = /^[A-Za-z0-9._@-]{1,63}$/.test(name);
  field.setCustomValidity(fits ? '' : t('vote.badname'));
  field.reportValidity();
  if (!fits || name === store.voter) return;
  store.voter = name;
  queue = [];
  done.clear();
  skipped.clear();
  last = null;
  $('#undo').disabled = true;
  showNext();
  refreshMine();
}

$('#voter').value = firstName();
$('#voter').addEventListener('change', rename);
$('#who').addEventListener('submit', (e) => {
  e.preventDefault();
  rename();
});
$('#expert').checked = store.expert;
$('#expert').addEventListener('change', (e) => (store.expert = e.target.checked));
$('#undo').addEventListener('click', undo);
$('#skip').addEventListener('click', skip);
$('#smooth').addEventListener('click', (e) => {
  const b = e.currentTarget;
  b.setAttribute('aria-pressed', String(b.getAttribute('aria-pressed') !== 'true'));
  paint();
});
$('#find').addEventListener('input', (e) => find(e.target.value));
$('.choices').addEventListener('click', (e) => {
  const b = e.target.closest('[data-choice]');
  if (b) choose(b.dataset.choice);
});
document.addEventListener('keydown', onKey);

showNothing(true);
for (;;) {
  try {
    tax = await taxonomy();
    break;
  } catch (e) {
    toast(e.message, 'bad');
    await pause(EMPTY_MS);
  }
}
$('#classes').replaceChildren(...tax.classes.map((c) => choiceButton(c)));
await fillQueue();
if (!current) showNext();
refreshMine();
