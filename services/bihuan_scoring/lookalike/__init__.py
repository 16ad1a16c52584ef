"""
Look-alike: persons of a pool who resemble those of a seed, with the evidence that they do.

A model tells the seed from the pool; whoever it takes for a seed, and is none, is alike. The pool is unlabelled, not
negative: it holds persons who belong to the seed and were never seen to. The order of a seed-vs-pool score is the order
of the probability to belong, as long as the seed is a random part of those who belong (Elkan and Noto, "Learning
classifiers from only positive and unlabeled data", KDD 2008, lemma 1), so nobody is thrown out of the pool; what has to
be corrected is the precision (see `curve`). The other usual way, spies (Liu, Lee, Yu, Li, "Partially supervised
classification of text documents", ICML 2002), discards the pool's persons next to the seed, who are the ones to be
ranked.

`snapshot` are profiles as columns, `layout` which feature columns there are, `features` the one code that fills them
for training, batch work and serving. `sampling` draws the rows to train on, `leakage` names the columns that give the
seed away, `training` fits, `scoring` scores, `curve` judges, `selection` takes the best N in bounded memory. `job` runs
all of it, on threads (`workers`) or on Dask (`cluster`), with the same functions. All drawing is by hashes of person
ids, so it is the same whatever the partitions and the order.
"""
