"""What the ranks of a test do, each in a process of its own."""

from training.runs import make, numbers, run, table, weights

SENTENCES = {
    "elbo": {},
    "importance samples": {"objective": "iwae:samples=3"},
    "dropout": {"network": "mlp:hidden=8,dropout=0.3"},
    "low rank": {"posterior": "low-rank:rank=1"},
    "Hamiltonian": {"posterior": "hamiltonian"},
}


def train_sentences(rank):
    """Train some models for 52 steps of 25 rows, the last of an epoch of 15; metrics and weights of each."""
    return {name: train_sentence(name) for name in SENTENCES}


def train_sentence(name):
    parts = dict(SENTENCES[name])
    objective = parts.pop("objective", "elbo")
    model = make(**parts)
    history = run(model, table(90), objective=objective, options={"batch_size": 25, "epochs": 13})
    return numbers(history), weights(model)
