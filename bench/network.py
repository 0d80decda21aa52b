"""`python -m bench.network PORT MILLISECONDS`: a TCP forwarder that keeps what it forwards for a while.

It makes a server of this machine a distant one. It prints the port of 127.0.0.1 on which it listens, and runs until it
is ended.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from functools import partial

_BLOCK = 1 << 16


async def serve(port: int, delay: float) -> None:
    """Forward to the port; every byte takes `delay` seconds in each direction, however many are on the way."""
    server = await asyncio.start_server(partial(_connected, port, delay), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def _connected(port: int, delay: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_forward(reader, far_writer, delay), _forward(far_reader, writer, delay))


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    now = asyncio.get_running_loop().time
    travelling: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    arriving = asyncio.create_task(_arrive(travelling, writer))
    with suppress(ConnectionError):
        while data := await reader.read(_BLOCK):
            travelling.put_nowait((now() + delay, data))
    travelling.put_nowait((now() + delay, b""))
    await arriving


async def _arrive(travelling: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    now = asyncio.get_running_loop().time
    with suppress(ConnectionError):
        while True:
            due, data = await travelling.get()
            await asyncio.sleep(max(0.0, due - now()))
            if not data:
                break
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
