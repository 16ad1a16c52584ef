"""
How reports share one order among the touches before it. Never how it is billed: that is `domain.commission`.

`order_credits.credits` shares one order by a `CreditModel`. The data-driven models learn a weight a channel first, from
paths: `markov.markov` and `shapley.shapley` (or `rate_shapley.rate_shapley`) over a `paths.PathTable`.
"""
