# SPDX-License-Identifier: Apache-2.0
"""The pages in a real headless Chromium: live frames with boxes, votes by keyboard, both languages, versions."""
import shutil
import subprocess
import sys
import time

import pytest
import requests

from rig import BUNDLE, ROOT, wait_until

CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason='no chromium and chromedriver: apt-get install chromium-driver')
WAIT_S = 60


class Browser:
    """A Chromium window with the few words the tests need."""

    def __init__(self, language='en', width=1300, height=1000):
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in ('--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', f'--window-size={width},{height}'):
            options.add_argument(flag)
        options.add_experimental_option('prefs', {'intl.accept_languages': language})
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))

    def open(self, url):
        self.driver.get(url)

    def js(self, script, *args):
        return self.driver.execute_script(script, *args)

    def wait(self, script, what, *args):
        """Runs `script` in the page until it gives something true, which is returned."""
        end = time.monotonic() + WAIT_S
        while True:
            got = self.js(script, *args)
            if got:
                return got
            assert time.monotonic() < end, f'{what} did not come in {WAIT_S} s; page log: {self.log()}'
            time.sleep(0.05)

    def find(self, selector):
        return self.driver.find_element('css selector', selector)

    def text(self, selector):
        return self.find(selector).text

    def press(self, keys):
        self.driver.find_element('css selector', 'body').send_keys(keys)

    def log(self):
        return [e['message'] for e in self.driver.get_log('browser') if e['level'] == 'SEVERE']


@pytest.fixture
def browser():
    browsers = []

    def start(**kw):
        browsers.append(Browser(**kw))
        return browsers[-1]

    yield start
    for b in browsers:
        b.driver.quit()


CROP = "return document.querySelector('#cropbox').getAttribute('aria-busy') === 'false' && document.querySelector('#crop').dataset.key"
OTHER_CROP = ("const k = document.querySelector('#crop').dataset.key;"
              "return document.querySelector('#cropbox').getAttribute('aria-busy') === 'false' && k !== arguments[0] && k")
PIXELS = """
const canvas = document.querySelector(arguments[0]);
const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
const style = getComputedStyle(document.documentElement);
const wanted = ['--box-ok', '--box-ask'].map((n) => parseInt(style.getPropertyValue(n).trim().slice(1), 16));
const colours = new Set();
let boxes = 0;
for (let i = 0; i < data.length; i += 4) {
  const c = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
  boxes += wanted.includes(c);
  if (i % 400 === 0) colours.add(c);
}
return [colours.size, boxes];
"""


def test_watch_page_shows_live_frames_with_their_boxes(server, browser):
    b = browser()
    b.open(server.url + '/')
    # Picture and boxes are looked at in one go: the next frame may come at any moment.
    colours, boxes = b.wait("if (!(document.querySelector('#view').dataset.boxes > 0)) return null;" + PIXELS, 'a frame with signs', '#view')
    assert colours > 100, 'the canvas shows no picture'
    assert boxes > 30, 'no box is drawn'
    first = b.js("return document.querySelector('#view').dataset.frame")
    b.wait("return document.querySelector('#view').dataset.frame !== arguments[0]", 'the next frame', first)
    b.wait("return document.querySelectorAll('#strip canvas').length >= 3", 'the strip of frames')
    b.find('#pause').click()
    kept = b.js("return document.querySelector('#view').dataset.frame")
    count = b.js("return document.querySelector('#n-frames + span + small').textContent")
    b.wait("return document.querySelector('#n-frames + span + small').textContent !== arguments[0]", 'further figures', count)
    assert b.js("return document.querySelector('#view').dataset.frame") == kept, 'a paused view went on'
    assert float(b.wait("const n = parseFloat(document.querySelector('#n-frames').textContent); return n > 0 && n", 'frames per second')) > 0
    assert b.text('#link') == 'live'
    assert b.js("return document.querySelectorAll('#signs img').length") > 0
    assert b.text('#why') not in ('', '…')
    assert b.log() == []


