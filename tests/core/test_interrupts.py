"""The first signal asks, the second interrupts, and afterwards everything is restored."""

from __future__ import annotations

import signal
import threading

import pytest

from peftlab.core.interrupts import SIGNALS, stop_if_requested, stop_requested, stopping_gently


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_makes_a_request_and_the_second_interrupts(number: int) -> None:
    with stopping_gently():
        assert not stop_requested()
        stop_if_requested()
        signal.raise_signal(number)
        assert stop_requested()
        with pytest.raises(KeyboardInterrupt):
            stop_if_requested()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_afterwards_handlers_and_request_are_gone() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with stopping_gently():
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert not stop_requested()


def test_in_another_thread_it_has_no_effect() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with stopping_gently():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_person_is_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    with stopping_gently("one moment"):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert capfd.readouterr().err == "one moment\n"
