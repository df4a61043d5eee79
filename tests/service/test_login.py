"""One-time codes: hashed, short-lived, limited, used once, and silent about who is known."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import time_machine

from tanpuhui import clock, login
from tanpuhui.errors import InvalidField, SmsFailed, TooManyCodes, WrongLoginCode
from tanpuhui.login import check_code, request_code
from tanpuhui.rooms import House, build_house
from tanpuhui.sms import ConsoleSender, GatewaySender, SmsSender, sender_for
from tests.databases import settings_for
from tests.tables import contents, written
from tests.threads import at_once, codes
from tests.world import World

PHONE = "13812345678"


class Outbox:
    """Keeps what would have been sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, phone: str, text: str) -> None:
        self.sent.append((phone, text))

    def code(self, at: int = -1) -> str:
        found = re.search(r"\d{6}", self.sent[at][1])
        assert found
        return found[0]


@pytest.fixture
def sms(house: House) -> Outbox:
    house.extras[SmsSender] = box = Outbox()
    return box


@pytest.fixture
def time() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(clock.now(), tick=False) as traveller:
        yield traveller


def ask(house: House, phone: str = PHONE, address: str = "203.0.113.7") -> None:
    request_code(house, phone=phone, address=address)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def held(house: House) -> int:
    return len(contents(house)["login_code"])


def test_a_code_works_once_and_leaves_nothing_readable(house: House, sms: Outbox) -> None:
    ask(house)
    assert sms.sent[0][0] == "+8613812345678"
    everything = repr(contents(house)["login_code"])
    for secret in (sms.code(), PHONE, "203.0.113.7"):
        assert secret not in everything.replace(str(clock.now().microsecond), "")
    assert check_code(house, phone=" 138 1234 5678", code=f" {sms.code()} ") == "+8613812345678"
    with pytest.raises(WrongLoginCode):
        check_code(house, phone=PHONE, code=sms.code())


def test_a_code_is_used_by_one_of_many_who_bring_it_at_once(house: House, sms: Outbox) -> None:
    second = build_house(house.settings)
    ask(house)
    calls: list[Callable[[], Any]] = [
        lambda house=house: check_code(house, phone=PHONE, code=sms.code()) for house in [house, second] * 4
    ]
    results = at_once(calls)
    second.db.dispose()
    assert sorted(codes(results)) == ["ok"] + ["wrong_login_code"] * 7


def test_a_code_expires(house: House, sms: Outbox, time: Any) -> None:
    ask(house)
    time.shift(login.GOOD_FOR - timedelta(seconds=1))
    with pytest.raises(WrongLoginCode):
        check_code(house, phone=PHONE, code=wrong(sms.code()))
    time.shift(timedelta(seconds=1))
    with pytest.raises(WrongLoginCode):
        check_code(house, phone=PHONE, code=sms.code())


def test_a_code_allows_five_tries(house: House, sms: Outbox, time: Any) -> None:
    ask(house)
    ask(house, phone="13900000000")
    for _ in range(4):
        with pytest.raises(WrongLoginCode):
            check_code(house, phone=PHONE, code=wrong(sms.code(0)))
    assert check_code(house, phone="13900000000", code=sms.code(1))  # tries belong to the number
    assert check_code(house, phone=PHONE, code=sms.code(0))  # the fifth
    time.shift(timedelta(minutes=1))
    ask(house)
    for _ in range(5):
        with pytest.raises(WrongLoginCode):
            check_code(house, phone=PHONE, code=wrong(sms.code()))
    with pytest.raises(WrongLoginCode):
        check_code(house, phone=PHONE, code=sms.code())


def test_five_tries_are_five_also_at_once(house: House, sms: Outbox) -> None:
    second = build_house(house.settings)
    ask(house)
    bad = wrong(sms.code())
    at_once([lambda h=h: check_code(h, phone=PHONE, code=bad) for h in [house, second] * 4])
    second.db.dispose()
    with pytest.raises(WrongLoginCode):
        check_code(house, phone=PHONE, code=sms.code())
    with house.db.reading() as connection:
        assert connection.scalar(sa.text("SELECT tries FROM login_code")) == 5


def test_an_earlier_code_still_works_when_a_later_one_was_sent(house: House, sms: Outbox, time: Any) -> None:
    ask(house)
    time.shift(timedelta(seconds=60))
    ask(house)
    assert check_code(house, phone=PHONE, code=sms.code(0))


@pytest.mark.parametrize("code", ["", "abc", "１２３４５６７", "0" * 1000, "\x00"])
def test_what_is_no_code_is_wrong(house: House, sms: Outbox, code: str) -> None:
    ask(house)
    with pytest.raises(WrongLoginCode):
        check_code(house, phone=PHONE, code=code)


def test_a_number_may_ask_for_so_many_codes(house: House, sms: Outbox, time: Any) -> None:
    ask(house)
    with pytest.raises(TooManyCodes) as refusal:
        ask(house, address="198.51.100.1")  # from anywhere
    assert refusal.value.params["retry_after"] == 61
    assert (held(house), len(sms.sent)) == (1, 1)
    for _ in range(4):
        time.shift(timedelta(seconds=60))
        ask(house)
    time.shift(timedelta(seconds=60))
    with pytest.raises(TooManyCodes) as refusal:
        ask(house)
    assert refusal.value.params["retry_after"] == 3600 - 5 * 60 + 1
    time.shift(timedelta(hours=1))
    for _ in range(5):
        ask(house)
        time.shift(timedelta(minutes=15))
    with pytest.raises(TooManyCodes) as refusal:  # ten a day
        ask(house)
    assert refusal.value.params["retry_after"] > 3600
    ask(house, phone="13900000000")


