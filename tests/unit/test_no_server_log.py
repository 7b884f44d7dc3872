"""What is given as a server's log and is no table at all: the message says what it is and what was expected."""

from __future__ import annotations

import pytest

from discosim import cli
from discosim.core.errors import UserError
from discosim.traces.server_logs import read_server_log
from discosim.traces.server_series import read_server_series

NO_TEXT = bytes([0x93, 0x41, 0x07, 0xC8, 0xFF, 0x0A, 0x2C, 0xE1]) * 40
WRONG = [
    (NO_TEXT, "is no text"),
    (b"just a word\nand another\n", "begins with 'just a word', which names no columns"),
    (b"1,2,3\n4,5,6\n", "begins with '1,2,3': numbers where the names of columns should stand"),
    (b"[1, 2, 3]", "is a JSON list whose first entry is a number"),
    (b'["a", "b"]', "is a JSON list whose first entry is a text"),
    (b"[[1, 2], [3]]", "is a JSON list of lists"),
    (b"[]", "is an empty JSON list"),
    (b"[oops", "begins with '[' and is no JSON"),
    (b"{}", "is an empty JSON object"),
    (b"PAR1 and no more", "is not a readable Parquet file"),
    (b" \n\n", "holds nothing but blanks"),
]


@pytest.mark.parametrize(("content", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_is_no_table_is_called_what_it_is(content, said, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(content)
    for read, row in ((read_server_log, "a request"), (read_server_series, "a moment")):
        with pytest.raises(UserError) as refused:
            read(path)
        assert refused.value.message.startswith(said)
        assert f"expected a table with a row {row}" in refused.value.message


def test_a_folder_is_no_log(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("prompt_tok,output_tok\n1,1\n", encoding="utf-8")
    assert cli.main(["engine", "calibrate", str(tmp_path), "--out", str(tmp_path / "out.json")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is a folder; name one file of it; expected a table with a row a request: JSON lines" in line
    assert not (tmp_path / "out.json").exists()


def test_a_table_of_something_else_names_what_is_missing(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("a,b,c\n1,2,3\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"no column with prompt tokens .* its columns: a, b, c"):
        read_server_log(path)
