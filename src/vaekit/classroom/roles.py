"""Find the functions to check by their names, and read the meaning of parameters from theirs."""

import re
from typing import Literal

__all__ = ["ROLES", "Spread", "declared_input", "declared_spread", "find_roles", "parameter_part"]

Spread = Literal["log-variance", "log standard deviation", "variance", "standard deviation"]

_ALIASES = {
    "sample_z": """
        samplez reparameterize reparametrize reparameterise reparametrise reparam reparameterization
        reparametrization reparameterizationtrick reparametrizationtrick reparameterisation
        reparametrisation samplelatent sampling samplegaussian latentsample samplefromlatent
        sampleposterior
    """,
    "kl_loss": """
        klloss kl kld kldloss kldiv kldivergence kldivloss kldivergenceloss klterm latentloss
        klstandardnormal klfromprior kltoprior klnormal regularizationloss klgaussian gaussiankl
    """,
    "recon_loss": """
        reconloss reconstructionloss reconstructloss reconsloss recloss reconterm nll nllloss
        reconstructionterm reconstructionerror recon bceloss bce imageloss pixelloss logpxz mseloss
        loglikelihood
    """,
    "vae_loss": """
        vaeloss lossfunction lossfn loss lossfunc elbo elboloss negelbo negativeelbo nelbo totalloss
        criterion calculateloss computeloss calcloss freeenergy vaecriterion losselbo
    """,
    "kl_gaussians": """
        klgaussians klgaussian gaussiankl klmvn klmultivariate klmultivariatenormal kl kldiv
        klmultivariategaussian klmultivariategaussians klmvg klnormals kldivergence
        kldivergencegaussians kldivergencegaussian kltwogaussians klbetweengaussians kldivgaussians
        kldgaussians kldivgaussian gausskl
    """,
}
ROLES: dict[str, frozenset[str]] = {role: frozenset(words.split()) for role, words in _ALIASES.items()}


def _plain(name: str) -> str:
    return name.rsplit(".", 1)[-1].replace("_", "").lower()


def find_roles(arity: dict[str, int], mapping: dict[str, str]) -> dict[str, str]:
    """Return the function for each role: from the mapping, or else by a name that is usual for the role.

    Parameters
    ----------
    arity
        The number of required arguments of each function in the file, by name.
    mapping
        The function names that the user gave, by role.

    Examples
    --------
    >>> find_roles({"VAE.reparameterize": 2, "kl_divergence": 4, "my_kl": 2}, {"kl_loss": "my_kl"})
    {'sample_z': 'VAE.reparameterize', 'kl_loss': 'my_kl', 'kl_gaussians': 'kl_divergence'}
    """
    taken = set(mapping.values())
    found: dict[str, str] = {}
    for role, aliases in ROLES.items():
        if role in mapping:
            found[role] = mapping[role]
            continue
        names = [name for name in arity if _plain(name) in aliases and name not in taken]
        if role == "kl_loss":
            names = [name for name in names if arity[name] < 4]
        if role == "kl_gaussians":
            names = [name for name in names if arity[name] >= 4]
        needed = 4 if role in ("vae_loss", "kl_gaussians") else 2
        names.sort(
            key=lambda name: (arity[name] < needed, _plain(name) != role.replace("_", ""), "." in name)
        )
        if names:
            found[role] = names[0]
    return found


def declared_spread(parameter: str) -> Spread | None:
    """Return which measure of spread a parameter's name stands for, or None where the name leaves doubt.

    >>> [declared_spread(name) for name in ("logvar", "z_log_std", "sigma2", "std", "log_sigma", "sigma")]
    ['log-variance', 'log standard deviation', 'variance', 'standard deviation', None, None]
    """
    name = _plain(parameter)
    is_log = "log" in name or "ln" in name
    squared = re.search(r"sigma(2|sq|square|squared)|std2|sd2", name) is not None
    if "var" in name or squared or re.search(r"(^|z)lv$|logv$", name):
        return "log-variance" if is_log or re.search(r"(^|z)lv$", name) else "variance"
    if re.search(r"std|stddev|sd$|scale", name):
        return "log standard deviation" if is_log else "standard deviation"
    return None


def declared_input(parameter: str) -> Literal["logits", "probabilities"] | None:
    """Return whether the name of a reconstruction says that it holds logits or probabilities.

    >>> [declared_input(name) for name in ("x_logits", "probs", "x_hat")]
    ['logits', 'probabilities', None]
    """
    name = _plain(parameter)
    if "logit" in name:
        return "logits"
    return "probabilities" if re.search(r"prob|sigmoid|^p$|^px$|^phat$", name) else None


def parameter_part(parameter: str) -> str | None:
    """Return what a parameter is by its name: mean, spread, reconstruction, data, weight, or None.

    >>> [parameter_part(name) for name in ("mu", "z_log_sigma", "recon_x", "x", "beta", "a")]
    ['mean', 'spread', 'reconstruction', 'data', 'weight', None]
    """
    name = _plain(parameter)
    if re.fullmatch(
        r"(kl)?(beta|weight|alpha|lambda|lam|lamb|klw|klweight|kldweight|annealing|factor|coef)", name
    ):
        return "weight"
    if re.search(r"var|sigma|std|sd$|scale|^s$|^lv$|^lnv|logv|logs$", name):
        return "spread"
    if re.search(r"mu|mean|^m$|loc", name) and "num" not in name:
        return "mean"
    if re.search(r"hat|recon|logit|pred|prob|output|^out$|decod|tilde|prime|^p$|^px$|gen|^y$", name):
        return "reconstruction"
    if re.search(r"^x|target|data|input|orig|true|image|img|^t$|batch", name) and "size" not in name:
        return "data"
    return None
