"""The memory test: seeded stories with planted facts, and what is asked about them once they have left the window.

A story has 400 turns of small talk, in which 60 facts are planted: names, places, promises, numbers; every tenth is
corrected later. Each fact is asked for twice: by its name or thing exactly, and in other words than it was planted
with. Small talk uses the same kinds of words as the facts do, and asks questions itself; `idle` are messages that ask
for nothing, for which nothing should be recalled.
What it refuses to know: how passages are found (bench/recall.py), and models.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

FACTS, TURNS, CORRECTED_EVERY = 60, 400, 10


@dataclass(frozen=True)
class Fact:
    """A planted fact: what is said, with its answer; how it is asked by name (`exact`), and in other words."""

    said: str
    answer: str
    exact: str
    other: str
    ordinal: int = 0
    corrected: "Fact | None" = None

    @property
    def newest(self) -> "Fact":
        """What holds at the end."""
        return self.corrected or self


@dataclass(frozen=True)
class TestStory:
    """Messages, (is it the person's, text), the facts in them, and what is said that asks for nothing."""

    __test__ = False

    language: str
    messages: tuple[tuple[bool, str], ...]
    facts: tuple[Fact, ...]
    idle: tuple[str, ...]


@dataclass
class _Names:
    """Draws of names that are used once."""

    draw: random.Random
    first: Sequence[str]
    second: Sequence[str]
    used: set[str] = field(default_factory=set)

    def new(self) -> str:
        while True:
            name = self.draw.choice(self.first) + self.draw.choice(self.second)
            if name not in self.used:
                self.used.add(name)
                return name


# kind of a fact: (what is said, what is asked by name, what is asked in other words, what corrects it)
# {n}: a name, {p}: another name or a place, {t}: a thing of everyday life, {r}: a relation, {k}: a number
_ENGLISH = {
    "name": (
        "My {r} is called {n}, and was born by the river in {p}.",
        "Who is {n}, do you remember?",
        "What was my {r}'s name again?",
        "I lied about my {r}. The real name of my {r} is {a}, not {n}.",
    ),
    "keeper": (
        "An old {r} named {n} keeps the {t} of {p} and trusts nobody.",
        "What does {n} keep?",
        "Who is it that looks after the {t} in {p}?",
        "The {t} of {p} has a new keeper since autumn: {a}. Old {n} has died.",
    ),
    "place": (
        "I have hidden the {t} of {n} under the stairs of the house in {p}.",
        "Where did I put the {t} of {n}?",
        "If somebody came for that {t}, where would they have to search?",
        "I moved the {t} of {n}. It lies in the cellar in {a} now.",
    ),
    "promise": (
        "I promise you that I shall bring the {t} to {n} before the first snow.",
        "What did I promise to {n}?",
        "I gave you my promise about a {t}. Do you still hold me to it?",
        "Forget the {t} for {n}. I promise to bring it to {a} instead.",
    ),
    "number": (
        "The {t} in {p} cost me {k} silver coins, {n} the trader swore it was worth it.",
        "How many coins did {n} take from me?",
        "What was the price that I paid for the {t}?",
        "I found the bill: the {t} in {p} cost {a} silver coins, whatever {n} the trader said.",
    ),
}
_RELATIONS = (
    *("brother", "sister", "uncle", "aunt", "cousin", "grandmother", "teacher", "captain", "neighbour", "godfather"),
    *("blacksmith", "miller", "shepherd", "widow", "sailor", "monk", "ferryman", "midwife", "hunter", "weaver"),
)
_THINGS = (
    *("key", "letter", "ring", "lantern", "compass", "map", "dagger", "harp", "mirror", "medal", "violin", "chest"),
    *("cloak", "bell", "crown", "diary", "clock", "flute", "saddle", "goblet", "amulet", "telescope", "candlestick"),
    *("boat", "mule", "barrel", "painting", "sword", "shield", "book", "necklace", "anvil", "plough", "basket"),
)
_SMALL_TALK = (
    "*She looks at the {t} for a long while and says nothing.* The rain has not stopped since morning.",
    "Do you think the {r} will come back tonight? I heard steps near the door.",
    "The {t} on the wall reminds me of winter evenings at home, with soup and stories.",
    "*He laughs softly.* Every {r} I ever met told the same joke about the {t}.",
    "We should sleep soon. The road is long, and the {r} at the gate wakes early.",
    "Is there any bread left? I could eat a whole {t} by now, I swear.",
    "*The fire crackles.* My {r} used to sing when the wind was like this.",
    "I dreamed of a {t} that spoke. What do you make of that?",
    "People in the village say a {t} brings luck. Do you believe such things?",
    "The sea is quiet tonight. *She pours tea into two cups and sits down by the window.*",
    "Somebody has moved the {t}. Was it you, or the cat?",
    "What a day! First the {r} shouted at me, then the {t} fell into the mud.",
    "*A door creaks.* It is only the wind, or a {r} who has lost the way.",
    "Where do you keep the {t}? No, do not tell me, I like to guess.",
    "Let us count the stars instead. My {r} knew {k} of them by name.",
)
_IDLE = (
    "Good evening! It is warm in here.",
    "*yawns* I am so tired today.",
    "Ha, that is funny! Go on, please.",
    "And then? What happened after that?",
    "I see. Let us go outside for a moment.",
    "*smiles and nods slowly*",
    "You are right, as always.",
    "Shall we have some tea?",
    "The wind is getting stronger, listen.",
    "Tell me a joke.",
)
_EN_FIRST = ("Al", "Ber", "Cor", "Dra", "El", "Fen", "Gor", "Hal", "Is", "Jor", "Kel", "Lor", "Mor", "Nim", "Or", "Per")
_EN_SECOND = ("wick", "dana", "mund", "rick", "sbeth", "vane", "thorn", "lisa", "gard", "mira", "bert", "wyn", "dale")

_CHINESE = {
    "name": (
        "我的{r}叫{n},生在{p}的河边。",
        "{n}是谁,你还记得吗?",
        "我{r}叫什么名字来着?",
        "我骗了你,我{r}的真名是{a},不是{n}。",
    ),
    "keeper": (
        "{p}的{t}由一个叫{n}的老{r}看管,他谁也不信。",
        "{n}看管的是什么?",
        "{p}那边的{t}是谁在照看?",
        "{p}的{t}入秋以后换了人看管,是{a},老{n}已经死了。",
    ),
    "place": (
        "我把{n}的{t}藏在{p}那座房子的楼梯底下。",
        "{n}的{t}我放哪儿了?",
        "要是有人来找那{t},得去哪里搜?",
        "我把{n}的{t}挪走了,现在在{a}的地窖里。",
    ),
    "promise": (
        "我答应你,下第一场雪之前一定把{t}带给{n}。",
        "我答应过{n}什么?",
        "我曾经为{t}的事许过诺,你还当真吗?",
        "{n}的{t}算了,我答应改带给{a}。",
    ),
    "number": (
        "{p}的{t}花了我{k}枚银币,商人{n}发誓说值。",
        "{n}从我这里收了多少银币?",
        "买{t}的时候我付了什么价钱?",
        "我找到账单了,{p}的{t}是{a}枚银币,不管商人{n}怎么说。",
    ),
}
_ZH_RELATIONS = (
    *("哥哥", "妹妹", "舅舅", "姑妈", "表弟", "祖母", "老师", "船长", "邻居", "干爹"),
    *("铁匠", "磨坊主", "牧羊人", "寡妇", "水手", "和尚", "船夫", "产婆", "猎人", "织工"),
)
_ZH_THINGS = (
    *("钥匙", "书信", "戒指", "灯笼", "罗盘", "地图", "匕首", "竖琴", "铜镜", "勋章", "提琴", "箱子", "斗篷", "铜钟"),
    *("王冠", "日记", "座钟", "笛子", "马鞍", "酒杯", "护符", "望远镜", "烛台", "木船", "骡子", "酒桶", "画像", "宝剑"),
    *("盾牌", "古书", "项链", "铁砧", "木犁", "篮子"),
)
_ZH_SMALL_TALK = (
    "*她看了{t}很久,一句话也没说。* 雨从早上起就没停过。",
    "你觉得{r}今晚会回来吗?我听见门口有脚步声。",
    "墙上的{t}让我想起家里的冬夜,有热汤,有故事。",
    "*他轻声笑了。* 我见过的每个{r}都讲同一个{t}的笑话。",
    "我们该睡了,路还长,门口的{r}起得早。",
    "还有面包吗?我饿得能吃下一个{t}。",
    "*火噼啪作响。* 起风的时候,我{r}总爱唱歌。",
    "我梦见一个会说话的{t},你怎么看?",
    "村里人说{t}能带来好运,你信不信?",
    "今晚海面很平静。*她倒了两杯茶,在窗边坐下。*",
    "有人动过{t},是你,还是那只猫?",
    "今天真倒霉!先是{r}冲我嚷,然后{t}掉进了泥里。",
    "*门吱呀一声。* 只是风,或者是个迷路的{r}。",
    "{t}放在哪里?别告诉我,我喜欢猜。",
    "我们来数星星吧,我{r}叫得出{k}颗星星的名字。",
)
_ZH_IDLE = (
    *("晚上好!这里真暖和。", "*打了个哈欠* 今天好累。", "哈哈,真好笑!接着讲。", "然后呢?后来发生了什么?"),
    *(
        "明白了,我们出去走走吧。",
        "*微笑着慢慢点头*",
        "你总是对的。",
        "要不要喝点茶?",
        "风越来越大了,你听。",
        "讲个笑话吧。",
    ),
)
_ZH_FIRST = ("赵", "钱", "孙", "李", "周", "吴", "郑", "王", "冯", "陈", "沈", "韩", "杨", "朱", "秦", "许", "何", "吕")
_ZH_SECOND = (
    "怀远",
    "青山",
    "若兰",
    "子安",
    "鸣玉",
    "长风",
    "素云",
    "守义",
    "双喜",
    "晚晴",
    "木生",
    "映雪",
    "大川",
    "知秋",
)

_LANGUAGES = {
    "en": (_ENGLISH, _RELATIONS, _THINGS, _SMALL_TALK, _IDLE, _EN_FIRST, _EN_SECOND),
    "zh": (_CHINESE, _ZH_RELATIONS, _ZH_THINGS, _ZH_SMALL_TALK, _ZH_IDLE, _ZH_FIRST, _ZH_SECOND),
}


def tell(language: str, seed: int, n_turns: int = TURNS, n_facts: int = FACTS) -> TestStory:
    """The story of a language and a seed: the same each time."""
    kinds, relations, things, small_talk, idle, first, second = _LANGUAGES[language]
    draw = random.Random(f"{language} {seed}")
    names = _Names(draw, first, second)

    def small() -> str:
        return draw.choice(small_talk).format(t=draw.choice(things), r=draw.choice(relations), k=draw.randint(20, 90))

    messages = [(n % 2 == 0, small()) for n in range(2 * n_turns)]
    n_corrected = n_facts // CORRECTED_EVERY
    ordinals = draw.sample(range(2 * n_turns * 3 // 4), n_facts)
    later = draw.sample(range(2 * n_turns * 3 // 4, 2 * n_turns), n_corrected)
    facts = []
    for number, ordinal in enumerate(ordinals):
        kind = kinds[draw.choice(list(kinds))] if number >= len(kinds) else list(kinds.values())[number]
        fact = _fact(kind, names, draw, relations, things, ordinal, later[number] if number < n_corrected else None)
        facts.append(fact)
        for told in (fact, fact.corrected):
            if told is not None:
                text = f"{small()} {told.said}" if draw.random() < 0.5 else f"{told.said} {small()}"
                messages[told.ordinal] = (messages[told.ordinal][0], text)
    return TestStory(language, tuple(messages), tuple(facts), idle)


def _fact(
    kind: Sequence[str],
    names: _Names,
    draw: random.Random,
    relations: Sequence[str],
    things: Sequence[str],
    ordinal: int,
    later: int | None,
) -> Fact:
    said, exact, other, corrects = kind
    is_number = "{k}" in said
    fills = {"n": names.new(), "p": names.new(), "t": draw.choice(things), "r": draw.choice(relations)}
    fills |= {"k": str(draw.randint(100, 9999)), "a": str(draw.randint(100, 9999)) if is_number else names.new()}
    answers = {"name": "n", "keeper": "n", "place": "p", "promise": "n", "number": "k"}
    which = next(name for some in _LANGUAGES.values() for name, one in some[0].items() if one is kind)
    fact = Fact(said.format(**fills), fills[answers[which]], exact.format(**fills), other.format(**fills), ordinal)
    if later is None:
        return fact
    newer = Fact(corrects.format(**fills), fills["a"], fact.exact, fact.other, later)
    return Fact(fact.said, fact.answer, fact.exact, fact.other, ordinal, newer)
