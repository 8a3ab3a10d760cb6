"""ranef: the whole call, from data frame and formula to a fit with standard errors."""

import clock
import ranef as rf


def prepare(problem, frame):
    def fit():
        if problem["family"] == "gaussian":
            found = rf.lmm(problem["formula"], frame, reml=False)
        else:
            zi = f"~ {problem['zi']}" if problem["zi"] else None
            found = rf.glmm(problem["formula"], frame, family=problem["family"], zi=zi)
        found.vcov()
        return found

    return fit


clock.run(rf.__version__, prepare, lambda fit: fit.loglik)
