"""The time to encode a split: to read, digest and encode it, and to find it in the cache again.

    python -m benchmarks.encode --data path/to/glue

Each time is that of the fastest of several rounds, with the processor time of all threads in that
round. `transformers' call` is the plain twin of the encoding: the same rows, the same ids.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

from peftlab.data.encode import encode, encode_cached
from peftlab.data.source import open_source
from peftlab.models.checkpoints import load_tokenizer
from peftlab.tasks.registry import TASKS


def main() -> None:
    """Print the times of one split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a GLUE folder, or hub:FOLDER")
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    source, task = open_source(given.data), TASKS.get(given.task)
    tokenizer = load_tokenizer(given.model)
    examples = source.examples(task, "train")
    rows = [example.texts for example in examples]

    def least(call: Callable[[], object]) -> tuple[float, float]:
        seconds = []
        for _ in range(given.rounds):
            began = perf_counter(), process_time()
            call()
            seconds.append((perf_counter() - began[0], process_time() - began[1]))
        return min(seconds)

    with tempfile.TemporaryDirectory() as folder:

        def load(place: str) -> int:
            found = encode_cached(
                lambda: examples,
                tokenizer,
                max_length=given.max_length,
                cache=Path(folder) / place,
                key=given.task,
            )
            return int(found.ids.sum()) + int(found.lengths.sum())

        load("filled")
        times = {
            "read": least(lambda: source.examples(task, "train")),
            "encode": least(lambda: encode(examples, tokenizer, max_length=given.max_length)),
            "load, every token touched": least(lambda: load("filled")),
            "transformers' call": least(lambda: tokenizer.plainly(rows, given.max_length)),
        }
    print(f"{given.task} train, {len(examples):,} rows, {given.model}")
    for name, (seconds, processor_seconds) in times.items():
        print(f"  {name:26} {seconds:7.3f} s, {processor_seconds:7.3f} s of the processor")


if __name__ == "__main__":
    main()
