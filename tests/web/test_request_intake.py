"""What has arrived of a request: when a thread may have it, when it is refused, and when it is too slow. No clock."""

import pytest

from web.server.paced_reader import PacedReader
from web.server.request_intake import GRACE_S, HEAD_S, LEAST_RATE, MAX_HEAD, SMALL_BODY, Intake, Verdict, refusal

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def post(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join(["POST /login HTTP/1.1", "Host: x", *lines, "", ""]).encode() + body


READY, WAIT = Verdict.READY, Verdict.WAIT
REQUESTS = {
    "no body": (GET, READY),
    "an empty body": (post("Content-Length: 0"), READY),
    "half a head": (GET[:-2], WAIT),
    "no letter": (b"", WAIT),
    "a whole body": (post("content-length:  3 ", body=b"abc"), READY),
    "two of three letters": (post("Content-Length: 3", body=b"ab"), WAIT),
    "a body and the next request": (post("Content-Length: 3", body=b"abcGET"), READY),
    "the largest form": (post(f"Content-Length: {SMALL_BODY}"), WAIT),
    "a file": (post(f"Content-Length: {SMALL_BODY + 1}"), READY),
    "chunks": (post("Transfer-Encoding: chunked"), Verdict.NO_LENGTH),
    "chunks, in other letters": (post("tRANSFER-eNCODING :chunked"), Verdict.NO_LENGTH),
    "two lengths": (post("Content-Length: 1", "Content-Length: 1", body=b"x"), Verdict.BAD_LENGTH),
    "a length below nothing": (post("Content-Length: -1"), Verdict.BAD_LENGTH),
    "a list": (post("Content-Length: 1, 1", body=b"x"), Verdict.BAD_LENGTH),
    "a number in other digits": (post("Content-Length: \u0661"), Verdict.BAD_LENGTH),
    "many digits": (post("Content-Length: " + "9" * 5000), Verdict.BAD_LENGTH),
    "many zeros": (post("Content-Length: " + "0" * 20 + "5"), Verdict.BAD_LENGTH),
    "no digits": (post("Content-Length:"), Verdict.BAD_LENGTH),
    "line ends that are none": (b"GET / HTTP/1.1\nHost: x\n\n", READY),
    "an endless address": (b"GET /" + b"a" * MAX_HEAD, Verdict.LONG_ADDRESS),
    "an endless head": (b"GET / HTTP/1.1\r\nx: " + b"a" * MAX_HEAD, Verdict.LONG_HEAD),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_a_request_is_judged_the_same_at_once_and_in_pieces(what):
    data, verdict = REQUESTS[what]
    assert Intake(0.0).add(data) is verdict
    pieces, step = Intake(0.0), max(1, len(data) // 97)
    verdicts = [pieces.add(data[at : at + step]) for at in range(0, len(data), step)] or [pieces.add(b"")]
    assert next((one for one in verdicts if one is not WAIT), WAIT) is verdict
    if verdict is WAIT:
        assert bytes(pieces.data) == data


def test_a_head_has_ten_seconds_however_it_comes():
    intake = Intake(100.0)
    intake.add(GET[:-2])
    assert not intake.is_late(100.0 + HEAD_S)
    assert intake.is_late(100.1 + HEAD_S)


def test_a_byte_a_second_is_too_slow_as_soon_as_the_rate_counts():
    intake = Intake(0.0)
    intake.add(post("Content-Length: 100000"))
    for second in range(1, int(GRACE_S) + 1):
        intake.add(b"x")
        assert not intake.is_late(second)
    assert intake.is_late(GRACE_S + 0.1)


def test_a_slow_line_that_keeps_the_least_rate_may_go_on():
    intake = Intake(0.0)
    intake.add(post(f"Content-Length: {SMALL_BODY}"))
    for second in range(1, SMALL_BODY // LEAST_RATE):
        intake.add(b"x" * LEAST_RATE)
        assert not intake.is_late(second + 0.5)


@pytest.mark.parametrize(
    ("n_proxies", "lines", "client"),
    [
        (0, ["X-Forwarded-For: 9.9.9.9"], "peer"),
        (1, ["X-Forwarded-For: 9.9.9.9, 1.2.3.4"], "1.2.3.4"),
        (2, ["X-Forwarded-For: 9.9.9.9", "x-forwarded-for: 1.2.3.4"], "9.9.9.9"),
        (2, ["X-Forwarded-For: 1.2.3.4"], "peer"),
        (1, [], "peer"),
    ],
)
def test_the_address_behind_proxies_is_counted_from_behind(n_proxies, lines, client):
    intake = Intake(0.0)
    intake.add(post(*lines, "Content-Length: 5"))
    assert intake.client("peer", n_proxies) == client


def test_who_waits_to_be_told_to_go_on_is_told_once():
    intake = Intake(0.0)
    intake.add(post("Expect: 100-continue", "Content-Length: 5"))
    assert intake.wants_continue
    intake.add(b"x")
    assert not intake.wants_continue


def test_a_refusal_is_a_whole_answer_with_a_sentence():
    for verdict in Verdict:
        if verdict.value >= 400:
            head, _, sentence = refusal(verdict).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % verdict.value)
            assert f"Content-Length: {len(sentence)}".encode() in head
            assert sentence.endswith(b".\n")


class Line:
    """An unreader: pieces as they come."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def read(self, _size: None, read_ahead: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def unread(self, data: bytes) -> None:
        self.pieces.insert(0, data)


def test_an_upload_gives_what_comes_and_leaves_what_follows():
    line = Line(b"abc", b"defNEXT")
    reader = PacedReader(line, 6)
    assert [reader.read(2), reader.read(9), reader.read(9), reader.read(9)] == [b"ab", b"c", b"def", b""]
    assert line.pieces == [b"NEXT"]


def test_an_upload_that_ends_early_is_no_shorter_file():
    reader = PacedReader(Line(b"abc"), 6)
    assert reader.read(9) == b"abc"
    with pytest.raises(ConnectionError, match="ended before"):
        reader.read(9)


def test_an_upload_is_late_below_the_least_rate_and_never_once_it_is_whole():
    reader = PacedReader(Line(b"abc", b"def"), 6)
    reader.read(9)
    long_after = reader._started + GRACE_S + 1
    assert reader.is_late(long_after)
    reader.read(9)
    assert not reader.is_late(long_after)
