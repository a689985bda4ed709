"""Signals become a request to stop between two steps, and handlers are put back."""

import os
import signal
import threading

import pytest
import torch

from training.runs import make, run, table, weights
from vaekit.training import Checkpoints, StopRequest, stopping_on

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


def test_a_signal_asks_and_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with stopping_on(StopRequest(), signal.SIGTERM) as stop:
        assert not stop
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_ctrl_c_has_its_usual_effect(monkeypatch):
    usual = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stopping_on(StopRequest(), signal.SIGINT):
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, usual)


def test_a_program_that_handles_the_signal_itself_is_left_alone():
    seen = []
    usual = signal.signal(signal.SIGTERM, lambda *_: seen.append("its own"))
    try:
        with stopping_on(StopRequest(), signal.SIGTERM) as stop:
            signal.raise_signal(signal.SIGTERM)
        assert not stop
        assert seen == ["its own"]
    finally:
        signal.signal(signal.SIGTERM, usual)


def test_outside_the_main_thread_training_works_without_handlers():
    found = []
    thread = threading.Thread(target=lambda: found.append(run(make(), table()).stopped))
    thread.start()
    thread.join()
    assert found == ["epochs"]


def test_ctrl_c_within_a_step_stops_before_the_next_and_is_resumed(tmp_path):
    x, model, other = table(), make(), make()
    run(model, x)
    options = Checkpoints(folder=tmp_path / "run", resume=True)
    calls = 0

    def hook(*_):
        nonlocal calls
        calls += 1
        if calls == 9:
            signal.raise_signal(signal.SIGINT)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    handle = other.parts["encoder"].register_forward_hook(hook)
    try:
        history = run(other, x, checkpoints=options)
    finally:
        signal.signal(signal.SIGINT, usual)
        handle.remove()
    assert history.stopped == "interrupted"
    run(other, x, checkpoints=options)
    assert torch.equal(weights(other), weights(model))


def test_an_interrupt_that_tears_a_step_apart_is_resumed_from_the_last_good_state(tmp_path):
    x, model, other = table(), make(), make()
    run(model, x)
    options = Checkpoints(folder=tmp_path / "run", resume=True)
    calls = 0

    def hook(*_):
        nonlocal calls
        calls += 1
        if calls == 9:
            raise KeyboardInterrupt

    handle = other.parts["decoder"].register_forward_hook(hook)
    assert run(other, x, checkpoints=options).stopped == "interrupted"
    handle.remove()
    run(other, x, checkpoints=options)
    assert torch.equal(weights(other), weights(model))
