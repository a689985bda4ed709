import logging
import warnings

import pytest
import torch

from vaekit.errors import TrainingWarning
from vaekit.runtime.compiler import compile_graph


def doubled(x):
    return 2 * x


def test_a_cache_that_cannot_be_read_is_said_in_one_line(caplog):
    def backend(graph, inputs):
        logger = logging.getLogger("torch._inductor.codecache")
        for _ in range(2):
            try:
                int("arbage")
            except ValueError:
                logger.warning("unable to load compiled graph", exc_info=True)
        logger.warning("of something else")
        return graph.forward

    run = compile_graph(lambda x: doubled(x), backend)
    with caplog.at_level(logging.WARNING), pytest.warns(TrainingWarning) as warned:
        assert torch.equal(run(torch.ones(2)), torch.full((2,), 2.0))
    assert len(warned) == 1
    assert "cannot be read (ValueError: invalid literal" in str(warned[0].message)
    assert not [record for record in caplog.records if "unable" in record.getMessage()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(torch.ones(2))


def test_what_goes_wrong_at_the_start_of_the_compiler_goes_wrong_in_a_call(monkeypatch):
    def no_folder(*_, **__):
        raise FileExistsError("[Errno 17] File exists: 'cache'")

    monkeypatch.setattr(torch, "compile", no_folder)
    run = compile_graph(lambda x: doubled(x))
    with pytest.raises(FileExistsError, match="cache"):
        run(torch.ones(2))
