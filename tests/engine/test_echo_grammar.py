"""A sentence of a grammar: always the same, always one that the grammar allows, and bad grammars are refused."""

import pytest

from engine import RequestError
from engine.backends.echo_grammar import sentence

STATUS = (
    'root ::= "Mood: " text "\\n" "Health: " health " %\\n"\n'
    "text ::= [^\\n\\x00-\\x1f]{1,40}\n"
    'health ::= "0" | [1-9] [0-9]{0,2}'
)


@pytest.mark.parametrize(
    ("grammar", "said"),
    [
        (STATUS, "Mood: a\nHealth: 0 %\n"),
        ('root ::= "a" | "b"', "a"),
        ('root ::= "a"? "b"* "c"+', "abc"),
        ('root ::= "a"{3} "b"{2,} "c"{0,5} "d"{0,0} "e"{ 1 , 2 }', "aaabbce"),
        ("root ::= [0-9]{4} [b-]", "0000b"),
        ("root ::= [^a-zA]", "B"),
        ("root ::= [^\\x00-\\x7f]", "\x80"),
        ('root ::= "\\"\\\\\\t\\x41\\u00e9\\U0001F600" [\\]]', '"\\\tAé😀]'),
        ("root ::= .", "a"),
        ('root ::= "two\nlines"', "two\nlines"),
        ('root ::= ("x" | "y") ("," ("x" | "y"))*', "x,x"),
        ('root ::= item ("," root)?\nitem ::= "i"', "i"),
        ('root ::= "(" root ")" | "leaf"', "leaf"),
        ('# a comment\n\nroot ::= one # the root\n  \none ::= "1" |\n  "2"\n', "1"),
        ('root ::= (\n  "a"\n  "b" # more\n)', "ab"),
        ('root ::= "" | "x"', ""),
        ('root ::= a-1\r\na-1 ::= "windows"\r\n', "windows"),
    ],
)
def test_the_sentence(grammar, said):
    assert sentence(grammar) == said
    assert sentence(grammar) == said


@pytest.mark.parametrize(
    "grammar",
    [
        "",
        "root ::= (",
        'root ::= "open',
        "root ::= [a-",
        "root ::= other",
        'other ::= "x"',
        "root ::= root",
        'root ::= "a" root',
        'root "a"',
        'root ::= "a" )',
        'root ::= "a"{2,1}',
        'root ::= "a"{x}',
        'root ::= "\\q"',
        'root ::= "\\x4"',
        'root ::= "\\U99999999"',
        'root ::= "a" & "b"',
        "not a grammar at all",
        "root ::= []",
        "root ::= [^\\x00-\\U0010ffff]",
    ],
)
def test_what_is_no_grammar_is_refused(grammar):
    with pytest.raises(RequestError, match="grammar is not valid GBNF"):
        sentence(grammar)
