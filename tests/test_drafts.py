"""No draft is merged: what `lakehouse new` wrote is to be read by somebody who knows the business."""

from __future__ import annotations

from lakehouse import contract
from lakehouse.conf import HOME


def test_no_contract_has_texts_that_are_still_to_be_written() -> None:
    found = {name: one.to_write for name, one in contract.load(HOME / "conf").items() if one.to_write}
    assert not found, "write what begins with TODO in these contracts"


def test_every_recomputation_is_written() -> None:
    files = sorted((HOME / "tests" / "oracle").glob("*.sql"))
    assert not [path.name for path in files if f"-- {contract.TO_WRITE}" in path.read_text(encoding="utf-8")]
