"""A short form of the fuzzing, without coverage: true examples, damaged in every way that comes to mind. `make fuzz` goes on."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.fuzzing.targets import SEEDS, TARGETS

ROUNDS = 250
CORPUS = Path(__file__).parent / "corpus"
TOKENS = (
    b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"-Infinity", b'""', b'"x"', b"[]", b"{}", b"[[]]", b"9" * 25, b"1e-400",
    b'"NaN"', b'"inf"', b'"-0"', b'"1e400"', b"\xff", b"\x00", b'"\\ud800"', b"\n", b"=", b"[", b"{" * 30,
)  # fmt: skip


def damaged(seed: bytes, random: Random) -> bytes:
    """Some bytes changed, removed, doubled; a value replaced by another kind of thing; cut off."""
    data = bytearray(seed)
    for _ in range(random.randint(1, 4)):
        how, place = random.randrange(6), random.randrange(len(data) + 1)
        length = random.choice((1, 2, 5, 20))
        if how == 0 and data:
            data[place % len(data)] = random.randrange(256)
        elif how == 1:
            del data[place : place + length]
        elif how == 2:
            data[place:place] = data[place : place + length]
        elif how == 3:
            data[place : place + length] = random.choice(TOKENS)
        elif how == 4:
            colons = [at for at, byte in enumerate(data) if byte in b":,=["]
            if colons:
                at = random.choice(colons) + 1
                end = min((end for end in (data.find(mark, at) for mark in b",}]\n") if end > 0), default=len(data))
                data[at:end] = random.choice(TOKENS)
        else:
            del data[place:]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_a_decoder_returns_or_raises_its_own_error(name: str) -> None:
    target, random = TARGETS[name], Random(name)
    for seed in (*SEEDS[name], b"", b"{}", b"[]", b"null", b"[" * 5_000, b'{"x":' * 5_000, b"\xff\xfe"):
        target(seed)
    for _ in range(ROUNDS):
        target(damaged(random.choice(SEEDS[name]), random))


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_broke_a_decoder_once_does_not_any_more(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_examples() -> None:
    assert set(SEEDS) == set(TARGETS)
    assert all(SEEDS.values())