def test_an_address_may_ask_for_so_many_codes(house: House, sms: Outbox, time: Any) -> None:
    for number in range(30):
        ask(house, phone=f"139{number:08d}")
    with pytest.raises(TooManyCodes):
        ask(house, phone="13911111111")
    ask(house, phone="13911111111", address="198.51.100.1")
    time.shift(timedelta(hours=1))
    ask(house, phone="13922222222")


def test_limits_are_exact_when_many_ask_at_once(house: House, sms: Outbox) -> None:
    second = build_house(house.settings)
    second.extras[SmsSender] = sms
    results = at_once([lambda h=h: ask(h) for h in [house, second] * 5])
    assert sorted(codes(results)) == ["ok"] + ["too_many_codes"] * 9
    results = at_once(
        [
            lambda n=n: ask([house, second][n % 2], phone=f"139{n:08d}", address="198.51.100.1")
            for n in range(36)
        ]
    )
    second.db.dispose()
    assert sorted(codes(results)) == ["ok"] * 30 + ["too_many_codes"] * 6


def test_nothing_tells_whether_a_number_is_known(world: World) -> None:
    world.house.extras[SmsSender] = box = Outbox()
    resident = world.resident()  # +8613900000001
    before = contents(world.house)
    for phone in ("13900000001", "13900000002"):
        ask(world.house, phone=phone)
        with pytest.raises(WrongLoginCode):
            check_code(world.house, phone=phone, code=wrong(box.code()))
        assert check_code(world.house, phone=phone, code=box.code()) == f"+86{phone}"
    known, unknown = (re.sub(r"\d{6}", "", text) for _phone, text in box.sent)
    assert known == unknown
    assert written(before, contents(world.house)) == {"login_code": {"inserted": 2}}
    assert resident.id is not None


def test_a_bad_number_is_refused_before_anything(house: House, sms: Outbox) -> None:
    with pytest.raises(InvalidField):
        ask(house, phone="110")
    with pytest.raises(InvalidField):
        check_code(house, phone="110", code="123456")
    assert (held(house), sms.sent) == (0, [])


def test_a_message_that_cannot_be_sent_counts_for_nothing(house: House, sms: Outbox) -> None:
    class Broken:
        def send(self, _phone: str, _text: str) -> None:
            raise SmsFailed

    house.extras[SmsSender] = Broken()
    for _ in range(3):
        with pytest.raises(SmsFailed):
            ask(house)
    assert held(house) == 0
    house.extras[SmsSender] = sms
    ask(house)


def test_old_codes_are_deleted(house: House, sms: Outbox, time: Any) -> None:
    ask(house)
    time.shift(timedelta(days=1))
    ask(house)
    with house.db.transaction() as connection:
        login.purge(connection, clock.now() - timedelta(hours=1))
    assert held(house) == 1


@pytest.mark.parametrize("tries", [-1, 6])
def test_the_database_itself_bounds_the_tries(house: House, sms: Outbox, tries: int) -> None:
    ask(house)
    with pytest.raises(sa.exc.IntegrityError, match="tries"), house.db.transaction() as connection:
        connection.execute(sa.text("UPDATE login_code SET tries = :tries"), {"tries": tries})


# --- senders -----------------------------------------------------------------------------------------------


def test_the_console_hides_the_number(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleSender().send("+8613812345678", "您的验证码是 123456")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "123456" in printed.err
    assert "***5678" in printed.err
    assert "1381234" not in printed.err


def gateway(*answers: int | Exception) -> tuple[GatewaySender, list[httpx.Request], list[float]]:
    """A gateway that gives `answers`, one after another; what it was asked, and the pauses between."""
    asked: list[httpx.Request] = []
    pauses: list[float] = []
    waiting = iter(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        given = next(waiting)
        if isinstance(given, Exception):
            raise given
        return httpx.Response(given)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    return (
        GatewaySender("https://sms.example/send", "secret", client=client, sleep=pauses.append),
        asked,
        pauses,
    )


def test_the_gateway_gets_the_message() -> None:
    sender, asked, pauses = gateway(200)
    sender.send("+8613812345678", "您好")
    (request,) = asked
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.read().decode() == '{"phone":"+8613812345678","text":"您好"}'
    assert pauses == []


@pytest.mark.parametrize(
    "trouble", [500, 503, 429, httpx.ConnectError("no route"), httpx.ReadTimeout("slow")]
)
def test_trouble_at_the_gateway_is_tried_again(trouble: int | Exception) -> None:
    sender, asked, pauses = gateway(trouble, trouble, 202)
    sender.send("+8613812345678", "您好")
    assert (len(asked), pauses) == (3, [0.3, 1.0])
    sender, asked, _pauses = gateway(trouble, trouble, trouble, 200)
    with pytest.raises(SmsFailed):
        sender.send("+8613812345678", "您好")
    assert len(asked) == 3


@pytest.mark.parametrize("refusal", [400, 401, 404, 422])
def test_a_refusal_of_the_gateway_is_final_and_logged_without_the_number(
    refusal: int, capsys: pytest.CaptureFixture[str]
) -> None:
    sender, asked, pauses = gateway(refusal, 200)
    with pytest.raises(SmsFailed):
        sender.send("+8613812345678", "您的验证码是 123456")
    assert (len(asked), pauses) == (1, [])
    printed = "".join(capsys.readouterr())
    assert "5678" not in printed
    assert "123456" not in printed


def test_settings_choose_the_sender(tmp_path: Any) -> None:
    assert isinstance(sender_for(settings_for("sqlite://", tmp_path)), ConsoleSender)
    chosen = sender_for(settings_for("sqlite://", tmp_path, sms_gateway_url="https://sms.example"))
    assert isinstance(chosen, GatewaySender)
    chosen._client.close()
