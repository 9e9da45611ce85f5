"""Mutated card files, each made from a number: `case(number)` is (filename, bytes), always the same for a number.

Most begin as a sound file of one of the containers; then bits flip, lengths lie, chunks double, values turn into
something else. Some are made to be large: archives and texts that unpack to far more than they are, JSON that is deep,
wide or long, right up to what is allowed.
"""

import base64
import copy
import functools
import io
import json
import random
import struct
import zipfile
import zlib

from store.cards import png
from tests.store import card_files as files

NUMBERS = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 20, 8 << 20)
VALUES = (
    *(None, True, -1, 0.5, 1e308, 10**290, "", "x" * 5000, "\0", "\ud800", "🜂", [], {}, [[]], [None], {"": None}),
    *(
        "@@depth x\n@@@role y",
        "/(a+)+$/",
        "{{" * 500,
        "https://x.invalid/a.png",
        "embeded://../../etc/passwd",
        [1] * 999,
    ),
    {str(n): n for n in range(300)},
)
TEXTS = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"eyJ",
    b"====",
    b"\xff" * 99,
    b"A" * 4097,
    b"{}" * 50,
    b'"' * 501,
    b'\\"' * 400,
    b"NaN",
    b"1e999",
    b"[" * 40,
)


def case(number):
    """The file of this number."""
    dice = random.Random(number)
    make = dice.choices(WAYS, SHARES)[0]
    return dice.choice(("a.png", "a.json", "a.charx", "a.webp", "", "../..", "\udcff.png")), make(dice)


@functools.cache
def sound():
    """Files that are read without a word."""
    book = {"entries": [{**files.ENTRY, "id": n} for n in range(12)], "extensions": {}}
    long = {**files.DATA, "character_book": book}
    cards = (files.V1, files.v2(), files.v3(), files.v3(long, other=1))
    made = [files.as_json(card) for card in cards]
    made += [files.as_png(card, keyword) for card in cards for keyword in (b"chara", b"ccv3")]
    made += [files.picture(files.ztext(b"chara", files.packed(card))) for card in cards]
    made += [files.picture(files.itext(b"ccv3", files.packed(card), compressed=True)) for card in cards]
    made += [files.as_charx(card, {"assets/main.png": files.picture(), "a/b.json": b"{}"}) for card in cards]
    made += [files.as_webp(files.packed(card), order=order) for card in cards for order in "<>"]
    made += [b"\xff\xd8\xff" + files.as_charx(cards[2])]
    return tuple(made)


def damaged(dice):
    """A sound file with a few bytes that are not."""
    data = bytearray(dice.choice(sound()))
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        dice.choice(DAMAGES)(dice, data)
    return bytes(data)


def _flip(dice, data):
    if data:
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _cut(dice, data):
    del data[dice.randrange(len(data) + 1) :]


def _drop(dice, data):
    at = dice.randrange(len(data) + 1)
    del data[at : at + dice.choice((1, 4, 12, 100))]


def _double(dice, data):
    at = dice.randrange(len(data) + 1)
    data[at:at] = data[at : at + dice.choice((1, 4, 50, 1000))]


def _insert(dice, data):
    at = dice.randrange(len(data) + 1)
    data[at:at] = dice.choice((dice.randbytes(dice.choice((1, 4, 40))), dice.choice(TEXTS)))


def _lie(dice, data):
    """Some number in the file says something else."""
    if len(data) >= 8:
        at, form = dice.randrange(len(data) - 4), dice.choice(("<I", ">I", "<H", ">H"))
        limit = (1 << 8 * struct.calcsize(form)) - 1
        struct.pack_into(form, data, at, dice.choice(NUMBERS) & limit)


def _lie_at_the_end(dice, data):
    """The same in the last bytes, where an archive says how long its list is."""
    if len(data) >= 22:
        struct.pack_into("<H", data, len(data) - dice.randrange(2, 23), dice.choice(NUMBERS) & 0xFFFF)


def _splice(dice, data):
    other = dice.choice(sound())
    data[dice.randrange(len(data) + 1) :] = other[dice.randrange(len(other)) :]


DAMAGES = (_flip, _flip, _cut, _drop, _double, _insert, _lie, _lie, _lie_at_the_end, _splice)


def rebuilt_png(dice):
    """A picture whose chunks are doubled, moved, left out, damaged: with right checksums, mostly."""
    chunks = [*png.chunks(files.as_png(files.v2())), *png.chunks(files.as_png(files.v3(), b"ccv3"))]
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(chunks))
        kind, content = chunks[at]
        damage = dice.randrange(5)
        if damage == 0:
            chunks.insert(dice.randrange(len(chunks)), chunks[at])
        elif damage == 1 and len(chunks) > 1:
            del chunks[at]
        elif damage == 2:
            chunks[at] = dice.choice((b"tEXt", b"zTXt", b"iTXt", b"IEND", b"\0\0\0\0", dice.randbytes(4))), content
        else:
            mangled = bytearray(content)
            dice.choice(DAMAGES)(dice, mangled)
            chunks[at] = kind, bytes(mangled)
    lying = dice.random() < 0.2
    return png.MAGIC + b"".join(
        files.chunk(kind, content, length=dice.choice(NUMBERS) if lying and dice.random() < 0.3 else None)
        for kind, content in chunks
    )


