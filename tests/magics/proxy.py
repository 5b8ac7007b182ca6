"""A TCP proxy that hands on what a server says only so fast: a slow network in front of a real emulator."""

from __future__ import annotations

import socket
import threading
import time

_PIECE = 16 * 1024


class SlowProxy:
    """Listens on `port`; `bytes_per_second` may be changed at any time, 0 stalls."""

    def __init__(self, target_port: int) -> None:
        self.bytes_per_second = float("inf")
        self._target = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._failing = False
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def fail(self) -> None:
        """Cut every connection, and every new one."""
        self._failing = True
        for one in list(self._open):
            one.shutdown(socket.SHUT_RDWR)

    def heal(self) -> None:
        self._failing = False

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._failing:
                client.close()
                continue
            self._open.add(client)
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._hand_on, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._hand_on, args=(server, client, True), daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket, slow: bool) -> None:
        try:
            while piece := source.recv(_PIECE):
                while slow and self.bytes_per_second == 0:
                    time.sleep(0.01)
                if slow:
                    time.sleep(len(piece) / self.bytes_per_second)
                sink.sendall(piece)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                self._open.discard(end)
                end.close()
