"""The command line as a person and as a program use it: what is printed, where, and the exit status."""

import io
import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest

import ranef as rf
from ranef.cli import main
from ranef.cli.commands import in_one_line

OWLS_MODEL = "SiblingNegotiation ~ FoodTreatment + (1 | Nest)"


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command in this process; gives exit status, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return call


@pytest.fixture
def owls_csv(tmp_path):
    path = tmp_path / "owls.csv"
    rf.load_dataset("owls").to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demonstration, run once as a process: what it printed, and the folder with its figure."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-m", "ranef", "demo", "--out", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, folder


@pytest.mark.parametrize(
    ("what", "numbers"),
    [
        ("AIC", ["3533.1", "3533.2", "3534.8", "3536.0"]),
        ("variances", ["0.09591", "0.004544", "0.0558", "0.00189"]),
        ("standard deviations and correlation", ["0.727", "0.159", "-0.95"]),
        ("dispersion", ["0.75", "0.746", "0.749", "0.748"]),
        ("models", ["(1 | Nest)", "(0 + BroodSize | Nest)", "(BroodSize || Nest)", "(BroodSize | Nest)"]),
        ("nests", ["AutavauxTV", "Yvonnand"]),
    ],
)
def test_demo_prints_the_published_numbers(demo, what, numbers):
    printed, _ = demo
    for number in numbers:
        assert number in printed, f"{what}: {number}"


def test_demo_saves_figures_and_a_report_and_says_where(demo):
    printed, folder = demo
    figures = sorted(folder.glob("*.png"))
    assert [figure.name for figure in figures] == ["owls-demo-effects.png", "owls-demo-ranef.png"]
    for figure in figures:
        assert figure.read_bytes().startswith(b"\x89PNG")
        assert str(figure) in printed
    (report,) = folder.glob("*.html")
    assert "Calls of barn owl nestlings" in report.read_text(encoding="utf-8")
    assert str(report) in printed


def test_fit_prints_the_summary(run, owls_csv):
    status, out, err = run("fit", owls_csv, OWLS_MODEL, "--family", "nbinom2")
    assert (status, err) == (0, "")
    assert "FoodTreatment[T.Satiated]" in out
    assert "Nest" in out


def test_fit_without_family_is_a_linear_mixed_model(run, tmp_path):
    path = tmp_path / "sleepstudy.csv"
    rf.load_dataset("sleepstudy").to_csv(path, index=False)
    status, out, _ = run("fit", path, "Reaction ~ Days + (Days | Subject)", "--json", "-")
    assert status == 0
    assert json.loads(out)["glance"]["loglik"] == pytest.approx(-871.8141, abs=1e-4)
    status, out, _ = run("fit", path, "Reaction ~ Days + (Days | Subject)", "--ml", "--json", "-")
    assert json.loads(out)["glance"]["loglik"] == pytest.approx(-875.9697, abs=1e-4)


def test_json_holds_the_whole_fit(run, owls_csv, tmp_path):
    target = tmp_path / "fit.json"
    status, out, _ = run("fit", owls_csv, OWLS_MODEL, "--family", "nbinom2", "--zi", "~ 1", "--json", target)
    assert status == 0
    assert "Nest" in out
    values = json.loads(target.read_text())
    fit = rf.glmm(OWLS_MODEL, pd.read_csv(owls_csv), family="nbinom2", zi="~ 1")
    assert values["glance"]["loglik"] == pytest.approx(fit.loglik, rel=1e-12)
    assert {row["component"] for row in values["tidy"]} == {"cond", "zi"}
    assert len(values["random_effects"]) == 27
    assert values["converged"] is True


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "tsv", "csv.gz"])
def test_fit_reads_other_formats(run, tmp_path, suffix):
    owls = rf.load_dataset("owls")
    path = tmp_path / f"owls.{suffix}"
    if suffix == "parquet":
        owls.to_parquet(path)
    elif suffix == "arrow":
        owls.to_feather(path)
    else:
        owls.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    status, out, err = run("fit", path, OWLS_MODEL, "--family", "poisson", "--json", "-")
    assert (status, err) == (0, "")
    assert json.loads(out)["glance"]["nobs"] == 599


