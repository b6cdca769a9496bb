"""An arm has learned, has not learned, or it cannot be told, by the evidence of its runs alone."""

from __future__ import annotations

import numpy as np
import pytest

from peftlab.stats.compare import Difference
from peftlab.stats.constant import best_constant
from peftlab.stats.learned import Learned, constants_of, has_moved, judge
from peftlab.stats.noise import Noise
from peftlab.stats.outcomes import FoldedExamples, Outcomes
from peftlab.stats.resample import resample
from peftlab.tasks.metrics.metric import Metric
from peftlab.tasks.metrics.registry import METRICS

NUM = 400


def labels_of(share: float = 0.5, num: int = NUM) -> np.ndarray:
    """Return a share of ones, in shuffled order."""
    labels = (np.arange(num) < share * num).astype(np.int64)
    return np.asarray(np.random.default_rng(0).permutation(labels))


def right(labels: np.ndarray, share: float, num_seeds: int = 5, chance: int = 1) -> np.ndarray:
    """Return runs that are right on about this share of the examples."""
    is_right = np.random.default_rng(chance).random((num_seeds, len(labels))) < share
    return np.where(is_right, labels, 1 - labels)


def judged(labels: np.ndarray, rows: np.ndarray, metric: str = "accuracy", **more: bool) -> Learned:
    outcomes = Outcomes(
        metric=metric, labels_N=labels, predictions_SN=rows, seeds=tuple(range(len(rows)))
    )
    constants = constants_of([outcomes])
    own, drawn = resample([outcomes, constants.outcomes], np.random.default_rng(2))
    return judge(outcomes, own, constants, drawn, **more)


def test_a_score_above_the_best_constant_answer_is_learned_and_the_gain_says_by_how_much() -> None:
    labels = labels_of(0.6)
    found = judged(labels, right(labels, 0.8))
    assert found.state == "learned"
    assert found.constant == 60.0
    assert found.gain is not None
    assert 0 < found.gain.low < found.gain.estimate < found.gain.high
    rows = right(labels, 0.8)
    assert found.gain.estimate == pytest.approx(100 * (rows == labels).mean() - 60.0)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "f1_macro", "matthews_correlation"])
@pytest.mark.parametrize("answers", [[0, 0, 0], [1, 1, 1], [0, 1, 1]])
def test_constant_runs_did_not_learn_whatever_they_answer(metric: str, answers: list[int]) -> None:
    rows = np.repeat(np.array(answers)[:, None], NUM, axis=1)
    found = judged(labels_of(0.3), rows, metric)
    assert (found.state, found.num_constant) == ("did not learn", 3)


def test_one_constant_run_did_not_learn() -> None:
    assert judged(labels_of(), np.zeros((1, NUM), dtype=int)).state == "did not learn"


def test_by_f1_a_run_that_finds_less_than_all_positives_did_not_learn() -> None:
    """46 is the F1 of calling everything positive; 70% accuracy by calling nothing so is not 0."""
    labels = labels_of(0.3)
    few = np.where((labels == 1) & (np.arange(NUM) % 8 == 0), 1, 0)
    found = judged(labels, np.stack([few] * 3), "f1")
    assert found.constant == pytest.approx(best_constant("f1", labels).score)
    assert found.gain is not None
    assert found.gain.high < 0
    assert found.state == "did not learn"


def test_runs_that_almost_always_give_one_answer_did_not_learn_though_another_is_better() -> None:
    """Compared only with the best constant answer, their noise is that of all examples."""
    labels = labels_of(0.49)
    rows = np.ones((4, NUM), dtype=int)
    rows[0, np.flatnonzero(labels == 1)[0]] = 0
    rows[1, np.flatnonzero(labels == 0)[0]] = 0
    found = judged(labels, rows)
    assert (found.constant, found.num_constant) == (51.0, 2)
    assert found.gain is not None
    assert found.gain.high > 1, "the best constant answer does not show it"
    assert found.state == "did not learn"


def test_coin_flips_cannot_be_told_from_learning_and_are_never_called_that() -> None:
    labels = labels_of(num=200)
    states = [judged(labels, right(labels, 0.5, chance=chance)).state for chance in range(40)]
    assert states.count("learned") <= 3  # 2.5% of 40 is 1
    assert "cannot tell" in states


