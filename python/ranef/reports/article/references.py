"""The works behind a fit: how they are cited in a sentence, in a list of references, and as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ranef import _engine


@dataclass(frozen=True)
class Reference:
    """A work.

    Attributes
    ----------
    key : str
        Of the BibTeX entry.
    cited : str
        As a sentence cites it: "Bates et al. 2015".
    kind : str
        Of the BibTeX entry: article, book, manual.
    fields : mapping
        Of the BibTeX entry, in plain Unicode.
    """

    key: str
    cited: str
    kind: str
    fields: Mapping[str, str]

    @property
    def bibtex(self) -> str:
        """The BibTeX entry."""
        width = max(map(len, self.fields))
        # What stands in capitals in a title must stay so.
        lines = [f"  {name:{width}} = {{{_kept(name, value)}}}" for name, value in self.fields.items()]
        return f"@{self.kind}{{{self.key},\n" + ",\n".join(lines) + "\n}"

    @property
    def text(self) -> str:
        """A line of a list of references."""
        f = self.fields
        names = f["author"].replace("{", "").replace("}", "").split(" and ")
        authors = ", ".join(names[:-1]) + " & " + names[-1] if len(names) > 1 else names[0]
        parts = [f"{authors} ({f['year']}). {f['title']}."]
        if "journal" in f:
            volume = f["volume"] + (f"({f['number']})" if "number" in f else "")
            parts.append(f"{f['journal']} {volume}" + (f", {f['pages'].replace('--', '–')}." if "pages" in f else "."))
        if "publisher" in f:
            parts.append(f"{f['publisher']}.")
        if "note" in f:
            parts.append(f"{f['note']}.")
        return " ".join(parts)

    @property
    def link(self) -> str:
        """Where the work is."""
        if "doi" in self.fields:
            return f"https://doi.org/{self.fields['doi']}"
        return self.fields.get("url", "")


def _kept(name: str, value: str) -> str:
    return f"{{{value}}}" if name == "title" else value


def _article(key: str, cited: str, author: str, title: str, where: str, doi: str = "", url: str = "") -> Reference:
    """An article; `where` is "journal|volume|number|pages|year"."""
    journal, volume, number, pages, year = where.split("|")
    fields = {
        "author": author,
        "title": title,
        "journal": journal,
        "volume": volume,
        "number": number,
        "pages": pages,
        "year": year,
        "doi": doi,
        "url": url,
    }
    return Reference(key, cited, "article", {name: value for name, value in fields.items() if value})


RANEF = Reference(
    "ranef",
    "ranef developers 2026",
    "manual",
    {
        "author": "{ranef developers}",
        "title": "ranef: Mixed-effects models in Python",
        "year": "2026",
        "note": f"Python package version {_engine.__version__}",
        "url": "https://github.com/ranef/ranef",
    },
)

CATALOGUE: tuple[Reference, ...] = (
    RANEF,
    _article(
        "bates2015",
        "Bates et al. 2015",
        "Bates, Douglas and Mächler, Martin and Bolker, Ben and Walker, Steve",
        "Fitting Linear Mixed-Effects Models Using lme4",
        "Journal of Statistical Software|67|1|1--48|2015",
        "10.18637/jss.v067.i01",
    ),
    _article(
        "brooks2017",
        "Brooks et al. 2017",
        "Brooks, Mollie E. and Kristensen, Kasper and van Benthem, Koen J. and Magnusson, Arni and Berg, Casper W. and "
        "Nielsen, Anders and Skaug, Hans J. and Mächler, Martin and Bolker, Benjamin M.",
        "glmmTMB Balances Speed and Flexibility Among Packages for Zero-inflated Generalized Linear Mixed Modeling",
        "The R Journal|9|2|378--400|2017",
        "10.32614/RJ-2017-066",
    ),
    _article(
        "pinheiro1995",
        "Pinheiro & Bates 1995",
        "Pinheiro, José C. and Bates, Douglas M.",
        "Approximations to the Log-Likelihood Function in the Nonlinear Mixed-Effects Model",
        "Journal of Computational and Graphical Statistics|4|1|12--35|1995",
        "10.1080/10618600.1995.10474663",
    ),
    Reference(
        "pinheiro2000",
        "Pinheiro & Bates 2000",
        "book",
        {
            "author": "Pinheiro, José C. and Bates, Douglas M.",
            "title": "Mixed-Effects Models in S and S-PLUS",
            "publisher": "Springer",
            "year": "2000",
            "doi": "10.1007/b98882",
        },
    ),
    _article(
        "patterson1971",
        "Patterson & Thompson 1971",
        "Patterson, H. D. and Thompson, R.",
        "Recovery of inter-block information when block sizes are unequal",
        "Biometrika|58|3|545--554|1971",
        "10.1093/biomet/58.3.545",
    ),
    _article(
        "chung2013",
        "Chung et al. 2013",
        "Chung, Yeojin and Rabe-Hesketh, Sophia and Dorie, Vincent and Gelman, Andrew and Liu, Jingchen",
        "A Nondegenerate Penalized Likelihood Estimator for Variance Parameters in Multilevel Models",
        "Psychometrika|78|4|685--709|2013",
        "10.1007/s11336-013-9328-2",
    ),
    Reference(
        "wood2017",
        "Wood 2017",
        "book",
        {
            "author": "Wood, Simon N.",
            "title": "Generalized Additive Models: An Introduction with R",
            "edition": "2nd",
            "publisher": "Chapman and Hall/CRC",
            "year": "2017",
            "doi": "10.1201/9781315370279",
        },
    ),
    _article(
        "mccullagh1980",
        "McCullagh 1980",
        "McCullagh, Peter",
        "Regression Models for Ordinal Data",
        "Journal of the Royal Statistical Society: Series B|42|2|109--127|1980",
        "10.1111/j.2517-6161.1980.tb01109.x",
    ),
    _article(
        "lambert1992",
        "Lambert 1992",
        "Lambert, Diane",
        "Zero-Inflated Poisson Regression, with an Application to Defects in Manufacturing",
        "Technometrics|34|1|1--14|1992",
        "10.2307/1269547",
    ),
    _article(
        "mullahy1986",
        "Mullahy 1986",
        "Mullahy, John",
        "Specification and testing of some modified count data models",
        "Journal of Econometrics|33|3|341--365|1986",
        "10.1016/0304-4076(86)90002-3",
    ),
    _article(
        "satterthwaite1946",
        "Satterthwaite 1946",
        "Satterthwaite, F. E.",
        "An Approximate Distribution of Estimates of Variance Components",
        "Biometrics Bulletin|2|6|110--114|1946",
        "10.2307/3002019",
    ),
    _article(
        "kenward1997",
        "Kenward & Roger 1997",
        "Kenward, Michael G. and Roger, James H.",
        "Small Sample Inference for Fixed Effects from Restricted Maximum Likelihood",
        "Biometrics|53|3|983--997|1997",
        "10.2307/2533558",
    ),
    _article(
        "nakagawa2017",
        "Nakagawa et al. 2017",
        "Nakagawa, Shinichi and Johnson, Paul C. D. and Schielzeth, Holger",
        "The coefficient of determination R² and intra-class correlation coefficient from generalized linear "
        "mixed-effects models revisited and expanded",
        "Journal of the Royal Society Interface|14|134|20170213|2017",
        "10.1098/rsif.2017.0213",
    ),
    _article(
        "johnson2014",
        "Johnson 2014",
        "Johnson, Paul C. D.",
        "Extension of Nakagawa & Schielzeth's R²GLMM to random slopes models",
        "Methods in Ecology and Evolution|5|9|944--946|2014",
        "10.1111/2041-210X.12225",
    ),
    Reference(
        "hartig_dharma",
        "Hartig 2024",
        "manual",
        {
            "author": "Hartig, Florian",
            "title": "DHARMa: Residual Diagnostics for Hierarchical (Multi-Level / Mixed) Regression Models",
            "year": "2024",
            "note": "R package",
            "url": "https://CRAN.R-project.org/package=DHARMa",
            "doi": "10.32614/CRAN.package.DHARMa",
        },
    ),
    _article(
        "dunn1996",
        "Dunn & Smyth 1996",
        "Dunn, Peter K. and Smyth, Gordon K.",
        "Randomized Quantile Residuals",
        "Journal of Computational and Graphical Statistics|5|3|236--244|1996",
        "10.1080/10618600.1996.10474708",
    ),
    _article(
        "holm1979",
        "Holm 1979",
        "Holm, Sture",
        "A Simple Sequentially Rejective Multiple Test Procedure",
        "Scandinavian Journal of Statistics|6|2|65--70|1979",
        url="https://www.jstor.org/stable/4615733",
    ),
    _article(
        "searle1980",
        "Searle et al. 1980",
        "Searle, S. R. and Speed, F. M. and Milliken, G. A.",
        "Population Marginal Means in the Linear Model: An Alternative to Least Squares Means",
        "The American Statistician|34|4|216--221|1980",
        "10.1080/00031305.1980.10483031",
    ),
)

_BY_KEY = {reference.key: reference for reference in CATALOGUE}


class Citations:
    """What a text cites, in the order of the catalogue; a text asks for the words as it is written.

    Examples
    --------
    >>> cited = Citations()
    >>> cited("bates2015", "patterson1971")
    'Bates et al. 2015; Patterson & Thompson 1971'
    >>> [reference.key for reference in cited.references]
    ['bates2015', 'patterson1971']
    """

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def __call__(self, *keys: str) -> str:
        self._keys.update(keys)
        return "; ".join(_BY_KEY[key].cited for key in keys)

    def named(self, key: str) -> str:
        """A work as part of a sentence: "Bates et al. (2015)"."""
        self._keys.add(key)
        names, _, year = _BY_KEY[key].cited.rpartition(" ")
        return f"{names} ({year})"

    @property
    def references(self) -> list[Reference]:
        """All works cited."""
        return [reference for reference in CATALOGUE if reference.key in self._keys]


def bibtex(references: Iterable[Reference]) -> str:
    """Entries of a .bib file."""
    return "\n\n".join(reference.bibtex for reference in references)
