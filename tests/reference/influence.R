# Fits without each group: Rscript tests/reference/influence.R > tests/reference/influence.json
suppressMessages(library(lme4))
library(jsonlite)
tight <- list(rhoend = 1e-9, maxfun = 1e5)
linear <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy, control = lmerControl("bobyqa", optCtrl = tight))
general <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial,
                 control = glmerControl("bobyqa", optCtrl = tight))
told <- function(fit, group) {
  found <- influence(fit, groups = group)
  pick <- function(what) unname(as.matrix(found[[sprintf("%s[-%s]", what, group)]]))
  list(level = rownames(found[[sprintf("fixed.effects[-%s]", group)]]), fixef = pick("fixed.effects"),
       var_cov = pick("var.cov.comps"), cooks_distance = unname(cooks.distance(found)),
       dfbetas = unname(as.matrix(dfbetas(found))))
}
sleep <- told(linear, "Subject")
cbpp_herd <- told(general, "herd")
cbpp_herd$var_cov <- NULL
toJSON(list(made_by = unbox(sprintf("lme4 %s, %s: influence(fit, groups = ...), bobyqa with rhoend 1e-9",
                                    packageVersion("lme4"), R.version.string)),
            sleepstudy = sleep, cbpp = cbpp_herd), digits = 10)
