"""The KV cells of the echo backend: every rule of llama.cpp's memory is checked, for four kinds of models.

Each cell carries a digest of its token and of all cells it could see, at their relative positions, as attention does.
So two sessions write the same text exactly when their KV contents are the same, and a stale, missing or foreign cell
changes the text. A broken rule raises KVRuleBroken, where the real cache would be silently wrong or kill the process.

    dense      full attention
    window     beside each cell a window cell, which is gone as soon as it is behind the window: no decode without
               all window cells that the next token sees
    hybrid     beside the cells a state that only grows: the end of a sequence is removed only behind it
    recurrent  a state alone: nothing but decode, save, load and removing a whole sequence
"""

from dataclasses import dataclass, field

import numpy as np

from engine.backend import AllocateMemory, Cut, Part, StateBytes, TokenRun

_MASK = (1 << 64) - 1
_ROW = 24  # bytes of a cell: position, token, value
CUTS = {
    "dense": Cut.FREELY,
    "window": Cut.WINDOW,
    "hybrid": Cut.CHECKPOINT,
    "recurrent": Cut.CHECKPOINT,
}


class KVRuleBroken(AssertionError):
    """The engine broke a rule of the KV cache: a bug of the engine, never an error of its caller."""


@dataclass(slots=True)
class Cell:
    """One cell: its token, its position, the digest of what it saw, the sequences that share it, a shift to come."""

    token: int
    position: int
    value: int
    sequences: set[int] = field(default_factory=set)
    shifting: bool = False


@dataclass(slots=True)
class _Sequence:
    """The cells of a sequence by position, the positions of its window cells, and (last position, digest) as state."""

    cells: dict[int, Cell] = field(default_factory=dict)
    window: set[int] = field(default_factory=set)
    state: tuple[int, int] | None = None

    @property
    def end(self) -> int:
        return max(self.cells, default=-1) + 1


