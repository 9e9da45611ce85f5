"""Transfer: fills a part file from the places where the file is to be had, each in turn, until it is whole.

What it does: goes on where the part file ends, after a lost line, an address that has expired or a server that has
restarted; takes the next place where one gives nothing. A place that has another size or hash is left out; a whole file
with a wrong hash is fetched again from the other places.
What it refuses to know: rows, pauses (the caller's `on_bytes` raises) and how hubs are asked (look_up.py).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from web.downloader.http import LOST, Answer, Client, host
from web.downloader.look_up import digest_of
from web.downloader.part_file import PartFile
from web.downloader.troubles import Final, Passing, Trouble, weightiest

TRIES_WITHOUT_A_BYTE = 2
"""How often in a row each place may give nothing before the file waits."""
PAUSE_S = 1.0


@dataclass
class Transfer:
    """One file. `places`: addresses that redirect to where it is; they are not signed."""

    client: Client
    places: Sequence[str]
    part: PartFile
    on_bytes: Callable[[int], None]
    pause_s: float = PAUSE_S
    sleep: Callable[[float], None] = time.sleep
    _troubles: dict[str, Trouble] = field(default_factory=dict)

    def run(self) -> None:
        """Fetch what is missing and make it the file. Raises Trouble, and what `on_bytes` raises; what is here is
        kept."""
        places, has_unknown_bytes = list(self.places), self.part.offset > 0
        while True:
            used = self._fill(places)
            if self.part.finish():
                return
            left = [place for place in places if place not in used]
            if not left and not has_unknown_bytes:
                raise Final("fetch.wrong_hash", host=", ".join(sorted(map(host, used or places))))
            self.part.begin(self.on_bytes)
            places, has_unknown_bytes = left or places, False

    def _fill(self, places: list[str]) -> set[str]:
        """Fetch until all bytes are here; the places that gave some. Raises Trouble."""
        used: set[str] = set()
        left, at, in_vain = list(places), 0, 0
        while self.part.offset < self.part.size:
            place, before = left[at % len(left)], self.part.offset
            trouble = self._read(place, alone=len(left) == 1 or in_vain >= len(left))
            if self.part.offset > before:
                used.add(place)
                in_vain = 0
            if trouble is None:
                continue
            self._troubles[place] = trouble
            if isinstance(trouble, Final):
                left.remove(place)
            elif self.part.offset == before:
                at, in_vain = at + 1, in_vain + 1
            if not left or in_vain >= TRIES_WITHOUT_A_BYTE * len(left):
                raise weightiest(list(self._troubles.values()))
            self.sleep(self.pause_s)
            self.on_bytes(self.part.offset)  # a pause is heard also while nothing comes
        return used

    def _read(self, place: str, alone: bool) -> Trouble | None:
        """Read from one place until the line ends. `alone`: also where that sends what is here already."""
        try:
            with self.client.stream(place, self.part.offset) as answer:
                self._check(answer, place, alone)
                self._append(answer)
        except Final as trouble:
            if trouble.failure.reason in ("fetch.disk_full", "fetch.folder"):
                raise
            return trouble
        except Passing as trouble:
            return trouble
        except LOST:
            return Passing("fetch.lost_line", host=host(place))
        return None if self.part.offset == self.part.size else Passing("fetch.lost_line", host=host(place))

    def _check(self, answer: Answer, place: str, alone: bool) -> None:
        """Raises Trouble where an answer is not the rest of this file."""
        told = digest_of(answer.told)
        if not answer.size:  # such as the page of a hotel's network
            raise Passing("fetch.bad_answer", host=host(place))
        if answer.size != self.part.size:
            raise Final("fetch.wrong_size", host=host(place))
        if told and told != self.part.sha256:
            raise Final("fetch.other_file", host=host(place))
        if answer.response.headers.get("Content-Encoding", "identity") != "identity":
            raise Passing("fetch.bad_answer", host=host(place))
        if answer.start < self.part.offset and not alone:
            raise Passing("fetch.no_range", host=host(place))

    def _append(self, answer: Answer) -> None:
        """Write what comes; a server that began at byte 0 sends again what is here, that is dropped."""
        skip = self.part.offset - answer.start
        for piece in answer.pieces():
            dropped, skip = min(skip, len(piece)), max(0, skip - len(piece))
            self.part.write(piece[dropped:])
            self.on_bytes(self.part.offset)
            if self.part.offset == self.part.size:
                return
