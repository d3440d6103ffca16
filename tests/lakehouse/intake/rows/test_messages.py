from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from lakehouse.delta.tables.types import arrow_schema
from lakehouse.intake.rows import messages
from lakehouse.readers import json_records, records

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = ["user_id", "sku"]
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BROKEN, NO_OBJECT, TWICE = "object_is_not_json", "element_is_no_object", "object_repeats_a_key"
INVALID, NUL, DEEP = "row_has_invalid_bytes", "row_has_a_nul", "object_is_too_deep"
Cells = dict[str, str]

# What is sent, what is wrong with it, and what it says.
SENT: list[tuple[bytes | None, str | None, Cells]] = [
    (b'{"user_id": "u1", "sku": "A"}', None, {"user_id": "u1", "sku": "A"}),
    (b' \n{"user_id":\n"u1"}\r\n', None, {"user_id": "u1"}),
    (b'\xef\xbb\xbf{"sku": "A"}', None, {"sku": "A"}),
    (b"{}", None, {}),
    (b'{"user_id": null, "sku": ""}', None, {"sku": ""}),
    (b'{"user_id": 1.10, "sku": 1e400}', None, {"user_id": "1.10", "sku": "1e400"}),
    (b'{"user_id": 123456789012345678901234567890}', None, {"user_id": "123456789012345678901234567890"}),
    (b'{"user_id":-0.0e-5 ,"sku" : true}', None, {"user_id": "-0.0e-5", "sku": "true"}),
    (b'{"user_id": [1, 2.50], "sku": {"a": null}}', None, {"user_id": "[1, 2.50]", "sku": '{"a": null}'}),
    (b'{"of": {"user_id": 5, "sku": {}}, "sku": "A"}', None, {"sku": "A"}),
    (rb'{"us\u0065r_id": "k\"\n\u00e9\ud83d\ude00"}', None, {"user_id": 'k"\né😀'}),
    (rb'{"sku": "a\"user_id\": 5, b"}', None, {"sku": 'a"user_id": 5, b'}),
    (b'{"sku": ": NaN", "x": 1e999}', None, {"sku": ": NaN"}),
    (b'{"x": 1, "x": 2, "sku": "A"}', None, {"sku": "A"}),  # of no column; the readers of files refuse it
    (None, None, {}),
    (b"", BROKEN, {}),
    (b" ", BROKEN, {}),
    (b"null", NO_OBJECT, {}),
    (b"12", NO_OBJECT, {}),
    (b'"text"', NO_OBJECT, {}),
    (b'[{"sku": "A"}]', NO_OBJECT, {}),
    (b'{"sku": "A"', BROKEN, {}),
    (b'{"sku": "A"}}', BROKEN, {}),
    (b'{"sku": "A"}{"sku": "B"}', BROKEN, {}),
    (b'{"sku": "A"},"x":{"y": 1}', BROKEN, {}),
    (b'{"a": {}', BROKEN, {}),
    (b'{"sku": 01}', BROKEN, {}),
    (b'{"sku": NaN}', BROKEN, {}),
    (b'{"x": [-Infinity]}', BROKEN, {}),
    (b'{"sku": tru}', BROKEN, {}),
    (b"{'sku': 'A'}", BROKEN, {}),
    (b'{"sku": "A",}', BROKEN, {}),
    (b'{"sku": "a\nb"}', BROKEN, {}),
    (rb'{"sku": "\x41"}', BROKEN, {}),
    (b'{"sku": "A"} // not JSON', BROKEN, {}),
    (b'{"sku": "A"}\x00{"sku": 1}', BROKEN, {}),
    (b"not JSON at all", BROKEN, {}),
    (b'{"sku": "A", "sku": "B"}', TWICE, {"sku": "B"}),
    (b'{"sku": "\xff"}', INVALID, {"sku": r"\xFF"}),
    (b'{"x": "\xc3"}', INVALID, {}),
    (rb'{"sku": "\ud800"}', INVALID, {"sku": r"\ud800"}),
    (rb'{"sku": "\udf00\ud800"}', INVALID, {"sku": r"\udf00\ud800"}),
    (rb'{"sku": "a\u0000b"}', NUL, {"sku": "a\0b"}),
    (b'{"x": ' + b"[" * 101 + b"]" * 101 + b"}", DEEP, {}),
    ('{"sku": "A"}'.encode("utf-16"), BROKEN, {}),
    (b'{"sku": "' + b"a" * (records.LARGEST + 1) + b'"}', "row_is_too_large", {}),
]


