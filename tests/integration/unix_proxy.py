"""A proxy between an agent and its controller that cuts, delays and swallows what passes."""

import asyncio
import threading
from pathlib import Path


class UnixProxy:
    """Listens at `path` and passes all to `target`, both Unix sockets. Its methods may be called by any thread."""

    def __init__(self, path, target):
        self.path, self.target = Path(path), Path(target)
        self.delay_s = 0.0
        self._tasks = set()
        self._loop = asyncio.new_event_loop()
        self._passes = None
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait()

    def cut(self):
        """Ends every connection."""
        self._call(self._cut)

    def swallow(self):
        """Nothing passes any more, and nobody is told."""
        self._call(self._passes.clear)

    def restore(self):
        """What waited passes, without delay."""
        self.delay_s = 0.0
        self._call(self._passes.set)

    def close(self):
        self._call(self._loop.stop)
        self._thread.join()

    def _call(self, function):
        self._loop.call_soon_threadsafe(function)

    def _cut(self):
        for task in self._tasks:
            task.cancel()

    def _run(self, started):
        asyncio.set_event_loop(self._loop)
        self._passes = asyncio.Event()
        self._passes.set()
        server = self._loop.run_until_complete(asyncio.start_unix_server(self._serve, self.path))
        started.set()
        self._loop.run_forever()
        server.close()
        self._cut()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        other = None
        try:
            there, other = await asyncio.open_unix_connection(self.target)
            await asyncio.gather(self._pump(reader, other), self._pump(there, writer))  # until one ends
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in (writer, other):
                if end is not None:
                    end.transport.abort()

    async def _pump(self, source, sink):
        while data := await source.read(65536):
            await self._passes.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError  # one end hung up: so does the other
