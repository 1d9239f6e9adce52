"""A file is there whole or not at all."""

from pathlib import Path

import pytest

from stylevid.files import written_whole


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "made" / "on the way" / "a.txt"
    with written_whole(path) as partial:
        partial.write_text("whole", "utf-8")
        assert not path.exists() and partial.name == path.name
    assert path.read_text("utf-8") == "whole"
    assert [*path.parent.iterdir()] == [path]
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode  # others may read it


@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_after_an_error_all_is_as_it_was(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("before", "utf-8")
    with pytest.raises(type(error)), written_whole(path) as partial:
        partial.write_text("half", "utf-8")
        raise error
    assert path.read_text("utf-8") == "before"
    assert [*tmp_path.iterdir()] == [path]
