"""What "this term has no effect" means: hypotheses of analyses of variance as linear combinations of fixed effects.

I: each term after those before it. II: each term after all that do not contain it. III: the functions of the effects of
the term, and of those that contain it, that can be estimated, as far as they are orthogonal to the functions of the
containing effects alone. A term contains another if it has all its factors and more, and the same numeric variables. No
hypothesis depends on the coding of the factors; III is that of sum-to-zero contrasts where all cells have data.

References: SAS/STAT User's Guide, "The Four Types of Estimable Functions"; Goodnight (1980), Communications in
Statistics A9, 167-180.
"""

from __future__ import annotations

import numpy as np

from ranef.errors import ModelError
from ranef.fitting import FittedModel
from ranef.formula.full_coding import Effect, fully_coded

TYPES = {1: 1, 2: 2, 3: 3, "1": 1, "2": 2, "3": 3, "I": 1, "II": 2, "III": 3}

# Rows of a chunk of a tall matrix on its way to its triangular factor.
CHUNK = 1 << 15
# Singular values below this share of the largest are rounding.
RANK = 1e-9


def type_of(value: int | str) -> int:
    """1, 2 or 3 from what a user gave."""
    if isinstance(value, bool) or value not in TYPES:
        raise ModelError(f"type={value!r}: give 1, 2 or 3 (or 'I', 'II', 'III').")
    return TYPES[value]


def hypotheses(record: FittedModel, component: str, type_: int) -> dict[str, np.ndarray]:
    """For every term but the intercept, the rows (k, p) that are zero where it has no effect; p as `estimates`.

    k is zero where nothing of a term can be tested.
    """
    record.require_component(component)
    part, kept = record.design.fixed[component], record.kept[component]
    # Thresholds take the place of the intercept.
    ordinal = component == "cond" and "threshold" in record.model.components
    x = np.asarray(part.x, float)[:, kept]
    position = {int(j): k for k, j in enumerate(kept)}
    columns = {text: [position[j] for j in js if j in position] for text, js in part.term_columns.items()}
    if ordinal:
        x = np.column_stack([np.ones(len(x)), x])
        columns = {text: [k + 1 for k in ks] for text, ks in columns.items()}
    effects = fully_coded(record.design, component)
    wanted = [effect for effect in effects if effect.classes or effect.continuous]
    if type_ == 3:
        found = _marginal(x, effects, wanted, ordinal)
    else:
        within = {e.text: [k for o in effects if e.within(o) for k in columns[o.text]] for e in wanted}
        found = _sequential(x, {e.text: columns[e.text] for e in wanted}, within if type_ == 2 else None)
    return {text: rows[:, 1:] if ordinal else rows for text, rows in found.items()}


def triangle(columns: np.ndarray) -> np.ndarray:
    """R of the QR decomposition of a tall matrix."""
    p = columns.shape[1]
    r = np.zeros((0, p))
    for first in range(0, len(columns), CHUNK):
        r = np.asarray(np.linalg.qr(np.vstack([r, columns[first : first + CHUNK]]), mode="r"))
    return r if len(r) == p else np.vstack([r, np.zeros((p - len(r), p))])


def _sequential(
    x: np.ndarray, columns: dict[str, list[int]], within: dict[str, list[int]] | None
) -> dict[str, np.ndarray]:
    """Types I, and II where it is said which columns stand for effects that contain a term.

    With X = QR and the columns before those of the term first, its rows of R, one where they begin.
    """
    p = x.shape[1]
    # The triangular factor for any order of the columns follows from that for one.
    r = triangle(x)
    found = {}
    for text, own in columns.items():
        inside = [] if within is None else within[text]
        order = list(range(p))
        if within is not None:
            order = [k for k in order if k not in {*own, *inside}] + own + inside
        ordered = np.asarray(np.linalg.qr(r[:, order], mode="r"))
        rows = np.zeros((len(own), p))
        chosen = ordered[[order.index(k) for k in own]]
        pivots = np.array([chosen[i, order.index(k)] for i, k in enumerate(own)])
        rows[:, order] = chosen / pivots[:, None]
        # Of degrees of freedom by Satterthwaite's approximation several rows are as good as others; these are
        # lmerTest's.
        found[text] = rows if within is None or inside else echelon(rows)
    return found


def _marginal(x: np.ndarray, effects: list[Effect], wanted: list[Effect], intercept: bool) -> dict[str, np.ndarray]:
    """Type III, by term."""
    if not wanted:
        return {}
    if intercept and not any(not (e.classes or e.continuous) for e in effects):
        effects = [Effect("1", frozenset(), frozenset(), np.ones((len(x), 1))), *effects]
    full = np.column_stack([effect.columns for effect in effects])
    ends = np.cumsum([effect.columns.shape[1] for effect in effects])
    place = {e.text: np.arange(end - e.columns.shape[1], end) for e, end in zip(effects, ends, strict=True)}
    # Effects with the same numeric variables share their units, so that what is orthogonal does not depend on them.
    scale = np.ones(full.shape[1])
    for key in {effect.continuous for effect in effects}:
        mine = np.concatenate([place[effect.text] for effect in effects if effect.continuous == key])
        size = np.sqrt((full[:, mine] ** 2).sum() / len(x))
        scale[mine] = size if size > 0.0 else 1.0
    r = triangle(np.column_stack([full / scale, x]))
    r_full, r_x = r[:, : full.shape[1]], r[:, full.shape[1] :]
    estimable = _row_space(r_full)
    back = np.linalg.pinv(r_full, rcond=RANK)
    found = {}
    for effect in wanted:
        own = place[effect.text]
        inside = [place[other.text] for other in effects if effect.within(other)]
        involved = np.concatenate([own, *inside])
        others = np.setdiff1d(np.arange(full.shape[1]), involved)
        # Estimable functions without the other effects, and among them the part that is orthogonal to those without
        # this.
        functions = _null_space(estimable[:, others].T).T @ estimable
        left, values, _ = np.linalg.svd(functions[:, own], full_matrices=False)
        rows = left[:, values > RANK * max(values.max(initial=0.0), 1.0)].T @ functions
        found[effect.text] = echelon(rows @ back @ r_x)
    return found


def echelon(rows: np.ndarray) -> np.ndarray:
    """The reduced echelon form of rows that are independent: pivots of one, as far left as they can be."""
    rows = rows.copy()
    done = 0
    for j in range(rows.shape[1]):
        if done == len(rows):
            break
        k = done + int(np.abs(rows[done:, j]).argmax())
        if abs(rows[k, j]) <= RANK * np.abs(rows).max():
            rows[done:, j] = 0.0
            continue
        rows[[done, k]] = rows[[k, done]]
        rows[done] /= rows[done, j]
        others = np.arange(len(rows)) != done
        rows[others] -= np.outer(rows[others, j], rows[done])
        done += 1
    return rows


def _row_space(matrix: np.ndarray) -> np.ndarray:
    """An orthonormal basis, in rows."""
    _, values, rows = np.linalg.svd(matrix, full_matrices=False)
    basis: np.ndarray = rows[values > RANK * values.max(initial=0.0)]
    return basis


def _null_space(matrix: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the vectors that a matrix makes zero, in columns."""
    if not matrix.size:
        return np.eye(matrix.shape[1])
    _, values, rows = np.linalg.svd(matrix)
    rank = int((values > RANK * max(values.max(initial=0.0), 1.0)).sum())
    basis: np.ndarray = rows[rank:].T
    return basis
