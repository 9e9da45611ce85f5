"""Tests make no promise about time: how long something takes belongs into bench/, as a ratio within one run.

A limit for what never comes (`assert time.monotonic() < deadline`) is fine: it only has to be generous.
"""

import ast

from sources import ROOT, python_files, tree_of

CLOCKS = {"monotonic", "perf_counter", "process_time", "time"}


def timings(tree):
    """Lines that assert how long something took: a difference of a clock in a comparison."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            differences = [part for part in ast.walk(node.test) if isinstance(part, ast.BinOp)]
            if any(isinstance(part.op, ast.Sub) and _reads_a_clock(part) for part in differences):
                yield node.lineno


def _reads_a_clock(part):
    calls = (node.func for node in ast.walk(part) if isinstance(node, ast.Call))
    return any(isinstance(call, ast.Attribute) and call.attr in CLOCKS for call in calls)


def test_no_test_asserts_how_long_something_took():
    wrong = [f"{path.relative_to(ROOT)}:{line}" for path in python_files("tests") for line in timings(tree_of(path))]
    assert wrong == []


def test_the_rule_sees_what_is_wrong():
    """The test of the test."""
    assert list(timings(ast.parse("assert time.monotonic() - began < 5"))) == [1]
    assert list(timings(ast.parse("assert time.monotonic() < deadline"))) == []
