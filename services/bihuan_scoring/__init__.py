"""
Scoring: how likely is a click, and an order after it; and the audience packages.

Invariants:

- Training, batch work and serving build features with one code (`domain.features`); a model names the feature version
  that it was trained on, and no other version may serve it.
- A model version is immutable: its files are hashed in its manifest, which is signed, and a version that is unsigned,
  wrongly signed or does not match its hashes is never loaded. Swapping models replaces one reference; a person is
  scored by one version from the first row of a request to its last, and by the same one while the canary stays.
- Compiled trees serve only where they say what LightGBM says, and no request is lost to a model on trial.
- A person who was erased is taken out of every audience and is never put into one again.

It owns `models/` (the registry), `audiences/` (one Roaring bitmap an audience) and `look_alikes/` (what the building of
one works on, gone when it is built) under the state folder, and the tables `audiences`, `look_alikes` and
`erased_persons` of its database. One process owns a state folder at a time.
"""
