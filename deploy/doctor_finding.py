"""DoctorFinding: one line of `inglenook doctor`. A value only."""

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True)
class DoctorFinding:
    """One finding: `state` is ok, warn or fail; `advice` says what to do, unless `words` do."""

    name: str
    state: str
    words: str
    advice: str = ""

    def text(self) -> str:
        """As it is printed."""
        words = " ".join(self.words.split())
        end = f". {self.advice}" if self.advice else ""
        return f"{self.state:<5} {self.name:<12} {words.rstrip('.') if end else words}{end}"
