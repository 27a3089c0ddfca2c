// SPDX-License-Identifier: Apache-2.0
// What every page shares: texts, requests, elements, numbers, the header.

export const lang = document.documentElement.lang === 'ko' ? 'ko' : 'en';
const strings = (await import(`./strings.${lang}.js`)).default;

/** The text of a key; {name} in it is replaced by vars.name; KEY.one where vars.n is 1. */
export function t(key, vars = {}) {
  const text = (vars.n === 1 ? strings[`${key}.one`] : undefined) ?? strings[key];
  if (text === undefined) {
    console.error(`no text for ${key}`);
    return key;
  }
  return text.replace(/\{(\w+)\}/g, (_, name) => vars[name] ?? '');
}

export const $ = (selector, root = document) => root.querySelector(selector);

/** An element; props are properties, `data` sets data attributes, `aria` aria ones, `on` listeners. */
export function el(tag, props = {}, ...children) {
  const e = document.createElement(tag);
  const { data = {}, aria = {}, on = {}, ...rest } = props;
  Object.assign(e, rest);
  Object.assign(e.dataset, data);
  for (const [name, value] of Object.entries(aria)) e.setAttribute(name === 'role' ? 'role' : `aria-${name}`, value);
  for (const [name, fn] of Object.entries(on)) e.addEventListener(name, fn);
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status; // 0: no answer at all
    this.code = code;
  }
}

/** A JSON request; throws ApiError. body: object (sent as JSON), form or Blob. */
export async function api(method, path, body) {
  const init = { method, headers: { Accept: 'application/json' } };
  if (body instanceof FormData) {
    init.body = body;
  } else if (body instanceof Blob) {
    init.body = body;
    init.headers['Content-Type'] = body.type || 'image/jpeg';
  } else if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers['Content-Type'] = 'application/json';
  }
  let response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new ApiError(0, 'AWAY', t('error.away'));
  }
  const text = await response.text();
  let value = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    // Not JSON: only an error's status matters then.
  }
  if (!response.ok) throw new ApiError(response.status, value?.error?.code ?? '', value?.error?.message ?? t('error.status', { status: response.status }));
  return value;
}

const whole = new Intl.NumberFormat(lang);
const short = new Intl.NumberFormat(lang, { notation: 'compact', maximumFractionDigits: 1 });
export const number = (v) => (v === undefined || v === null || Number.isNaN(v) ? '–' : Math.abs(v) >= 100000 ? short.format(v) : whole.format(Math.round(v)));
export const decimal = (v, digits = 1) => (Number.isFinite(v) ? v.toFixed(digits) : '–');
export const percent = (v, digits = 0) => (Number.isFinite(v) ? `${(v * 100).toFixed(digits)} %` : '–');
export const brief = (digest) => String(digest ?? '').slice(0, 12);

export function when(time) {
  const d = new Date(time);
  return Number.isNaN(d.getTime()) ? '' : d.toLocaleString(lang, { dateStyle: 'short', timeStyle: 'short' });
}

/** "3 min 20 s" of seconds. */
export function span(s) {
  if (!Number.isFinite(s) || s < 0) return '';
  const m = Math.floor(s / 60);
  return m ? t('time.min', { m, s: Math.round(s % 60) }) : t('time.s', { s: Math.round(s) });
}

/** A class's name in the page's language; c is {en, ko} or {name, name_ko} or has only an index. */
export const nameOf = (c) => (lang === 'ko' ? (c?.ko ?? c?.name_ko ?? c?.name) : (c?.en ?? c?.name)) ?? c?.code ?? String(c?.index ?? '?');

export function pictogram(taxonomy, code, size) {
  const img = el('img', { className: 'pict', src: `/pictograms/${encodeURIComponent(taxonomy)}/${encodeURIComponent(code)}.svg`, alt: '', width: size, height: size });
  img.addEventListener('error', () => img.replaceWith(el('span', { className: 'pict text', textContent: code })), { once: true });
  return img;
}

let tax = null;
/** {name, classes: [{index, code, en, ko, shape}]} of the live bundle. */
export async function taxonomy() {
  tax ??= api('GET', '/v1/taxonomy').catch((e) => {
    tax = null;
    throw e;
  });
  return tax;
}

let toasts = null;
export function toast(text, kind = '') {
  toasts ??= document.body.appendChild(el('div', { className: 'toasts', aria: { role: 'status', live: 'polite' } }));
  const one = el('p', { className: `toast ${kind}`, textContent: text });
  toasts.append(one);
  setTimeout(() => one.remove(), kind === 'bad' ? 8000 : 4000);
}

/** Server-sent events with the header's light; handlers by event name. */
export function listen(handlers) {
  const light = $('#link');
  const source = new EventSource('/v1/events');
  const show = (on) => {
    light.className = `link ${on ? 'on' : 'off'}`;
    light.textContent = t(on ? 'link.on' : 'link.off');
  };
  source.addEventListener('open', () => show(true));
  source.addEventListener('error', () => {
    show(false);
    // A server that is away ends the stream for good in some browsers: begin anew.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(handlers), 2000);
  });
  for (const [name, fn] of Object.entries(handlers)) {
    source.addEventListener(name, (e) => {
      let data;
      try {
        data = JSON.parse(e.data);
      } catch {
        return;
      }
      fn(data);
    });
  }
}

for (const a of document.querySelectorAll('nav a')) if (a.dataset.page === document.body.dataset.page) a.setAttribute('aria-current', 'page');
for (const b of document.querySelectorAll('.langs button')) {
  b.setAttribute('aria-pressed', String(b.dataset.lang === lang));
  b.addEventListener('click', () => {
    document.cookie = `lang=${b.dataset.lang}; path=/; max-age=31536000; samesite=lax`;
    location.reload();
  });
}