def odd_values(dice):
    """A card in which some values are something else, in any container."""
    card = json.loads(files.as_json(dice.choice((files.V1, files.v2(), files.v3(other=[1])))))
    for _ in range(dice.choice((1, 2, 5, 20))):
        _set_somewhere(dice, card)
    return packed(dice, json.dumps(card).encode())


def _set_somewhere(dice, node):
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        if not keys:
            return
        key = dice.choice(keys)
        if not isinstance(node[key], dict | list) or dice.random() < 0.3:
            node[key] = copy.deepcopy(dice.choice(VALUES))
            return
        node = node[key]


def odd_json(dice):
    """A sound card's JSON with damaged text, in any container."""
    data = bytearray(files.as_json(dice.choice((files.V1, files.v2(), files.v3(), {"entries": {"0": files.ENTRY}}))))
    for _ in range(dice.choice((1, 1, 3))):
        dice.choice(DAMAGES)(dice, data)
    return packed(dice, bytes(data))


def packed(dice, text):
    """A text in any container."""
    wrap = dice.randrange(8)
    if wrap == 0:
        return text
    if wrap == 1:
        return _charx(text)
    if wrap == 2:
        return files.as_webp(base64.b64encode(text), order=dice.choice("<>"))
    if wrap == 3:
        return files.as_webp(text.decode("utf-8", "replace").encode("utf-16-le"), encoding=b"UNICODE\0")
    coded = base64.b64encode(text)
    if wrap == 4:
        coded = coded[: dice.randrange(len(coded) + 1)]
    chunk = dice.choice((files.text, files.ztext, files.itext))
    return files.picture(chunk(dice.choice((b"chara", b"ccv3", b"Chara")), coded))


def _charx(text, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(zipfile.ZipInfo("card.json"), text, method)  # with a date that is always the same
    return out.getvalue()


def noise(dice):
    """Bytes behind a sound beginning."""
    begin = dice.choice(
        (b"", png.MAGIC, b"RIFF\0\0\0\0WEBP", b"PK\3\4", b"PK\5\6" + b"\0" * 18, b"{", b"\xef\xbb\xbf{")
    )
    return begin + dice.randbytes(dice.choice((0, 1, 20, 2000)))


def huge(dice):
    """A file that wants a lot of memory or time."""
    return dice.choice(giants())


@functools.cache
def giants():
    """Bombs, and the largest files that are allowed."""
    zeros, mib = b"\0" * (32 << 20), 1 << 20
    shallow, deep = b"[" * (mib // 2 - 8), b'{"a":' * 30 + b"1" + b"}" * 30
    wide = b'{"name":"M","x":[' + b'{"":0},' * 19_500 + b"0]}"
    lists = b'{"name":"M","x":[' + b"[]," * 19_500 + b"0]}"
    numbers = b'{"name":"M","x":[' + b"1.5," * 59_000 + b"0]}"
    entry = b'{"keys":["/(a|a)*b/","x"],"content":"@@depth 4\\n@@x\\ny","extensions":{"sticky":1}},'
    book = b'{"name":"M","data":{"name":"M","character_book":{"entries":[' + entry * 4200 + b"{}]}}}"
    quotes, escapes = b'{"name":"' + b'\\"' * (mib // 2 - 20) + b'"}', b'{"name":"' + b"\\u732b" * 170_000 + b'"}'
    unended, slashes = b'{"name":"' + b'\\"' * (mib // 2 - 9), b"{" + b'"\\' * (mib // 2 - 9)
    broken = b'{"name":"M","x":[' + b'"\\ud800",' * 59_000 + b"0]}"
    fields = b'{"name":"M"' + b"".join(b',"%d":0' % n for n in range(59_000)) + b"}"
    deeper = b'{"a":' * 9000 + b"1" + b"}" * 9000
    texts = (
        shallow,
        deep,
        deeper,
        wide,
        lists,
        numbers,
        book,
        quotes,
        escapes,
        unended,
        slashes,
        broken,
        fields,
        b" " * mib,
    )
    made = [text[:mib] for text in texts]
    made += [files.picture(files.text(b"chara", base64.b64encode(text[:mib]))) for text in texts]
    made += [
        files.picture(chunk(b"ccv3", zeros)) for chunk in (files.ztext, lambda key, text: files.itext(key, text, True))
    ]
    made += [_charx(zeros, zipfile.ZIP_DEFLATED), _charx(book, zipfile.ZIP_DEFLATED)]
    made += [files.as_charx(files.v3(), {"assets/main.png": zeros})]
    made += [files.as_charx(files.v3(), {f"a/{n}": b"" for n in range(n_files)}) for n_files in (900, 1100, 30_000)]
    room = (8 << 20) - 4000
    made += [files.picture(files.text(b"chara", files.packed(files.v2())), files.chunk(b"IDAT", bytes(room)))]
    made += [files.picture(*[files.chunk(b"IDAT", b"")] * 400_000), files.picture(*[files.text(b"chara", b"")] * 60)]
    made += [files.as_webp(b"A" * room), b"PK\5\6" * (2 << 20), b"{" * (8 << 20), bytes(8 << 20)]
    made += [png.MAGIC + files.chunk(b"tEXt", b"chara\0" + b"A" * room), zlib.compress(zeros)]
    return tuple(made)


WAYS = (damaged, rebuilt_png, odd_values, odd_json, noise, huge)
SHARES = (80, 40, 36, 33, 10, 1)
