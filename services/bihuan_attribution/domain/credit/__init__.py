"""
How reports share one order among the touches before it. Never how it is billed: that is `domain.commission`.

`order_credits.credits_of` shares one order by a `CreditModel`. The models that learn need a weight a channel first,
which `markov.markov` and `shapley.shapley` (or `rate_shapley.rate_shapley`) find in paths, a `paths.PathTable` of them.
"""