def read(sent: Sequence[bytes | None]) -> list[tuple[str | None, Cells]]:
    texts, problem, raw = messages.parsed(pa.array(sent, pa.binary()), COLUMNS)
    assert [one.is_valid for one in raw] == [one.is_valid for one in problem]
    rows = pa.table(texts).to_pylist()
    cells = [{name: text for name, text in row.items() if text is not None} for row in rows]
    return list(zip(problem.to_pylist(), cells, strict=True))


@pytest.mark.parametrize(("sent", "problem", "cells"), SENT, ids=[str((one or b"")[:24]) for one, _, _ in SENT])
def test_a_message_is_what_the_readers_of_json_say_of_it(sent: bytes | None, problem: str | None, cells: Cells) -> None:
    """Alone, and between right ones: Arrow reads many together."""
    right = b'{"user_id": "u1"}'
    assert read([sent]) == [(problem, cells)]
    assert read([None] * 1000 + [sent])[1000] == (problem, cells)  # as many that hold nothing hide nothing
    assert read([right, sent, right]) == [(None, {"user_id": "u1"}), (problem, cells), (None, {"user_id": "u1"})]


def test_messages_are_told_apart_whatever_stands_beside_them() -> None:
    """Each by itself says what it says among thousands in any order: those before, not Arrow, are the judge."""
    chance = random.Random(7)  # noqa: S311  no secret
    parts = ["{", "}", "[", "]", ",", ":", '"', "\\", "\n", " ", '"sku"', '"x"', "1", "1.0", "-", "null", "true", "é"]
    odd = ["".join(chance.choices(parts, k=chance.randint(1, 12))) for _ in range(2_000)]
    odd += ['{"sku":' + "".join(chance.choices(parts, k=chance.randint(1, 6))) + "}" for _ in range(2_000)]
    sent = [one.encode() for one in odd] + [one for one, _, _ in SENT[:-1] if one is not None]
    sent += [json.dumps({"user_id": number, "sku": f"S{number}"}).encode() for number in range(6_000)]
    chance.shuffle(sent)
    judged = [json_records.one_object(one) for one in sent]
    found: list[Any] = [one.cells for one in judged]
    of_columns = [{name: one[name] for name in COLUMNS if one.get(name) is not None} for one in found]
    x_twice = [one.problem == TWICE and text.count(b'"sku"') < 2 for one, text in zip(judged, sent, strict=True)]
    expected = [
        (None if is_of_no_column else one.problem, cells)
        for one, cells, is_of_no_column in zip(judged, of_columns, x_twice, strict=True)
    ]
    assert read(sent) == expected


IN_A_WORKER = """
import pickle, sys
rows, batch = pickle.load(sys.stdin.buffer)
(made,) = rows([batch])
print(made.to_pylist()[0]["_headers"], *sorted({"pysail", "pyspark", "lakehouse.engines"} & sys.modules.keys()))
"""


@pytest.mark.slow
def test_workers_make_the_same_rows_of_what_kafkas_source_gives_and_need_no_engine() -> None:
    headers = [[{"key": "trace", "value": b"\xff"}, {"key": "no", "value": None}], None]
    sent: dict[str, list[Any]] = {"partition": [0, 1], "offset": [3, 7], "time": [NOON, None], "key": [b"k", None]}
    sent["value"] = [b'{"sku": 1}', None]
    schema = arrow_schema(dict(messages.OF_A_MESSAGE))
    as_text = '[["trace", {"base64": "/w=="}], ["no", null]]'
    here = pa.Table.from_pydict(sent | {"headers": [as_text, None]}, schema)
    kind = pa.list_(pa.struct({"key": pa.string(), "value": pa.binary()}))
    there = pa.record_batch(
        sent | {"headers": headers}, pa.schema([*[one for one in schema if one.name != "headers"], ("headers", kind)])
    )
    how = ({**messages.CORE_COLUMNS, "sku": "string"}, "events", 4, NOON)
    (made,) = messages.rows_of_source(*how, [there])
    assert pa.Table.from_batches([made]) == messages.rows(*how, messages.read(here, ["sku"]))
    work = pickle.dumps((partial(messages.rows_of_source, *how), there))
    done = subprocess.run([sys.executable, "-c", IN_A_WORKER], input=work, capture_output=True, check=True)
    assert done.stdout.decode().strip() == as_text
