"""Whatever is done to a stored object is found by name, and no reader takes it for what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.conftest import Server
from tests.engine.tamper.document import DOCUMENT, parse, render
from tests.engine.tamper.examine import examine
from tests.engine.tamper.kinds import KINDS, kinds_of
from tests.engine.tamper.sample import PROTECTIONS, Sample, make_sample
from tests.engine.tamper.tampering import WAYS, every_flip

ALL = [(protection, title) for protection in PROTECTIONS for title in kinds_of(protection)]
LENGTHS = ("truncate", "empty")  # found in an encrypted repository by the code that finds them in a plain one


def _cells() -> Iterator[Any]:
    """Every cell; those that say little new are tried by `make soak` alone."""
    for protection, title in ALL:
        for way in WAYS:
            soak = protection == "encrypted" and way in LENGTHS and not title.startswith("`keys/")
            yield pytest.param(protection, title, way, marks=[pytest.mark.soak] if soak else [])


@pytest.fixture(scope="module")
def sample(postgres_server: Server, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Sample:
    """The sample under each protection; no test changes it."""
    return make_sample(postgres_server, tmp_path_factory.mktemp("sample"), protection=request.param)


@pytest.mark.parametrize(("sample", "title", "way"), _cells(), indirect=["sample"])
def test_a_tampered_object_is_found_by_name_or_proven_harmless(sample: Sample, tmp_path: Path, title: str, way: str):
    """As the document says of this kind and way, with the readers and what comes after."""
    cells = parse(DOCUMENT.read_text("utf-8"))
    assert examine(sample, KINDS[title], way, WAYS[way], folder=tmp_path) == cells[sample.protection, title, way]


def test_the_document_is_what_the_matrix_makes_of_its_cells():
    """Its words and its columns come from the kinds; write it anew with python -m tests.engine.tamper."""
    text = DOCUMENT.read_text("utf-8")
    assert render(parse(text)) == text


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("sample", "title"), ALL, indirect=["sample"])
def test_every_bit_is_found_by_name_or_proven_harmless(sample: Sample, tmp_path: Path, title: str):
    """The same promises for each bit of a small object, and for a thousand of a larger one."""
    assert examine(sample, KINDS[title], "flip", every_flip, folder=tmp_path)
