"""Choosing the weight of recent spend on the past only, and judging what was expected against what came."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray
from profile_truth import Histories

from bihuan_profile.domain.lifetime import History, PurchaseModel, SpendModel, outlook
from bihuan_profile.domain.lifetime_fit import Purchases, Spending, fit_purchases, fit_spending

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
PUBLISHED = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
"""BG/NBD of the CDNOW summary in weeks (Fader, Hardie, Lee 2005)."""
ROUNDING = 0.001
RESAMPLES = 2_000
SEED = 7

Floats = NDArray[np.float64]


def fit(histories: Histories) -> tuple[PurchaseModel, SpendModel]:
    """Both models of some persons."""
    purchases = fit_purchases(Purchases(histories.repeats, histories.last, histories.age))
    paid = histories.mean > 0
    spending = fit_spending(Spending(histories.repeats[paid] + 1, histories.mean[paid]))
    assert purchases is not None
    assert spending is not None
    return purchases, spending


def published_fit(weeks: tuple[Floats, Floats, Floats]) -> dict[str, object]:
    """Our BG/NBD of the CDNOW summary, and whether it is the published one up to how that is rounded."""
    found = fit_purchases(Purchases(*weeks))
    assert found is not None
    fitted = asdict(found)
    return {
        "bgnbd": {name: round(value, 4) for name, value in fitted.items()},
        "bgnbd_published": PUBLISHED,
        "bgnbd_is_published": all(abs(fitted[name] - value) <= ROUNDING for name, value in PUBLISHED.items()),
    }


def expected(models: tuple[PurchaseModel, SpendModel], histories: Histories, share: float) -> Floats:
    """What the 90 days after are expected to bring, in micros."""
    people = zip(histories.repeats, histories.last, histories.age, histories.mean, histories.recent, strict=True)
    return np.array([outlook(*models, History(int(x), *rest), share).spend for x, *rest in people])


def choose_share(folds: Sequence[Histories]) -> tuple[float, dict[str, float]]:
    """The weight whose error is least beside the naive one's, on average over splits of the training period."""
    relative: dict[float, list[float]] = {share: [] for share in SHARES}
    for fold in folds:
        models, naive = fit(fold), error(fold.naive, fold.actual)
        for share in SHARES:
            relative[share].append(error(expected(models, fold, share), fold.actual) / naive)
    means = {share: float(np.mean(values)) for share, values in relative.items()}
    return min(means, key=lambda share: means[share]), {str(share): round(mean, 4) for share, mean in means.items()}


def error(told: Floats, actual: Floats) -> float:
    """Mean absolute error, in units of the currency."""
    return float(np.abs(told - actual).mean()) / 1e6


def judgement(told: Floats, histories: Histories) -> dict[str, object]:
    """How good a forecast is: error of a person, of the total, and the share of the true best tenth's spend caught."""
    actual = histories.actual
    tenth = len(actual) // 10
    caught = actual[np.argsort(-told, kind="stable")[:tenth]].sum() / np.sort(actual)[-tenth:].sum()
    return {
        "mae": round(error(told, actual), 3),
        "total_error": round(float(told.sum() / actual.sum()) - 1, 4),
        "top_decile_capture": round(float(caught), 4),
    }


def interval(told: Floats, histories: Histories) -> Mapping[str, object]:
    """95 % bootstrap intervals over persons, of the error, of the naive one's and of their difference."""
    ours, naive = np.abs(told - histories.actual) / 1e6, np.abs(histories.naive - histories.actual) / 1e6
    random = np.random.default_rng(SEED)
    draws = random.integers(0, len(ours), (RESAMPLES, len(ours)))
    means = ours[draws].mean(axis=1), naive[draws].mean(axis=1)
    return {
        "ltv_mae_interval": _bounds(means[0]),
        "naive_ltv_mae_interval": _bounds(means[1]),
        "ltv_mae_less_naive_interval": _bounds(means[0] - means[1]),
    }


def _bounds(values: Floats) -> list[float]:
    return [round(float(bound), 3) for bound in np.quantile(values, [0.025, 0.975])]
