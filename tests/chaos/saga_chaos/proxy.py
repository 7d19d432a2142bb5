"""A TCP proxy whose connections can be cut and stalled: between the broker and all who talk
to it. It moves bytes and knows no protocol. Its loop runs in a thread of its own; the methods
are for any other."""

import asyncio
import random
import socket
import struct
import threading

CHUNK = 4096  # small, so that a cut often falls into the middle of something


class Tunnel:
    """One connection of a client and ours to the target."""

    def __init__(self, client, target):
        self.writers = (client, target)
        self.flowing = asyncio.Event()
        self.flowing.set()

    def cut(self, reset):
        for writer in self.writers:
            if reset and not writer.is_closing():
                # Linger 0: the other end gets a RST, and what was on its way is lost.
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self.flowing.set()


class Proxy:
    def __init__(self, target_host, target_port, seed=0, port=0):
        self.target = (target_host, target_port)
        self.draws = random.Random(f"{seed}/proxy")
        self.tunnels = set()
        self.port = port
        self.connections = 0
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def open(self):
        self.thread.start()
        self.ready.wait()
        return self

    def close(self):
        self.call(self.finish)
        self.thread.join(timeout=5)

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.serve())
        self.loop.close()

    async def serve(self):
        self.finished = self.loop.create_future()
        server = await asyncio.start_server(self.accept, "127.0.0.1", self.port, limit=CHUNK)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.finished
        server.close()
        for tunnel in list(self.tunnels):
            tunnel.cut(reset=True)
        rest = asyncio.all_tasks(self.loop) - {asyncio.current_task(self.loop)}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def finish(self):
        if not self.finished.done():
            self.finished.set_result(None)

    async def accept(self, reader, writer):
        try:
            target_reader, target_writer = await asyncio.open_connection(*self.target, limit=CHUNK)
        except OSError:
            writer.transport.abort()
            return
        tunnel = Tunnel(writer, target_writer)
        self.tunnels.add(tunnel)
        self.connections += 1
        try:
            await asyncio.gather(self.pump(tunnel, reader, target_writer),
                                 self.pump(tunnel, target_reader, writer))
        finally:
            tunnel.cut(reset=False)
            self.tunnels.discard(tunnel)

    async def pump(self, tunnel, reader, writer):
        """One direction. Its end is the end of both."""
        try:
            while True:
                chunk = await reader.read(CHUNK)
                await tunnel.flowing.wait()
                if not chunk:
                    break
                writer.write(chunk)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            tunnel.cut(reset=False)

    # ---------------------------------------------------------------- from outside

    def call(self, function):
        """In the loop's thread; returns what it returns."""
        done = threading.Event()
        result = []

        def run():
            try:
                result.append(function())
            finally:
                done.set()

        self.loop.call_soon_threadsafe(run)
        done.wait(timeout=10)
        return result[0] if result else None

    def some(self, all_of_them):
        tunnels = sorted(self.tunnels, key=id)
        return tunnels if all_of_them or not tunnels else [self.draws.choice(tunnels)]

    def cut(self, all_of_them):
        """Returns how many were cut."""
        def run():
            chosen = self.some(all_of_them)
            for tunnel in chosen:
                tunnel.cut(reset=self.draws.random() < 0.5)
            return len(chosen)
        return self.call(run)

    def stall(self, all_of_them, seconds):
        """Nothing passes for so long; who is connected hears nothing of it. Returns how many."""
        def run():
            chosen = self.some(all_of_them)
            for tunnel in chosen:
                tunnel.flowing.clear()
                self.loop.call_later(seconds, tunnel.flowing.set)
            return len(chosen)
        return self.call(run)
