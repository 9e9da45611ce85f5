"""Import findings: which field of an imported file is applied, approximated, or kept but unused. Values only.

What it refuses to know: files, and languages. `field` is a path in the file (`data.system_prompt`,
`character_book.entries[3].sticky`), `reason` a code whose sentence web writes (web/rendering/import_report.py),
`values` the numbers and names in that sentence. To add a reason: use its code in a Finding, write its sentence in
web/rendering/import_report.py (a test compares the two), `make words`, and its translation in web/translations.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

FindingVerdict = Literal["applied", "approximated", "kept"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of an import report."""

    verdict: FindingVerdict
    field: str
    reason: str
    values: Mapping[str, str | int] = dataclasses.field(default_factory=dict)
