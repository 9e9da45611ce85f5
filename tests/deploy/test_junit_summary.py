"""The last line of .ci/run, and what makes it red."""

import pytest

from deploy.junit_summary import main

PASSED = '<testcase classname="a" name="good"/>'
FAILED = '<testcase classname="a" name="bad"><failure message="no"/></testcase>'
BROKEN = '<testcase classname="a" name="broken"><error message="no"/></testcase>'
SKIPPED = '<testcase classname="a" name="lazy"><skipped message="later"/></testcase>'


def report(path, *cases):
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>", encoding="utf-8")
    return str(path)


def test_all_reports_are_added_up(tmp_path, capsys):
    reports = [report(tmp_path / "one.xml", PASSED, PASSED), report(tmp_path / "two.xml", PASSED)]
    assert main(reports) == 0
    assert capsys.readouterr().out == "3 passed, 0 failed\n"


@pytest.mark.parametrize(
    ("case", "line"), [(FAILED, "FAILED a::bad"), (BROKEN, "FAILED a::broken"), (SKIPPED, "SKIPPED a::lazy")]
)
def test_what_did_not_pass_is_named_and_fails(tmp_path, capsys, case, line):
    assert main([report(tmp_path / "one.xml", PASSED, case)]) == 1
    assert capsys.readouterr().out == f"{line}\n1 passed, 1 failed\n"


def test_a_report_without_tests_and_a_missing_one_fail(tmp_path, capsys):
    assert main([report(tmp_path / "empty.xml"), str(tmp_path / "missing.xml")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 2 failed"
