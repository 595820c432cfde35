"""Optuna's storage after a few studies: enumerations, floats at their limits, JSON as text."""

import sys

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial


def trial(number: int) -> FrozenTrial:
    """One that failed now and then."""
    state = TrialState.FAIL if number % 4 == 3 else TrialState.COMPLETE
    return create_trial(
        state=state,
        values=[number / 7, float("inf")] if state is TrialState.COMPLETE else None,
        params={"share": number / 30, "layers": number, "kind": "ab"[number % 2]},
        distributions={
            "share": FloatDistribution(0, 1),
            "layers": IntDistribution(0, 100),
            "kind": CategoricalDistribution(["a", "b"]),
        },
        user_attrs={"text": 'é\n"%s" \\N', "none": None},
        intermediate_values={0: float("-inf"), 1: 1e-300, 2: float("nan")},
    )


def main(url: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(url.replace("postgresql://", "postgresql+psycopg2://"))
    for name in ("first", "Erste Übung"):
        study = optuna.create_study(storage=storage, study_name=name, directions=["minimize", "maximize"])
        study.set_user_attr("list", [1, 2.5, "x"])
        study.add_trials(trial(number) for number in range(4))


if __name__ == "__main__":
    main(sys.argv[1])
