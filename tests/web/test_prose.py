"""Story text to HTML: actions, speech, Markdown, and nothing that runs or points elsewhere."""

import html
import re

import pytest
from prose_cases import STORIES
from scripted_worker import new_turn

from web.rendering import prose
from web.rendering.prose import RenderBudget, render
from web.rendering.sized_cache import SizedCache
from web.serializers import with_html

TAGS = re.compile(r"<(?!/?(p|em|strong|s|span|blockquote|ul|ol|li|hr|code|pre|h[1-6]|table|thead|tbody|tr|th|td|br)\b)")
SPEECH = ('<span class="speech">"', '"</span>')
SAID = '<span class="speech">"Come in!"</span>'
EVIL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "<http://evil.example>",
    "http://evil.example",
    '"><script>alert(1)</script>',
    "*<b onmouseover=alert(1)>x</b>*",
    "</div></main><iframe src=//evil.example>",
    "```\n<script>alert(1)</script>\n```",
    "`<script>`",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<style>body{display:none}</style>",
    "{{ 7*7 }} {% raw %}",
    "\"<span class='speech' style=x>\"",
    "[a]: javascript:alert(1)\n\n[a]",
    "\u202e<script\u0000>",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*She nods.* Then", "<p><em>She nods.</em> Then</p>"),
        ('"Yes," she says.', '<p><span class="speech">"Yes,"</span> she says.</p>'),
        ('"Oh *you* there"', '<p><span class="speech">"Oh <em>you</em> there"</span></p>'),
        ("“a” 「b」", '<p><span class="speech">“a”</span> <span class="speech">「b」</span></p>'),
        ("«c»", '<p><span class="speech">«c»</span></p>'),
        ("*雨停了。*她说“好”*橘猫*", '<p><em>雨停了。</em>她说<span class="speech">“好”</span><em>橘猫</em></p>'),
        ("She *begins to", "<p>She <em>begins to</em></p>"),
        ("2 * 3 * 4", "<p>2 * 3 * 4</p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("**loud**", "<p><strong>loud</strong></p>"),
        ('She nodded, shaking.* "Come in!"*', f"<p><em>She nodded, shaking.</em> {SAID}</p>"),
        ('"Come in!" she said.* *', f"<p>{SAID} <em>she said.</em> </p>"),
        ("*She nods.\n\nShe leaves.*", "<p><em>She nods.</em></p>\n<p><em>She leaves.</em></p>"),
        ('*nods\n"Come in!" *Then*', f"<p><em>nods</em><br>\n{SAID} <em>Then</em></p>"),
        ("**loud", "<p><strong>loud</strong></p>"),
        ("a 5* hotel, f*ck, 2 * 3", "<p>a 5* hotel, f*ck, 2 * 3</p>"),
        (r"\*a star\*", "<p>*a star*</p>"),
        ("`*code*` *a*", "<p><code>*code*</code> <em>a</em></p>"),
        ("* one *a\n* two", "<ul>\n<li>one <em>a</em></li>\n<li>two</li>\n</ul>"),
        ('"One.\n\n"Come in!"', f'<p><span class="speech">"One.</span></p>\n<p>{SAID}</p>'),
        ('"Stay, she said. "Come in!" She sat.', f'<p>"Stay, she said. {SAID} She sat.</p>'),
        ('Stay," she said. "Come in!" She sat.', f'<p>Stay," she said. {SAID} She sat.</p>'),
        ('He" said. "Come in!" *nods* "Come in!"', f'<p>He" said. {SAID} <em>nods</em> {SAID}</p>'),
        ('a 12 " pipe. "Come in!" He', f'<p>a 12 " pipe. {SAID} He</p>'),
        ('"One.\n"Come in!" she', f'<p><span class="speech">"One.</span><br>\n{SAID} she</p>'),
        ('*nods*"Come in!"*sits* "...well"', f'<p><em>nods</em>{SAID}<em>sits</em> {"...well".join(SPEECH)}</p>'),
        ('"Wait—"he said', '<p><span class="speech">"Wait—"</span>he said</p>'),
        ('他说"好"。她说"来"。', '<p>他说<span class="speech">"好"</span>。她说<span class="speech">"来"</span>。</p>'),
        ("5'10\" tall", "<p>5'10\" tall</p>"),
    ],
)  # fmt: skip
def test_looks(text, expected):
    assert render(text).strip() == expected