def permuted_score(metric: str, labels: np.ndarray, row: np.ndarray, num: int = 4000) -> float:
    """Return the mean score of a run over random permutations of its predictions."""
    generator = np.random.default_rng(3)
    rows = np.stack([row[generator.permutation(len(row))] for _ in range(num)])
    return float(METRICS.get(metric).scores(labels, rows).mean())


@pytest.mark.parametrize("metric", ["f1_macro", "f1_weighted", "precision_macro"])
def test_coin_flips_do_not_learn_though_they_beat_the_best_constant_answer(metric: str) -> None:
    labels = labels_of(num=200)
    every = [judged(labels, right(labels, 0.5, chance=chance), metric) for chance in range(40)]
    assert [found.state for found in every].count("learned") <= 3  # 2.5% of 40 is 1
    for found in every:
        assert found.constant is not None
        assert found.chance is not None
        assert found.chance > found.constant + 10
    assert judged(labels, right(labels, 0.7), metric).state == "learned"


@pytest.mark.parametrize("metric", ["f1_macro", "f1_weighted", "precision_macro"])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_a_chance_level_is_the_mean_over_permutations_of_the_predictions(
    metric: str, num_classes: int
) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, num_classes, 60)
    rows = np.where(generator.random((2, 60)) < 0.4, labels, generator.integers(0, 2, (2, 60)))
    found = judged(labels, rows, metric)
    expected = [permuted_score(metric, labels, row) for row in rows]
    assert found.chance == pytest.approx(np.mean(expected), abs=0.3)
    assert found.gain is not None
    scores = METRICS.get(metric).scores(labels, rows)
    assert found.gain.estimate == pytest.approx(scores.mean() - found.chance)


def test_the_chance_level_of_an_average_precision_holds_for_few_examples_and_for_ties() -> None:
    labels = (np.arange(30) % 5 == 0).astype(np.int64)
    generator = np.random.default_rng(1)
    steps = np.stack([generator.normal(size=30), generator.integers(0, 4, 30)])
    logits = np.stack([np.zeros_like(steps), steps], axis=-1)
    levels = METRICS.get("average_precision").chance_levels(labels, logits)
    assert levels is not None
    for level, row in zip(levels, logits, strict=True):
        expected = permuted_score("average_precision", labels, row)
        assert level == pytest.approx(expected, abs=0.6)
    assert levels[0] > 20 + 5
    one = METRICS.get("average_precision").chance_levels(labels, np.zeros((1, 30, 2)))
    assert one == pytest.approx([20.0])


@pytest.mark.parametrize(
    "metric", ["accuracy", "f1", "matthews_correlation", "precision", "balanced_accuracy"]
)
def test_by_other_metrics_no_permutation_of_answers_beats_the_best_constant_one(
    metric: str,
) -> None:
    labels = labels_of(0.4, num=100)
    rows = right(labels, 0.5, num_seeds=2)
    best = best_constant(metric, labels).score
    assert max(permuted_score(metric, labels, row) for row in rows) < best + 0.5
    found = judged(labels, rows, metric)
    assert found.chance is None
    assert found.gain is not None
    scores = METRICS.get(metric).scores(labels, rows)
    assert found.gain.estimate == pytest.approx(scores.mean() - best)


def test_of_a_metric_of_ones_own_the_chance_level_is_estimated_and_exact_for_constants() -> None:
    def macro(predictions: np.ndarray, labels: np.ndarray) -> float:
        return float(METRICS.get("f1_macro").scores(labels, predictions[None])[0]) / 100

    labels = labels_of(num=200)
    rows = np.stack([*right(labels, 0.5, num_seeds=2), np.zeros(200, dtype=int)])
    own = Metric(kinds=("single_label_classification",), reads="answers", measure=macro)
    levels = own.chance_levels(labels, rows)
    exact = METRICS.get("f1_macro").chance_levels(labels, rows)
    assert levels is not None
    assert exact is not None
    assert levels == pytest.approx(exact, abs=1.5)
    assert levels[2] == pytest.approx(100 / 3)


def test_a_run_is_held_to_its_own_chance_level_where_that_is_the_better_bar() -> None:
    labels = labels_of()
    rows = right(labels, 0.95, num_seeds=2)
    rows[0] = 0
    found = judged(labels, rows, "f1_macro")
    assert found.constant == pytest.approx(100 / 3)
    assert found.chance == pytest.approx((100 / 3 + 50) / 2, abs=0.5)


