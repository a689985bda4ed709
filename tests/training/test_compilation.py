"""The compiled step against the plain one."""

import warnings

import pytest
import torch

from narrowing import known, untyped
from training.runs import make, numbers, run, table, weights
from vaekit.errors import TrainingWarning, UsageError
from vaekit.objectives import Elbo
from vaekit.runtime import threads
from vaekit.sentence import Sentence, build_vae
from vaekit.training import Checkpoints, TrainingSettings
from vaekit.training import compiled_step as room
from vaekit.training.compiled_step import CompiledGradient, repays_compilation

COMPILED = {"compile": "on"}
CASES = {
    "plain": {},
    "annealed": {"objective": "elbo:beta=linear:0..1/3"},
    "clipped and averaged": {"options": {"averaging": 0.9, "clip": 0.5}},
    "samples": {"objective": "iwae:samples=3"},
    "opponent": {"objective": "factor"},
}
PARTS = {
    "a schedule of a part": {"posterior": "categorical:temperature=linear:1..0.5/3", "prior": "categorical"},
    "a codebook that follows means": {"posterior": "quantized:codes=8", "prior": "categorical"},
    "pseudo-inputs": {"prior": "vamp:components=5"},
    "no KL per dimension": {"posterior": "full", "prior": "mixture:components=3"},
    "a flow": {"posterior": "planar"},
}


@pytest.fixture
def quick(monkeypatch):
    """The whole way but for the making of native code; gives the graphs that were made."""
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    plain = CompiledGradient.__init__

    def begin(self, *arguments, backend="inductor"):
        plain(self, *arguments, backend=count if backend == "inductor" else backend)

    monkeypatch.setattr(CompiledGradient, "__init__", begin)
    return graphs


@pytest.mark.parametrize("case", CASES)
def test_it_trains_to_the_same_weights(case, quick):
    options = CASES[case].get("options", {})
    plain, compiled = make(), make()
    before = run(plain, table(), **{**CASES[case], "options": options})
    after = run(compiled, table(), **{**CASES[case], "options": {**options, **COMPILED}})
    assert quick
    assert len(quick) <= 3, "what moves with the epochs is an input"
    torch.testing.assert_close(weights(compiled), weights(plain), rtol=1e-4, atol=1e-5)
    assert after.best_epoch == before.best_epoch


@pytest.mark.parametrize("case", PARTS)
def test_models_of_other_parts_train_to_the_same_weights(case, quick):
    plain, compiled = make(**untyped(PARTS[case])), make(**untyped(PARTS[case]))
    run(plain, table())
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        run(compiled, table(), options=COMPILED)
    assert 1 <= len(quick) <= 3
    torch.testing.assert_close(weights(compiled), weights(plain), rtol=1e-4, atol=1e-5)


def test_running_means_are_moved_once_a_step(quick):
    network = "mlp:hidden=8,normalisation=batch"
    plain, compiled = make(network=network), make(network=network)
    for model, options in ((plain, {}), (compiled, COMPILED)):
        run(model, table(), options={"epochs": 2, "learning_rate": 1e-9, **options})
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[name], value, rtol=1e-4, atol=1e-6, msg=name)
    assert quick


def test_parameters_that_are_frozen_stay_without_gradient(quick):
    model = make()
    frozen = model.parts["encoder"]
    frozen.requires_grad_(False)
    before = weights(frozen)
    run(model, table(), options=COMPILED)
    assert quick
    assert torch.equal(weights(frozen), before)
    assert all(parameter.grad is None for parameter in frozen.parameters())


def test_gradients_lie_in_memory_as_their_parameters_do():
    """The optimiser's kernel goes by memory: a transposed gradient would move the wrong weights."""

    def transposing(graph, _):
        def run(*inputs):
            return [
                out.t().contiguous().t() if torch.is_tensor(out) and out.dim() == 2 else out
                for out in graph.forward(*inputs)
            ]

        return run

    model, x = make(), table()[:16]
    gradient = CompiledGradient(Elbo(), model, 16, backend=transposing)
    gradient(x)
    assert gradient.compiled
    for parameter in model.parameters():
        assert known(parameter.grad).stride() == parameter.stride()


