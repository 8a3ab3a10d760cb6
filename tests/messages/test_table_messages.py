"""Tables of models as readers see them, and what is said of wrong arguments."""

import pytest

import ranef as rf
from models import assumed, cbpp, data, owls, owls_poisson, sleepstudy


def intercepts():
    return rf.lmm("Reaction ~ Days + (1 | Subject)", data("sleepstudy"))


CALLS = {
    "none": lambda: rf.table([]),
    "no_fit": lambda: rf.table(sleepstudy(), "Reaction ~ Days"),
    "no_fit_named": lambda: rf.table({"null": None}),
    "show": lambda: rf.table(sleepstudy(), show="std"),
    "layout": lambda: rf.table(sleepstudy(), layout="wide"),
    "random": lambda: rf.table(sleepstudy(), random="yes"),
    "digits": lambda: rf.table(sleepstudy(), digits=-1),
    "statistics": lambda: rf.table(sleepstudy(), statistics=["AIC"]),
    "names": lambda: rf.table(sleepstudy(), intercepts(), names=["one"]),
    "names_text": lambda: rf.table(sleepstudy(), names="one"),
    "names_twice": lambda: rf.table(sleepstudy(), intercepts(), names=["one", "one"]),
    "rename": lambda: rf.table(sleepstudy(), rename={"Day": "days"}),
    "rename_text": lambda: rf.table(sleepstudy(), rename="days"),
    "rename_clash": lambda: rf.table(sleepstudy(), rename={"Days": "x", "Intercept": "x"}),
    "exponentiate": lambda: rf.table(sleepstudy(), exponentiate=True),
    "exponentiate_word": lambda: rf.table(cbpp(), exponentiate="yes"),
    "stars": lambda: rf.table(cbpp(), stars="yes"),
    "stars_bound": lambda: rf.table(cbpp(), stars={"*": 5}),
    "level": lambda: rf.table(cbpp(), level=95),
    "ddf": lambda: rf.table(sleepstudy(), ddf="kr"),
    "cluster": lambda: rf.table(sleepstudy(), cluster="Subject"),
    "save": lambda: rf.table(sleepstudy()).save("table.docx"),
}


@pytest.mark.parametrize("name", CALLS)
def test_refusals(name, snapshot):
    with pytest.raises(rf.ModelError) as caught:
        CALLS[name]()
    snapshot(f"table_{name}", f"ModelError: {caught.value}")


def test_printed(snapshot):
    tables = [
        rf.table(intercepts(), sleepstudy()),
        rf.table(
            {"Poisson": owls_poisson(), "ZINB": owls()},
            exponentiate=True,
            show=["ci", "p"],
            layout="columns",
            title="Calls of owls",
        ),
        rf.table(sleepstudy(), show=["ci", "statistic", "p"], stars=True, random="full", ddf="kenward-roger"),
        rf.table(assumed(), show=["se", "p"], statistics=["nobs", "loglik"]),
    ]
    snapshot("tables_printed", "\n\n\n".join(map(str, tables)))
    snapshot("table_in_latex", tables[0].to_latex() + "\n\n\n" + tables[1].to_latex())
    snapshot("table_in_markdown", tables[1].to_markdown())
    snapshot("table_in_html", tables[0].to_html())