def test_in_folds_the_bar_is_the_chance_level_of_each_fold() -> None:
    labels = labels_of(num=200)
    for share, state in ((0.5, "cannot tell"), (0.8, "learned")):
        outcomes = Outcomes(
            metric="f1_macro",
            labels_N=labels,
            predictions_SN=right(labels, share, num_seeds=1),
            seeds=(0,),
            folds=FoldedExamples(fold_N=(1 + np.arange(200) % 5).astype(np.int16), test_share=0.25),
        )
        constants = constants_of([outcomes])
        own, drawn = resample([outcomes, constants.outcomes], np.random.default_rng(2))
        found = judge(outcomes, own, constants, drawn)
        assert found.state == state
        assert found.gain is not None
        assert found.gain.num_folds == 5


def test_what_did_not_move_did_not_learn_unless_it_is_better_than_any_constant_answer() -> None:
    labels = labels_of(num=100)
    rows = right(labels, 0.55, num_seeds=3, chance=3)
    assert judged(labels, rows).state == "cannot tell"
    assert judged(labels, rows, has_moved=False).state == "did not learn"
    assert judged(labels, right(labels, 0.9), has_moved=False).state == "learned"


def test_where_all_examples_have_one_label_nothing_can_be_told() -> None:
    labels = np.zeros(50, dtype=int)
    found = judged(labels, np.zeros((3, 50), dtype=int))
    assert (found.state, found.is_one_label, found.constant) == ("cannot tell", True, 100.0)


@pytest.mark.parametrize("metric", ["accuracy", "f1", "matthews_correlation"])
def test_perfect_runs_have_learned_though_nothing_varies(metric: str) -> None:
    labels = labels_of()
    assert judged(labels, np.stack([labels] * 3), metric).state == "learned"


def test_two_right_answers_are_not_enough_to_tell() -> None:
    labels = np.array([0, 1])
    assert judged(labels, np.stack([labels] * 3)).state == "cannot tell"


def test_runs_that_collapse_leave_it_open_and_are_counted() -> None:
    labels = labels_of()
    rows = right(labels, 0.95, num_seeds=4)
    rows[:3] = 0
    found = judged(labels, rows)
    assert (found.state, found.num_constant, found.num_runs) == ("cannot tell", 3, 4)


def test_several_labels_and_scores_have_their_own_constants() -> None:
    flags = np.random.default_rng(0).integers(0, 2, (NUM, 3))
    flipped = np.random.default_rng(1).random((3, NUM, 3)) < 0.1
    for metric in ("f1_macro", "f1_weighted", "f1_micro", "precision_macro"):
        found = judged(flags, flags ^ flipped, metric)
        assert (found.state, found.chance) == ("learned", None)
    assert judged(flags, np.ones((3, NUM, 3), dtype=int), "f1_macro").state == "did not learn"
    scores = np.random.default_rng(0).normal(size=NUM)
    noise = np.random.default_rng(1).normal(size=(3, NUM))
    assert judged(scores, scores + noise, "pearson").state == "learned"
    collapsed = judged(scores, 2.5 + 1e-7 * noise, "pearson")
    assert (collapsed.state, collapsed.constant) == ("did not learn", 0.0)


@pytest.mark.parametrize(
    ("scores", "losses", "expected"),
    [
        ([(45, 45), (55, 55)], [(0.7, 0.7), (0.69, 0.69)], False),
        ([(45, 45), (55, 58)], [(0.7, 0.7), (0.69, 0.69)], True),
        ([(45, 45), (55, 55)], [(0.7, 0.7), (0.69, 0.6)], True),
        ([(45, 45)], [(0.7, float("nan"))], True),
    ],
)
def test_a_run_moves_by_its_score_or_by_its_loss(
    scores: list[tuple[float, float]], losses: list[tuple[float, float]], expected: bool
) -> None:
    assert has_moved(scores, losses) is expected


def test_the_interval_of_a_gain_ends_where_scores_do() -> None:
    gain = Difference(
        estimate=16.0,
        noise=Noise(examples=50.0**2, num_examples=6),
        num_seeds=1,
        is_paired=True,
        reach=100.0,
    )
    found = Learned(state="cannot tell", constant=33.0, gain=gain, most=67.0, num_runs=1)
    assert (gain.low, gain.high) == (-100.0, 100.0)
    assert found.interval == (-33.0, 67.0)
