"""A model as an equation: its lines, in the order in which the response comes about.

The law of the response given the random effects, the linear predictor of every component, the random effects, smooths,
and what was assumed besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ranef.fitting import FittedModel
from ranef.formula.design import RandomTerm, SmoothTerm
from ranef.formula.parser import Binary, Call
from ranef.formula.parser import Name as FormulaName
from ranef.model import Model, Named
from ranef.reports.mathematics.covariance_structures import distribution
from ranef.reports.mathematics.distributions import (
    ABOVE_ONE,
    Parameters,
    facts_of,
    letter_of,
    mixture,
    notation_of,
    ordered_beta,
)
from ranef.reports.mathematics.expressions import (
    Choices,
    Fenced,
    Indexed,
    Letter,
    Line,
    Node,
    Number,
    Operator,
    Ratio,
    Sign,
    Word,
    applied,
    difference,
    dots_between,
    equal,
    indexed,
    listed,
    parts_of,
    product,
    ranging,
    row,
    squared,
    total,
)
from ranef.reports.mathematics.link_functions import linked
from ranef.reports.mathematics.quantities import Quantities, TermQuantities
from ranef.reports.mathematics.residual_structures import CorrelationQuantities, correlation_lines, spread_factor
from ranef.reports.mathematics.variables import (
    column,
    columns_product,
    expression,
    expression_of_text,
    level_of,
    occasions,
    variable,
)

ONE, ZERO = Number("1"), Number("0")
_I = Letter("i")
# A factor with more columns than this is written by its first ones and its last.
MOST_COLUMNS = 6
MOST_CATEGORIES = 8


def lines_of(model: Model, kept: Mapping[str, Sequence[int]], record: FittedModel | None, digits: int) -> list[Line]:
    """All lines of the equation of a model.

    Parameters
    ----------
    model : Model
    kept : mapping
        The columns of each component that are estimated.
    record : FittedModel or None
        The fit whose estimates stand in place of symbols.
    digits : int
        Significant digits of the numbers.
    """
    written = _Equation(model, Quantities(model, dict(kept), record, digits))
    return [*written.response(), *written.predictors(), *written.random(), *written.smooths(), *written.besides()]


@dataclass(frozen=True)
class _Equation:
    model: Model
    q: Quantities

    # -- the response ------------------------------------------------------------------------------------------------

    def response(self) -> list[Line]:
        """The law of the response given the random effects."""
        model, family = self.model, self.model.family
        rows = ranging("i", model.design.n)
        if model.marginal:
            return self._with_residuals(rows)
        subject, trials, more = self._observed()
        left = self._given(subject)
        if family.ordinal:
            return self._ordinal(subject, rows)
        p = self._parameters(trials)
        if model.without_residual:
            return [equal(subject, p.mean, aside=rows), *more]
        law: Node
        if family.name == "ordbeta" and family.engine is None:
            thresholds = tuple(self._threshold(k) for k in range(2))
            law = Choices(ordered_beta(indexed(Letter("eta"), _I), p, (thresholds[0], thresholds[1])))
            return [Line(left, "~", (law,), rows), *more]
        law = notation_of(family).law(p)
        if model.linear and model.arguments.get("weights") is not None:
            law = applied("N", p.mean, Ratio(squared(p.dispersion), self._weight()))
        if model.zero_inflated:
            law = Choices(mixture(law, indexed(Letter("pi"), _I)))
        return [Line(left, "~", (law,), rows), *more, *facts_of(family, p)]

    def _given(self, event: Node) -> Node:
        """An event given the random effects, where there are any."""
        terms = [self.q.term(t) for t, term in enumerate(self.model.design.random) if term.smooth is None]
        letters = [replace(t.letter, bold=True) if isinstance(t.letter, Letter) else t.letter for t in terms]
        return row(event, Sign("given"), listed(*letters)) if letters else event

    def _observed(self) -> tuple[Node, Node | None, list[Line]]:
        """The response in row i, its number of trials, and how these two come from the data."""
        response, design = self.model.design.response, self.model.design
        node = design.recipe.terms["cond"].response
        n = indexed(Letter("n"), _I)
        if response.form == "cbind" and isinstance(node, Call) and len(node.args) == 2:
            first, second = map(expression, node.args)
            rest = node.args[1]
            if isinstance(rest, Binary) and rest.operator == "-" and rest.right.text == node.args[0].text:
                # cbind(hits, size - hits)
                return first, expression(rest.left), []
            second = Fenced(second) if len(parts_of(second)) > 1 else second
            return first, n, [equal(n, row(first, Sign("+"), second))]
        subject = expression(node) if node is not None else variable(response.name)
        if response.form == "proportion":
            name = self.model.arguments.get("weights")
            trials = variable(name) if isinstance(name, str) else n
            if isinstance(node, Binary) and node.operator == "/" and expression(node.right) == trials:
                # hits / trials
                return expression(node.left), trials, []
            return product(trials, subject), trials, []
        if response.form in ("factor", "bool") and self.model.family.counts_trials and response.levels:
            return Fenced(row(subject, Sign("="), Word(response.levels[-1])), "[]"), None, []
        return subject, None, []

    def _parameters(self, trials: Node | None = None) -> Parameters:
        """The parameters of row i: constants without an index, or as numbers."""
        found = {c: self._parameter(c) for c in self.model.family.components if c != "threshold"}
        return Parameters(found["cond"], found.get("disp", Letter("phi")), found.get("shape", Letter("psi")), trials)

    def _parameter(self, component: str) -> Node:
        letter = letter_of(self.model.family, component)
        if component == "cond" or component in self.model.written_components:
            return indexed(letter, _I)
        if component == "disp" and self.model.without_residual:
            return letter
        return self.q.constant(component)

    def _weight(self) -> Node:
        name = self.model.arguments.get("weights")
        return variable(name) if isinstance(name, str) else indexed(Letter("w"), _I)

    def _ordinal(self, subject: Node, rows: Node) -> list[Line]:
        levels = self.model.design.response.levels or ()
        k, eta = Letter("k"), indexed(Letter("eta"), _I)
        event = row(subject, Sign("<="), k)
        left = linked(self.model.family.link, applied("P", self._given(event)))
        shown = dots_between([Word(level) for level in levels], MOST_CATEGORIES)
        ordered: list[Node] = []
        for level in shown:
            ordered += [Sign("<"), level] if ordered else [level]
        lines = [
            equal(
                left, difference(indexed(Letter("theta"), k), eta), aside=listed(ranging("k", len(levels) - 1), rows)
            ),
            Line(subject, "in", (Fenced(row(*ordered), "{}"),)),
        ]
        return lines + self._thresholds(len(levels) - 1)

    def _threshold(self, place: int) -> Node:
        """A threshold of the ordered beta."""
        symbol = indexed(Letter("psi"), Number(str(place)))
        if self.q.record is None:
            return symbol
        return self.q.value(self.q.record.estimates("threshold")[place])

    def _thresholds(self, count: int) -> list[Line]:
        """What the thresholds of an ordinal family have in common, and their numbers."""
        structure, theta = self.model.family.thresholds, Letter("theta")
        lines = []
        if structure == "equidistant" and count > 1:
            first = indexed(theta, ONE)
            inner = product(Fenced(difference(Letter("k"), ONE)), Letter("delta"))
            lines = [equal(indexed(theta, Letter("k")), row(first, Sign("+"), inner))]
        if structure == "symmetric" and count > 2:
            low, high = indexed(theta, Letter("k")), indexed(theta, difference(Number(str(count + 1)), Letter("k")))
            lines = [
                equal(
                    row(low, Sign("+"), high), row(indexed(theta, ONE), Sign("+"), indexed(theta, Number(str(count))))
                )
            ]
        if self.q.record is None:
            return lines
        values = threshold_values(structure or "flexible", self.q.record.estimates("threshold").tolist(), count)
        names = dots_between([indexed(theta, Number(str(k + 1))) for k in range(count)], 3)
        numbers = dots_between([self.q.value(v) for v in values], MOST_CATEGORIES)
        return [*lines, equal(Fenced(listed(*names)), Fenced(listed(*numbers)))]

    def _with_residuals(self, rows: Node) -> list[Line]:
        """A linear model whose residuals are correlated or of modelled size."""
        model = self.model
        subject, _, _ = self._observed()
        residual, mean = indexed(Letter("epsilon"), _I), indexed(Letter("mu"), _I)
        part = model.design.residual
        factors = [spread_factor(self.q, k, s) for k, s in enumerate(part.spreads)] if part is not None else []
        columns = self._columns(
            "disp", [j for j in self.q.kept["disp"] if model.design.fixed["disp"].names[j] != "Intercept"]
        )
        columns += self._offsets("disp")
        constant = self.q.value(self.q.record.sigma) if self.q.record is not None else Letter("sigma")
        equal_sized = not factors and not columns
        sigma: Node = constant if equal_sized else indexed(Letter("sigma"), _I)
        variance = squared(sigma)
        if model.arguments.get("weights") is not None:
            variance = Ratio(variance, self._weight())
        lines = [
            equal(subject, row(mean, Sign("+"), residual), aside=rows),
            Line(residual, "~", (applied("N", ZERO, variance),)),
        ]
        if not equal_sized:
            more = [applied("exp", row(*total(columns)))] if columns else []
            lines.append(equal(sigma, product(constant, *more, *factors)))
        if model.correlation is not None:
            lines += correlation_lines(CorrelationQuantities(self.q, model.correlation))
        return lines

    # -- linear predictors -------------------------------------------------------------------------------------------

    def predictors(self) -> list[Line]:
        """The linear predictor of every component that has one to write."""
        lines = []
        for component in ("cond", "zi", "disp", "shape"):
            if component not in self.model.written_components or (component == "disp" and self.model.marginal):
                continue
            if component == "disp" and self.model.without_residual:
                continue
            lines.append(self._predictor(component))
        return lines

    def _predictor(self, component: str) -> Line:
        family = self.model.family
        kept = [int(j) for j in self.q.kept[component]]
        in_smooths = {j for s in self.model.design.smooths if s.component == component for j in s.fixed}
        terms = self._columns(component, [j for j in kept if j not in in_smooths])
        terms += [("+", self._curve(k)) for k, s in enumerate(self.model.design.smooths) if s.component == component]
        terms += self._offsets(component)
        for t, term in enumerate(self.model.design.random):
            if term.component == component and term.smooth is None:
                terms += [("+", effect) for effect in self._effects(t, term)]
        if component == "zi":
            return Line(linked("logit", indexed(Letter("pi"), _I)), "=", total(terms))
        parameter = next(p for p in family.parameters if p.component == component)
        symbol = indexed(letter_of(family, component), _I)
        if component == "cond" and family.ordinal:
            return Line(indexed(Letter("eta"), _I), "=", total(terms))
        if component == "cond" and family.name == "ordbeta":
            left = row(linked(family.link, symbol), Sign("="), indexed(Letter("eta"), _I))
            return Line(left, "=", total(terms))
        if (family.name, component) in ABOVE_ONE:
            symbol = difference(symbol, ONE)
        link = family.link if component == "cond" else parameter.link
        return Line(linked(link, symbol), "=", total(terms))

    def _columns(self, component: str, wanted: Sequence[int]) -> list[tuple[str, Node]]:
        """The fixed effects times their columns; of a term with many columns the first ones and the last."""
        design = self.model.design
        part = design.fixed[component]
        chosen: list[int | None] = []
        asked = set(wanted)
        for columns in part.term_columns.values():
            own = [j for j in columns if j in asked]
            chosen += own if len(own) <= MOST_COLUMNS else [own[0], own[1], None, own[-1]]
        found: list[tuple[str, Node]] = []
        for j in chosen:
            if j is None:
                found.append(("+", Sign("...")))
                continue
            sign, value = self.q.coefficient(component, j)
            factors = column(part.names[j], design)
            found.append((sign, product(value, columns_product(factors)) if factors else value))
        return found

    def _offsets(self, component: str) -> list[tuple[str, Node]]:
        terms = self.model.design.recipe.terms.get(component)
        found = [("+", expression(node)) for node in terms.offsets] if terms is not None else []
        given = self.model.arguments.get("offset") if component == "cond" else None
        if given is not None:
            found.append(("+", variable(given) if isinstance(given, str) else indexed(Word("offset"), _I)))
        return found

    def _effects(self, place: int, term: RandomTerm) -> list[Node]:
        """The random effects of a term in row i, times their columns."""
        t, design = self.q.term(place), self.model.design
        group = None if term.group == "1" else level_of(term.group)
        if term.coupling is not None:
            label = term.coupling.label
            if term.structure in ("propto", "equalto", "car", "icar"):
                if label == term.group:
                    return self._slopes(t, term, [level_of(label)])
                at = [level_of(label)] if group is None else [level_of(label), group]
                return [indexed(t.letter, *at)]
            arguments = [expression_of_text(part) for part in label.split(",")]
            return [applied(indexed(t.letter, group) if group is not None else t.letter, *arguments)]
        at = [] if group is None else [group]
        factor = occasions(term.names, design.factor_levels)
        if factor is not None and t.size > 1:
            return [indexed(t.letter, level_of(factor), *at)]
        return self._slopes(t, term, at)

    def _slopes(self, t: TermQuantities, term: RandomTerm, at: list[Node]) -> list[Node]:
        design = self.model.design
        found: list[Node] = []
        for k, name in enumerate(term.names):
            index = at if t.size == 1 else [t.index(k), *at]
            effect = indexed(t.letter, *index) if index else t.letter
            factors = column(name, design)
            found.append(product(effect, columns_product(factors)) if factors else effect)
        return dots_between(found, MOST_COLUMNS)

    # -- random effects and smooths ----------------------------------------------------------------------------------

    def random(self) -> list[Line]:
        """The distribution of the random effects, term by term."""
        lines: list[Line] = []
        for t, term in enumerate(self.model.design.random):
            if term.smooth is not None:
                continue
            if term.group == "1" or (term.coupling is not None and term.coupling.label == term.group):
                lines += distribution(self.q.term(t), None, None)
                continue
            levels = row(ranging("j", len(term.levels)), Sign("thin"), Fenced(Word(term.group)))
            lines += distribution(self.q.term(t), Letter("j"), levels)
        return lines

    def _smooth_letter(self, place: int) -> Node:
        alone = len(self.model.design.smooths) == 1
        return Letter("s") if alone else indexed(Letter("s"), Number(str(place + 1)))

    def _curve(self, place: int) -> Node:
        smooth: SmoothTerm = self.model.design.smooths[place]
        curve = applied(self._smooth_letter(place), *(expression(node) for node in smooth.smooth.variables))
        by = smooth.smooth.by
        if by is None:
            return curve
        if smooth.level is not None:
            return product(curve, Fenced(row(expression(by), Sign("="), Word(smooth.level)), "[]"))
        return product(curve, expression(by))

    def smooths(self) -> list[Line]:
        """What every smooth is made of: a part without a penalty, and normal effects."""
        lines: list[Line] = []
        for place, smooth in enumerate(self.model.design.smooths):
            own = self._smooth_letter(place)
            names = [node.name if isinstance(node, FormulaName) else node.text for node in smooth.smooth.variables]
            arguments = listed(*(Word(name) for name in names))
            index = () if len(self.model.design.smooths) == 1 else (Number(str(place + 1)),)

            def bold(letter: str, *more: Node, index: tuple[Node, ...] = index) -> Node:
                found = Letter(letter, bold=True)
                return indexed(found, *index, *more) if index or more else found

            pieces: list[Node] = []
            if smooth.fixed:
                pieces.append(product(transposed(bold("p"), arguments), bold("alpha")))
            effects: list[Line] = []
            for m, t in enumerate(smooth.random):
                more = () if len(smooth.random) == 1 else (Number(str(m + 1)),)
                pieces.append(product(transposed(bold("q", *more), arguments), bold("xi", *more)))
                size = Number(str(len(self.model.design.random[t].names)))
                sd: Node = indexed(Letter("sigma"), Letter("s"), *index, *more)
                if self.q.record is not None:
                    sd = self.q.value(float(self.q.covariances[t][0, 0]) ** 0.5)
                spread = product(squared(sd), indexed(Letter("I", bold=True), size))
                effects.append(Line(bold("xi", *more), "~", (applied("N", Letter("0", bold=True), spread),)))
            lines.append(equal(row(own, Fenced(arguments)), *total([("+", piece) for piece in pieces])))
            lines += effects
        return lines

    # -- weights, priors ---------------------------------------------------------------------------------------------

    def besides(self) -> list[Line]:
        """Weights of the likelihood, priors, equalities."""
        model = self.model
        lines: list[Line] = []
        if model.likelihood_weights is not None and not model.linear:
            weighted = product(self._weight(), applied("log", applied(Letter("f"), self._given(self._observed()[0]))))
            lines.append(equal(Word("log-likelihood"), row(Indexed(Sign("sum"), _I), weighted)))
        for assumed in model.assumed.priors:
            lines.append(Line(self._named(assumed.parameter), "~", (_prior(assumed.prior.text),)))
        for first, second in model.assumed.tied:
            lines.append(equal(self._named(first), self._named(second)))
        return lines

    def _named(self, parameter: Named) -> Node:
        """The symbol of a parameter that something is assumed of."""
        kind, first, second = parameter.place
        symbols = Quantities(self.model, self.q.kept)
        if kind == "fixed":
            component = parameter.component
            if parameter.kind == "sigma":
                return Letter("sigma")
            column_at = first - self.model.predictor(component) if component == "threshold" else second
            if component == "disp" and self.model.has_residual:
                return applied("log", Letter("sigma"))
            if column_at not in [int(j) for j in self.q.kept[component]]:
                return Word(parameter.name)
            return symbols.coefficient_letter(component, column_at)
        term = self.model.design.random[first]
        if term.smooth is not None:
            return Word(parameter.name)
        t = symbols.term(first)
        if kind == "cor":
            return applied("Cor", indexed(Letter("Sigma", bold=True), t.letter))
        sd = t.sd(second)
        return applied("log", sd) if parameter.kind == "log_sd" else sd


def threshold_values(structure: str, parameters: Sequence[float], count: int) -> list[float]:
    """The thresholds of an ordinal family from its coefficients.

    Examples
    --------
    >>> threshold_values("equidistant", [-1.0, 0.5], 3)
    [-1.0, -0.5, 0.0]
    >>> threshold_values("symmetric", [0.0, 1.0, 2.0], 5)
    [-2.0, -1.0, 0.0, 1.0, 2.0]
    """
    if structure == "equidistant" and count > 1:
        return [parameters[0] + k * parameters[1] for k in range(count)]
    if structure == "symmetric":
        centres = parameters[: 1 if count % 2 else 2]
        steps = [0.0, *parameters[len(centres) :]]
        inner = (count - len(centres)) // 2
        below = [centres[0] - steps[k] for k in range(inner, 0, -1)]
        above = [centres[-1] + steps[k] for k in range(1, inner + 1)]
        return [*below, *centres, *above]
    return list(parameters)


def transposed(function: Node, arguments: Node) -> Node:
    """A vector of functions of some arguments, transposed."""
    return row(function, Indexed(Fenced(arguments), None, Sign("transposed")))


def _prior(text: str) -> Node:
    """A prior as its density's name with its numbers."""
    name, _, inside = text.partition("(")
    numbers = [part.strip() for part in inside.rstrip(")").split(",") if part.strip()]
    shown = "LKJ" if name == "lkj" else "".join(part.capitalize() for part in name.split("_"))
    return applied(Operator(shown), *(Number(part) for part in numbers))
