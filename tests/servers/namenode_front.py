# SPDX-License-Identifier: Apache-2.0
"""An HTTP server before a real NameNode: passes everything on, and misbehaves on demand.

    f = Front('webhdfs://127.0.0.1:20004')
    f.url                    the same URL, to the front
    f.standby = True         answers StandbyException
    f.data = '127.0.0.1:9'   where it sends clients for bytes, instead of to the DataNode (a Proxy before it)
    f.gateway = True         sends them to itself, as HttpFS and Knox do
    f.login = 'ann:secret'   wants HTTP Basic
    f.before['RENAME'] = 1   that many requests of an operation are cut off before the NameNode hears of them
    f.after['RENAME'] = 1    that many are cut off after it has done them: the answer is lost
    f.old_rename = True      leaves renameoptions away, as gateways do that do not know it
    f.edit = fn              fn(op, text of an answer) gives another text
    f.asked                  operations, in order
    Front(url, tls=(cert, key))  speaks HTTPS
"""
import base64
import collections
import http.server
import re
import ssl
import threading
import urllib.parse

import requests

STANDBY = ('{"RemoteException":{"exception":"StandbyException","javaClassName":"org.apache.hadoop.ipc.StandbyException",'
           '"message":"Operation category READ is not supported in state standby"}}')


class Front:
    def __init__(self, url, tls=None):
        self.target = re.search(r'[\w.-]+:\d+', url).group(0)
        self.standby, self.gateway, self.old_rename = False, False, False
        self.login, self.data, self.edit = None, None, None
        self.before, self.after = collections.Counter(), collections.Counter()
        self.asked = []
        self.datanode = None
        self.lock = threading.Lock()
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *args):  # pylint: disable=arguments-differ
                pass

            def handle_any(self):
                front.serve(self)

            do_GET = do_PUT = do_DELETE = handle_any

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.scheme = 'http'
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = 'https'
        self.address = '127.0.0.1:%d' % self.server.server_port
        self.url = url.replace(self.target, self.address)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def count(self, counter, op):
        """True as often as the counter says for op."""
        with self.lock:
            counter[op] -= 1
            return counter[op] >= 0

    def serve(self, request):
        body = request.rfile.read(int(request.headers.get('Content-Length') or 0))
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        op = query['op'][0]
        for_data = 'namenoderpcaddress' in query
        with self.lock:
            self.asked.append(op)
        if self.login and request.headers.get('Authorization') != 'Basic ' + base64.b64encode(self.login.encode()).decode():
            return self.answer(request, 401, 'text/html', b'who are you?')
        if self.standby:
            return self.answer(request, 403, 'application/json', STANDBY.encode())
        if self.count(self.before, op):
            return self.hang_up(request)
        target = self.datanode if for_data else self.target
        path = request.path.replace('&renameoptions=NONE', '') if self.old_rename else request.path
        kind = request.headers.get('Content-Type')
        got = requests.request(request.command, f'http://{target}{path}', data=body, timeout=60,
                               headers={'Content-Type': kind} if kind else {})
        if self.count(self.after, op):
            return self.hang_up(request)
        text = got.content
        if not for_data and b'"Location"' in text:
            text = self.send_elsewhere(text.decode()).encode()
        if self.edit:
            text = self.edit(op, text.decode('latin-1')).encode('latin-1')
        return self.answer(request, got.status_code, got.headers.get('Content-Type', ''), text)

    def send_elsewhere(self, text):
        self.datanode = re.search(r'http://([\w.-]+:\d+)/', text).group(1)
        if self.gateway:
            return text.replace(f'http://{self.datanode}', f'{self.scheme}://{self.address}')
        return text.replace(self.datanode, self.data) if self.data else text

    @staticmethod
    def hang_up(request):
        request.close_connection = True
        request.connection.close()

    @staticmethod
    def answer(request, status, kind, body):
        request.send_response(status)
        request.send_header('Content-Type', kind)
        request.send_header('Content-Length', str(len(body)))
        request.end_headers()
        request.wfile.write(body)
