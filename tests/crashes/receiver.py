"""The subscriber of ./tests/crash, a process of its own: python3 receiver.py FILE

Prints its port. Takes every delivery, and writes a line "sequence event record" to FILE before it
answers 200; each fiftieth it refuses, so that there are second attempts. Few lines and no library,
because it must take as much as the server can send beside 64 posters on the same machine.
"""
import asyncio
import json
import os
import sys

REFUSED_EVERY = 50
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Connection(asyncio.Protocol):
    count = 0
    file = None

    def connection_made(self, transport):
        self.transport, self.input = transport, b""

    def data_received(self, data):
        self.input += data
        while b"\r\n\r\n" in self.input:
            head, rest = self.input.split(b"\r\n\r\n", 1)
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                          if line.lower().startswith(b"content-length:"))
            if len(rest) < length:
                return
            self.take(rest[:length])
            self.input = rest[length:]

    def take(self, body):
        Connection.count += 1
        if Connection.count % REFUSED_EVERY == 0:
            self.transport.write(REFUSED)
            return
        event = json.loads(body)
        record = event["data"].get("id", "-")
        os.write(self.file, f"{event['sequence']} {event['event']} {record}\n".encode())
        self.transport.write(TAKEN)


async def main(path):
    Connection.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
