"""Products in bfloat16: where they are, where they are not, and what they cost."""

import pytest
import torch

from narrowing import known
from training.runs import make, numbers, run, table, weights
from vaekit.errors import CheckpointError, UsageError
from vaekit.runtime.precision import NetworkPrecision
from vaekit.training import Checkpoints, TrainingSettings

BF16 = {"precision": "bf16"}


def types_in(model):
    """The types of what the last layers of the networks give, and of what the parts get, as they come."""
    seen = {"networks": [], "parts": []}
    for name in ("encoder", "decoder"):
        last = [m for m in model.parts[name].modules() if isinstance(m, torch.nn.Linear)][-1]
        last.register_forward_hook(lambda module, given, out: seen["networks"].append(out.dtype))
    for name in ("posterior", "likelihood"):
        model.parts[name].register_forward_pre_hook(
            lambda module, given: seen["parts"].append(given[0].dtype)
        )
    return seen


def test_networks_multiply_in_bfloat16_and_nothing_else_does():
    model = make()
    seen = types_in(model)
    run(model, table(), options={**BF16, "epochs": 1}, validation=None)
    assert set(seen["networks"]) == {torch.bfloat16}
    assert set(seen["parts"]) == {torch.float32}
    assert weights(model).dtype == torch.float32
    assert all(known(parameter.grad).dtype == torch.float32 for parameter in model.parameters())


def test_validation_and_what_comes_after_are_in_float32():
    model = make()
    seen = types_in(model)
    run(model, table(), options={**BF16, "epochs": 1})
    assert {torch.float32, torch.bfloat16} == set(seen["networks"])
    seen["networks"].clear()
    model.encode(table())
    assert seen["networks"] == [torch.float32]


def test_it_learns_what_float32_learns():
    plain, other = make(likelihood="gaussian"), make(likelihood="gaussian")
    before = run(plain, table(400), options={"epochs": 30})
    after = run(other, table(400), options={**BF16, "epochs": 30})
    assert not torch.equal(weights(plain), weights(other))
    assert after.epochs[-1].bound == pytest.approx(before.epochs[-1].bound, abs=0.15)
    assert after.epochs[-1].bound > before.epochs[0].bound + 1


def test_a_run_that_fails_leaves_float32_behind():
    model = make()
    encoder = model.parts["encoder"]
    before = encoder(table())

    def fail():
        with NetworkPrecision([encoder], "bf16").chosen():
            assert not torch.equal(encoder(table()), before)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.equal(encoder(table()), before)
    assert "forward" not in vars(encoder)


def test_compiled_it_is_the_same():
    plain, compiled = make(), make()
    run(plain, table(), options={**BF16, "epochs": 2})
    run(compiled, table(), options={**BF16, "epochs": 2, "compile": "on"})
    torch.testing.assert_close(weights(compiled), weights(plain), rtol=2e-2, atol=2e-3)


def test_resumed_in_another_precision_it_is_refused(tmp_path):
    def stop(metrics, is_best):
        if metrics.epoch == 2:
            raise KeyboardInterrupt

    kept = Checkpoints(folder=tmp_path / "run", resume=True)
    run(make(), table(), options=BF16, checkpoints=kept, on_epoch=stop)
    with pytest.raises(CheckpointError, match="precision was bf16, and is float32"):
        run(make(), table(), checkpoints=kept)
    model, whole = make(), make()
    resumed = run(model, table(), options=BF16, checkpoints=kept)
    assert numbers(resumed) == numbers(run(whole, table(), options=BF16))
    assert torch.equal(weights(model), weights(whole))


def test_choices_that_are_none_are_refused():
    with pytest.raises(UsageError, match="precision='half'"):
        TrainingSettings(precision="half")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="NVIDIA"):
        run(make(), table(), options={"precision": "tf32"})
