"""The process that compares kernels with their plain twins: `python -m` this module.

Its arguments are the id of its parent, a device, the sizes of layers as a list in JSON, and the
names of what is to be compared. It says what it begins with and how that went, a line of JSON each.
A kernel that breaks the card's state for the process ends this one alone.
"""

from __future__ import annotations

import json
import sys

from peftlab.core.parent import end_with_parent


def main(parent: int, device_name: str, sizes: str, *names: str) -> None:
    """Compare what is named, in that order."""
    end_with_parent(parent)
    import torch  # which takes seconds, as what follows does

    from peftlab.models.cuda.agreement_cases import Sizes
    from peftlab.models.cuda.comparison import checks

    device = torch.device(device_name)
    torch.cuda.set_device(device)
    known = checks(device, every_size=[Sizes(**one) for one in json.loads(sizes)])
    for name in names:
        print(json.dumps({"begun": name}), flush=True)
        try:
            wrong = known[name]()
            torch.cuda.synchronize(device)
        except Exception as error:
            wrong = f"fails: {type(error).__name__}: {error}".splitlines()[0][:200]
            print(json.dumps({"ended": name, "wrong": wrong}), flush=True)
            torch.cuda.synchronize(device)  # raises where nothing can be computed any more
            continue
        print(json.dumps({"ended": name, "wrong": wrong}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
