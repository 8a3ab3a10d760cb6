"""What is timed: stored reference cases, chosen so that each leans on another part of the engine."""

PROBLEMS = {
    "lmm_sleepstudy_reml": "small linear model with a correlated slope",
    "lmm_penicillin_ml": "two crossed factors, linear",
    "lmm_scotssec_reml": "3435 rows, 148 x 19 levels crossed",
    "lmm_insteval_reml": "73421 rows, 2972 x 1128 x 28 levels crossed",
    "owls_slide_corr": "negative binomial with a correlated slope",
    "owls_zinb2_zi1": "zero-inflated negative binomial",
    "tmb_contraception": "1934 binary rows, one factor",
    "tmb_grouseticks": "three factors, one with a level for every row",
    "tmb_verbagg_cross": "7584 binary rows, 316 x 24 levels crossed",
    "tmb_zinb_zire": "random effects in the mean and in the zero inflation",
}
