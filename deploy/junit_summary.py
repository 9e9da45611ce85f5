"""JUnit summary for .ci/run: names what failed or was skipped, and ends with `N passed, N failed`.

Standard library only. A skipped test counts as failed; so does a report that is missing or empty.
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(reports: list[str]) -> int:
    """Print the sum of the named JUnit files; 0 only if all tests passed."""
    passed = failed = 0
    for report in map(Path, reports):
        good, bad = count(report)
        passed, failed = passed + good, failed + len(bad)
        for line in bad:
            print(line)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def count(report: Path) -> tuple[int, list[str]]:
    """How many tests of a report passed, and a line for each that did not."""
    if not report.is_file():
        return 0, [f"FAILED {report.stem}: the tests did not run to their end"]
    cases = list(ElementTree.parse(report).iter("testcase"))
    if not cases:
        return 0, [f"FAILED {report.stem}: there are no tests"]
    bad = [line for case in cases for line in complaints(case)]
    return sum(1 for case in cases if not complaints(case)), bad


def complaints(case: ElementTree.Element) -> list[str]:
    """Empty for a test that passed."""
    name = f"{case.get('classname')}::{case.get('name')}"
    found = {child.tag for child in case} & {"failure", "error", "skipped"}
    return [f"{'SKIPPED' if found == {'skipped'} else 'FAILED'} {name}"] if found else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