def test_fit_reads_standard_input(run, owls_csv, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(owls_csv.read_text()))
    status, out, _ = run("fit", "-", OWLS_MODEL, "--family", "poisson", "--json", "-")
    assert status == 0
    assert json.loads(out)["ngroups"] == {"Nest": 27}


def test_weights_and_offset_are_columns(run, tmp_path):
    path = tmp_path / "cbpp.csv"
    cbpp = rf.load_dataset("cbpp").assign(share=lambda d: d["incidence"] / d["size"])
    cbpp.to_csv(path, index=False)
    model = "share ~ factor(period) + (1 | herd)"
    status, out, _ = run("fit", path, model, "--family", "binomial", "--weights", "size", "--json", "-")
    assert status == 0
    assert json.loads(out)["glance"]["loglik"] == pytest.approx(-92.026282, abs=1e-4)


def test_correlation_and_dispersion_of_a_linear_mixed_model(run, tmp_path):
    path = tmp_path / "sleepstudy.csv"
    sleep = rf.load_dataset("sleepstudy")
    sleep.to_csv(path, index=False)
    model, how = "Reaction ~ Days + (1 | Subject)", {"correlation": "ar1(Days | Subject)", "dispersion": "~ Days"}
    options = [word for name, value in how.items() for word in (f"--{name}", value)]
    status, out, _ = run("fit", path, model, *options, "--json", "-")
    assert status == 0
    assert json.loads(out)["glance"]["loglik"] == pytest.approx(rf.lmm(model, sleep, **how).loglik, abs=1e-9)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Two fits of the same data, saved by the command line, and the data."""
    folder = tmp_path_factory.mktemp("saved")
    data = folder / "sleepstudy.csv"
    rf.load_dataset("sleepstudy").to_csv(data, index=False)
    paths = []
    for name, random in (("small", "(1 | Subject)"), ("large", "(Days | Subject)")):
        paths.append(folder / f"{name}.ranef")
        with pytest.raises(SystemExit) as end:
            main(["fit", str(data), f"Reaction ~ Days + {random}", "--save", str(paths[-1])])
        assert end.value.code == 0
    return data, *paths


def test_fit_saves_what_python_loads(saved):
    data, _, large = saved
    fit = rf.lmm("Reaction ~ Days + (Days | Subject)", pd.read_csv(data))
    assert rf.load(large).loglik == fit.loglik


def test_check_of_a_saved_fit_and_of_data(run, saved, tmp_path):
    data, small, _ = saved
    figure = tmp_path / "checks.png"
    status, out, err = run("check", small, "--plot", figure)
    assert (status, err) == (0, "")
    assert out.rstrip("\n") == str(rf.load(small).check())
    assert figure.read_bytes().startswith(b"\x89PNG")
    status, out, _ = run("check", data, "Reaction ~ Days + (1 | Subject)", "--json", "-")
    values = json.loads(out)
    assert values["verdict"] in ("ok", "look", "problem")
    assert {row["check"] for row in values["checks"]} >= {"convergence", "outliers"}
    worst = 1 if values["verdict"] == "problem" else 0
    assert run("check", small, "--strict")[0] == worst


def test_check_strict_ends_with_status_1_at_a_problem(run, tmp_path):
    path = tmp_path / "ticks.csv"
    rf.load_dataset("grouseticks").to_csv(path, index=False)
    arguments = ("check", path, "TICKS ~ factor(YEAR) + cHEIGHT + (1 | BROOD)", "--family", "poisson")
    status, out, err = run(*arguments, "--strict")
    assert (status, err) == (1, "")
    assert "PROBLEM" in out
    assert run(*arguments)[0] == 0


def test_compare_of_saved_fits_and_of_formulas(run, saved):
    data, small, large = saved
    status, out, err = run("compare", small, large)
    assert (status, err) == (0, "")
    for word in ("small.ranef", "42.14", "refitted by maximum likelihood"):
        assert word in out
    formulas = [f"Reaction ~ Days + {random}" for random in ("(1 | Subject)", "(Days | Subject)", "(Days || Subject)")]
    status, out, _ = run("compare", data, *formulas, "--ml", "--json", "-")
    rows = json.loads(out)["models"]
    assert [row["formula"] for row in rows] == [formulas[0], formulas[2], formulas[1]]
    assert rows[2]["loglik"] == pytest.approx(-875.9697, abs=1e-4)


def test_compare_by_bootstrap_tells_how_far_it_is(run, saved):
    _, small, large = saved
    status, out, err = run("compare", small, large, "--test", "bootstrap", "-n", "20", "--seed", "1", "--progress")
    assert status == 0
    assert "ranef: comparing" in err
    assert "replicates" in err
    expected = rf.compare(rf.load(small), rf.load(large), test="bootstrap", n=20, seed=1, refit=True)
    assert f"{expected.table['p_value'].iloc[1]:.3g}" in out


def test_simulate_writes_a_table(run, saved, tmp_path):
    data, _, large = saved
    status, out, _ = run("simulate", large, "-n", "3", "--seed", "7")
    draws = pd.read_csv(io.StringIO(out))
    assert status == 0
    fit = rf.load(large)
    assert draws.to_numpy() == pytest.approx(fit.simulate(3, seed=7), rel=1e-14)
    target = tmp_path / "draws.parquet"
    status, out, _ = run("simulate", large, "--seed", "7", "--effects", "modes", "--newdata", data, "--out", target)
    assert (status, out) == (0, "")
    expected = fit.simulate(1, seed=7, ranef=True, newdata=pd.read_csv(data))
    assert pd.read_parquet(target).to_numpy() == pytest.approx(expected, rel=1e-15)


def test_predict_for_new_rows(run, saved, tmp_path):
    _, _, large = saved
    new = tmp_path / "new.csv"
    new.write_text("Days,Subject\n0,308\n4,999\n")
    status, out, _ = run("predict", large, "--newdata", new, "--new-levels", "population", "--interval", "confidence")
    assert status == 0
    expected = rf.load(large).predict(pd.read_csv(new), se=True, interval="confidence", new_levels="population")
    found = pd.read_csv(io.StringIO(out))
    assert list(found.columns) == list(expected.columns)
    assert found.to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-14)
    status, _, err = run("predict", large, "--newdata", new)
    assert status == 2
    assert "999" in err


def test_a_table_of_tabs_on_standard_input(run, saved, monkeypatch):
    data, small, _ = saved
    monkeypatch.setattr(sys, "stdin", io.StringIO(pd.read_csv(data).to_csv(sep="\t", index=False)))
    status, out, _ = run("predict", "-", "Reaction ~ Days + (1 | Subject)", "--population")
    assert status == 0
    expected = rf.load(small).predict(ranef=False)
    assert pd.read_csv(io.StringIO(out))["estimate"].to_numpy() == pytest.approx(expected, rel=1e-14)


def test_quadrature_is_an_option(run, tmp_path):
    path = tmp_path / "cbpp.csv"
    cbpp = rf.load_dataset("cbpp")
    cbpp.to_csv(path, index=False)
    model = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"
    _, out, _ = run("fit", path, model, "--family", "binomial", "--quadrature", "9", "--json", "-")
    fit = rf.glmm(model, pd.read_csv(path), family="binomial", quadrature=9)
    assert json.loads(out)["glance"]["loglik"] == pytest.approx(fit.loglik, rel=1e-12)


@pytest.mark.parametrize(
    ("ending", "read"),
    [("csv", pd.read_csv), ("tsv", lambda path: pd.read_csv(path, sep="\t")), ("arrow", pd.read_feather)],
)
def test_tables_are_written_as_their_name_says(run, saved, tmp_path, ending, read):
    _, small, _ = saved
    target = tmp_path / f"draws.{ending}"
    assert run("simulate", small, "-n", 2, "--seed", 3, "--out", target)[0] == 0
    # The shortest text that is read as the same double.
    assert read(target).to_numpy() == pytest.approx(rf.load(small).simulate(2, seed=3), rel=1e-15)


def test_nothing_of_the_progress_goes_where_it_is_not_wanted(run, saved):
    data, _, _ = saved
    assert run("fit", data, "Reaction ~ Days + (1 | Subject)", "--no-progress")[2] == ""
    _, _, err = run("fit", data, "Reaction ~ Days + (1 | Subject)", "--progress")
    assert err.startswith("ranef: fitting gaussian to 180 rows ...\nranef: converged after")


def completed(words, shell="bash"):
    """What a shell would offer after these words."""
    done = subprocess.run(
        [sys.executable, "-m", "ranef"],
        env={
            **os.environ,
            "_RANEF_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": words,
            "COMP_CWORD": f"{len(words.split(' ')) - 1}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split()


def test_shells_complete_commands_options_and_families():
    assert completed("ranef comp") == ["compare"]
    assert "--quadrature" in completed("ranef fit --qu")
    assert set(completed("ranef fit owls.csv y~x --family nbinom")) == {"nbinom1", "nbinom12", "nbinom2"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes(tmp_path):
    command = tmp_path / "ranef"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ranef "$@"\n')
    command.chmod(0o755)
    script = (
        f'PATH="{tmp_path}:$PATH"\n'
        'eval "$(_RANEF_COMPLETE=source_bash ranef)"\n'
        "complete -p ranef\n"
        'COMP_WORDS=(ranef simu); COMP_CWORD=1; _ranef_completion ranef; echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "_ranef_completion ranef" in done.stdout.splitlines()[0]
    assert done.stdout.split()[-1] == "simulate", done.stderr


def test_every_command_has_an_example_in_its_help(run):
    for command in ("fit", "check", "compare", "predict", "simulate"):
        status, out, _ = run(command, "--help")
        assert status == 0
        assert f"  ranef {command} " in out


def test_report_of_a_fit(run, owls_csv, tmp_path):
    status, out, err = run("fit", owls_csv, OWLS_MODEL, "--family", "poisson", "--report", tmp_path / "owls.html")
    assert status == 0
    assert err == ""
    assert "SiblingNegotiation ~ FoodTreatment" in out
    assert "Analysis of SiblingNegotiation" in (tmp_path / "owls.html").read_text(encoding="utf-8")


def test_report_that_cannot_be_written(run, owls_csv, tmp_path):
    where = tmp_path / "nowhere" / "owls.html"
    status, _, err = run("fit", owls_csv, OWLS_MODEL, "--family", "poisson", "--report", where)
    assert status == 2
    assert str(where) in err
    assert err.count("\n") == 1


BAD = {
    "correlation with family": (
        ["fit", "OWLS", OWLS_MODEL, "--family", "poisson", "--correlation", "ar1(1 | Nest)"],
        "--family",
    ),
    "saved fit that is not there": (["check", "nowhere.ranef"], "no such file"),
    "data without a formula": (["check", "OWLS"], "needs a formula"),
    "one saved fit": (["compare", "OWLS", "OWLS"], "needs a formula"),
    "options for a saved fit": (["check", "fit.ranef", "--family", "poisson"], "has its model already"),
    "unknown effects": (["simulate", "OWLS", OWLS_MODEL, "--effects", "mode"], "modes"),
    "unknown test": (["compare", "OWLS", OWLS_MODEL, "SiblingNegotiation ~ (1 | Nest)", "--test", "wald"], "lrt"),
    "unknown kind": (["predict", "OWLS", OWLS_MODEL, "--kind", "mean"], "response"),
    "unknown ending of a table": (["simulate", "OWLS", OWLS_MODEL, "--out", "draws.xlsx"], ".parquet"),
    "column of groups": (["check", "OWLS", OWLS_MODEL, "--groups", "Nets"], "Nest"),
    "quadrature without family": (["fit", "OWLS", OWLS_MODEL, "--quadrature", "3"], "--family"),
    "no such file": (["fit", "nowhere.csv", "y ~ x + (1 | g)"], "nowhere.csv"),
    "unknown format": (["fit", "data.xlsx", "y ~ x"], "format"),
    "missing column": (["fit", "OWLS", "SiblingNegotiation ~ FoodTreatmint + (1 | Nest)"], "FoodTreatment"),
    "unparsable formula": (["fit", "OWLS", "SiblingNegotiation ~ (1 | Nest"], "character"),
    "unknown family": (["fit", "OWLS", OWLS_MODEL, "--family", "poison"], "poisson"),
    "unknown link": (["fit", "OWLS", OWLS_MODEL, "--family", "poisson", "--link", "lgo"], "log"),
    "code in a formula": (["fit", "OWLS", "SiblingNegotiation ~ __import__('os') + (1 | Nest)"], "__import__"),
    "zi without family": (["fit", "OWLS", OWLS_MODEL, "--zi", "~ 1"], "--family"),
    "unknown data set": (["datasets", "owlz"], "owls"),
    "unknown command": (["dem"], "dem"),
    "unknown option": (["families", "--jsn"], "--jsn"),
    "missing argument": (["fit", "OWLS"], "FORMULA"),
}


@pytest.mark.parametrize(("arguments", "says"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_one_clear_line(run, owls_csv, arguments, says):
    status, out, err = run(*[owls_csv if argument == "OWLS" else argument for argument in arguments])
    assert status == 2
    assert out == ""
    assert err.startswith("ranef: ")
    assert err.count("\n") == 1
    assert says.lower() in err.lower()


@pytest.mark.parametrize("content", ["", "a,b\n", 'a,b\n1,2\n3,"4', "\x00\x01\x02"])
def test_unreadable_table_ends_with_one_clear_line(run, tmp_path, content):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    status, _, err = run("fit", path, "a ~ b")
    assert status == 2
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_folder_in_place_of_a_file(run, tmp_path):
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    status, _, err = run("fit", folder, "a ~ b")
    assert status == 2
    assert err.count("\n") == 1


def test_caret_becomes_a_position():
    assert in_one_line("no closing bracket\n    y ~ (x\n        ^") == "no closing bracket (in 'y ~ (x', character 5)"
    assert in_one_line("one line") == "one line"


def test_datasets_lists_all(run):
    status, out, _ = run("datasets")
    assert status == 0
    for name in rf.list_datasets()["name"]:
        assert name in out
    status, out, _ = run("datasets", "--json")
    assert [row["name"] for row in json.loads(out)] == list(rf.list_datasets()["name"])


def test_datasets_describes_one(run):
    status, out, _ = run("datasets", "sleepstudy")
    assert status == 0
    assert "Belenky" in out
    status, out, _ = run("datasets", "sleepstudy", "--json")
    assert [column["name"] for column in json.loads(out)["columns"]] == ["Reaction", "Days", "Subject"]


def test_families_lists_all(run):
    status, out, _ = run("families")
    assert status == 0
    status, text, _ = run("families", "--json")
    names = [row["name"] for row in json.loads(text)]
    assert names == list(rf.list_families()["name"])
    assert all(name in out for name in names)


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_every_number_survives_a_narrow_terminal(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = run("datasets")
    assert "73421" in out
    assert "insteval" in out
    assert max(len(line) for line in out.splitlines()) <= int(columns)


def test_no_colour_where_it_is_not_wanted(run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    _, out, _ = run("datasets")
    assert "\x1b[3" not in out


def test_help_and_version(run):
    status, out, _ = run("--help")
    assert status == 0
    for command in ("demo", "fit", "check", "compare", "predict", "simulate", "datasets", "families"):
        assert command in out
    status, out, _ = run()
    assert (status, "demo" in out) == (0, True)
    status, out, _ = run("--version")
    assert (status, out.strip()) == (0, f"ranef {rf.__version__}")
