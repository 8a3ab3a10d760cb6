"""Power as printed and as HTML."""

from __future__ import annotations

from ranef.inference.power import PowerCurve
from ranef.reports.summary import Section, Summary


def power_report(found: PowerCurve) -> Summary:
    """The table of `rf.power`, with what was tested above it."""
    columns = found.columns
    how = {"wald": "Wald test", "lrt": "likelihood-ratio test"}[found.what.method]
    if found.what.function is not None:
        how = "p-values of a function"
    header = (*found.varying, "rows", "power", f"{found.level:.0%} interval", "failed")
    rows = tuple(
        (
            *(f"{columns[name][k]:g}" for name in found.varying),
            f"{columns['rows'][k]}",
            f"{columns['power'][k]:.3f}",
            f"{columns['conf_low'][k]:.3f} to {columns['conf_high'][k]:.3f}",
            f"{columns['failed'][k]}",
        )
        for k in range(len(columns["power"]))
    )
    title = f"Power of the test of {found.what.label} ({how}, alpha = {found.alpha:g})"
    notes = (f"{columns['n_sim'][0]} simulations each; Clopper-Pearson intervals",)
    return Summary((Section(title=title, header=header, rows=rows, left=0, notes=notes),))
