"""Numbers do not depend on the settings that a caller has made, and no setting is changed."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from vaekit.runtime.processor import SharedSetting, restored_threads, set_threads
from vaekit.runtime.randomness import Stream, give_way, seeded
from vaekit.runtime.surroundings import plain_arithmetic, usual_surroundings

SCRIPT = Path(__file__).parent / "environments.py"


@pytest.fixture(scope="module")
def found():
    """What every job gave in every environment, from one process."""
    run = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


CASES = [
    "float64", "float16", "bfloat16", "on the CPU", "on meta", "in a block on meta", "inference_mode", "no_grad",
    "autocast", "deterministic", "one thread", "in a thread", "in a thread, float64", "two threads at once",
    "two threads at once, float64", "forked", "spawned",
]  # fmt: skip


def test_every_case_is_looked_at(found):
    assert set(found) == {"as it is", *CASES}


@pytest.mark.parametrize("case", CASES)
def test_the_same_bytes_in_every_environment(found, case):
    expected, results = found["as it is"]["results"], found[case]["results"]
    assert len(results) >= 7, results
    for name, value in results.items():
        assert value == expected[name.removesuffix(", both")], name


@pytest.mark.parametrize("case", ["as it is", *CASES])
def test_no_setting_of_the_process_is_changed(found, case):
    assert found[case]["changed"] == {}


def test_a_setting_is_put_back_by_the_last_of_two_threads():
    values = [64]
    bits = SharedSetting(lambda: values[0], lambda value: values.__setitem__(0, value))
    first, second = bits.holding(32), bits.holding(32)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert values == [32], "the second still needs it"
    second.__exit__(None, None, None)
    assert values == [64]


def test_a_thread_that_begins_in_anothers_block_keeps_the_usual_number_of_threads():
    before, found = torch.get_num_threads(), []
    torch.set_num_threads(2)

    def work():
        with restored_threads():
            set_threads(1)
        found.append(torch.get_num_threads())

    try:
        with restored_threads():
            set_threads(1)
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert found == [2]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_long_block_lets_others_draw_and_goes_on_with_its_own_stream():
    torch.manual_seed(5)
    usual = torch.get_rng_state()
    with seeded(1):
        alone = torch.rand(4)
    with seeded(2):
        others = torch.rand(3)
    inside, drawn, seen = threading.Event(), [], []

    def wait_and_draw():
        inside.set()
        with seeded(2):
            drawn.append(torch.rand(3))
        seen.append(torch.get_rng_state())

    thread = threading.Thread(target=wait_and_draw)
    with seeded(1), seeded(1):
        first = torch.rand(2)
        thread.start()
        inside.wait()
        while thread.is_alive():
            give_way()
        rest = torch.rand(2)
    assert torch.equal(torch.cat([first, rest]), alone)
    assert torch.equal(drawn[0], others)
    assert torch.equal(seen[0], usual), "between blocks everybody finds the state of the caller"
    assert torch.equal(torch.get_rng_state(), usual)


def test_a_stream_leaves_the_generators_alone_between_its_blocks():
    torch.manual_seed(5)
    usual, stream = torch.get_rng_state(), Stream(0)
    with stream.drawing():
        first = torch.rand(3)
        assert not torch.equal(torch.get_rng_state(), usual)
    assert torch.equal(torch.get_rng_state(), usual)
    with stream.drawing():
        second = torch.rand(3)
    assert not torch.equal(first, second)


def test_what_is_set_inside_a_block_is_as_in_a_fresh_process():
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
            with usual_surroundings():
                product = torch.ones(2, 2) @ torch.ones(2, 2)
                assert (product.dtype, product.device.type) == (torch.float32, "cpu")
                assert torch.is_grad_enabled()
                assert not torch.is_inference_mode_enabled()
            with plain_arithmetic():
                assert torch.zeros(1).dtype == torch.float64, "the caller's own parts may rely on it"
                assert not torch.is_autocast_enabled("cpu")
            assert torch.is_autocast_enabled("cpu")
            assert torch.is_inference_mode_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
