"""Question of a recall: the words of the last messages, each with how much it counts, and what kind of answer it wants.

What it does: takes the same terms as the search index (stems of English words, bigrams of Chinese) and leaves out stop
words: those of grammar, of asking, and of what everybody does in every scene. Few terms are asked for: names and
numbers first, then the longest. Words that ask for a thing bring a few others with them (a price: coins, cost).
What it refuses to know: how often a term occurs in a story (recall.py): what is in everything counts for nothing there.
"""

import re
from collections.abc import Sequence

from store.search.terms import terms_of

MAX_LETTERS = 4_000  # of one message, its end
MAX_TERMS, MAX_EARLIER_TERMS = 16, 10  # of the last message, and of the one before it
EARLIER_WEIGHT, SHORT = 0.35, 3

_ENGLISH = """
a about above actually after again all almost already also always am an and another any anybody anyone anything are
aren't around as ask asked at away back be because been before being below best better both bring but by
came can can't could couldn't day did didn't do does doesn't doing don't done down each ever every everything exactly
eyes face far feel few find first for forget from further get give go goes going gone good got had hand has hasn't
have having he head hear heard her here hers herself hey him himself his how i i'd i'll i'm i've if in into is isn't it
it's its itself just keep kind knew know known last laugh let let's like little long look looked lot made make many may
maybe me mean mention might mind mine more most much must my myself need never new no nod not nothing now of off
oh ok okay old on once one only or other our ours out over own perhaps please put quite rather really recall remember
remind right said same saw say see seem shall she should shouldn't sit slowly smile so softly some somebody someone
something sometimes soon speak spoke stand still such sure take talk tell than thank that the their them then there
these they thing think this those though thought through time to today told too took turn two under until up us use
used very voice wait walk want was wasn't way we we're well went were what when where which while who whom whose why
will wish with without won't word would wouldn't yeah year yes yet you you'd you'll you're you've your yours
"""
_GROUPS = (
    (r"\bnam(e|es|ed)\b|\bcalled\b|名字|叫什么|称呼", "name called named 名叫 真名 名字 的名"),
    (r"\bpric|\bcost|\bpaid\b|\bpay|\bmoney|价钱|价格|多少钱|花了", "cost price paid coins 银币 金币 价钱 花了"),
    (r"\bhid|\bsearch|\blook for\b|\bwhere\b|哪里|哪儿|在哪|藏", "hidden hid moved lies buried 藏在 放在 埋在 挪走"),
    (r"\bpromis|\bsw(ear|orn)|\bvow|\bowe\b|答应|许.?诺|发誓|保证", "promised swore vow 答应 许诺 发誓 保证"),
    (r"\b(look|looks) after\b|\bguard|\bkeep|照看|看管|守着|照顾", "keeps keeper guards 看管 看守 照看 照顾"),
    (r"\bdie|\bdead|\bdeath|\bkill|死|去世|杀", "died killed death 死了 去世 杀了"),
    (r"\bmarr|\bwife|\bhusband|\bwedding|结婚|妻子|丈夫|嫁|娶", "married wife husband 妻子 丈夫 成亲 嫁给"),
    (r"\bborn|\bcome from\b|\bgrew up|出生|故乡|老家|哪里人", "born home grew 出生 故乡 老家"),
    (r"\bafraid|\bfear|\bscar|害怕|怕什么", "afraid fears scared 害怕 最怕"),
    (r"\bwhy\b|\breason|为什么|原因", "because reason 因为 为了"),
)
"""What in a message asks for a thing, and other words that such an answer is told with."""
_GROUP_WEIGHT = 0.5
_NUMERAL = r"[一二三四五六七八九十百千万两\d]"
_KINDS = (
    (r"\bwho|\bname|谁|名字|叫什么", r"(?<=[a-z,] )[A-Z][a-z]|叫|名"),
    (r"\bhow (many|much|old|long|far)|\bpric|\bcost|多少|几[个枚岁天年]|价", rf"\d|{_NUMERAL}[枚个岁天年块里]"),
    (r"\bwhere\b|\bplace|哪里|哪儿|在哪", r"\b(in|under|behind|inside|near|beneath|at) |在.{1,12}[里下后旁底中上]"),
)
"""A question for a person, a number, a place; and how an answer looks."""
_CHINESE = set(
    "的了吗呢吧啊呀哦嗯是我你他她它您们这那么什哪谁怎就都也很还再和与及把被着过得地之会能要想可以不没有在到从对说问"
)
STOP_WORDS = frozenset(term.word for term in terms_of(_ENGLISH))
_IS_EAST = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def asked_terms(texts: Sequence[str]) -> dict[str, float]:
    """The terms to look for with their weights; `texts`: the last message, then the one before it."""
    found: dict[str, float] = {}
    for text, weight, most in zip(texts, (1.0, EARLIER_WEIGHT), (MAX_TERMS, MAX_EARLIER_TERMS), strict=False):
        for word in _chosen(text[-MAX_LETTERS:], most):
            found.setdefault(word, weight)
    for word in _brought_along(texts[0][-MAX_LETTERS:]) if texts else ():
        found.setdefault(word, _GROUP_WEIGHT)
    return found


def answer_kinds(text: str) -> list[re.Pattern[str]]:
    """What an answer to a message looks like: it names somebody, has a number, says where."""
    asking = text[-MAX_LETTERS:]
    return [re.compile(answer) for asks, answer in _KINDS if re.search(asks, asking, re.IGNORECASE)]


def _brought_along(text: str) -> set[str]:
    """The terms that answers to this are told with."""
    told = [words for asks, words in _GROUPS if re.search(asks, text, re.IGNORECASE)]
    is_east = bool(_IS_EAST.search(text))
    words = {term.word for term in terms_of("\n".join(told)) if counts(term.word)}
    return {word for word in words if bool(_IS_EAST.match(word)) == is_east}


def counts(word: str) -> bool:
    """Whether a term says anything: no stop word, no single Chinese character, no bigram of grammar."""
    if _IS_EAST.match(word):
        return len(word) > 1 and not _CHINESE.intersection(word)
    return word not in STOP_WORDS and (len(word) > 1 or word.isdigit())


def _chosen(text: str, most: int) -> list[str]:
    """The terms of a text that count, those first that look rare."""
    looks: dict[str, int] = {}
    for term in terms_of(text):
        if counts(term.word):
            shown = text[term.start : term.end]
            is_name = shown[:1].isupper() and not _begins_sentence(text, term.start)
            rare = len(term.word) * (SHORT if _IS_EAST.match(term.word) else 1)
            looks[term.word] = max(looks.get(term.word, 0), rare + (100 if is_name or shown.isdigit() else 0))
    return sorted(looks, key=lambda word: -looks[word])[:most]


def _begins_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - 4) : start].rstrip(" \"“'*(\n")
    return not before or before[-1] in ".!?:…"
