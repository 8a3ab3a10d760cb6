"""A problem in plainer terms, for rivals that read no composite grouping factors and no two-level responses."""

from typing import Any


def one_column_groups(problem: dict[str, Any], formula: str, frame: Any) -> tuple[str, Any]:
    """Formula and frame with a column of its own for each grouping factor such as ``site:block``."""
    for _, group in problem["random"]:
        if ":" in group:
            joined = frame[group.split(":")].astype(str).agg(":".join, axis=1).astype("category")
            frame = frame.assign(**{group.replace(":", "_"): joined})
            formula = formula.replace(group, group.replace(":", "_"))
    return formula, frame


def numeric_response(problem: dict[str, Any], frame: Any) -> Any:
    """The frame with a two-level response as 0 and 1."""
    response = frame[problem["response"]]
    if problem["family"] == "binomial" and not problem["trials"] and hasattr(response, "cat"):
        return frame.assign(**{problem["response"]: response.cat.codes.astype(float)})
    return frame
