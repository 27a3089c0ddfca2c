# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that misbehaves on demand. It knows no protocol: it forwards bytes.

    p = Proxy('webhdfs://127.0.0.1:20004')  # or 'host:port'
    p.url, p.address       the same URL, 'host:port', through the proxy
    p.delay(2.0)           each piece of an answer waits that long (a slow server)
    p.drop_answers()       requests reach the server, answers are thrown away (outcome unknown)
    p.stall()              nothing is forwarded either way, connections stay
    p.refuse()             new connections are reset, those that are open are cut
    p.cut()                those that are open are cut now; new ones are served
    p.cut_after(n, 'up')   every connection is cut once n bytes went to the server ('up') or came from it ('down')
    p.heal()               from now on all is forwarded again; what stalled goes on
    p.connections          how many were accepted so far; p.up_bytes, p.down_bytes: what was forwarded
    p.wait(lambda: p.up_bytes > 100)   until it is so

A client that learns the server's own address from it goes past the proxy. Kafka: proxy(kafka), the instance, not its URL,
stands where a listener of the broker's sends its clients. MongoDB: add directConnection=true to the URL. WebHDFS: what goes
to the NameNode passes, the data that goes to the DataNode does not.
"""
import fcntl
import re
import socket
import struct
import termios
import threading
import time

PIECE = 65536
RESET = struct.pack('ii', 1, 0)  # SO_LINGER: close sends RST


class Proxy:
    def __init__(self, target, listen=0):
        host, port = re.search(r'([\w.-]+):(\d+)(?=[/?]|$)', target).groups()
        self.target = (host, int(port))
        self.changed = threading.Condition()
        self.pairs = {}  # (client, server): how many of its two ways have ended
        self.connections = self.up_bytes = self.down_bytes = 0
        self.closed = False
        self._plain()
        self.listener = socket.create_server(('127.0.0.1', listen))
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.url = target.replace(f'{host}:{port}', self.address)
        threading.Thread(target=self._accept, daemon=True).start()

    def _plain(self):
        self.delay_s, self.drops, self.stalls, self.refuses, self.limit = 0, False, False, False, {}

    def _set(self, **values):
        with self.changed:
            for name, value in values.items():
                setattr(self, name, value)
            self.changed.notify_all()

    def delay(self, seconds):
        self._set(delay_s=seconds)

    def drop_answers(self):
        self._set(drops=True)

    def stall(self):
        self._set(stalls=True)

    def refuse(self):
        self._set(refuses=True)
        self.cut()

    def cut_after(self, n, way='up'):
        self._set(limit={way: n})

    def heal(self):
        with self.changed:
            self._plain()
            self.changed.notify_all()

    def cut(self):
        with self.changed:
            pairs = list(self.pairs)
        for pair in pairs:
            self._end(pair)

    def wait(self, check, seconds=60):
        with self.changed:
            assert self.changed.wait_for(check, seconds), f'did not happen in {seconds} s'

    def close(self):
        self._set(closed=True)
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.listener.close()
        self.cut()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refuses or self.closed:
                self._reset(client)
                continue
            try:
                server = socket.create_connection(self.target, timeout=10)
                server.settimeout(None)
            except OSError:
                self._reset(client)
                continue
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (client, server)
            with self.changed:
                self.connections += 1
                self.pairs[pair] = 0
                self.changed.notify_all()
            for way, source, sink in (('up', client, server), ('down', server, client)):
                threading.Thread(target=self._forward, args=(pair, way, source, sink), daemon=True).start()

    @staticmethod
    def _reset(s):
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            s.shutdown(socket.SHUT_RD)  # wakes a thread that reads; the close sends the reset
        except OSError:
            pass
        s.close()

    def _end(self, pair):
        with self.changed:
            if pair not in self.pairs:
                return
            del self.pairs[pair]
            self.changed.notify_all()
        for s in pair:
            self._reset(s)

    def _forward(self, pair, way, source, sink):
        try:
            if self._pieces(pair, way, source, sink):
                sink.shutdown(socket.SHUT_WR)  # its end goes on to the other side; answers may still come back
                self._half_done(pair)
            else:
                self._end(pair)
        except OSError:
            self._end(pair)

    def _pieces(self, pair, way, source, sink):
        """Forwards until the source ends (True) or the connection is to be cut (False)."""
        done = 0
        while piece := source.recv(PIECE):
            with self.changed:
                if way == 'down' and self.delay_s:
                    self.changed.wait_for(lambda: pair not in self.pairs or not self.delay_s, self.delay_s)
                self.changed.wait_for(lambda: pair not in self.pairs or not self.stalls)
                if pair not in self.pairs:
                    return False
                if way == 'down' and self.drops:
                    continue
                limit = self.limit.get(way)
            whole = limit is None or done + len(piece) < limit
            if not whole:
                piece = piece[:max(0, limit - done)]
            sink.sendall(piece)
            done += len(piece)
            with self.changed:
                if way == 'up':
                    self.up_bytes += len(piece)
                else:
                    self.down_bytes += len(piece)
                self.changed.notify_all()
            if not whole:
                self._taken(sink)
                return False
        return True

    @staticmethod
    def _taken(sink):
        """Until the other side has acknowledged all: a reset throws away what has not left, and it would be counted as sent."""
        for _ in range(10000):
            if not struct.unpack('i', fcntl.ioctl(sink, termios.TIOCOUTQ, bytes(4)))[0]:
                return
            time.sleep(0.001)

    def _half_done(self, pair):
        with self.changed:
            if pair not in self.pairs:
                return
            self.pairs[pair] += 1
            if self.pairs[pair] < 2:
                return
            del self.pairs[pair]
            self.changed.notify_all()
        for s in pair:
            s.close()
