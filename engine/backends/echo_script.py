"""The text of the echo backend: scores of the next byte, computed from the visible tokens. Pure."""

SPECIALS = ("<|im_start|>", "<|im_end|>", "<|end|>", "<|bos|>")
START, END = 256, 257
_CERTAIN, _LIKELY = 30.0, 3.0
_MORE = b" And so on."


def next_token_scores(tokens: list[int], digest: int, n_vocab: int) -> list[float]:
    """Scores of every token that could come next, given all visible tokens (oldest first) and the digest of the cache.

    The reply is certain, byte by byte, except the six hex digits of its tag: all are possible, and the digest decides
    which is likeliest. A reply that must go on after its end (`ban_end`) says "And so on."
    """
    scores = [0.0] * n_vocab
    head, written = _open_message(tokens)
    script = _script(tokens[:head], _name_of(tokens[head:]))
    if len(written) >= len(script):
        more = (len(written) - len(script)) % len(_MORE)
        scores[_MORE[more]] = _CERTAIN
        if not more:  # the end of the reply, unless the end is banned
            scores[END] = 2 * _CERTAIN
    elif script[len(written)] == 0:
        for index, letter in enumerate(b"0123456789abcdef"):
            scores[letter] = 20.0 + (_LIKELY if index == digest % 16 else 0.0)
    else:
        scores[script[len(written)]] = _CERTAIN
    return scores


def _open_message(tokens: list[int]) -> tuple[int, list[int]]:
    """Index of the last <|im_start|>, and the bytes already written after its header line."""
    heads = [index for index, token in enumerate(tokens) if token == START]
    if not heads:
        return 0, tokens[-1:]
    head = heads[-1]
    lines = [index for index in range(head, len(tokens)) if tokens[index] == 10]
    return head, tokens[lines[0] + 1 :] if lines else []


def _name_of(message: list[int]) -> bytes:
    text = bytes(token for token in message if token < 256)
    return text.split(b"\n", 1)[0]


def _script(before: list[int], name: bytes) -> bytes:
    """The whole reply; a zero byte stands for one digit of the tag."""
    messages = _messages(before)
    last_text = messages[-1][1] if messages else b"nothing"
    return name + b" heard: " + last_text + b" (" + str(len(messages)).encode() + b" messages, tag " + b"\0" * 6 + b")"


def _messages(tokens: list[int]) -> list[tuple[bytes, bytes]]:
    """(name, text) of every closed message."""
    messages = []
    current: list[int] | None = None
    for token in tokens:
        if token == START:
            current = []
        elif token == END and current is not None:
            name, _, text = bytes(current).partition(b"\n")
            messages.append((name, text))
            current = None
        elif current is not None and token < 256:
            current.append(token)
    return messages