class EchoCells:
    """All sequences of one backend; the verbs are those of engine.backend.Backend."""

    def __init__(self, kind: str, n_cells: int, n_sequences: int, n_window: int, can_move: bool) -> None:
        self.kind, self.cut = kind, CUTS[kind]
        self.can_drop, self.can_move = kind != "recurrent", can_move and kind != "recurrent"
        self.n_cells, self._n_window = n_cells, n_window
        self._sequences = [_Sequence() for _ in range(n_sequences)]
        self.n_used = 0

    # -- decode -----------------------------------------------------------------------------------------------------

    def check_run(self, run: TokenRun, expected: int | None) -> None:
        """`expected`: where an earlier run of the same batch ends."""
        sequence = self._sequences[run.sequence]
        end = sequence.end if expected is None else expected
        says = f"sequence {run.sequence} continues at position {end}, the batch says {run.position}"
        require(run.position == end, says)
        if expected is not None:
            return
        seen = {p for p in sequence.cells if p > end - self._n_window}
        whole = self.cut is not Cut.WINDOW or seen <= sequence.window
        require(whole, f"a decode at {end} while the window of sequence {run.sequence} is not whole")
        at = sequence.state[0] + 1 if sequence.state else 0
        require(self.cut is not Cut.CHECKPOINT or at == end, f"a decode at {end} with the state of position {at}")

    def append(self, run: TokenRun) -> list[Cell]:
        """Add the tokens of a run; all cells of the sequence in order, when it wants logits."""
        sequence = self._sequences[run.sequence]
        for position, token in enumerate(run.tokens, run.position):
            state = sequence.state[1] if sequence.state else 0
            value = (
                _mix(_value(sequence.cells, position, token) ^ state)
                if state
                else _value(sequence.cells, position, token)
            )
            sequence.cells[position] = Cell(token, position, value, {run.sequence})
            if self.cut is Cut.WINDOW:
                sequence.window.add(position)
            elif self.cut is Cut.CHECKPOINT:
                sequence.state = (position, _mix((state + value) & _MASK) or 1)
        self.n_used += len(run.tokens)
        return [sequence.cells[position] for position in sorted(sequence.cells)] if run.wants_logits else []

    def carry_out_shifts(self) -> None:
        """Every decode begins with it."""
        for sequence in self._sequences:
            for cell in sequence.cells.values():
                cell.shifting = False

    def overwrite_masked(self) -> None:
        """Whatever is behind a window may be overwritten by anybody's decode or load: here it always is."""
        for sequence in self._sequences:
            end = max(sequence.window, default=-1) + 1
            sequence.window = {p for p in sequence.window if p > end - self._n_window}

    # -- cells ------------------------------------------------------------------------------------------------------

    def remove(self, at: int, start: int, end: int) -> bool:
        """Remove a range; the end of a sequence with a state only behind that state."""
        sequence = self._sequences[at]
        start = max(start, 0)
        part = start > 0 or 0 <= end <= max(sequence.cells, default=-1)
        require(self.can_drop or not part, "a part removed from a model whose state is a whole")
        if sequence.state is not None:
            if part and start <= sequence.state[0] and (end < 0 or sequence.state[0] < end):
                return False
            sequence.state = sequence.state if part else None
        for position in [p for p in sequence.cells if p >= start and (end < 0 or p < end)]:
            cell = sequence.cells.pop(position)
            cell.sequences.discard(at)
            self.n_used -= not cell.sequences
        sequence.window = {p for p in sequence.window if not (p >= start and (end < 0 or p < end))}
        return True

    def shift(self, at: int, start: int, end: int, delta: int) -> None:
        """Move a range; a cell that another sequence shares must not move."""
        require(self.can_move, "a shift of a model that cannot shift")
        sequence = self._sequences[at]
        moving = {p: sequence.cells.pop(p) for p in sorted(sequence.cells) if p >= start and (end < 0 or p < end)}
        for position, cell in moving.items():
            require(cell.sequences == {at}, "a shift of a cell that another sequence shares")
            free = position + delta >= 0 and position + delta not in sequence.cells
            require(free, "a shift onto a used position")
            cell.position, cell.shifting = position + delta, cell.shifting or delta != 0
            sequence.cells[position + delta] = cell
        sequence.window = {p + delta if p >= start and (end < 0 or p < end) else p for p in sequence.window}
        if sequence.state and sequence.state[0] >= start and (end < 0 or sequence.state[0] < end):
            sequence.state = (sequence.state[0] + delta, sequence.state[1])

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Share a range; the state of the source comes with it, whatever the range."""
        require(self.can_drop, "a part copied from a model whose state is a whole")
        origin, copied = self._sequences[source], self._sequences[target]
        for position, cell in origin.cells.items():
            if position >= start and (end < 0 or position < end):
                require(position not in copied.cells, "a copy onto a used position")
                copied.cells[position] = cell
                cell.sequences.add(target)
        copied.window |= {p for p in origin.window if p >= start and (end < 0 or p < end)}
        copied.state = origin.state

    def strip(self, at: int) -> None:
        """Take the state away."""
        self._sequences[at].state = None

    def end(self, at: int) -> int:
        """As llama.cpp says it: of the part that reaches less far."""
        sequence = self._sequences[at]
        if self.cut is Cut.WINDOW:
            return max(sequence.window, default=-1) + 1
        if self.cut is Cut.CHECKPOINT:
            return min(sequence.end, sequence.state[0] + 1) if sequence.state else 0
        return sequence.end

    def window_cells(self, at: int) -> int:
        """How many of the last positions the window still holds."""
        return len(self._seen(self._sequences[at]))

    # -- state ------------------------------------------------------------------------------------------------------

    def save(self, at: int, n_cells: int, allocate: AllocateMemory, part: Part) -> memoryview:
        """Rows of a part; saving CELLS takes the state away."""
        sequence = self._sequences[at]
        moves = any(cell.shifting for cell in sequence.cells.values())
        require(not moves, "a save of cells whose shift is pending")
        rows = [(p, sequence.cells[p].token, sequence.cells[p].value) for p in sorted(sequence.cells)]
        require(n_cells in (0, len(rows)), f"{n_cells} cells to save where there are {len(rows)}")
        if part is Part.CELLS and self.cut is Cut.CHECKPOINT:
            self.strip(at)
        if part is Part.REST or self.kind == "recurrent":
            rest = [(p, 0, 0) for p in sorted(self._seen(sequence))]
            rest += [(*sequence.state, 1)] if sequence.state else []
            rows = rest if part is Part.REST else [*rows, *rest]
        saved = allocate(_ROW * len(rows))
        saved[:] = np.array(rows, dtype=np.uint64).tobytes()
        return saved

    def load(self, at: int, data: StateBytes, part: Part, n_vocab: int) -> bool:
        """Fill a sequence; false, and empty, when the bytes are no rows or do not fit."""
        sequence = self._sequences[at]
        require(part is Part.REST or not sequence.cells, "a load into a sequence that is not empty")
        if not data or len(data) % _ROW:
            return self._refuse(at)
        rows = np.frombuffer(data, dtype=np.uint64).reshape(-1, 3).tolist()
        if self.kind == "recurrent" or (part is Part.REST and self.cut is Cut.CHECKPOINT):
            sequence.state = (rows[-1][0], rows[-1][1])
            rows = rows[:-1]
        if part is Part.REST:
            sequence.window = {position for position, _, _ in rows}
            return True
        if self.n_used + len(rows) > self.n_cells or any(token >= n_vocab for _, token, _ in rows):
            return self._refuse(at)
        for position, token, value in rows:
            sequence.cells[position] = Cell(token, position, value, {at})
        self.n_used += len(rows)
        self.overwrite_masked()
        return True

    def _refuse(self, at: int) -> bool:
        self.strip(at)
        self.remove(at, 0, -1)
        return False

    def _seen(self, sequence: _Sequence) -> set[int]:
        """What is saved of the window: the last positions of the sequence's cells."""
        end = max(sequence.window, default=-1) + 1
        return {p for p in sequence.window if p >= end - self._n_window}


def require(holds: bool, broken: str) -> None:
    """Raise KVRuleBroken unless a rule holds."""
    if not holds:
        raise KVRuleBroken(broken)


def _mix(number: int) -> int:
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & _MASK
    return number ^ (number >> 31)


def _value(cells: dict[int, Cell], position: int, token: int) -> int:
    """A digest of the token and of every visible cell at its relative position."""
    if not cells:
        return _mix(token + 1)
    values = np.fromiter((cell.value for cell in cells.values()), dtype=np.uint64, count=len(cells))
    distances = np.fromiter((position - at for at in cells), dtype=np.uint64, count=len(cells))
    mixed = (values ^ (distances * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
    return _mix((int(np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint64(29)))) + token + 1) & _MASK)