def test_own_picture_is_answered_on_the_page(start_server, browser, demo_frames, tmp_path):
    server = start_server()
    b = browser()
    b.open(server.url + '/')
    picture, broken = tmp_path / 'road.jpg', tmp_path / 'broken.jpg'
    answers = [(f, server.frame(f)) for f in demo_frames[:10]]
    frame, answer = next((f, a) for f, a in answers if a['signs'])
    picture.write_bytes(frame)
    b.wait("return document.querySelector('#link').textContent === 'live'", 'the stream')
    b.find('#file').send_keys(str(picture))
    shown = b.wait("const v = document.querySelector('#view'); return document.querySelector('#caption').textContent.includes('your picture') "
                   "&& v.dataset.boxes", 'the answer')
    assert int(shown) == len(answer['signs'])
    broken.write_bytes(b'\xff\xd8 no picture')
    b.find('#file').send_keys(str(broken))
    b.wait("return document.querySelector('.toast.bad')", 'the message')


def test_labeling_page_votes_by_key_and_by_click_and_goes_on(start_server, browser):
    server = start_server('--demo', '--demo-rate', '3', '--reviews-cap', '3')
    b = browser()
    b.open(server.url + '/label')
    first = b.wait(CROP, 'a crop')
    voter = b.js("return document.querySelector('#voter').value")
    assert voter
    assert b.js(PIXELS, '#crop')[0] > 20, 'the crop is not drawn'
    candidate = b.js("return document.querySelector('#candidates button').dataset.choice")
    b.press('1')
    second = b.wait(OTHER_CROP, 'the next crop', first)

    def vote_on(key):
        votes = server.get(f'/v1/reviews/{key}').json()['votes']
        return next((str(v['choice']) for v in votes if v['voter'] == voter), None)

    def wait_vote(key, want):
        wait_until(lambda: vote_on(key) == want, WAIT_S, f'the vote {want} on {key}')

    wait_vote(first, candidate)
    b.find('[data-choice="not_a_sign"]').click()
    b.wait(OTHER_CROP, 'the next crop', second)
    wait_vote(second, 'not_a_sign')
    assert b.wait("const n = document.querySelector('#m-now').textContent; return n === '2' && n", 'own progress')
    b.press('z')
    back = b.wait("const k = document.querySelector('#crop').dataset.key; return k === arguments[0] && k", 'the crop again', second)
    assert vote_on(back) is None
    b.wait("return document.querySelector('#m-now').textContent === '1'", 'progress less one')
    b.wait(CROP, 'its picture')
    b.find('#find').send_keys('206')
    assert b.js("return [...document.querySelectorAll('#classes button')].filter((x) => !x.hidden).length") == 1
    b.find('#find').send_keys('\n')
    b.wait(OTHER_CROP, 'the next crop', second)
    wait_vote(second, '14')
    assert b.log() == []


def test_two_labelers_keep_their_names(start_server, browser):
    server = start_server('--demo', '--demo-rate', '3', '--reviews-cap', '3')
    b = browser()
    b.open(server.url + '/label')
    b.wait(CROP, 'a crop')
    field = b.find('#voter')
    field.clear()
    field.send_keys('mina\n')
    key = b.wait(CROP, 'a crop for mina')
    b.press('u')
    b.wait(OTHER_CROP, 'the next crop', key)
    wait_until(lambda: any(v['voter'] == 'mina' and v['choice'] == 'unreadable'
                           for v in server.get(f'/v1/reviews/{key}').json()['votes']), WAIT_S, 'the vote of mina')
    b.open(server.url + '/label')
    assert b.wait("return document.querySelector('#voter').value", 'the name') == 'mina'


def test_language_follows_the_browser_and_the_switch(server, browser):
    assert '<html lang="ko">' in requests.get(server.url + '/', headers={'Accept-Language': 'ko-KR,ko;q=0.9'}, timeout=30).text
    assert '<html lang="en">' in requests.get(server.url + '/', headers={'Accept-Language': 'fr'}, timeout=30).text
    b = browser(language='ko')
    b.open(server.url + '/label')
    assert b.js('return document.documentElement.lang') == 'ko'
    b.wait("return document.querySelector('#classes button')", 'the classes')
    assert '일시정지' in b.text('#classes')
    b.find('.langs [data-lang="en"]').click()
    b.wait("return document.documentElement.lang === 'en' && document.querySelector('#classes button')", 'English')
    assert 'Stop' in b.text('#classes')
    b.open(server.url + '/')
    assert b.js('return document.documentElement.lang') == 'en', 'the choice is kept'
    b.find('.langs [data-lang="ko"]').click()
    b.wait("return document.documentElement.lang === 'ko'", 'Korean')
    b.wait("return document.querySelector('#link').textContent === '실시간'", 'the stream')
    assert b.log() == []


