"""Newick texts to trees, and trees to the covariance of their tips."""

import numpy as np
import pytest

import ranef as rf

# Rounding in inverses of matrices with at most a few dozen rows and branch lengths of one size.
ROUNDING = 1e-10


def random_newick(seed, tips=25):
    """A tree with polytomies and unequal depths."""
    rng = np.random.default_rng(seed)
    parts = [f"t{k}" for k in range(tips)]
    while len(parts) > 1:
        taken = min(len(parts), int(rng.integers(2, 4)))
        chosen = [parts.pop(int(rng.integers(len(parts)))) for _ in range(taken)]
        parts.append("(" + ",".join(f"{part}:{rng.uniform(0.1, 2):.17g}" for part in chosen) + ")")
    return parts[0] + ";"


def shared_paths(tree):
    """Covariance of two tips from its definition: the branches that lie above both."""
    above = []
    for k in np.flatnonzero(tree.is_tip):
        branches, node = set(), int(k)
        while node >= 0:
            branches.add(node)
            node = int(tree.parent[node])
        above.append(branches)
    return np.array([[sum(tree.length[list(a & b)]) for b in above] for a in above])


@pytest.mark.parametrize("seed", range(4))
def test_covariance_is_the_shared_path_and_precision_its_inverse(seed):
    tree = rf.phylogeny(random_newick(seed))
    covariance = tree.covariance()
    np.testing.assert_allclose(covariance, shared_paths(tree), atol=ROUNDING)
    # The inverse covariance of the tips is what is left of the precision once the inner nodes are integrated out.
    q, tip = tree.precision.toarray(), tree.is_tip
    schur = q[tip][:, tip] - q[tip][:, ~tip] @ np.linalg.solve(q[~tip][:, ~tip], q[~tip][:, tip])
    np.testing.assert_allclose(schur @ covariance, np.eye(len(covariance)), atol=ROUNDING * 10)
    assert tree.log_det_precision == pytest.approx(np.linalg.slogdet(q)[1], abs=ROUNDING * 10)


def test_correlation_and_scale():
    tree = rf.phylogeny("((a:1,b:2):2,c:3);")
    correlation = tree.covariance(correlation=True)
    np.testing.assert_allclose(np.diag(correlation), 1)
    assert correlation[0, 1] == pytest.approx(2 / np.sqrt(3 * 4))
    scaled = rf.phylogeny("((a:1,b:2):2,c:3);", scale=True)
    np.testing.assert_allclose(scaled.covariance() * 4, tree.covariance())


@pytest.mark.parametrize(
    ("text", "tips"),
    [
        ("(a:1,b:1);", ("a", "b")),
        ("(a:1,b:1)", ("a", "b")),
        (" ( a : 1 ,\n b : 1 ) root : 3 ;\n", ("a", "b")),
        ("('Homo sapiens':1,'it''s (odd), really: yes;':1.5e-1);", ("Homo sapiens", "it's (odd), really: yes;")),
        ("[&R] (a[comment, (with: all; of [it])]:1E0,b:+2.5e-3[x]);", ("a", "b")),
        ("(Homo_sapiens:1,b:.5,c:2.,d:3);", ("Homo_sapiens", "b", "c", "d")),
        ("((((a:1,b:1)90:1,c:2)95:1):1,d:4);", ("a", "b", "c", "d")),
        ("\ufeff(a:1,b:1);", ("a", "b")),
    ],
)
def test_texts_that_are_trees(text, tips):
    assert rf.phylogeny(text).tips == tips


def test_inner_nodes_are_named_by_unique_labels_only():
    tree = rf.phylogeny("(((a:1,b:1)90:1,(c:1,d:1)90:1)mammal:1,((e:1,f:1)a:1,g:2):1);")
    inner = [level for level, tip in zip(tree.levels, tree.is_tip, strict=True) if not tip]
    assert inner == ["mammal", "node 2", "node 5", "node 8", "node 9"]
    assert len(set(tree.levels)) == len(tree.levels)


