"""
`python -m bihuan_scoring.tree_compiler MODEL SAMPLE OBJECT CPU_S`: compiles the trees of a LightGBM text.

A process of its own, so that whoever serves is neither slowed down nor brought down by a compiler at work, and so that
the compiler's time and memory have an end even where nobody is left to wait for it. What came out is run once here on
the sample: machine code that crashes does so in this process.
"""

import os
import resource
import sys
from pathlib import Path

_MEMORY_BYTES = 8 * 1024**3
_NICENESS = 10


def main() -> None:
    """Compile; the object is written whole or the process ends with an error."""
    model, sample, target, cpu_s = sys.argv[1:]
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s), int(cpu_s) + 1))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    import lleaves  # noqa: PLC0415  # under the limits, as all the rest
    import numpy as np  # noqa: PLC0415

    from bihuan_scoring.compiled_trees import CODE_MODEL, TREES_A_BLOCK, CompiledTrees, probes  # noqa: PLC0415

    draft = Path(f"{target}.draft")
    options = {"fcodemodel": CODE_MODEL, "fblocksize": TREES_A_BLOCK}
    lleaves.Model(model).compile(cache=str(draft), raw_score=True, **options)
    CompiledTrees(draft.read_bytes()).scores(probes(np.load(sample)))
    draft.rename(target)


if __name__ == "__main__":
    main()
