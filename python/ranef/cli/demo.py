"""`ranef demo`: the Owls analysis from the data to figures and a report.

How loudly barn owl nestlings beg differs between nests. Four negative binomial models ask how: by level, by the effect
of brood size, or by both, with or without correlation (Roulin & Bersier 2007; Zuur et al. 2009, chapter 13). A fifth
asks what food and the parent's sex do, with zero inflation; it is checked, and its report written.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich.console import Console

from ranef.cli.output import records, show_prose, show_table, show_text
from ranef.datasets import describe_dataset, load_dataset
from ranef.session import glmm

RESPONSE = "SiblingNegotiation"
RANDOM = ("(1 | Nest)", "(0 + BroodSize | Nest)", "(BroodSize || Nest)", "(BroodSize | Nest)")
TREATMENT = f"{RESPONSE} ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1 | Nest)"
FIGURE, EFFECTS, REPORT = "owls-demo-ranef.png", "owls-demo-effects.png", "owls.html"


def run_demo(out: Console, folder: Path) -> None:
    """Fit the four models, compare them, and look at the one with the lowest AIC."""
    owls, dictionary = load_dataset("owls"), describe_dataset("owls")
    out.rule("Data")
    show_prose(out, f"{dictionary.title}: {dictionary.rows} rows; {dictionary.design}.")
    show_prose(out, dictionary.published)

    out.rule("Four models")
    fits = {term: glmm(f"{RESPONSE} ~ 1 + {term}", owls, family="nbinom2") for term in RANDOM}
    show_prose(out, f"{RESPONSE} ~ 1 + ..., nbinom2 (variance mu + mu^2 / dispersion), log link, maximum likelihood\n")
    show_table(out, [comparison_row(term, fit) for term, fit in fits.items()], text=("random effects",), keep=True)
    out.print()
    show_table(
        out,
        [row for term, fit in fits.items() for row in variance_rows(term, fit)],
        title="Random effects of Nest",
        text=("random effects", "term"),
        keep=True,
    )

    best = min(fits, key=lambda term: fits[term].aic)
    chosen = fits[best]
    out.rule("The model with the lowest AIC")
    show_text(out, str(chosen.summary()))

    out.rule("Random effects: conditional modes with 95 % intervals")
    show_table(out, [mode_row(row) for row in records(chosen.ranef())], text=("level", "term"), keep=True)

    out.rule("Food and the parent's sex")
    treatment = glmm(TREATMENT, owls, family="nbinom2", zi="~ 1")
    show_text(out, str(treatment.summary()))
    out.rule("Checks")
    show_text(out, str(treatment.check()))
    out.rule("Results, ready for the article")
    show_prose(out, treatment.results_text())

    out.rule("Figures and report")
    path = save_figure(chosen.plot.ranef(), folder / FIGURE)
    show_text(out, f"Caterpillar plot saved as {path}")
    path = save_figure(treatment.plot.effects("FoodTreatment", by="SexParent"), folder / EFFECTS)
    show_text(out, f"Effects saved as {path}")
    path = treatment.report(folder / REPORT, title="Calls of barn owl nestlings")
    show_text(out, f"Report saved as {path}: open it in a browser")


def comparison_row(term: str, fit: Any) -> dict[str, str]:
    """One line of the comparison."""
    return {
        "random effects": term,
        "AIC": f"{fit.aic:.1f}",
        "BIC": f"{fit.bic:.1f}",
        "logLik": f"{fit.loglik:.1f}",
        "df": str(fit.npar),
        "dispersion": f"{fit.sigma:.3g}",
    }


def variance_rows(term: str, fit: Any) -> list[dict[str, str]]:
    """Variance and standard deviation of every random effect, and its correlation with the intercept."""
    table = records(fit.varcorr())
    correlation = {row["var2"]: f"{row['sdcor']:.2f}" for row in table if row["var2"]}
    return [
        {
            "random effects": term,
            "term": row["var1"],
            "variance": f"{row['vcov']:.4g}",
            "sd": f"{row['sdcor']:.3f}",
            "corr": correlation.get(row["var1"], ""),
        }
        for row in table
        if not row["var2"]
    ]


def mode_row(row: dict[str, Any]) -> dict[str, str]:
    """One nest's conditional mode."""
    names = {"estimate": "estimate", "std_error": "std. error", "conf_low": "2.5 %", "conf_high": "97.5 %"}
    numbers = {title: f"{row[name]:.4f}" if math.isfinite(row[name]) else "" for name, title in names.items()}
    return {"level": str(row["level"]), "term": str(row["term"]), **numbers}


def save_figure(figure: Any, path: Path) -> Path:
    """Save a figure, in a folder that is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    return path