def test_a_tree_as_deep_as_it_has_tips():
    tips = 20_000
    text = "(" * (tips - 1) + "t0:1" + "".join(f",t{k}:1):1" for k in range(1, tips)) + ";"
    tree = rf.phylogeny(text)
    assert len(tree.tips) == tips
    assert tree.depth.max() == tips - 1


def test_a_file_is_read(tmp_path):
    path = tmp_path / "apes.nwk"
    path.write_text("((human:6,chimp:6):2,gorilla:8);\n")
    assert rf.phylogeny(path).tips == rf.phylogeny(str(path)).tips == ("human", "chimp", "gorilla")


def test_branches_of_length_zero_join_their_ends():
    # The inner branch of length zero makes a polytomy; the tip `old` is the ancestor of b and c.
    tree = rf.phylogeny("(((a:1,d:1):0,e:2):1,(old:0,(b:1,c:1):1):1);")
    np.testing.assert_allclose(tree.covariance(), shared_paths(tree))
    place = {tip: k for k, tip in enumerate(tree.tips)}
    covariance = tree.covariance()
    assert covariance[place["a"], place["d"]] == covariance[place["a"], place["e"]] == 1
    assert covariance[place["old"], place["old"]] == covariance[place["old"], place["b"]] == 1
    assert np.linalg.slogdet(tree.precision.toarray())[1] == pytest.approx(tree.log_det_precision)


def test_ancestry_leaves_covariances_alone():
    tree = rf.phylogeny(random_newick(7))
    part = tree.ancestry(tree.tips[3:9])
    assert set(part.tips) == set(tree.tips[3:9])
    place = [tree.tips.index(tip) for tip in part.tips]
    np.testing.assert_allclose(part.covariance(), tree.covariance()[np.ix_(place, place)], atol=ROUNDING)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("((a:1,b:1):2,c:3;", r"line 1, character 1: this parenthesis is not closed"),
        ("(d:1,\n ((a:1,b:1):2,c:3;", r"line 2, character 2: this parenthesis is not closed"),
        ("(a:1,b:1)):2;", r"line 1, character 10: this parenthesis closes nothing"),
        ("a:1,b:1;", r"character 4: this comma is outside"),
        ("(a:1,b:1)(c:1);", r"character 10: `\(` cannot stand here"),
        ("(a:1,b:1); (c:1,d:1);", r"character 12: something follows the tree"),
        ("(a:1,,b:1);", r"character 6: a tip without a name"),
        ("(a:1,b:x);", r"character 8: a branch length is a number, not `x`"),
        ("(a:1,b:);", r"character 8: a branch length is a number"),
        ("(a:1,b:-2);", r"character 8: .*not negative, not -2"),
        ("(a:1,b:nan);", r"character 8: .*finite"),
        ("(a:1,'b:1);", r"character 6: this quoted label is not closed"),
        ("(a:1,b[oh:1);", r"character 7: this comment is not closed"),
        ("(a:1,b);", r"1 branches without a length, the first leads to `b`"),
        ("((a,b),c);", r"4 branches without a length"),
        ("(a:1,a:1);", r"2 tips called `a`"),
        ("a:1;", r"fewer than two tips"),
        ("(a:0,b:1);", r"the tip `a` at its root"),
        ("((a:0,b:0):1,c:1);", r"the tips `a` and `b` in one place"),
        ("#NEXUS begin trees; end;", r"NEXUS"),
        ("nowhere.nwk", r"no tree to be read at 'nowhere.nwk'"),
        (7, r"not int"),
    ],
)
def test_what_is_no_tree_is_told(text, message):
    with pytest.raises(rf.DataError, match=message):
        rf.phylogeny(text)


def test_it_shows_itself():
    tree = rf.phylogeny("((a:1,b:1):2,c:2);")
    assert repr(tree) == "Phylogeny: tips 3, inner nodes 2, distance of the tips from the root 2 to 3"
    assert "<td>3</td>" in tree._repr_html_()