@pytest.mark.parametrize("text", EVIL)
def test_evil_text_is_text(text):
    result = render(text)
    assert not TAGS.search(result)
    assert not re.search(r"<[^>]*(on\w+|style|href|src)\s*=", result)


@pytest.mark.parametrize("story", STORIES)
def test_no_star_is_left_over(story):
    """What is left is between spaces, inside a word, behind a digit, or was meant."""
    shown = html.unescape(re.sub(r"<[^>]*>", "", render(story)))
    assert not re.search(r"(?<![\w* ])\*|\*(?![\w* ])", shown.replace("*not an action*", ""))


@pytest.mark.parametrize("unit", ["*", "**", '"', "*a ", "> ", "`", "|", "- ", "“", "*a**b", ".* ", "“a\n", "*a\n"])
def test_long_repetitions_are_quick(unit):
    render(unit * 4000)  # the time limit of the test run is the assertion


def test_evil_names_and_messages_arrive_as_text(site, tale):
    name = "<img src=x onerror=alert(1)>"
    eve = site.browser().sign_up(site.invite(), name)
    chat = eve.begin_chat(site.mara)
    tab = eve.socket()
    revision = tab.open(chat)["revision"]
    for text in EVIL[:3]:
        turn = new_turn()
        assert tab.submit(chat, text, revision, turn)["type"] == "ack"
        tale.claim(turn)
        tale.tell(text)
        tale.finish()
        revision = tab.wait("done")["revision"]
    for page in (eve.get("/").text, eve.get(f"/chat/{chat}").text):
        assert html.escape(name, quote=False) in page
        assert not re.search(r"<img src=x|<script>|<svg/onload", page)


@pytest.mark.parametrize(
    "text",
    [
        "|".join("a" * 500) + "\n" + "|".join("-" * 500) + "\n" + "a\n" * 1_000,
        "> " + "|".join("a" * 300) + "\n> " + "|".join("-" * 300) + "\n" + "> a\n" * 900,
        "- " + "|".join("a" * 300) + "\n  " + "|".join(["-:"] * 300) + "\n" + "  a\n" * 900,
    ],
)
def test_rows_below_a_long_head_are_not_filled_up(text):
    """4,000 letters were 660 kB of empty cells."""
    assert len(render(text)) < 20 * len(text)


def test_a_table_is_still_a_table():
    assert render("|a|b|\n|-|-|\n|c|d|").count("<td>") == 2
    assert render("a|b\n-|-\n" + "c|d\n" * 500).count("<td>") == 1_000


def test_a_text_of_too_many_marks_is_shown_plain():
    for text in ("*a **b " * 4_000, "word " * 30_000, "<script>\n\n&\n" * 20_000):
        shown = render(text)
        assert set(TAGS.findall(shown)) == set()
        assert "<em>" not in shown
        words = html.unescape(re.sub(r"</?p>|<br>", "", shown))
        assert words.split() == text.split()
    assert render("<b>\n\n*a*\nb" + " " * 100_000).startswith("<p>&lt;b&gt;</p>\n<p>*a*<br>\nb")


def test_a_page_renders_a_bounded_number_of_marks():
    budget = RenderBudget(marks=10)
    assert render("*a* *b*", budget) == render("*a* *b*")
    assert render("*c* *d*", budget).count("<em>") == 2
    assert render("*e* *f*", budget) == "<p>*e* *f*</p>\n"


def test_the_alternative_that_is_shown_is_rendered_first():
    alternatives = [{"position": n, "text": "*a*" * 3_000} for n in range(100)]
    shown = with_html({"active": 99, "alternatives": alternatives})["alternatives"]
    assert "<em>" in shown[99]["html"]
    assert "<em>" not in shown[98]["html"]
    assert [one["position"] for one in shown] == list(range(100))


def test_what_is_kept_of_rendered_texts_is_bounded_in_bytes():
    """Two thousand texts were kept, however long they were: greetings with dice are another text each time."""
    for n in range(60):
        render(f"{n} " + "\N{GRINNING FACE}" * 50_000)
    assert prose._RENDERED.n_bytes <= 16 << 20
    cache = SizedCache(max_bytes=1_000, max_entry_bytes=500)
    for n in range(100):
        cache.keep(str(n), "x" * 100)
    cache.keep("long", "x" * 1_000)
    assert cache.n_bytes <= 1_000
    assert (cache.get("0"), cache.get("long"), cache.get("99")) == (None, None, "x" * 100)
