"""A deployment with a full backup, the command line inside this process, and as a real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moi_backup.cli.main import run
from tests.engine.conftest import Server
from tests.engine.deployment import Deployment
from tests.engine.shop import backed_up_shop


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as the one JSON document it must be."""
        return msgspec.json.decode(self.out)


Command = Callable[..., Answer]


def start(arguments: Sequence[str], deployment: Deployment, **environ: str) -> subprocess.Popen[str]:
    """Start the command line as its own process."""
    script = "from moi_backup.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=deployment.folder,
        env={"PATH": os.environ["PATH"], **deployment.environ, **environ},
    )


@pytest.fixture(scope="module")
def shop(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A small shop with one full backup; tests of this module may look at it and back it up again."""
    with backed_up_shop(postgres_server, tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.fixture
def copied(shop: Deployment, tmp_path: Path) -> Deployment:
    """The same shop with a repository of its own that may be damaged."""
    shutil.copytree(shop.folder / "repository", tmp_path / "repository")
    made = Deployment(shop.url, tmp_path)
    made.configure("")
    return made


@pytest.fixture
def moi(shop: Deployment, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command inside this process; `on` another deployment, with more environment."""

    def call(*arguments: str, on: Deployment = shop, **environ: str) -> Answer:
        capsys.readouterr()
        code = run(arguments, environ={**on.environ, **environ}, cwd=on.folder, effective_uid=1)
        captured = capsys.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


@pytest.fixture
def process(shop: Deployment) -> Command:
    """Run a command as its own process."""

    def call(*arguments: str, on: Deployment = shop, **environ: str) -> Answer:
        with start(arguments, on, **environ) as child:
            out, err = child.communicate(timeout=60)
        return Answer(child.returncode, out, err)

    return call