def test_native_code_draws_the_same_noise_and_repeats_itself():
    weighed = {"objective": "elbo:beta=linear:0.5..1/3", "options": COMPILED}
    plain, compiled, again = (make(network="mlp:hidden=8,dropout=0.2") for _ in range(3))
    run(plain, table(), objective=weighed["objective"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", TrainingWarning)
        first, second = run(compiled, table(), **weighed), run(again, table(), **weighed)
    torch.testing.assert_close(weights(compiled), weights(plain), rtol=1e-4, atol=1e-5)
    assert torch.equal(weights(compiled), weights(again))
    assert numbers(first) == numbers(second)


def test_stopped_and_resumed_it_is_compiled_again_and_ends_in_the_same_bytes(tmp_path, quick):
    case = {"objective": "elbo:beta=linear:0..1/3"}
    model, other = make(), make()
    whole = run(model, table(), **case, options=COMPILED)
    kept = Checkpoints(folder=tmp_path / "run", resume=True)
    run(other, table(), **case, options=COMPILED, checkpoints=kept, on_step=None, on_epoch=stop_after_two)
    other, made = make(seed=9), len(quick)
    history = run(other, table(), **case, options=COMPILED, checkpoints=kept)
    assert len(quick) > made
    assert torch.equal(weights(other), weights(model))
    assert numbers(history) == numbers(whole)


def stop_after_two(metrics, is_best):
    if metrics.epoch == 2:
        raise KeyboardInterrupt


def test_resumed_where_it_cannot_be_compiled_it_says_so(tmp_path, quick, monkeypatch):
    kept = Checkpoints(folder=tmp_path / "run", resume=True)
    run(make(), table(), options=COMPILED, checkpoints=kept, on_epoch=stop_after_two)
    monkeypatch.setattr(room, "_trace", fail)
    with pytest.warns(TrainingWarning) as warned:
        assert len(run(make(), table(), options=COMPILED, checkpoints=kept).epochs) == 4
    messages = [str(warning.message) for warning in warned]
    assert any("the step was compiled, and is not compiled" in message for message in messages)


def fail(run, loss):
    next(iter(run.players.model.parameters())).data.zero_()
    torch.randn(3)
    raise RuntimeError("no compiler\nin sight")


def test_a_compiler_that_fails_leaves_the_plain_step_and_one_warning(monkeypatch):
    monkeypatch.setattr(room, "_trace", fail)
    plain, other = make(), make()
    run(plain, table())
    with pytest.warns(TrainingWarning, match=r"not compiled \(RuntimeError: no compiler\)") as warned:
        run(other, table(), options=COMPILED)
    assert len(warned) == 1
    assert torch.equal(weights(other), weights(plain))


def test_a_compiler_that_cannot_begin_leaves_the_plain_step(monkeypatch):
    def no_folder(*_, **__):
        raise FileExistsError("[Errno 17] File exists: 'cache'")

    monkeypatch.setattr(torch, "compile", no_folder)
    plain, other = make(), make()
    run(plain, table())
    with pytest.warns(TrainingWarning, match=r"not compiled \(FileExistsError: .*cache"):
        run(other, table(), options=COMPILED)
    assert torch.equal(weights(other), weights(plain))


def test_a_compiler_that_gives_up_on_the_way_is_done_without():
    model, x = make(), table()[:16]
    loss = CompiledGradient(Elbo(), model, 16, backend="eager")

    def give_up(*_):
        raise RuntimeError("too many")

    loss._compiled = give_up
    with pytest.warns(TrainingWarning, match="too many"):
        assert loss(x)[1].isfinite()
    assert not loss.compiled
    assert loss(x)[1].isfinite()


def test_a_batch_of_another_size_makes_no_graph():
    graphs = []
    loss = CompiledGradient(
        Elbo(), make(), 16, backend=lambda graph, _: graphs.append(graph) or graph.forward
    )
    for size in (16, 10, 16, 3, 16):
        loss(table()[:size])
    assert len(graphs) == 1


def test_many_runs_in_one_process_are_compiled_all():
    for hidden in range(1, 12):
        model = make(network=f"mlp:hidden={hidden}")
        loss = CompiledGradient(Elbo(), model, 16, backend="eager")
        loss(table()[:16])
        assert loss.compiled


def test_small_work_is_not_compiled_and_large_work_is():
    def pays(network, shape, batch, steps):
        model = build_vae(Sentence.parse(network=network), shape, latent=20)
        return repays_compilation(model, Elbo(), batch_size=batch, steps=steps)

    assert not pays("mlp", (64,), 64, 3500)  # the digits
    assert pays("mlp:hidden=400", (784,), 128, 100 * 469)
    assert not pays("convolutional", (1, 28, 28), 128, 100 * 469)


def test_auto_needs_a_compiler(monkeypatch, quick):
    monkeypatch.setattr(room, "repays_compilation", lambda *_, **__: True)
    run(make(), table())
    made = len(quick)
    assert made
    monkeypatch.setattr(room, "has_compiler", lambda: False)
    run(make(), table())
    assert len(quick) == made


def test_a_compiled_step_shares_less_work_than_another(monkeypatch, quick):
    """As one graph its threads meet more seldom: a step between the two lines has all threads only if compiled."""
    seen: list[int] = []
    found = []
    monkeypatch.setattr(threads, "usable_cores", lambda *root: 2)
    monkeypatch.setattr(threads, "COMPILED_WORTH_SHARING", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for options in ({}, COMPILED, {"compile": "off"}):
            seen.clear()
            run(make(), table(), options=options, on_epoch=lambda *_: seen.append(torch.get_num_threads()))
            found.append(set(seen))
    finally:
        torch.set_num_threads(before)
    assert found == [{1}, {2}, {1}]


def test_a_choice_that_is_none_is_refused():
    with pytest.raises(UsageError, match="compile='maybe'"):
        TrainingSettings(compile="maybe")  # type: ignore[arg-type]