def test_expert_makes_a_version_and_sees_it(server, browser):
    b = browser()
    b.open(server.url + '/expert')
    b.wait("return document.querySelector('#log li')", 'the log of models')
    assert 'live' in b.text('#models')

    def some_rows():
        return server.get('/v1/status').json()['dataset']['rows'] > 0
    wait_until(some_rows, WAIT_S, 'a labelled row')
    b.find('#note').send_keys('first')
    b.find('#snap button').click()
    b.wait("return document.querySelector('#versions b')", 'the version')
    b.find('#versions .acts button').click()
    b.wait("return document.querySelectorAll('#version .barlist li').length > 0", 'its classes')
    assert b.log() == []


def test_expert_sends_a_model(start_server, browser):
    server = start_server()
    before = server.get('/v1/models').json()['live']
    b = browser()
    b.open(server.url + '/expert')
    b.wait("return document.querySelector('#log li')", 'the log of models')
    b.find('#part option[value="bundle"]').click()
    other = server.data / 'other.bundle'
    other.write_bytes(BUNDLE.read_bytes())
    b.find('#model-file').send_keys(str(other))
    b.find('#own button').click()
    b.wait("return document.querySelector('.toast')?.textContent.startsWith('Stored as')", 'the answer')
    assert server.get('/v1/models').json()['live'] == before
    (server.data / 'no.onnx').write_bytes(b'no model')
    b.find('#part option[value="classifier"]').click()
    b.find('#model-file').send_keys(str(server.data / 'no.onnx'))
    b.find('#own button').click()
    b.wait("return document.querySelector('.toast.bad')", 'the refusal')


@pytest.mark.parametrize('path', ['/', '/label', '/expert'])
def test_pages_fit_a_phone_and_name_their_fields(server, browser, path):
    b = browser(width=500, height=900)
    b.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {'width': 360, 'height': 760, 'deviceScaleFactor': 2, 'mobile': True})
    b.open(server.url + path)
    b.wait("return document.readyState === 'complete'", 'the page')
    assert b.js('return document.documentElement.scrollWidth') <= 360
    unnamed = b.js("""return [...document.querySelectorAll('input, select, button, canvas[role], img')].filter((e) => {
        if (e.tagName === 'IMG') return e.getAttribute('alt') === null;
        return !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim() || e.querySelector('img'));
    }).map((e) => e.outerHTML)""")
    assert unnamed == []


def test_headers_and_caching(server):
    r = server.get('/')
    policy = r.headers['Content-Security-Policy']
    assert "default-src 'none'" in policy and 'unsafe' not in policy
    assert r.headers['X-Content-Type-Options'] == 'nosniff'
    for path in ('/web/base.js', '/web/style.css', '/pictograms/de/206.svg', '/favicon.ico', '/favicon'):
        first = server.get(path)
        again = requests.get(server.url + path, headers={'If-None-Match': first.headers['ETag']}, timeout=30)
        assert again.status_code == 304 and again.content == b''
    for path in ('/web/none.js', '/web/..%2Fde.json', '/pictograms/de/none.svg', '/pictograms/xx/206.svg'):
        server.get(path, code=404)


def test_pictograms_are_what_their_script_draws(tmp_path):
    subprocess.run([sys.executable, str(ROOT / 'tools' / 'pictograms.py'), str(tmp_path)], check=True)
    drawn = {p.name: p.read_text() for p in tmp_path.glob('*.svg')}
    assert len(drawn) == 43
    assert drawn == {p.name: p.read_text() for p in (ROOT / 'taxonomy' / 'de').glob('*.svg')}, 'run tools/pictograms.py'
