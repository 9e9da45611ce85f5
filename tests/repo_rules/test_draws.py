"""Property tests draw from nothing but hypothesis: no identity, clock, chance or set order feeds a strategy.

Hypothesis finds and shrinks a failure by making the same choices again; a strategy over `sorted(uuids)` means another
element each time, and ends in FlakyStrategyDefinition. The rule follows values through one file: from a call such as
`uuid.uuid4()` over variables, attributes and containers to the arguments of `st.something(...)`.
"""

import ast

import pytest
from sources import ROOT, python_files, tree_of

CHANCE = {"uuid", "time", "random", "secrets", "datetime", "urandom", "getpid", "id", "hash"}
SEEDED = {"Random", "default_rng"}  # with a seed they draw the same each time
FIXED = {"UUID", "uuid3", "uuid5", "timedelta", "fromtimestamp", "datetime", "strptime", "sleep", "struct_time"}
FILLS = {"append", "add", "update", "extend", "insert", "setdefault"}
STRATEGIES = {"st", "strategies"}


def impure_draws(tree):
    """(line, why) of every strategy that is fed from identity, clock, chance or the order of a set."""
    spoilt = _spoilt_names(tree)
    for scope, node in _with_scope(tree):
        if isinstance(node, ast.Call) and _root(node.func) in STRATEGIES:
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                if why := _why(argument, scope, spoilt):
                    yield node.lineno, why


def _spoilt_names(tree):
    """(scope, name) -> why; attributes are known by their name alone."""
    spoilt, before = {}, -1
    while len(spoilt) != before:
        before = len(spoilt)
        for scope, node in _with_scope(tree):
            for target, value in _flows(node):
                if why := _why(value, scope, spoilt):
                    spoilt.setdefault(_key(target, scope), why)
    return spoilt


def _flows(node):
    """(target, value) of whatever puts a value into a place."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from ((part, node.value) for part in (target.elts if isinstance(target, ast.Tuple) else [target]))
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        yield node.target, node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FILLS:
        yield from ((node.func.value, argument) for argument in node.args)
    if isinstance(node, ast.Assign):
        yield from ((target.value, target.slice) for target in node.targets if isinstance(target, ast.Subscript))


def _key(target, scope):
    while isinstance(target, ast.Subscript | ast.Starred):
        target = target.value
    return ("", target.attr) if isinstance(target, ast.Attribute) else (scope, getattr(target, "id", ""))


def _why(value, scope, spoilt):
    """Why a value differs from run to run; "" where it does not."""
    if isinstance(value, ast.Call):
        name, root = _name(value.func), _root(value.func, through_calls=False)
        if name == "len":
            return ""
        if name == "sorted":
            why = " ".join(filter(None, (_why(argument, scope, spoilt) for argument in value.args)))
            return "" if why == "set order" else why
        if name in {"set", "frozenset"}:
            return "set order"
        if {name, root} & CHANCE and name not in FIXED and not (name in SEEDED and value.args):
            return ast.unparse(value.func)
    if isinstance(value, ast.Set | ast.SetComp):
        return "set order"
    if isinstance(value, ast.Name):
        return spoilt.get((scope, value.id)) or spoilt.get(("module", value.id), "")
    if isinstance(value, ast.Attribute) and ("", value.attr) in spoilt:
        return spoilt["", value.attr]
    if isinstance(value, ast.Compare | ast.Lambda):
        return ""
    return next(filter(None, (_why(child, scope, spoilt) for child in ast.iter_child_nodes(value))), "")


def _with_scope(tree, scope="module"):
    for child in ast.iter_child_nodes(tree):
        yield scope, child
        inner = f"{scope}/{child.name}" if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else scope
        yield from _with_scope(child, inner)


def _name(func):
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def _root(func, through_calls=True):
    while isinstance(func, ast.Attribute) or (through_calls and isinstance(func, ast.Call)):
        func = func.value if isinstance(func, ast.Attribute) else func.func
    return getattr(func, "id", "")


def test_property_tests_draw_from_nothing_but_hypothesis():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} draws from {why}"
        for path in python_files("tests")
        if "hypothesis" in path.read_text(encoding="utf-8")
        for line, why in impure_draws(tree_of(path))
    ]
    assert not wrong, "draw a number, and take the element at that place of a list in a fixed order"


@pytest.mark.parametrize(
    ("why", "source"),
    [
        ("uuid.uuid4", "X = st.sampled_from([uuid.uuid4().hex for _ in range(3)])"),
        ("time.time", "def f(data):\n    now = time.time()\n    data.draw(st.floats(0, now))"),
        ("random.random", "N = random.random()\ndef f(data):\n    data.draw(st.floats(0, N))"),
        ("random.Random", "X = st.sampled_from(random.Random().sample(range(9), 3))"),
        ("set order", "X = st.sampled_from(list({1, 2, 3}))"),
        ("set order", "NAMES = set('abc')\nX = st.sampled_from([*NAMES])"),
        (
            "uuid.uuid4",
            "class M:\n    def add(self):\n        command = Command(uuid.uuid4().hex)\n"
            "        turn = submit(command)\n        self.commands[turn.id] = 1\n    def stop(self, data):\n"
            "        data.draw(st.sampled_from(sorted(self.commands)))",
        ),
        (
            "uuid.uuid4",
            "class M:\n    def add(self):\n        self.ids.append(uuid.uuid4())\n    def stop(self, data):\n"
            "        data.draw(st.sampled_from(self.ids))",
        ),
    ],
)
def test_the_rule_finds_an_impure_draw(why, source):
    assert [found for _, found in impure_draws(ast.parse(source))] == [why]


@pytest.mark.parametrize(
    "source",
    [
        "X = st.sampled_from(sorted({1, 2, 3}))",
        "X = st.sampled_from(random.Random(7).sample(range(9), 3))",
        "def f():\n    now = time.time()\ndef g(now):\n    return st.floats(0, now)",
        "class M:\n    def add(self):\n        self.ids.append(uuid.uuid4())\n    def stop(self, data):\n"
        "        self.ids[data.draw(st.integers(0, len(self.ids) - 1))]",
        "X = st.sampled_from('random')\nY = st.integers().map(lambda n: n)",
    ],
)
def test_the_rule_lets_pure_draws_pass(source):
    assert list(impure_draws(ast.parse(source))) == []
