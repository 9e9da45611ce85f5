"""`make audit`: what it reads from pip-audit's report. (Whether there are holes is asked of the internet, not here.)"""

import json

import pytest

from deploy import audit


def report(*vulns):
    packages = [
        {"name": "flask", "version": "3.1.0", "vulns": list(vulns)},
        {"name": "inglenook", "skip_reason": "Dependency not found on PyPI"},
        {"name": "click", "version": "8.4.0", "vulns": []},
    ]
    return json.dumps({"dependencies": packages, "fixes": []})


def test_a_line_for_each_hole():
    holes = audit.holes(
        report({"id": "PYSEC-1", "fix_versions": ["3.1.1", "3.2"]}, {"id": "GHSA-2", "fix_versions": []})
    )
    assert holes == ["flask 3.1.0: PYSEC-1, mended in 3.1.1 or 3.2", "flask 3.1.0: GHSA-2, not mended yet"]
    assert audit.holes(report()) == []


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"dependencies": [{"vulns": [{}]}]}'])
def test_a_report_that_cannot_be_read_is_no_good_news(said):
    with pytest.raises(ValueError):  # noqa: PT011 (JSON's own error is one)
        audit.holes(said)


def test_without_the_tool_nothing_is_known(tmp_path, monkeypatch, capsys):
    """Where it cannot be installed: as without the internet."""
    monkeypatch.setattr(audit, "TOOL", tmp_path / "audit")
    monkeypatch.setattr(audit, "PIP_AUDIT", "/no/such/package.whl")
    (tmp_path / "audit" / "bin").mkdir(parents=True)
    (tmp_path / "audit" / "bin" / "python").symlink_to("/bin/false")
    assert audit.main() == audit.NOT_KNOWN
    assert capsys.readouterr().out.startswith("inglenook: It could not be found out")
