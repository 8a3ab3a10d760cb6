"""A fit written for an article: as an equation, and as a column of tables that another package makes."""

from __future__ import annotations

from typing import Any

from ranef.errors import ModelError
from ranef.reports.mathematics.equation import WIDTH, Equation, equation_of
from ranef.reports.model_table import maketables
from ranef.session.answers import Answers


class Writing(Answers):
    """What a fit gives to be written down."""

    def equation(
        self, format: str = "latex", *, estimates: bool = False, digits: int = 4, width: int = WIDTH
    ) -> Equation:
        """The fitted model as mathematics.

        The distribution of the response given the random effects, the linear predictor of every component, and the
        distributions of the random effects with their covariance matrices. Row i has the level ``Subject[i]`` of a
        grouping factor; ``[sex = male]`` is 1 where it is true and 0 elsewhere.

        Parameters
        ----------
        format : {"latex", "mathml", "text"}
            What `str` gives of the result, which has all three as attributes. LaTeX is an ``aligned`` environment, for
            amsmath, MathJax or KaTeX.
        estimates : bool
            Whether the estimates stand in place of symbols.
        digits : int
            Their significant digits.
        width : int
            Longer right sides are broken, in characters of plain text.

        Returns
        -------
        Equation
            It prints as the format asked for, and notebooks show it as mathematics.

        Examples
        --------
        >>> import ranef as rf
        >>> fit = rf.lmm("Reaction ~ Days + (1 | Subject)", rf.load_dataset("sleepstudy"))
        >>> print(fit.equation("text", estimates=True))
        Reaction_i | b ∼ N(μ_i, 30.99²),    i = 1, …, 180
                   μ_i = 251.4 + 10.47 Days_i + b_Subject[i]
                   b_j ∼ N(0, 37.12²),    j = 1, …, 18 (Subject)
        """
        if not isinstance(estimates, bool):
            raise ModelError(f"equation(estimates={estimates!r}): give True or False.")
        kept = {component: columns.tolist() for component, columns in self.kept.items()}
        record = self if estimates else None
        return equation_of(self.model, kept, record, format=format, digits=digits, width=width)

    # -- what maketables.ETable asks of a model ----------------------------------------------------------------------

    @property
    def __maketables_coef_table__(self) -> Any:
        return maketables.coefficient_frame(self)

    def __maketables_stat__(self, key: str) -> Any:
        return maketables.named_statistic(self, key)

    @property
    def __maketables_depvar__(self) -> str:
        return self.design.response.name

    @property
    def __maketables_default_stat_keys__(self) -> list[str]:
        return maketables.default_statistics(self)

    @property
    def __maketables_stat_labels__(self) -> dict[str, str]:
        return maketables.statistic_labels(self)

    @property
    def __maketables_vcov_info__(self) -> dict[str, str]:
        return {"vcov_type": "model"}
