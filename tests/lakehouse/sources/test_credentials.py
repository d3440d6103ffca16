"""Keys and passwords are read from where they stand, and seen nowhere else."""

from pathlib import Path

import pytest

from lakehouse.sources.credentials import secret
from lakehouse.sources.windows import SourceError

CANARY = "s3cr3t-canary"


def test_a_secret_is_revealed_only_where_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALES_API_KEY", CANARY)
    (tmp_path / "key").write_text(f"{CANARY}\n")
    for one in (secret("SALES_API_KEY"), secret(f"file:{tmp_path / 'key'}")):
        assert one.revealed == CANARY
        assert CANARY not in f"{one} {one!r}"


def test_credentials_are_found_once_they_stand_where_the_words_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SALES_API_KEY", raising=False)
    with pytest.raises(SourceError, match="The environment variable SALES_API_KEY is not set"):
        secret("SALES_API_KEY")
    place = tmp_path / "key"
    with pytest.raises(SourceError, match=f"{place}, where credentials stand, cannot be read: No such"):
        secret(f"file:{place}")
    place.write_text("\n")
    with pytest.raises(SourceError, match=f"{place}, where credentials should stand, is empty. Write them"):
        secret(f"file:{place}")
    place.write_text(CANARY)
    assert secret(f"file:{place}").revealed == CANARY
